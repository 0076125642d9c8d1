#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sivshmem-ca check: what a policy means, and where its errors are.

load helpers

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

check() {
	local want=0
	case $1 in
	[0-9]) want=$1; shift ;;
	esac
	run_x "$want" sivshmem-ca --dir . check "$@"
}

# policy: p.conf of 7 lines that lacks its channels, then standard input
policy() {
	cat >p.conf <<'P'
version = 1;
vms = ( { name = "a"; uid = 64055; },
        { name = "b"; } );
services = (
  { name = "s/a"; vm = "a"; uid = 1000; },
  { name = "s/b"; vm = "b"; },
  { name = "s/h"; vm = "host"; } );
P
	cat >>p.conf
}

# wrong LINE MESSAGE: the policy on standard input is refused so, and 1
wrong() {
	policy
	check 1 p.conf
	has "sivshmem-ca: p.conf:$1: $2"
}

@test "a policy without channels is good" {
	echo 'version = 1;' >policy.conf
	check
	[ "$output" = "./policy.conf: good: VMs 0, services 0, channels 0, links 0 with 0" ]
}

@test "check shows links, sizes, rights and who may reach what" {
	policy <<'P'
channels = (
  { name = "camera"; quota = "3M"; objects = 7; members = (
      { service = "s/a"; rights = "rw,create"; },
      { service = "s/b"; rights = "ro"; } ); },
  { name = "both"; quota = "1M"; members = (
      { service = "s/a"; rights = "rw"; }, { service = "s/b"; rights = "rw,create,resize"; } ); },
  { name = "local"; quota = "5000"; members = ( { service = "s/h"; rights = "rw"; } ); } );
P
	check p.conf
	table=$(echo "$output" | tr -s ' ')
	for line in "a 64055 2" "b any 2" "s/a a 1000 camera rw,create" "s/b b any camera ro" \
		"s/b b any both rw,create,resize" "s/h host any local rw" "camera 3M 7 2 0" \
		"both 1M 64 2 1" "local 8K 64 1 local" "0 4M a a,b b" "1 2M a,b a,b nobody"; do
		echo "$table" | grep -qxF "$line" || { echo "no line: $line"; echo "$table"; false; }
	done
	has "p.conf: good: VMs 2, services 3, channels 3, links 2 with 6M"
	check p.conf --json
	echo "$output" | jq -e '
		.links == [{memory: 4194304, writers: ["a"], readers: ["a", "b"],
				read_only: ["b"]},
			{memory: 2097152, writers: ["a", "b"], readers: ["a", "b"], read_only: []}] and
		.channels[0].members[1] == {service: "s/b", rights: "ro"} and
		.channels[2].link == null and .channels[2].quota == 8192 and
		(.services[2] | del(.limits)) == {name: "s/h", vm: "host", uid: null} and
		(.vms[0] | del(.limits)) == {name: "a", uid: 64055}' || { echo "$output"; false; }
}

@test "check shows what VMs and services may use" {
	cat >p.conf <<'P'
version = 1;
limits = { sessions = 100; };
vms = ( { name = "a"; limits = { bytes = "4M"; handshakes = 9; }; }, { name = "b"; } );
services = ( { name = "s/a"; vm = "a"; limits = { objects = 3; log = 7; }; },
	{ name = "s/b"; vm = "b"; } );
P
	check p.conf
	table=$(echo "$output" | tr -s ' ')
	for line in "LIMITS OF BYTES OBJECTS SESSIONS HANDSHAKES/S LOG LINES/S" \
		"a 4M - 100 9 1000" "b - - 100 200 1000" "host - - 100 200 1000" "s/a - 3 - - 7"; do
		echo "$table" | grep -qxF "$line" || { echo "no line: $line"; echo "$table"; false; }
	done
	! grep -q '^s/b -' <<<"$table"
	check p.conf --json
	echo "$output" | jq -e '
		.limits == {bytes: null, objects: null, sessions: 100, handshakes: 200, log: 1000} and
		.vms[0].limits == {bytes: 4194304, objects: null, sessions: 100, handshakes: 9, log: 1000} and
		.services[0].limits == {bytes: null, objects: 3, sessions: null, handshakes: null, log: 7}'
}

@test "a service with no channel is shown as reaching nothing" {
	policy </dev/null
	check p.conf
	echo "$output" | tr -s ' ' | grep -qxF "s/a a 1000 - none"
}

@test "a policy for another host is noted" {
	sivshmem-ca --dir . init --host ecu1
	printf 'version = 1;\nhost = "ecu2";\n' >policy.conf
	check
	has "the policy is for host 'ecu2', but ./host.cert is for 'ecu1'"
}

@test "no policy, two policies, a directory, a policy that all can write" {
	check 3
	has "./policy.conf: cannot open the policy: No such file or directory"
	check 2 a b
	check 1 /tmp
	has "/tmp: not a regular file"
	echo 'version = 1;' >policy.conf
	chmod 666 policy.conf
	check 1
	has "chmod 644"
}

@test "errors: syntax, unknown keys, duplicates, types, includes" {
	wrong 8 "syntax error, got 'channels = ( { ;'" <<<'channels = ( { ;'
	wrong 9 "unknown key in the policy, got 'chanels'" <<<$'\nchanels = ();'
	wrong 9 "duplicate setting name, got 'vms = ();'" <<<$'\nvms = ();'
	wrong 8 "channels must be a list ( ... ), got '{ ... }'" <<<'channels = { };'
	wrong 8 "a policy is one file, got '@include \"x\"'" <<<'@include "x"'
	wrong 8 "host must be 1 to 31 of" <<<'host = "../x";'
	wrong 8 "number too large, got '4294967297'" <<<'host = 4294967297;'
	printf 'vms = ();\n' >p.conf
	check 1 p.conf
	has "p.conf:1: the policy lacks 'version'"
	printf '\nversion = 3;\n' >p.conf
	check 1 p.conf
	has "p.conf:2: version must be 1, got '3'"
}

@test "errors: VMs and services" {
	for case in "name = \"host\"|the name stands for the host's own processes, got 'host'" \
		"name = \"x/y\"|a VM's name must be of [A-Za-z0-9._-] and begin with no '.', got 'x/y'" \
		"nam = \"x\"|unknown key in a VM, got 'nam'" \
		"uid = 1|a VM lacks 'name'" \
		"name = \"x\"; uid = \"root\"|uid must be an integer, got 'root'" \
		"name = \"x\"; uid = -5|uid must be 0 to 4294967294, got '-5'"; do
		printf 'version = 1;\nvms = (\n  { %s; } );\n' "${case%%|*}" >p.conf
		check 1 p.conf
		has "p.conf:3: ${case#*|}"
	done
	printf 'version = 1;\nvms = ( { name = "x"; },\n\n  { name = "x"; } );\n' >p.conf
	check 1 p.conf
	has "p.conf:4: two VMs of one name, got 'x'; it is in line 2 too"
	for case in "vm = \"nowhere\"|no such VM, got 'nowhere'; list it in vms or say \"host\"" \
		"uid = 3|a service lacks 'vm'" "vm = 3|vm must be a string \"...\", got '3'"; do
		printf 'version = 1;\nservices = (\n  { name = "x"; %s; } );\n' "${case%%|*}" >p.conf
		check 1 p.conf
		has "p.conf:3: ${case#*|}"
	done
	printf 'version = 1;\nservices = ( { name = "x"; vm = "host"; },\n  { name = "x"; vm = "host"; } );\n' >p.conf
	check 1 p.conf
	has "p.conf:3: two services of one name, got 'x'; it is in line 2 too"
}

@test "errors: channels" {
	member='members = ( { service = "s/a"; rights = "ro"; } );'
	wrong 8 "a channel lacks 'quota'" <<<"channels = ( { name = \"c\"; $member } );"
	wrong 9 "a channel lacks 'members'" <<<$'channels = (\n{ name = "c"; quota = 1; } );'
	wrong 8 "quota must be 1 to 64G bytes, with K, M or G if you like, got '0'" <<<"channels = ( { name = \"c\"; quota = 0; $member } );"
	wrong 8 "quota must be 1 to 64G bytes, with K, M or G if you like, got '3X'" <<<"channels = ( { name = \"c\"; quota = \"3X\"; $member } );"
	wrong 9 "objects must be 1 to 4096, got '5000'" <<<$'channels = ( { name = "c"; quota = 1;\nobjects = 5000; '"$member } );"
	wrong 8 "channel 'c' has no members" <<<'channels = ( { name = "c"; quota = 1; members = (); } );'
	wrong 9 "two channels of one name, got 'c'; it is in line 8 too" \
		<<<"channels = ( { name = \"c\"; quota = 1; $member },"$'\n'"{ name = \"c\"; quota = 1; $member } );"
	wrong 8 "name must be 1 to 63 of" <<<"channels = ( { name = \"a b\"; quota = 1; $member } );"
}

@test "errors: members and rights" {
	m() { printf 'channels = ( { name = "c"; quota = 1; members = (\n%s ); } );' "$1"; }
	wrong 9 "no such service, got 's/x'; list it in services" < <(m '{ service = "s/x"; rights = "ro"; }')
	wrong 10 "member twice in channel 'c', got 's/a'" \
		< <(m $'{ service = "s/a"; rights = "ro"; },\n{ service = "s/a"; rights = "rw"; }')
	wrong 10 "channel 'c' mixes services on the host and in VMs, which is not supported yet, got 's/h'; use two channels" \
		< <(m $'{ service = "s/a"; rights = "ro"; },\n{ service = "s/h"; rights = "rw"; }')
	wrong 9 "rights are ro or rw, then create, resize, each once, got 'root'" < <(m '{ service = "s/a"; rights = "root"; }')
	wrong 9 "rights are ro or rw, then create, resize, each once, got 'ro,rw'" < <(m '{ service = "s/a"; rights = "ro,rw"; }')
	wrong 9 "rights lack ro or rw, got 'create'" < <(m '{ service = "s/a"; rights = "create"; }')
	wrong 9 "create and resize need rw, got 'ro,create'" < <(m '{ service = "s/a"; rights = "ro,create"; }')
	wrong 9 "unknown key in a member, got 'right'" < <(m '{ service = "s/a"; right = "ro"; }')
}

@test "errors: more memory than there can be" {
	wrong 9 "links need more than 64G in all, got '131072M' with this one; lower quotas" <<'P'
channels = ( { name = "c"; quota = "33G"; members = ( { service = "s/b"; rights = "rw"; } ); },
  { name = "d"; quota = "33G"; members = ( { service = "s/b"; rights = "ro"; } ); } );
P
}

@test "the example of sivshmem-policy(5) is good" {
	sed -n '/^version = 1;$/,/^\.Ed$/p' "$TOP/man/sivshmem-policy.5" | sed '$d' >p.conf
	check p.conf
	has "p.conf: good: VMs 2, services 4, channels 2, links 1 with 32M"
}
