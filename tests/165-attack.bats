#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Attacks that need no VM: on keys and their files, by a hostile guest kernel on the
# daemon's control ring, on the memory that a QEMU is given.

load helpers

setup_file() {
	D=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-attack.XXXXXX")
	export D
	ca_scratch "$D" <<'P'
version = 1;
vms = ( { name = "a"; }, { name = "b"; } );
services = (
  { name = "t/here"; vm = "host"; },
  { name = "t/a";    vm = "a"; },
  { name = "t/b";    vm = "b"; }
);
channels = (
  { name = "local"; quota = "1M"; members = ( { service = "t/here"; rights = "rw,create"; } ); },
  { name = "pair"; quota = "1M"; members = (
      { service = "t/a"; rights = "rw,create"; },
      { service = "t/b"; rights = "rw,create"; } ); }
);
P
	sivshmem-ca --dir "$D/ca" issue t/here --out "$D/id" >/dev/null 2>&1
	printf 'transport unix:%s/run/local.sock\nmap /l-* local\n' "$D" >"$D/map"
	start_cad "$D"
}
teardown_file() {
	stop_cad "$D"
	rm -rf "$D"
}
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 5 "$D/audit.jsonl" "$D/cad.log"; }

# under the shim, with the identity in $1
as() {
	local id=$1
	shift
	env LD_PRELOAD="$BUILD/libsivshmem-shim.so" SIVSHMEM_MAP="$D/map" SIVSHMEM_IDENTITY="$id" \
		timeout -k 5 50 "$@" 3>&-
}

# spoilt FILE MESSAGE COMMAND...: after the command, run in a copy of the bundle, it is
# refused, and the message names the file and what is wrong
spoilt() {
	local file=$1 message=$2
	shift 2
	rm -rf "$D/spoilt"
	cp -a "$D/id" "$D/spoilt"
	(cd "$D/spoilt" && "$@")
	run_x as "$D/spoilt" shmtool fails EACCES open /l-x rwc
	has "$D/spoilt/$file: $message"
}

@test "attack: a bundle whose files others can change, or have put there, is not used" {
	local f
	run_x as "$D/id" shmtool open /l-x rwcx , unlink /l-x
	# of another's choice: a link may lead anywhere tomorrow
	mkdir -p "$D/elsewhere"
	cp -a "$D"/id/* "$D/elsewhere"
	for f in service.key service.cert root.cert; do
		spoilt $f "cannot open: it is a symbolic link" ln -sf "$D/elsewhere/$f" $f
		spoilt $f "not a regular file" sh -c "rm $f; mkfifo $f; chmod 600 $f"
	done
	spoilt service.key "a secret key that group or others can reach" chmod 640 service.key
	spoilt service.key "a secret key that group or others can reach" chmod 604 service.key
	spoilt service.cert "a certificate that group or others can write" chmod 664 service.cert
	spoilt root.cert "a certificate that group or others can write" chmod 646 root.cert
	# the anchor of another CA: then the own certificate has no root
	sivshmem-ca --dir "$D/ca2" init --host testhost >/dev/null
	sivshmem-ca --dir "$D/ca2" issue t/here --out "$D/id2" >/dev/null 2>&1
	spoilt service.cert "issued by another CA" cp "$D/id2/root.cert" root.cert
	spoilt service.key "does not belong to service.cert" cp "$D/id2/service.key" service.key
}

@test "attack: who may write a bundle's directory can not put files of his own there" {
	requires root
	local f
	for f in service.key service.cert root.cert; do
		spoilt $f "owned by uid 4242" chown 4242 $f
	done
}

@test "attack: the daemon takes no key that others can reach" {
	rm -rf "$D/ca3"
	cp -a "$D/ca" "$D/ca3"
	mkdir -p "$D/run3"
	chmod 644 "$D/ca3/host.key"
	run_x 3 sivshmem-cad --ca-dir "$D/ca3" --run-dir "$D/run3" --audit "$D/audit3"
	has "host.key: a secret key that group or others can reach"
	rm "$D/ca3/host.key"
	ln -s "$D/ca/host.key" "$D/ca3/host.key"
	run_x 3 sivshmem-cad --ca-dir "$D/ca3" --run-dir "$D/run3" --audit "$D/audit3"
	has "host.key: cannot open: it is a symbolic link"
}

@test "attack: keys are locked, wiped in children and left out of cores" {
	run_x keys "unix:$D/run/local.sock" "$D/id" flags local
	grep -q '^session keys: locked.* dd' <<<"$output"
	grep -q '^session keys: locked.* wf' <<<"$output"
	grep -q '^signing key: locked.* dd' <<<"$output"
	grep -q '^signing key: locked.* wf' <<<"$output"
	run_x keys "unix:$D/run/local.sock" "$D/id" fork local
	has "fork: keys wiped, session another"
	has "clone: keys wiped, session another"
	has "parent: session goes on"
}

@test "attack: a channel is left out of cores in local mode too" {
	requires python3
	run_x as "$D/id" python3 -c '
from multiprocessing import shared_memory
def flags(what):
    here = False
    for line in open("/proc/self/smaps"):
        if not line.startswith("VmFlags:"):
            here = what in line if "-" in line.split()[0] else here
        elif here:
            return line.split()[1:]
ours = shared_memory.SharedMemory("l-core", create=True, size=8192)
plain = shared_memory.SharedMemory("sivshmem-core", create=True, size=8192)
print("ours", "dd" in flags("memfd:sivshmem:"), "plain", "dd" in flags("sivshmem-core"))
for m in ours, plain:
    m.close()
    m.unlink()'
	[ "$output" = "ours True plain False" ]
}

@test "attack: a channel that another process passed on is left out of cores too" {
	requires python3
	cat >"$D/heir.py" <<'P'
import mmap, os, socket, sys
def flags(inode):
    here = False
    for line in open("/proc/self/smaps"):
        if not line.startswith("VmFlags:"):
            here = str(inode) in line.split() if "-" in line.split()[0] else here
        elif here:
            return line.split()[1:]
s = socket.socket(fileno=int(sys.argv[1]))
sent = socket.recv_fds(s, 1, 2)[1]
for what, fd in ("inherited", int(sys.argv[2])), ("sent", sent[0]), ("plain", sent[1]):
    m = mmap.mmap(fd, 4096)
    print(what, "dd" in flags(os.fstat(fd).st_ino))
P
	run_x as "$D/id" python3 -c '
import os, socket, subprocess, sys
def sized(path):
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    os.ftruncate(fd, 4096)
    os.unlink(path)
    return fd
one, two, plain = map(sized, ("/dev/shm/l-one", "/dev/shm/l-two", "/dev/shm/plain-attack"))
here, there = socket.socketpair()
socket.send_fds(here, [b"x"], [two, plain])
subprocess.run([sys.executable, sys.argv[1], str(there.fileno()), str(one)],
               pass_fds=[there.fileno(), one], check=True)' "$D/heir.py"
	[ "$output" = $'inherited True\nsent True\nplain False' ]
}

@test "attack: the daemon and its workers leave no core" {
	local pid all
	all="$(cat "$D/cad.mypid") $(children "$(cat "$D/cad.mypid")")"
	# the monitor, the signer, and a worker for each VM and for the host
	[ "$(wc -w <<<"$all")" -ge 5 ]
	for pid in $all; do
		grep -E '^Max core file size +0 +0' "/proc/$pid/limits"
	done
}

@test "attack: a child that is forked in the middle of a handshake has no key" {
	requires python3
	python3 - "$D/silent.sock" 3>&- <<'P' &
import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(sys.argv[1])
s.listen(1)
time.sleep(30)
P
	local silent=$!
	wait_for 10 test -S "$D/silent.sock"
	run_x keys "unix:$D/silent.sock" "$D/id" midway
	has "midway: parent has the key, child has not"
	kill $silent
}

@test "attack: a child that is forked while the key is read has no key" {
	run_x keys "unix:$D/none.sock" "$D/id" loading
	has "loading: 4 children, parent has the key at 4, children at 0"
}

@test "attack: a guest kernel that names the grants of others, or of before its reboot, has none" {
	requires python3
	as "$D/id" shmtool open /l-mine rwcx , truncate 4096 , map rw , write 0 kept , \
		wait 8 go 40 , truncate 8192 , stat , read 0 4 >"$D/mine" 2>&1 &
	local p=$!
	wait_for 10 as "$D/id" shmtool open /l-mine r , map r , wait 0 kept 1
	run_x "$TOP/tests/attack/guest.py" grants "$D/run" b 40
	has "first boot: 160 tried, 0 not refused"
	has "second boot: 160 tried, 0 not refused"
	# whose grant it is still has it
	as "$D/id" shmtool open /l-mine rw , map rw , write 8 go
	wait $p || { cat "$D/mine"; false; }
	grep -q 'size 8192' "$D/mine"
	grep -q 'read kept' "$D/mine"
	run_x as "$D/id" shmtool unlink /l-mine
}

@test "attack: a service that names the grants of other sessions has none" {
	as "$D/id" shmtool open /l-ours rwcx , truncate 4096 , map rw , write 0 kept , \
		wait 8 go 40 , truncate 8192 , stat , read 0 4 >"$D/ours" 2>&1 &
	local p=$!
	wait_for 10 as "$D/id" shmtool open /l-ours r , map r , wait 0 kept 1
	# the same service: it is the session that has a grant
	run_x others "unix:$D/run/local.sock" "$D/id" local 40
	has "40 grants named, 0 served"
	as "$D/id" shmtool open /l-ours rw , map rw , write 8 go
	wait $p || { cat "$D/ours"; false; }
	grep -q 'size 8192' "$D/ours"
	run_x as "$D/id" shmtool unlink /l-ours
}

@test "attack: a reboot of a guest ends its grants, and what was said before opens nothing" {
	requires python3
	sivshmem-ca --dir "$D/ca" issue t/a --out "$D/id-a" >/dev/null 2>&1
	printf 'transport unix:%s/proxy.sock\nmap /p-* pair\n' "$D" >"$D/map-a"
	"$TOP/tests/attack/guest.py" reboot "$D/run" a "$D/proxy.sock" "$(id -u)" \
		>"$D/reboot" 2>&1 3>&- &
	local p=$!
	wait_for 10 test -S "$D/proxy.sock"
	# it gets its result, but no kernel that makes a file of it
	SIVSHMEM_TRANSPORT=unix:$D/proxy.sock run_x 1 as "$D/id-a" env SIVSHMEM_MAP="$D/map-a" \
		shmtool open /p-x rwcx
	wait $p || { cat "$D/reboot"; false; }
	cat "$D/reboot"
	grep -qx 'before: the grant is good' "$D/reboot"
	grep -qx 'after: the grant is EBADF' "$D/reboot"
	grep -qx 'replayed: 0 grants' "$D/reboot"
	# the one grant that was given
	[ "$(audit "$D" '.vm == "a" and .channel == "pair" and .result == "granted"' | wc -l)" -eq 1 ]
}

# later VERB...: sivshmem-ca on a CA of its own, with a daemon of its own
later() { sivshmem-ca --dir "$D/later/ca" "$@"; }
later_as() { SIVSHMEM_TRANSPORT=unix:$D/later/run/local.sock as "$D/later/$1" "${@:2}"; }
later_revoke() {
	later revoke "$(later show "$D/later/$1" --json | jq -r '.chain[0].serial')" \
		--run-dir "$D/later/run"
}
said_later() { grep -q "$1" "$D/later/cad.log"; }

@test "attack: an older revocation list, or none, that is put back revives nobody" {
	local list=$D/later/ca/revoked.list daemon
	mkdir -p "$D/later/run"
	cp -a "$D/ca" "$D/later/ca"
	later issue t/here --out "$D/later/one" >/dev/null 2>&1
	later issue t/here --out "$D/later/two" >/dev/null 2>&1
	start_cad "$D/later"
	daemon=$(cat "$D/later/cad.mypid")
	run_x later_as two shmtool open /l-r rwcx , unlink /l-r
	run_x later_revoke one
	wait_for 5 said_later 'epoch 1, 1 serials'
	cp "$list" "$D/later/old"
	run_x later_revoke two
	wait_for 5 said_later 'epoch 2, 2 serials'
	cp "$D/later/old" "$list"
	kill -HUP "$daemon"
	wait_for 5 said_later 'an old list was brought back'
	run_x later_as two shmtool fails EACCES open /l-r rwc
	mv "$list" "$D/later/away"
	kill -HUP "$daemon"
	wait_for 5 said_later 'epoch 0, but epoch 2 was believed already'
	run_x later_as two shmtool fails EACCES open /l-r rwc
	stop_cad "$D/later"
	# nor over a restart
	run_x 3 sivshmem-cad --ca-dir "$D/later/ca" --run-dir "$D/later/run" --audit "$D/later/a"
	has "epoch 2 was believed already"
	cp "$D/later/old" "$list"
	run_x 3 sivshmem-cad --ca-dir "$D/later/ca" --run-dir "$D/later/run" --audit "$D/later/a"
	has "an old list was brought back"
}

@test "attack: a right that the policy gives no more is gone with the daemon that read it" {
	mkdir -p "$D/later/run"
	rm -rf "$D/later/ca"
	cp -a "$D/ca" "$D/later/ca"
	later issue t/here --out "$D/later/three" >/dev/null 2>&1
	start_cad "$D/later"
	run_x later_as three shmtool open /l-p rwcx , truncate 4096
	sed -i '/name = "local"/s/rw,create/ro/' "$D/later/ca/policy.conf"
	stop_cad "$D/later"
	start_cad "$D/later"
	run_x later_as three shmtool fails EACCES open /l-p rwc , fails ENOENT open /l-p r
	stop_cad "$D/later"
}

@test "attack: the memory of a device can be neither shrunk nor grown by who was given it" {
	requires python3
	local device
	for device in control link0; do
		run_x "$TOP/tests/attack/guest.py" resize "$D/run/vm/a/$device.sock"
		hasnt "through"
		has "size kept"
		[ "$(grep -c ^held <<<"$output")" -eq 5 ]
		wait_for 5 test -S "$D/run/vm/a/$device.sock"
	done
}
