#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What programs call shared memory: paths under /dev/shm, named semaphores, and
# the options of a map line. Real daemon, local mode, unmodified programs.

load helpers
load paths

setup_file() {
	D=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-names.XXXXXX")
	export D
	ca_scratch "$D" <<'P'
version = 1;
services = (
  { name = "t/maker";  vm = "host"; },
  { name = "t/peer";   vm = "host"; },
  { name = "t/reader"; vm = "host"; }
);
channels = (
  { name = "main"; quota = "8M"; objects = 600; members = (
      { service = "t/maker";  rights = "rw,create"; },
      { service = "t/peer";   rights = "rw,create"; },
      { service = "t/reader"; rights = "ro"; } ); },
  { name = "private"; quota = "1M"; members = (
      { service = "t/peer";  rights = "rw,create"; } ); }
);
P
	local s
	mkdir "$D/id"
	for s in maker peer reader; do
		sivshmem-ca --dir "$D/ca" issue t/$s --out "$D/id/$s" >/dev/null 2>&1
	done
	cat >"$D/map" <<C
transport unix:$D/run/local.sock
identity $D/id/maker
map /m-*      main
map /fixed    main name=other
map /priv-*   private identity=$D/id/peer
map /ro-*     main readonly
map /keep-*   main unlink=no
map /mine-*   main unlink=creator
map /late-*   main wait=10
C
	printf 'version\n' >"$D/plain"
	start_cad "$D"
}
teardown_file() {
	stop_cad "$D"
	rm -rf "$D" "/dev/shm/${D##*/}"
}
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 5 "$D/audit.jsonl" "$D/cad.log"; }

# under the shim
sh_() { env LD_PRELOAD="$SHIM" SIVSHMEM_MAP="${MAP:-$D/map}" "$@" 3>&-; }
p() { sh_ pathtool "$@"; }
t() { sh_ shmtool "$@"; }
reader() { SIVSHMEM_IDENTITY=$D/id/reader p "$@"; }
bare() { "$@"; }
setup() { S=$D ELSEWHERE=/dev/shm/priv-t WIDER=1; }

@test "paths: open, stat and unlink see the object, by every function" { paths_seen; }
@test "paths: slashes and dots in between do not matter" { paths_slashes; }
@test "paths: creating, and what is written is read by shm_open" { paths_written; }
@test "paths: directories, path descriptors, nameless files" { paths_kinds; }
@test "paths: access, by the rights of the service" { paths_access; }
@test "paths: truncate, chmod, rename" { paths_changed; }
@test "paths: a shell writes over what it wrote, without a tail" { paths_shell; }

# hold NAME: shmtool has it open in the background until released
hold() { sh_ shmtool open "$1" rw , sleep 8 >"$D/held" 2>&1 & HELD=$!; }
# shellcheck disable=SC2046
release() { kill $(children $HELD 2>/dev/null) $HELD 2>/dev/null || true; wait $HELD || true; }

@test "map: peer= wants that service to prove itself, whatever the host says" {
	cat >"$D/map-peer" <<C
transport unix:$D/run/local.sock
identity $D/id/maker
map /mute   main name=from-x identity=$D/id/peer
map /of-x   main name=from-x identity=$D/id/peer peer=*
map /mutual main name=from-x identity=$D/id/peer peer=t/maker
map /theirs main name=from-x peer=t/peer
map /soon   main name=from-x peer=t/peer wait=1
map /else   main name=from-x peer=t/reader
map /mine   main name=from-m peer=t/peer
C
	export MAP=$D/map-peer
	run_x t open /mute rwcx , truncate 20
	# the host says that it created the object, and so it did: not enough
	run_x 1 t open /theirs rw
	has "its line of the map file expects t/peer, which has not joined"
	has EACCES
	run_x 1 t open /soon rw
	has ETIMEDOUT
	hold /mute
	run_x 1 t open /theirs rw
	release
	hold /of-x
	run_x t open /theirs rw , stat
	has "size 20"
	run_x 1 t open /else rw
	has "expects t/reader, which has not joined"
	release
	# two that insist on each other, begun at the same time
	sh_ env SIVSHMEM_MAP=$MAP shmtool open /mutual rw , sleep 1 >"$D/held" 2>&1 & HELD=$!
	run_x t open /theirs rw , sleep 0.5
	wait $HELD
	# who makes the object need not wait for who is to come
	run_x t open /mine rwcx , truncate 30
	run_x t open /mine rw , stat
	has "size 30"
}

@test "map: peer= does not take another service's process, or one with another root" {
	export MAP=$D/map-peer
	mkdir -p "$D/foreign"
	run_x t open /mine rw , stat
	sed "s,identity=$D/id/peer peer=\*,identity=$D/id/maker peer=*," "$MAP" >"$D/map-wrong"
	MAP=$D/map-wrong hold /of-x
	run_x 1 t open /theirs rw
	has "expects t/peer, which has not joined"
	release
}

@test "map: peer= wants it to have created the object, or the program itself" {
	export MAP=$D/map-peer
	printf 'map /of-r main name=from-x identity=%s peer=*\nmap /of-r2 main name=from-m identity=%s peer=*\n' \
		"$D/id/reader" "$D/id/reader" >>"$MAP"
	echo 'map /mine-r main name=from-m peer=t/reader' >>"$MAP"
	# the reader proves itself, for what a third has created
	sh_ shmtool open /of-r r , sleep 8 >"$D/held" 2>&1 & HELD=$!
	run_x 1 t open /else rw
	has "t/reader, which its line of the map file expects, takes part, but t/peer created the object"
	has EACCES
	release
	sh_ shmtool open /of-r2 r , sleep 8 >"$D/held" 2>&1 & HELD=$!
	run_x t open /mine-r rw
	release
}

@test "map: a program with peer= goes on when its certificate is renewed" {
	export MAP=$D/map-peer
	cat >>"$MAP" <<-C
		map /of-y main name=from-y identity=$D/id/peer peer=*
		map /their-y main name=from-y peer=t/peer
	C
	# it has two objects, and the second only after the renewal
	sh_ shmtool open /of-x rw , sleep 2 , open /of-y rwcx , truncate 40 , sleep 8 \
		>"$D/held" 2>&1 & HELD=$!
	run_x t open /theirs rw
	run_x sivshmem-ca --dir "$D/ca" renew "$D/id/peer"
	wait_for 10 grep -q /of-y "$D/held"
	run_x t open /their-y rw , stat
	has "size 40"
	# by the new session, which the first one is joined to again
	run_x t open /theirs rw
	release
}

@test "map: a program with peer= forks, and its child opens too" {
	export MAP=$D/map-peer
	hold /of-x
	run_x sh_ python3 -c 'import os
from multiprocessing import resource_tracker, shared_memory as m
resource_tracker.register = lambda *a: None
one = m.SharedMemory("theirs")
if not os.fork():
    two = m.SharedMemory("theirs")
    two.buf[3] = 7
    os._exit(0)
os.wait()
print("byte", one.buf[3])'
	has "byte 7"
	release
}

@test "paths: other files are as without the shim" {
	local name=/dev/shm/sivshmem-path$$ other=/dev/shm/sivshmem-path2$$ f
	for f in pathtool "p"; do
		[ $f = p ] || f="run_x $BUILD/tools/pathtool"
		$f open $name +cxe
		$f fopen $name w plain
		[ "$(cat $name)" = plain ]
		$f stat $name
		$f chmod $name 640
		$f truncate $name 100
		$f rename $name $other
		$f fstatat /dev/shm ${other##*/}
		$f access $other 6
		$f unlinkat /dev/shm ${other##*/}
	done
	# the map file itself may lie there
	cp "$D/map" /dev/shm/m-map$$
	MAP=/dev/shm/m-map$$ run_x p stat /dev/shm/m-none || has "stat: ENOENT"
	rm /dev/shm/m-map$$
	run_x sh_ python3 -c 'import os
for call in (os.stat, os.unlink, os.chdir, os.listdir):
    for path in (b"", b"x" * 5000, b"/dev/shm/" + b"x" * 5000, b"/dev/shm/\xff\xfe"):
        try:
            call(path)
            print("strange")
        except OSError as e:
            assert e.errno in (2, 36), e'
	hasnt strange
}

# --- options of a map line ---

# plain PATTERN: a map without options, for MAP=$D/map2
plain() {
	printf 'transport unix:%s\nidentity %s\nmap %s main %s\n' \
		"$D/run/local.sock" "$D/id/maker" "$1" "${2:-}" >"$D/map2"
}

@test "map: name= gives the object another name" {
	run_x t open /fixed rwcx , truncate 64
	audit "$D" '.object == "other" and .event == "create"' | grep -q main
	run_x p stat /dev/shm/fixed
	has "size 64"
	run_x sivshmem check --map "$D/map" /fixed
	has "name      /fixed -> channel main, object other ($D/map:4)"
	run_x t unlink /fixed
}

@test "map: identity= makes a session of its own beside the other" {
	run_x t open /priv-a rwcx , truncate 100 , open /m-i rwcx , truncate 200 , open /priv-a rw , \
		truncate 300 , stat , open /m-i rw , stat , unlink /m-i , fork , open /priv-a rw , \
		truncate 400 , stat , open /m-i2 rwcx , unlink /m-i2 , unlink /priv-a
	has "size 300 regular"
	has "size 200 regular"
	has "size 400 regular"
	audit "$D" '.object == "priv-a" and .event == "create"' | grep -q '"service":"t/peer"'
	audit "$D" '.object == "m-i" and .event == "create"' | grep -q '"service":"t/maker"'
}

@test "map: readonly refuses all that could change an object, and says why" {
	plain '/ro-*'
	MAP=$D/map2 run_x t open /ro-x rwcx , truncate 10
	run_x t open /ro-x r , stat , fails EACCES open /ro-x rw , fails EACCES open /ro-x rwc , \
		fails EACCES open /ro-x rc , fails EACCES open /ro-x rt , fails EACCES unlink /ro-x
	has "size 10"
	has "its line of the map file says readonly"
	local call
	for call in "truncate /dev/shm/ro-x 5" "unlink /dev/shm/ro-x" "remove /dev/shm/ro-x" \
		"open /dev/shm/ro-x w" "creat /dev/shm/ro-x" "chmod /dev/shm/ro-x 600" \
		"access /dev/shm/ro-x 2" "fopen /dev/shm/ro-x a"; do
		run_x 1 p $call
		has "EACCES"
	done
	run_x p stat /dev/shm/ro-x
	has "size 10"
	MAP=$D/map2 run_x t unlink /ro-x
}

@test "map: unlink=no and unlink=creator: who may remove a name" {
	run_x t open /keep-x rwcx , unlink /keep-x
	run_x t open /keep-x rw
	plain '/keep-*'
	MAP=$D/map2 run_x t unlink /keep-x
	run_x t open /mine-x rwcx
	run_x t open /mine-x rw , unlink /mine-x , open /mine-x r
	run_x p unlink /dev/shm/mine-x
	run_x t open /mine-x r
	run_x t open /mine-y rwcx , fork , unlink /mine-y , fails ENOENT open /mine-y r
	run_x t open /mine-z rwcx , unlink /mine-z , fails ENOENT open /mine-z r , fork , \
		open /mine-z rwcx , unlink /mine-z , fails ENOENT open /mine-z r
	plain '/mine-*'
	MAP=$D/map2 run_x t unlink /mine-x
}

@test "map: unlink=creator keeps a segment when Python's attacher ends" {
	requires python3
	plain '/psm_*' unlink=creator
	cat >"$D/attach.py" <<-'P'
		import subprocess, sys
		from multiprocessing import shared_memory
		if len(sys.argv) > 1:
		    m = shared_memory.SharedMemory(name=sys.argv[1])
		    print(bytes(m.buf[:4]))
		    sys.exit()
		m = shared_memory.SharedMemory(create=True, size=100)
		m.buf[:4] = b"abcd"
		for i in range(2):
		    subprocess.run([sys.executable, __file__, m.name], check=True)
		m.close()
		m.unlink()
		try:
		    shared_memory.SharedMemory(name=m.name)
		except FileNotFoundError:
		    print("gone")
	P
	MAP=$D/map2 run_x sh_ python3 "$D/attach.py"
	[ "$(grep -c "b'abcd'" <<<"$output")" -eq 2 ]
	has gone
}

@test "map: wait= holds an opener until somebody creates the name" {
	SECONDS=0
	t open /late-x r , stat >"$BATS_TEST_TMPDIR/out" 2>&1 &
	local waiter=$!
	sleep 1
	run_x t open /late-x rwcx , truncate 10
	wait $waiter
	grep -q '^open /late-x' "$BATS_TEST_TMPDIR/out"
	[ $SECONDS -lt 8 ]
	run_x t unlink /late-x
	plain '/late-*' wait=1
	MAP=$D/map2 run_x t fails ENOENT open /late-none r
}

@test "map: a file of random words is refused or read, and hurts nothing" {
	requires python3
	run_x python3 - "$D/map2" <<'P'
import os, random, subprocess, sys
random.seed(11)
words = [b"map", b"/a", b"/a*", b"*", b"main", b"name=", b"name=b", b"identity=/x", b"unlink=no",
         b"unlink=creator", b"wait=1", b"wait=" + b"9" * 70000, b"readonly", b"=", b"#", b"\t", b"\0",
         b"[", b"/[", b"host", b"identity", b"/" + b"x" * 300, b"\xff", b"/\\", b"transport", b"auto"]
for i in range(250):
    with open(sys.argv[1], "wb") as f:
        for _ in range(random.randrange(1, 4)):
            f.write(b" ".join(random.choices(words, k=random.randrange(1, 16))) + b"\n")
    rc = subprocess.run(["sivshmem", "check", "--map", sys.argv[1], "--identity", "/none", "/a"],
                        capture_output=True, timeout=10).returncode
    assert rc == 1, (rc, open(sys.argv[1], "rb").read())
print("survived")
P
	has survived
}

# --- named semaphores ---

s() { sh_ semtool "$@"; }

@test "semaphores: a value, waiting and posting between processes" {
	run_x s open /m-s cx 2 , value , trywait , value
	has "value 2"
	has "value 1"
	[ ! -e /dev/shm/sem.m-s ]
	run_x s open m-s - , value , trywait , fails EAGAIN trywait
	has "value 1"
	s open /m-s - , wait 20 >"$BATS_TEST_TMPDIR/out" 2>&1 &
	local waiter=$!
	sleep 0.3
	run_x s open /m-s - , post
	wait $waiter
	run_x p stat /dev/shm/sem.m-s
	has "size 32 regular"
	audit "$D" '.object == "sem.m-s" and .event == "create"' | grep -q main
	run_x s unlink /m-s , fails ENOENT unlink /m-s , fails ENOENT open /m-s -
}

@test "semaphores: errors are those of sem_open(3)" {
	run_x s fails ENOENT open /m-e - , fails EINVAL open /m-e c 2147483648 , fails ENOENT open /m-e - , \
		open /m-e cx 1 , fails EEXIST open /m-e cx 1 , open /m-e c 7 , value , unlink /m-e
	has "value 1"
	run_x s fails ENAMETOOLONG open "/m-$(printf '%058d' 0)" c 1 , open "/m-$(printf '%057d' 0)" cx 1 , \
		unlink "/m-$(printf '%057d' 0)"
	run_x s open /m-e2 cx 1
	SIVSHMEM_IDENTITY=$D/id/reader run_x s fails EACCES open /m-e2 - , fails EACCES unlink /m-e2
	run_x p unlink /dev/shm/sem.m-e2
	run_x s fails EACCES open /ro-s c 1
}

@test "semaphores: the same one has the same address, counted" {
	run_x s open /m-r cx 3 , open /m-r - , same , close , value , trywait , close , fails EINVAL close
	has same
	has "value 3"
	run_x s open /m-r - , value , unlink /m-r , value , open /m-r cx 9 , same , value , unlink /m-r
	has "value 2"
	has other
	has "value 9"
}

@test "semaphores: a forked child keeps them" {
	run_x s open /m-f cx 1 , fork , trywait , value , post , close , open /m-f - , value , unlink /m-f
	has "value 0"
	has "value 1"
}

@test "semaphores: names that no line matches are glibc's" {
	local script=(open /sivshmem-s$$ cx 4 ',' open sivshmem-s$$ - ',' same ',' value ',' close ','
		fails EEXIST open /sivshmem-s$$ cx 1 ',' fails EINVAL open / c 1 ',' fails EINVAL open /a/b c 1 ','
		unlink /sivshmem-s$$ ',' fails ENOENT unlink /sivshmem-s$$)
	run_x semtool "${script[@]}"
	local without=$output
	run_x s "${script[@]}"
	[ "$output" = "$without" ]
}

@test "semaphores: twelve open at once, one creates, all see its value" {
	local i round
	for round in 1 2 3; do
		for i in $(seq 12); do
			s open /m-race$round c 5 , value >"$BATS_TEST_TMPDIR/r$i" 2>&1 &
		done
		wait
		[ "$(cat "$BATS_TEST_TMPDIR"/r* | grep -c 'value 5')" -eq 12 ]
		run_x s unlink /m-race$round
	done
}

@test "semaphores: one whose creator died half-way is finished by the next" {
	# no size yet; a size but no word; the word of one who is dead
	plain '/*'
	local i
	for i in 1 2 3; do
		MAP=$D/map2 run_x t open /sem.m-h$i rwcx
		[ $i -eq 1 ] || MAP=$D/map2 run_x t open /sem.m-h$i rw , truncate 32
		[ $i -ne 3 ] || MAP=$D/map2 run_x t open /sem.m-h$i rw , map rw , write 28 dead
		SECONDS=0
		run_x s open /m-h$i c 6 , value
		has "value 6"
		[ $SECONDS -le 4 ]
		run_x s open /m-h$i - , value , unlink /m-h$i
		has "value 6"
	done
	MAP=$D/map2 run_x t open /sem.m-h4 rwcx
	SECONDS=0
	run_x s fails ENOENT open /m-h4 - , unlink /m-h4
	has "did not finish"
	[ $SECONDS -le 8 ]
}

@test "semaphores: Python's multiprocessing works over them" {
	requires python3
	plain '*'
	MAP=$D/map2 run_x sh_ python3 -c '
from multiprocessing import get_context
def work(q, s, l):
    for i in range(200):
        with l: s.release()
    q.put("worked")
if __name__ == "__main__":
    for kind in ("fork",):
        c = get_context(kind)
        q, s, l = c.Queue(), c.Semaphore(0), c.Lock()
        p = c.Process(target=work, args=(q, s, l))
        p.start()
        for i in range(200): assert s.acquire(timeout=20)
        print(kind, q.get(timeout=20))
        p.join()'
	has "fork worked"
}

@test "names: before main, in signal handlers, threads that fork, and after vfork" {
	run_x sh_ namestorm m-storm
	has calm
	has "a child of vfork may not open shared memory"
	[ ! -e /dev/shm/m-storm-h ]
}

@test "names: a signal right after the shim took its lock, or gave it back" {
	run_x sh_ gaptool signal /m-gap
	has calm
}

@test "names: a signal while the map is read makes nothing local" {
	run_x sh_ gaptool map /m-first
	has calm
	[ ! -e /dev/shm/m-first ]
}

@test "names: the map may lie under /dev/shm itself" {
	cp "$D/map" "/dev/shm/${D##*/}"
	MAP=/dev/shm/${D##*/} run_x sh_ gaptool map /m-first
	has calm
}

@test "semaphores: two threads that open one at the same time have one address" {
	run_x sh_ gaptool pause /m-two
	has calm
}
