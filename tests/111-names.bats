#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What programs call shared memory: paths under /dev/shm, named semaphores, and
# the options of a map line. Real daemon, local mode, unmodified programs.

load helpers

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
	rm -rf "$D"
}
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 5 "$D/audit.jsonl" "$D/cad.log"; }

# under the shim
sh_() { env LD_PRELOAD="$BUILD/libsivshmem-shim.so" SIVSHMEM_MAP="${MAP:-$D/map}" "$@" 3>&-; }
p() { sh_ pathtool "$@"; }
t() { sh_ shmtool "$@"; }

@test "paths: open, stat and unlink see the object, by every function" {
	run_x t open /m-x rwcx , truncate 5000
	local f
	for f in stat lstat xstat statx; do
		run_x p $f /dev/shm/m-x
		has "size 5000 regular"
		run_x 1 p $f /dev/shm/m-none
		has "$f: ENOENT"
	done
	for f in open open64; do
		run_x p $f /dev/shm/m-x r
		[ "${lines[0]}" = "size 5000" ]
		run_x p $f /dev/shm/m-x +e
		[ "${lines[0]}" = "size 5000 cloexec" ]
		run_x 1 p $f /dev/shm/m-none +
		has "$f: ENOENT"
		run_x 1 p $f /dev/shm/m-x +cx
		has "$f: EEXIST"
	done
	run_x p fstatat /dev/shm m-x
	has "size 5000 regular"
	run_x p openat /dev/shm m-x +
	has "size 5000"
	run_x p openat / dev/shm/m-x + || has ENOENT
	run_x p open /dev/shm/m-x wa
	has "append"
	[ ! -e /dev/shm/m-x ]
	run_x p unlink /dev/shm/m-x
	run_x 1 p unlink /dev/shm/m-x
	has "unlink: ENOENT"
}

@test "paths: slashes and dots in between do not matter" {
	run_x t open /m-d rwcx , truncate 77
	local path
	for path in //dev/shm/m-d /dev//shm///m-d /./dev/./shm/./m-d /dev/shm/.//m-d; do
		run_x p stat $path
		has "size 77"
	done
	for path in /dev/shm/m-d/ /dev/shm/m-d/x /dev/shm/../shm/m-d /dev/shmx/m-d /dev/sh/m-d \
		/dev /dev/ /dev/shm /dev/shm/ /dev/shm/. /dev/shm/.. '' . / /dev/shm/m-d/.; do
		run p stat "$path"
		hasnt "size 77"
		hasnt "sivshmem:"
	done
	run_x p remove /dev/shm/m-d
}

@test "paths: creating, and what is written is read by shm_open" {
	run_x p open /dev/shm/m-c +cxe
	run_x p fopen /dev/shm/m-c w hello
	run_x t open m-c r , pread 0 5 , stat
	has "read hello"
	run_x p fopen /dev/shm/m-c r
	has "fopen hello"
	run_x p fopen /dev/shm/m-c a -more
	run_x t open m-c r , pread 0 10
	has "read hello-more"
	run_x 1 p fopen /dev/shm/m-c wx
	has "fopen: EEXIST"
	run_x 1 p fopen /dev/shm/m-c q
	has "fopen: EINVAL"
	run_x p truncate /dev/shm/m-c 4
	run_x t open m-c r , stat
	has "size 4"
	run_x p creat /dev/shm/m-c
	has "size 0"
	[ ! -e /dev/shm/m-c ]
	run_x sh_ sh -c 'echo from-the-shell >/dev/shm/m-c && cat /dev/shm/m-c && rm /dev/shm/m-c'
	has "from-the-shell"
	run_x 1 p unlink /dev/shm/m-c
}

@test "paths: directories, path descriptors, nameless files" {
	run_x t open /m-f rwcx , truncate 10
	run_x 1 p open /dev/shm/m-f rd
	has "open: ENOTDIR"
	run_x 1 p open /dev/shm/m-none rd
	has "open: ENOENT"
	run_x p open /dev/shm/m-f p
	has "size 10"
	run_x p open /dev/shm +T
	run_x 1 p unlinkat /dev/shm m-f rmdir
	has "unlinkat: ENOTDIR"
	run_x p unlinkat /dev/shm m-f
	run_x 1 p stat /dev/shm/m-f
}

@test "paths: access, by the rights of the service" {
	run_x t open /m-a rwcx , truncate 10
	run_x p access /dev/shm/m-a 6
	run_x p faccessat /dev/shm m-a 4
	run_x 1 p access /dev/shm/m-a 1
	has "access: EACCES"
	run_x 1 p access /dev/shm/m-none 0
	has "access: ENOENT"
	run_x 1 p access /dev/shm/m-a 64
	has "access: EINVAL"
	SIVSHMEM_IDENTITY=$D/id/reader run_x p access /dev/shm/m-a 4
	SIVSHMEM_IDENTITY=$D/id/reader run_x 1 p access /dev/shm/m-a 2
	has "access: EACCES"
	SIVSHMEM_IDENTITY=$D/id/reader run_x 1 p open /dev/shm/m-a +
	has "open: EACCES"
	run_x p unlink /dev/shm/m-a
}

@test "paths: truncate, chmod, rename" {
	run_x t open /m-t rwcx
	run_x p truncate /dev/shm/m-t 4321
	run_x p stat /dev/shm/m-t
	has "size 4321"
	run_x 1 p truncate /dev/shm/m-t -1
	has "truncate: EINVAL"
	run_x 1 p truncate /dev/shm/m-t 99999999
	has "truncate: ENOSPC"
	run_x 1 p truncate /dev/shm/m-none 1
	has "truncate: ENOENT"
	run_x p chmod /dev/shm/m-t 600
	run_x 1 p chmod /dev/shm/m-t 666
	has "chmod: EPERM"
	run_x 1 p chmod /dev/shm/m-none 600
	has "chmod: ENOENT"
	run_x 1 p rename /dev/shm/m-t "$D/elsewhere"
	has "rename: EXDEV"
	run_x 1 p rename "$D/plain" /dev/shm/m-u
	has "rename: EXDEV"
	run_x t open /m-t3 rwcx , truncate 77
	run_x 1 p rename /dev/shm/m-t /dev/shm/priv-t
	has "rename: EXDEV"
	run_x p rename /dev/shm/m-t /dev/shm/m-t2
	run_x 1 p stat /dev/shm/m-t
	run_x 1 p rename /dev/shm/m-t /dev/shm/m-t2
	has "rename: ENOENT"
	run_x sh_ mv -n /dev/shm/m-t2 /dev/shm/m-t3
	run_x p stat /dev/shm/m-t3
	has "size 77"
	# what was there is replaced, and who has it open keeps it
	run_x sh_ mv /dev/shm/m-t2 /dev/shm/m-t3
	run_x p stat /dev/shm/m-t3
	has "size 4321"
	run_x p rename /dev/shm/m-t3 /dev/shm/m-t
	run_x 1 p rename /dev/shm/m-t /dev/shm/ro-t
	has "rename: EACCES"
	run_x sh_ mv /dev/shm/m-t "$D/moved"
	[ "$(stat -c %s "$D/moved")" -eq 4321 ]
	run_x 1 p stat /dev/shm/m-t
}

@test "paths: a shell writes over what it wrote, without a tail" {
	run_x sh_ sh -c 'echo something long >/dev/shm/m-sh; echo b >/dev/shm/m-sh; cat /dev/shm/m-sh'
	[ "$output" = b ]
	run_x p unlink /dev/shm/m-sh
}

@test "map: peer= opens what that service created, and one's own" {
	cat >"$D/map-peer" <<C
transport unix:$D/run/local.sock
identity $D/id/maker
map /of-x  main name=from-x identity=$D/id/peer
map /m-x   main name=from-x
map /theirs main name=from-x peer=t/peer
map /else  main name=from-x peer=t/reader
C
	export MAP=$D/map-peer
	run_x t open /of-x rwcx , truncate 20
	run_x t open /theirs rw , stat
	has "size 20"
	run_x 1 t open /else rw
	has "t/peer created it, and its line of the map file expects t/reader"
	has EACCES
	run_x t unlink /of-x
	run_x t open /m-x rwcx , truncate 30
	run_x t open /theirs rw , stat
	has "size 30"
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
