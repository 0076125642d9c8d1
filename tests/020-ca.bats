#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sivshmem-ca: the CA's directory, bundles, certificates, QEMU's arguments.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

# a CA with a policy of two VMs that share a link, and a local channel
new_ca() {
	ca_scratch . <<'P'
version = 1;
host = "testhost";
vms = ( { name = "cluster"; }, { name = "ivi"; } );
services = (
  { name = "cluster/gauges"; vm = "cluster"; uid = 1000; },
  { name = "ivi/player"; vm = "ivi"; },
  { name = "tools/probe"; vm = "host"; uid = 4711; } );
channels = (
  { name = "camera"; quota = "3G"; members = (
      { service = "cluster/gauges"; rights = "rw,create"; },
      { service = "ivi/player"; rights = "ro"; } ); },
  { name = "own"; quota = "1M"; members = ( { service = "ivi/player"; rights = "rw"; } ); },
  { name = "local"; quota = "1M"; members = ( { service = "tools/probe"; rights = "rw"; } ); } );
P
}

ca() {
	local want=0
	case $1 in
	[0-9]) want=$1; shift ;;
	esac
	run_x "$want" sivshmem-ca --dir ca "$@"
}

mode() { stat -c %a "$1"; }

@test "without a command, or with an unknown one, usage and 2" {
	run_x 2 sivshmem-ca
	has "usage: sivshmem-ca"
	run_x 2 sivshmem-ca frobnicate
	has "unknown command 'frobnicate'"
	run_x 2 sivshmem-ca --frobnicate
	run_x sivshmem-ca --help
	has "qemu-args"
	run_x sivshmem-ca --version
	for c in init issue list show check qemu-args libvirt-xml status; do
		run_x sivshmem-ca $c --help
		has "usage: sivshmem-ca [--dir DIR] $c"
		run_x 2 sivshmem-ca $c --frobnicate
		has "usage: sivshmem-ca"
	done
}

@test "init makes keys that only their owner reads, and a valid policy" {
	ca init --host ecu1
	has "ecu1"
	[ "$(mode ca/root.key)" = 600 ]
	[ "$(mode ca/host.key)" = 600 ]
	[ "$(mode ca/root.cert)" = 644 ]
	[ "$(mode ca)" = 711 ]
	[ "$(mode ca/issued)" = 700 ]
	[ "$(head -1 ca/root.key)" = "sivshmem secret key v1" ]
	[ "$(head -1 ca/host.cert)" = "sivshmem certificate v1" ]
	ca check
	ca show ca/host.cert
	has "host certificate of host/ecu1"
	has "verified    yes"
	ca show ca/root.cert
	has "verified    yes"
}

@test "init's example is a valid policy once its comments are off" {
	ca init --host ecu1
	sed -i 's/^#  /  /' ca/policy.conf
	ca check
	has "VMs 2, services 2, channels 1, links 1 with 32M"
}

@test "init refuses to overwrite, and keeps a policy that is there" {
	mkdir ca
	echo 'version = 1;' >ca/policy.conf
	ca init --host ecu1
	[ "$(cat ca/policy.conf)" = "version = 1;" ]
	sha256sum ca/root.key ca/host.key >sums
	ca 1 init --host ecu1
	has "ca/root.key: exists"
	rm ca/root.key
	ca 1 init --host ecu1
	has "ca/root.cert: exists"
	[ ! -e ca/root.key ]
	grep host.key sums | sha256sum -c
}

@test "init wants a host name that fits a certificate" {
	ca 2 init --host "a b"
	has "got 'a b'"
	ca 2 init --host 12345678901234567890123456789012
	[ ! -e ca ]
	run_x 3 sivshmem-ca --dir none/ca init --host x
	has "none/ca: cannot create the directory"
}

@test "issue takes VM and uid from the policy, and says so" {
	new_ca
	ca issue cluster/gauges --out b
	has "vm cluster: from line 5"
	has "uid 1000: from line 5"
	[ "$(mode b)" = 700 ]
	[ "$(mode b/service.key)" = 600 ]
	[ "$(echo b/*)" = "b/root.cert b/service.cert b/service.key" ]
	cmp b/root.cert ca/root.cert
	ca show b --json
	echo "$output" | jq -e '.verified and .state == "valid" and (.chain[0] |
		.subject == "cluster/gauges" and .vm == "cluster" and .host == "testhost" and
		.uid == 1000 and .gid == null and .kind == "service")'
	cmp b/service.cert ca/issued/*.cert
}

@test "issue lets the command line win, with a warning" {
	new_ca
	ca issue cluster/gauges --out b --vm ivi --uid 5 --gid 6
	has "the daemon will refuse it"
	ca show b
	has "vm          ivi"
	has "uid         5"
	has "gid         6"
	ca issue cluster/gauges --out any --vm "" --uid any
	ca show any
	has "vm          any"
	has "uid         any"
	ca issue cluster/gauges --out byname --uid root --gid root
	ca show byname
	has "uid         0"
}

@test "issue for a service that the policy doesn't know says so" {
	new_ca
	ca issue other/thing --out b
	has "names no service 'other/thing'"
	ca show b
	has "vm          any"
	rm ca/policy.conf
	ca issue other/thing --out c
	hasnt "note"
	echo nonsense >ca/policy.conf
	ca 1 issue other/thing --out d
	has "ca/policy.conf:2: syntax error, got 'end of file'"
	[ ! -e d ]
}

@test "issue gives a local service its key, and nobody else" {
	requires root
	new_ca
	ca issue tools/probe --out b
	[ "$(stat -c %u b)" = 4711 ]
	[ "$(stat -c %u b/service.key)" = 4711 ]
	ca show b
	has "verified    yes"
	ca issue cluster/gauges --out c
	[ "$(stat -c %u c/service.key)" = 0 ]
}

@test "issue refuses what makes no sense, and leaves nothing" {
	new_ca
	ca 2 issue
	ca 2 issue a/b
	has "--out BUNDLE is missing"
	ca 2 issue a b --out x
	ca 2 issue "a b" --out x
	has "got 'a b'"
	ca 2 issue ../a --out x
	ca 2 issue /a --out x
	ca 2 issue a --out x --uid nosuchuser
	has "got 'nosuchuser'"
	ca 2 issue a --out x --uid 4294967295
	ca 2 issue a --out x --gid -1
	ca 2 issue a --out x --days 0
	ca 2 issue a --out x --days 7 --not-after 9999999999
	ca 2 issue a --out x --not-before 2000 --not-after 1000
	has "lies before"
	for t in yesterday 2026-02-30T00:00:00Z 2026-01-01 2026-01-01T00:00:00 \
		2026-01-01T00:00:00Zx 2026-01-01T25:00:00Z 2026-1-1T00:00:00Z -5 1e9 \
		'2026-01-01T00:00:00+ 1:00' 2026-01-01T00:00:00+24:00 2026-01-01T00:00:00+01:00x; do
		ca 2 issue a --out x "--not-after=$t"
		has "got '$t'"
	done
	ca 3 issue a --out none/x
	has "does its parent exist"
	mkdir there
	ca 1 issue a --out there/
	has "there: exists"
	[ "$(find ca/issued -type f | wc -l)" = 0 ]
	[ "$(ls)" = "$(printf 'ca\nrun\nthere')" ]
}

@test "issue that fails halfway leaves neither bundle nor record" {
	requires root
	new_ca
	chmod 644 ca/root.key
	ca 1 issue a --out x
	has "chmod 600"
	chmod 600 ca/root.key
	rmdir ca/issued
	touch ca/issued
	ca 3 issue a --out x
	[ "$(ls)" = "$(printf 'ca\nrun')" ]
}

@test "times: RFC 3339 with a zone, seconds, no end; state in list and show" {
	new_ca
	ca issue a/old --out old --not-before 2020-01-01T00:00:00Z --not-after 2020-01-02T01:00:00+01:00
	has "2020-01-01T00:00:00Z to 2020-01-02T00:00:00Z"
	ca issue a/new --out new --not-before 2099-01-01T00:00:00Z --days 1
	has "2099-01-02T00:00:00Z"
	ca issue a/ever --out ever --not-before 1000000000 --not-after 0
	has "2001-09-09T01:46:40Z to no end"
	ca 1 show old
	has "verified    expired"
	ca 1 show new
	has "not valid yet"
	ca 1 show new --json
	echo "$output" | jq -e '.verified == false and .state == "not yet"'
	ca show ever
	ca list
	[ "${#lines[@]}" = 4 ]
	[[ ${lines[1]} == *a/old*expired* ]]
	[[ ${lines[2]} == *a/new*"not yet"* ]]
	[[ ${lines[3]} == *a/ever*"no end"*valid* ]]
	ca list --json
	echo "$output" | jq -e '[.[].state] == ["expired", "not yet", "valid"] and
		.[2].not_after == null and .[0].not_before == "2020-01-01T00:00:00Z"'
}

@test "list: empty, by serial, and aloud about what isn't a certificate" {
	new_ca
	ca list
	has "nothing issued yet"
	ca list --json
	[ "$output" = "[]" ]
	ca issue a/b --out b
	serial=$(echo "$output" | sed -n 's/^  serial  //p')
	ca show "$serial"
	has "service certificate of a/b"
	printf 'sivshmem certificate v1\nAAAA\n' >ca/issued/0000000000000000.cert
	ca 1 list
	has "0000000000000000.cert:2: not one or two certificates, got 3 bytes"
	has "a/b"
}

@test "show: another CA's certificate, a broken one, none" {
	new_ca
	sivshmem-ca --dir other init --host testhost
	sivshmem-ca --dir other issue a/b --out b
	ca 1 show b
	has "issued by another CA"
	ca 1 show b --json
	echo "$output" | jq -e '.verified == false and .state == "issued by another CA"'
	sed -i '3s/./!/' b/service.cert
	ca 1 show b
	has "b/service.cert:3: not the base64"
	ca 1 show b/service.key
	has "b/service.key:1: expected 'sivshmem certificate v1'"
	ca 3 show nothing
	has "nothing: cannot open"
	run_x 3 sivshmem-ca --dir nowhere show other/root.cert
	has "create one with"
	chmod 666 b/root.cert
	ca 1 show b/root.cert
	has "chmod 644"
}

@test "list and issue without a CA say how to make one" {
	run_x 3 sivshmem-ca --dir nowhere list
	has "sivshmem-ca --dir nowhere init"
	run_x 3 sivshmem-ca --dir nowhere issue a --out b
	has "sivshmem-ca --dir nowhere init"
	[ ! -e b ]
}

@test "qemu-args: control and links, each on a root port that is large enough" {
	new_ca
	ca qemu-args ivi --run-dir /run/x
	[ "${lines[0]}" = "-chardev socket,id=sivshmem-control,path=/run/x/vm/ivi/control.sock" ]
	has "pcie-root-port,id=sivshmem-port-control,bus=pcie.0,chassis=100,slot=100,pref64-reserve=1G"
	has "ivshmem-doorbell,chardev=sivshmem-control,vectors=1,bus=sivshmem-port-control"
	has "path=/run/x/vm/ivi/link0.sock"
	has "pcie-root-port,id=sivshmem-port-link0,bus=pcie.0,chassis=101,slot=101,pref64-reserve=8G"
	has "path=/run/x/vm/ivi/link1.sock"
	ca qemu-args cluster --run-dir /run/x
	hasnt link1
	ca qemu-args cluster
	has "path=/run/sivshmem/vm/cluster/control.sock"
	ca 1 qemu-args nobody
	has "no such VM in it, got 'nobody'"
	ca 2 qemu-args
	ca 3 qemu-args ivi --policy none.conf
}

@test "qemu-args: commas are doubled, blanks need --json, long paths are refused" {
	new_ca
	ca qemu-args ivi --run-dir /run/a,b
	has "path=/run/a,,b/vm/ivi/control.sock"
	# shellcheck disable=SC2016,SC2088
	for bad in '/run/a b' '/run/*' '/run/$x' "/run/'" '/run/[a]' '~/x'; do
		ca 1 qemu-args ivi --run-dir "$bad"
		has "use --json"
	done
	ca qemu-args ivi --run-dir '/run/a b,*' --json
	echo "$output" | jq -e '.[1] == "socket,id=sivshmem-control,path=/run/a b,,*/vm/ivi/control.sock" and
		length == 22'
	ca 1 qemu-args ivi --run-dir "/run/$(printf '%0100d' 0)"
	has "too long for a UNIX socket"
}

@test "qemu-args: memory that a VM may only read is a device of its own, read-only" {
	new_ca
	sed 's/rights = "rw[^"]*"/rights = "ro"/' ca/policy.conf >ro.conf
	ca qemu-args ivi --policy ro.conf --run-dir /run/x
	has "bus=sivshmem-port-link0,addr=0x0.0x0,multifunction=on"
	has "-object memory-backend-file,id=sivshmem-memory-link0,mem-path=/run/x/vm/ivi/link0.memory,"
	has "share=on,readonly=on"
	has "-device ivshmem-plain,memdev=sivshmem-memory-link0,bus=sivshmem-port-link0,addr=0x0.0x1"
	hasnt "readonly=off"
}

@test "libvirt-xml: the arguments of qemu-args, as a domain has them" {
	requires xmllint
	new_ca
	ca libvirt-xml ivi --run-dir "/run/a&b<c'd"
	{
		echo "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
		echo "$output"
		echo "</domain>"
	} >domain.xml
	run_x xmllint --noout domain.xml
	local want n i
	mapfile -t want < <(sivshmem-ca --dir ca qemu-args ivi --run-dir "/run/a&b<c'd" --json | jq -r '.[]')
	n=$(xmllint --xpath 'count(//*[local-name()="arg"])' domain.xml)
	[ "$n" = "${#want[@]}" ]
	for ((i = 0; i < n; i++)); do
		[ "$(xmllint --xpath "string((//*[local-name()='arg'])[$((i + 1))]/@value)" domain.xml)" = \
			"${want[i]}" ]
	done
	ca 1 libvirt-xml nobody
	ca 2 libvirt-xml ivi --json
}

@test "QEMU takes the arguments as they are" {
	requires qemu-system-x86_64
	new_ca
	mkdir -p run/vm/ivi
	# no daemon listens: QEMU says so, and has split its arguments as a user's shell does
	# shellcheck disable=SC2046
	run_x 1 qemu-system-x86_64 -machine q35 -display none -nodefaults \
		$(sivshmem-ca --dir ca qemu-args ivi --run-dir run)
	has "Failed to connect to 'run/vm/ivi/control.sock'"
	# the ports alone: QEMU starts and quits
	mapfile -t ports < <(sivshmem-ca --dir ca qemu-args ivi --json |
		jq -r '.[] | select(startswith("pcie-root-port"))' | sed 's/^/-device\n/')
	[ "${#ports[@]}" = 6 ]
	run_x timeout -s KILL 30 qemu-system-x86_64 -machine q35,accel=tcg -display none \
		-nodefaults -S -monitor stdio "${ports[@]}" <<<quit
}

@test "status: no daemon, an answer, an answer that is none" {
	ca 3 status --run-dir run
	has "run/status.sock: No such file or directory: the daemon does not run there; start sivshmem-cad"
	mkdir run
	answer() { # answer TEXT: one connection gets it
		rm -f run/status.sock
		python3 - "$1" <<'PY' 3>&- &
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind("run/status.sock")
s.listen()
s.settimeout(20)
c, _ = s.accept()
c.sendall(sys.argv[1].encode())
PY
		wait_for 10 test -S run/status.sock
		sleep 0.2
	}
	answer '{"pid": 5, "host": "e\u001b[2J", "vms": [{"name": "ivi", "up": true}, {"name": "b", "links": [1, 2]}], "none": []}'
	ca status --run-dir run
	has "pid   5"
	has "e?[2J"
	has "NAME  UP   LINKS"
	has "ivi   yes  -"
	has "b     -    1,2"
	ca 3 status --run-dir run
	has "Connection refused: the daemon does not run there"
	answer '{"a": 1}'
	ca status --run-dir run --json
	echo "$output" | jq -e '.a == 1'
	answer '{"a": '
	ca 3 status --run-dir run
	has "not the daemon's answer"
	answer '[]'
	ca 3 status --run-dir run
	has "no object"
	ca 3 status --run-dir "/run/$(printf '%0120d' 0)"
	has "too long for a UNIX socket"
}
