#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Local mode, end to end: daemon, handshake, policy, shim and POSIX semantics
# between processes of this host. As root, the programs run as another user.

load helpers

setup_file() {
	D=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-local.XXXXXX")
	export D
	if [ "$(id -u)" -eq 0 ]; then U=65534; else U=$(id -u); fi
	# the checkout may lie where that user can't reach it, as in /root
	mkdir "$D/bin"
	cp -P "$BUILD"/lib*.so* "$BUILD"/sivshmem* "$BUILD"/tools/* "$TOP"/examples/python/*.py "$D/bin"
	BUILD=$D/bin PATH=$D/bin:$PATH
	export U BUILD PATH
	ca_scratch "$D" <<P
version = 1;
services = (
  { name = "t/maker";  vm = "host"; },
  { name = "t/peer";   vm = "host"; },
  { name = "t/reader"; vm = "host"; },
  { name = "t/other";  vm = "host"; uid = $U; }
);
channels = (
  { name = "main"; quota = "8M"; objects = 600; members = (
      { service = "t/maker";  rights = "rw,create"; },
      { service = "t/peer";   rights = "rw,create"; },
      { service = "t/reader"; rights = "ro"; } ); },
  { name = "nocreate"; quota = "1M"; members = (
      { service = "t/maker";  rights = "rw,create"; },
      { service = "t/peer";   rights = "rw"; } ); },
  { name = "private"; quota = "1M"; members = (
      { service = "t/maker";  rights = "rw,create"; } ); }
);
P
	local s
	for s in maker peer reader other; do issue $s t/$s; done
	issue unknown t/unknown
	issue expired t/peer --not-before 2020-01-01T00:00:00Z --not-after 2021-01-01T00:00:00Z
	issue early t/peer --not-before 2099-01-01T00:00:00Z --not-after 2100-01-01T00:00:00Z
	issue elsewhere t/peer --vm attic
	issue wronguid t/peer --uid 4242
	sivshmem-ca --dir "$D/ca2" init --host testhost >/dev/null
	sivshmem-ca --dir "$D/ca2" issue t/peer --out "$D/id/otherca" >/dev/null 2>&1
	cat >"$D/map" <<C
transport unix:$D/run/local.sock
map /m-*       main
map /psm_*     main
map /telemetry main
map /nc-*      nocreate
map /private-* private
map /nowhere*  nosuchchannel
C
	chmod -R a+rX "$D/run"
	chmod 755 "$D"
	if [ "$(id -u)" -eq 0 ]; then chown -R "$U" "$D/id" "$D/map"; fi
	start_cad "$D"
}
teardown_file() {
	stop_cad "$D"
	rm -rf "$D"
}
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 5 "$D/audit.jsonl" "$D/cad.log"; }

# issue NAME SERVICE OPTION...: a bundle in $D/id/NAME
issue() {
	mkdir -p "$D/id"
	sivshmem-ca --dir "$D/ca" issue "${@:2}" --out "$D/id/$1" >/dev/null 2>&1
}

# as SERVICE COMMAND...: under the shim, as user $U
as() {
	local service=$1 drop=()
	shift
	[ "$(id -u)" -ne 0 ] || drop=(setpriv --reuid "$U" --regid "$U" --clear-groups)
	"${drop[@]}" timeout -k 5 50 env LD_PRELOAD="$SHIM" \
		SIVSHMEM_MAP="$D/map" SIVSHMEM_IDENTITY="$D/id/$service" "$@" 3>&-
}
a() { as maker shmtool "$@"; }
b() { as peer shmtool "$@"; }
ro() { as reader shmtool "$@"; }
fdt() { as maker fdtool "$@"; }
last_refusal() { audit "$D" '.result == "refused"' | tail -1; }
status() { sivshmem-ca --dir "$D/ca" status --run-dir "$D/run" --json; }
no_sessions() { [ "$(status | jq '.sessions | length')" -eq 0 ]; }
no_objects() { [ "$(status | jq '.objects | length')" -eq 0 ]; }

@test "local: data crosses both ways, and no local segment exists" {
	run_x a open /m-x rwcx , truncate 10000 , map rw , check zero , write 9990 from-a
	run_x b open /m-x rw , stat , map rw , read 9990 6 , write 0 from-b
	has "size 10000 regular"
	has "read from-a"
	[ ! -e /dev/shm/m-x ]
	run_x a open m-x r , map r , read 0 6 , unlink m-x
	has "read from-b"
}

@test "local: a name that no pattern matches stays a plain segment" {
	run_x a open /sivshmem-plain$$ rwcx , truncate 100
	[ -e /dev/shm/sivshmem-plain$$ ]
	run_x b open /sivshmem-plain$$ r , stat , unlink /sivshmem-plain$$
	has "size 100"
}

@test "local: ENOENT before creation, EEXIST for O_EXCL, size 0 until ftruncate" {
	run_x b fails ENOENT open /m-new rw
	run_x a open /m-new rwcx , stat
	has "size 0 regular"
	run_x b fails EEXIST open /m-new rwcx , open /m-new rwc , stat , unlink /m-new
	has "size 0 regular"
	run_x a fails ENOENT open /m-new r , fails ENOENT unlink /m-new
	hasnt "sivshmem: "
}

@test "local: O_EXCL has exactly one winner among twelve" {
	local i round
	for round in 1 2 3; do
		for i in 1 2 3 4 5 6; do
			a open /m-race$round rwcx >"$BATS_TEST_TMPDIR/a$i" 2>&1 &
			b open /m-race$round rwcx >"$BATS_TEST_TMPDIR/b$i" 2>&1 &
		done
		wait
		[ "$(cat "$BATS_TEST_TMPDIR"/[ab]? | grep -c "^open /m-race$round")" -eq 1 ]
		[ "$(cat "$BATS_TEST_TMPDIR"/[ab]? | grep -c '^open: EEXIST')" -eq 11 ]
		run_x b unlink /m-race$round
	done
}

@test "local: a size set in one process is what fstat shows in the other" {
	a open /m-size rwcx , truncate 1 , map rw 1 , wait 0 g 20 , truncate 70001 , \
		map rw , write 70000 Z , write 0 h , wait 0 q 20 >"$BATS_TEST_TMPDIR/a" 2>&1 &
	local p=$!
	run_x b waitopen /m-size rw 10 , waitsize 1 10 , map rw 1 , write 0 g , \
		waitsize 70001 10 , map rw , wait 0 h 10 , read 70000 1 , write 0 q
	has "read Z"
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	run_x a open /m-size rw , truncate 4097
	run_x b open /m-size rw , stat , fallocate 9000 , stat , fallocate 50 , stat , unlink /m-size
	has "size 4097 regular"
	[ "$(grep -c 'size 9000' <<<"$output")" -eq 2 ]
}

@test "local: growing shows zeros, also where bytes were before shrinking" {
	run_x a open /m-grow rwcx , truncate 20000 , map rw , fill X , unmap , truncate 5000 , truncate 20000
	run_x b open /m-grow rw , map r , read 4998 4 , unmap , unlink /m-grow
	has "read XX.."
}

@test "local: unlink with live mappings, and a new object under the reused name" {
	a open /m-life rwcx , truncate 4096 , map rw , write 0 old1 , wait 8 u 20 , \
		fails ENOENT open /m-life r , open /m-life rwcx , truncate 4096 , \
		read 0 4 , map rw , check zero , write 0 new1 , wait 8 d 20 \
		>"$BATS_TEST_TMPDIR/a" 2>&1 &
	local p=$!
	run_x b waitopen /m-life rw 10 , map rw 4096 , wait 0 old1 10 , unlink /m-life , write 8 u , \
		waitopen /m-life rw 10 , read 0 4 , map rw 4096 , wait 0 new1 10 , write 8 d
	has "read old1"
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	run_x b unlink /m-life
}

@test "local: memory is zero again for the next object" {
	run_x a open /m-res rwcx , truncate 6M , map rw , fill S , unlink /m-res
	run_x b open /m-res2 rwcx , truncate 6M , map rw , check zero , unlink /m-res2
}

@test "local: quotas are refused with ENOSPC and free again after unlink" {
	run_x a open /m-q rwcx , fails ENOSPC truncate 9M , truncate 8M , stat
	has "sivshmem: ftruncate"
	run_x b open /m-q2 rwcx , fails ENOSPC truncate 4096 , fails ENOSPC fallocate 4096
	run_x a unlink /m-q
	run_x b open /m-q2 rw , truncate 4096 , unlink /m-q2
}

@test "local: O_TRUNC empties an object" {
	run_x a open /m-trunc rwcx , truncate 8192 , map rw , fill t
	run_x b open /m-trunc rwt , stat , truncate 8192 , map rw , check zero , unlink /m-trunc
	has "size 0 regular"
}

@test "local: read, write and lseek work on the fd" {
	run_x a open /m-rw rwcx , truncate 5004 , pwrite 5000 tail , seekend
	has "end 5004"
	run_x b open /m-rw r , pread 4998 10 , fails EBADF pwrite 0 x , unlink /m-rw
	has "read ..tail"
}

@test "local: a read-only member can't write by any way" {
	run_x a open /m-ro rwcx , truncate 4096 , map rw , write 0 secret
	run_x ro fails EACCES open /m-ro rw
	has "sivshmem: shm_open(\"/m-ro\"): refused: channel 'main'"
	run_x ro open /m-ro r , map r , read 0 6 , fails EACCES map rw , fails EACCES mprotect , \
		fails EBADF pwrite 0 x , fails EACCES reopen rw , fails EINVAL truncate 1 , map r , fault w 0
	has "read secret"
	has "fault SIGSEGV"
	run_x ro fails EACCES open /m-ro2 rwc , fails EACCES unlink /m-ro
	run_x a open /m-ro r , map r , read 0 6 , unlink /m-ro
	has "read secret"
}

@test "local: creating, unlinking and resizing without the right" {
	run_x a open /nc-x rwcx , truncate 4096
	run_x b fails EACCES open /nc-mine rwc , fails EACCES unlink /nc-x , \
		open /nc-x rw , fails EACCES truncate 8192 , stat
	has "size 4096 regular"
	run_x a unlink /nc-x
}

# refused BUNDLE REASON CLIENT-TEXT
refused() {
	run_x as "$1" shmtool fails EACCES open /m-x rw
	has "sivshmem: shm_open(\"/m-x\"): refused: "
	has "$3"
	last_refusal | tee /dev/stderr | grep -qi "$2"
}

@test "local: who is refused is told what he can know, and the audit log the reason" {
	run_x a open /m-x rwcx
	refused unknown 'unknown service' "audit log has the reason (session "
	refused expired 'expired' "expired at 2021-01-01T00:00:00Z"
	# this one tells the host nothing: its clock may have been set back
	run_x as early shmtool fails EACCES open /m-x rw
	has "not valid before 2099-01-01T00:00:00Z"
	refused elsewhere 'VM' "bound to VM 'attic'"
	refused wronguid 'uid' "bound to uid 4242"
	refused other 'member' "refused to service 't/other'"
	run_x as maker shmtool fails EACCES open /nowhere1 rwc
	run_x b fails EACCES open /private-x rwc
	# the host of another CA is not spoken to
	run_x as otherca shmtool fails EACCES open /m-x r
	has "the host is not the one that $D/id/otherca/root.cert vouches for"
	run_x a unlink /m-x
}

@test "local: a map may insist on a host's name" {
	(cat "$D/map"; echo "host testhost") >"$D/map-good"
	(cat "$D/map"; echo "host elsewhere") >"$D/map-bad"
	chmod a+r "$D"/map-*
	[ "$(id -u)" -ne 0 ] || chown "$U" "$D"/map-*
	run_x as maker env SIVSHMEM_MAP="$D/map-good" shmtool open /m-host rwcx , unlink /m-host
	run_x as maker env SIVSHMEM_MAP="$D/map-bad" shmtool fails EACCES open /m-host rwcx
	has "the host is not the one"
}

@test "local: descriptors are the lowest, and survive what programs do to them" {
	run_x fdt lowest /m-fd
	run_x fdt closeall /m-fd 5
	run_x fdt cover /m-fd
	run_x fdt emfile /m-fd
}

@test "local: threads, cancelled threads, signals" {
	run_x fdt threads /m-fd 16
	run_x fdt cancel /m-fd 30
	run_x fdt signals /m-fd 20
}

@test "local: fork, fork amid threads, vfork" {
	run_x fdt fork /m-fd 5
	# ASan's allocator may be locked by another thread, and is so in the child for ever
	[ -n "${SIVSHMEM_SANITIZED:-}" ] || run_x fdt forkthreads /m-fd 20
	run_x fdt vfork /m-fd
	run_x a open /m-fork rwcx , truncate 4096 , map rw , fork , write 0 kid , open /m-fork2 rwcx , truncate 100 , stat
	has "size 100 regular"
	run_x b open /m-fork r , map r , read 0 3 , unlink /m-fork , unlink /m-fork2
	has "read kid"
}

@test "local: one process opens more objects than a session has grants" {
	run_x fdt loop /m-fd 600
	run_x fdt many /m-fd 400
	wait_for 10 no_objects
}

@test "local: 64 processes open at once" {
	run_x a open /m-64 rwcx , truncate 4096
	local i
	for i in $(seq 64); do
		b open /m-64 rw , map rw , write $((i * 8)) x >"$BATS_TEST_TMPDIR/o$i" 2>&1 &
	done
	wait
	[ "$(grep -l '^write 1' "$BATS_TEST_TMPDIR"/o* | wc -l)" -eq 64 ] || { cat "$BATS_TEST_TMPDIR"/o*; false; }
	run_x a open /m-64 r , map r , read 512 1 , unlink /m-64
	has "read x"
}

@test "local: Python's shared_memory, both ends" {
	requires python3
	as maker python3 "$D/bin/cluster.py" >"$BATS_TEST_TMPDIR/a" 2>&1 &
	local p=$!
	run_x as peer python3 "$D/bin/infotainment.py"
	has "read 'speed=88 km/h from the cluster'"
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	grep -q "read back 'seen by infotainment: 88'" "$BATS_TEST_TMPDIR/a"
}

@test "local: Python's shared_memory with random names" {
	requires python3
	run_x as maker python3 -c '
from multiprocessing import Process, shared_memory
def child(name):
    other = shared_memory.SharedMemory(name)
    other.buf[:5] = b"child"
    other.close()
mem = shared_memory.SharedMemory(create=True, size=12345)
assert mem.size == 12345 and not any(mem.buf)
p = Process(target=child, args=(mem.name,))
p.start(); p.join()
assert p.exitcode == 0
print(bytes(mem.buf[:5]))
mem.close(); mem.unlink()'
	has "b'child'"
	wait_for 10 no_objects
}

@test "local: killed at random in the handshake, forty times" {
	run_x as maker bash -c 'for i in $(seq 40); do
		shmtool open /m-hs rwc , sleep 30 >/dev/null 2>&1 &
		p=$!
		sleep 0.00$((i % 10))
		kill -9 $p
		wait $p 2>/dev/null
	done; true'
	wait_for 20 no_sessions
	run_x a open /m-hs rwc , unlink /m-hs
}

@test "local: garbage on the socket hurts nobody" {
	requires python3
	run_x python3 - "$D/run/local.sock" <<'P'
import os, random, socket, struct, sys
random.seed(7)
def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(5)
    s.connect(sys.argv[1])
    return s
hello = struct.pack("<HHIHHI", 1, 0, 40, 1, 1, 1)
for i in range(200):
    s = connect()
    kind = i % 6
    if kind == 0: data = os.urandom(random.randrange(1, 5000))
    elif kind == 1: data = hello + bytes(32)                  # a zero key
    elif kind == 2: data = hello + os.urandom(random.randrange(0, 64))
    elif kind == 3: data = struct.pack("<HHI", random.randrange(12), random.randrange(3), 0xffffffff)
    elif kind == 4: data = hello + os.urandom(32)
    else: data = b""
    try:
        s.send(data)
        if kind == 4:
            host = s.recv(4096)
            assert len(host) == 792, len(host)
            s.send(struct.pack("<HHI", 3, 0, 704) + os.urandom(704))  # AUTH that does not open
            answer = s.recv(4096)
            assert len(answer) != 120, "READY for garbage"
        if i % 3 == 0:
            s.recv(4096)
    except (TimeoutError, OSError) as e:
        if isinstance(e, TimeoutError):
            sys.exit(f"no answer to kind {kind}")
    s.close()
# connections that say nothing
idle = [connect() for _ in range(50)]
print("survived")
P
	has "survived"
	run_x a open /m-g rwcx , truncate 100 , unlink /m-g
	wait_for 20 no_sessions
}

@test "local: a certificate that expires opens nothing more" {
	sivshmem-ca --dir "$D/ca" issue t/maker --out "$D/id/short" --not-after $(($(date +%s) + 3))
	[ "$(id -u)" -ne 0 ] || chown -R "$U" "$D/id/short"
	run_x as short shmtool open /m-e1 rwcx , truncate 100 , map rw , write 0 kept , sleep 5 , \
		read 0 4 , fails EACCES open /m-e2 rwc , fails EACCES unlink /m-e1
	has "read kept"
	last_refusal | grep -q expired
	run_x a unlink /m-e1
}

# hold_connections UID STEP COUNT SECONDS: each by a uid STEP above the last; says how many stay
hold_connections() {
	python3 - "$D/run/local.sock" "$@" <<'P'
import os, socket, sys, time
path, (uid, step, count, seconds) = sys.argv[1], map(int, sys.argv[2:])
os.setgroups([])
held = []
for i in range(count):
    os.seteuid(0)
    os.seteuid(uid + i * step)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(path)
    held.append(s)
ended = 0
for s in held:
    s.settimeout(0.01)
    try:
        ended += s.recv(10) == b""
    except (TimeoutError, ConnectionResetError) as e:
        ended += isinstance(e, ConnectionResetError)
print("held", len(held) - ended, flush=True)
time.sleep(seconds)
P
}
held_share() { # FILE: of the 1024
	local held
	held=$(sed -n 's/^held //p' "$1")
	[ "$held" -gt 100 ] && [ "$held" -le 512 ]
}

@test "local: one user's connections leave room for the others" {
	requires root
	hold_connections 4321 0 900 0 >"$BATS_TEST_TMPDIR/one"
	held_share "$BATS_TEST_TMPDIR/one"
	run_x a open /m-room rwcx , unlink /m-room
	wait_for 10 no_sessions
}

@test "local: a user who asks for the status all the time gets it now and then" {
	requires root
	run_x python3 - "$D/run/status.sock" <<'P'
import os, socket, sys, time
os.setgroups([])
os.setresuid(4321, 4321, 4321)
began, got = time.monotonic(), 0
for i in range(200):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    try:
        got += s.recv(10) != b""
    except ConnectionResetError:
        pass
    s.close()
most = 9 + 4 * (time.monotonic() - began)
print("got", got, "of", most)
assert 1 <= got <= most
P
	[ "$(status | jq -r .host)" = testhost ]
}

@test "local: one user who is many has one user's connections and handshakes" {
	requires root
	# as newuidmap(1) lets him be
	hold_connections 100000 1 1200 30 >"$BATS_TEST_TMPDIR/many" 3>&- &
	local p=$!
	wait_for 40 grep -q held "$BATS_TEST_TMPDIR/many"
	held_share "$BATS_TEST_TMPDIR/many"
	run_x a open /m-room rwcx , unlink /m-room
	kill "$p"
	wait_for 10 no_sessions
}

@test "local: sivshmem check and status" {
	run_x as maker env SIVSHMEM_DEBUG= sivshmem check --connect /m-x
	has "/m-x -> channel main"
	has "host      answers, local mode"
	has "service t/maker, VM host, uid $U"
	run_x 1 as unknown sivshmem check --connect
	has "the host refused service 't/unknown'"
	a open /m-st rwcx , truncate 12345 , sleep 3 >/dev/null 2>&1 &
	local p=$!
	run_x b waitopen /m-st r 10
	run_x sivshmem status --run-dir "$D/run"
	has "m-st"
	has "12345"
	run_x sivshmem status --run-dir "$D/run" --json
	jq -e . <<<"$output" >/dev/null
	wait $p
	run_x a unlink /m-st
}

@test "local: the worker is killed: mappings and sessions go on after a new handshake" {
	a open /m-w rwcx , truncate 4096 , map rw , write 0 one , wait 8 k 20 , truncate 8192 , stat , \
		open /m-w2 rwcx , truncate 100 , unlink /m-w2 , stat >"$BATS_TEST_TMPDIR/a" 2>&1 &
	local p=$! w
	run_x b waitopen /m-w rw 10 , map rw 4096 , wait 0 one 10
	for w in $(status | jq '.vms[] | select(.name == "host").worker_pid'); do kill -9 "$w"; done
	run_x b open /m-w rw , map rw , write 8 k
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	grep -q 'size 8192 regular' "$BATS_TEST_TMPDIR/a"
	grep -q 'size 100 regular' "$BATS_TEST_TMPDIR/a"
	run_x a unlink /m-w
	wait_for 10 no_sessions
}

@test "local: objects without end leave the daemon what it needs for itself" {
	local E=$BATS_TEST_TMPDIR
	ca_scratch "$E" <<'P'
version = 1;
services = ( { name = "t/maker"; vm = "host"; } );
channels = ( { name = "main"; quota = "8M"; objects = 4000; members = (
    { service = "t/maker"; rights = "rw,create"; } ); } );
P
	sivshmem-ca --dir "$E/ca" issue t/maker --out "$E/id"
	printf 'transport unix:%s/run/local.sock\nmap /m-* main\n' "$E" >"$E/map"
	(ulimit -n 600 && start_cad "$E")
	run_x sivshmem run --map "$E/map" --identity "$E/id" -- python3 -c '
import _posixshmem, os
made = 0
try:
    for made in range(4000):
        os.close(_posixshmem.shm_open(f"/m-{made}", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
except OSError as e:
    print("made", made, e.strerror)'
	has "made 3"
	kill -9 "$(sivshmem-ca status --run-dir "$E/run" --json | jq '.vms[0].worker_pid')"
	wait_for 10 sivshmem run --map "$E/map" --identity "$E/id" -- shmtool open /m-0 rw , unlink /m-0
	stop_cad "$E"
}

@test "local: the daemon as an ordinary user serves his own programs" {
	requires root
	local E=$BATS_TEST_TMPDIR
	mkdir -p "$E/u"
	cp -r "$D/ca" "$E/u/ca"
	mkdir "$E/u/run"
	printf 'transport unix:%s\nmap /m-* main\n' "$E/u/run/local.sock" >"$E/u/map"
	cp -r "$D/id" "$E/u/id"
	chown -R 65534:65534 "$E/u"
	local p=$E
	while [ "$p" != / ]; do chmod a+x "$p"; p=$(dirname "$p"); done
	setpriv --reuid 65534 --regid 65534 --clear-groups "$BUILD/sivshmem-cad" \
		--ca-dir "$E/u/ca" --run-dir "$E/u/run" --audit "$E/u/audit.jsonl" >"$E/log" 2>&1 3>&- &
	local cad=$!
	wait_for 10 grep -q 'sivshmem-cad: ready' "$E/log" || { cat "$E/log"; false; }
	run setpriv --reuid 65534 --regid 65534 --clear-groups timeout 20 \
		"$BUILD/sivshmem" run --map "$E/u/map" --identity "$E/u/id/maker" -- \
		"$BUILD/shmtool" open /m-u rwcx , truncate 5000 , map rw , check zero , unlink /m-u
	echo "$output"
	kill $cad
	wait $cad || true
	[ "$status" -eq 0 ]
}

@test "local: the daemon ends: mappings go on, opens say EHOSTDOWN; it comes back" {
	a open /m-dn rwcx , truncate 4096 , map rw , write 0 up , wait 8 k 20 , read 0 2 , \
		fails EHOSTDOWN open /m-dn2 rwc , write 16 z , wait 24 back 20 , open /m-dn3 rwc , \
		truncate 100 , stat , unlink /m-dn3 >"$BATS_TEST_TMPDIR/a" 2>&1 &
	local p=$!
	run_x b waitopen /m-dn rw 10 , map rw 4096 , wait 0 up 10
	b open /m-dn rw , map rw 4096 , wait 16 z 30 , sleep 3 , write 24 back >/dev/null 2>&1 &
	local q=$!
	b open /m-dn rw , map rw 4096 , sleep 2 , write 8 k >/dev/null 2>&1 &
	sleep 1
	stop_cad "$D"
	run_x b fails EHOSTDOWN open /m-dn rw
	has "start sivshmem-cad"
	wait_for 10 grep -q 'open: EHOSTDOWN' "$BATS_TEST_TMPDIR/a"
	start_cad "$D"
	wait "$q"
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	grep -q 'size 100 regular' "$BATS_TEST_TMPDIR/a"
}
