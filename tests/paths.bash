# SPDX-License-Identifier: MIT
# Paths under /dev/shm: what programs see of objects. A Bats file says where they run:
#
#   t WORD...        shmtool, the object's creator
#   p WORD...        pathtool, wherever the other end is
#   reader WORD...   the same as a service that may only read
#   sh_ COMMAND...   under the shim where p is
#   bare COMMAND... there without it; absent PATH: nothing is there without it
#   S                a scratch directory there, with a file "plain"
#   ELSEWHERE        a path that belongs to another channel
#   WIDER            what chmod ends with that gives others more: 1 in local mode
#   and /dev/shm/ro-* is of the same channel, but `readonly` in the map

absent() { ! bare test -e "$1"; }

paths_seen() {
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
	run_x absent /dev/shm/m-x
	run_x p unlink /dev/shm/m-x
	run_x 1 p unlink /dev/shm/m-x
	has "unlink: ENOENT"
}

paths_slashes() {
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

paths_written() {
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
	run_x absent /dev/shm/m-c
	run_x sh_ sh -c 'echo from-the-shell >/dev/shm/m-c && cat /dev/shm/m-c && rm /dev/shm/m-c'
	has "from-the-shell"
	run_x 1 p unlink /dev/shm/m-c
}

paths_kinds() {
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

paths_access() {
	run_x t open /m-a rwcx , truncate 10
	run_x p access /dev/shm/m-a 6
	run_x p faccessat /dev/shm m-a 4
	run_x 1 p access /dev/shm/m-a 1
	has "access: EACCES"
	run_x 1 p access /dev/shm/m-none 0
	has "access: ENOENT"
	run_x 1 p access /dev/shm/m-a 64
	has "access: EINVAL"
	run_x reader access /dev/shm/m-a 4
	run_x 1 reader access /dev/shm/m-a 2
	has "access: EACCES"
	run_x 1 reader open /dev/shm/m-a +
	has "open: EACCES"
	run_x p unlink /dev/shm/m-a
}

paths_changed() {
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
	run_x "$WIDER" p chmod /dev/shm/m-t 666
	run_x 1 p chmod /dev/shm/m-none 600
	has "chmod: ENOENT"
	run_x 1 p rename /dev/shm/m-t "$S/elsewhere"
	has "rename: EXDEV"
	run_x 1 p rename "$S/plain" /dev/shm/m-u
	has "rename: EXDEV"
	run_x t open /m-t3 rwcx , truncate 77
	run_x 1 p rename /dev/shm/m-t "$ELSEWHERE"
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
	run_x sh_ mv /dev/shm/m-t "$S/moved"
	run_x bare stat -c %s "$S/moved"
	has 4321
	run_x 1 p stat /dev/shm/m-t
}

paths_shell() {
	run_x sh_ sh -c 'echo something long >/dev/shm/m-sh; echo b >/dev/shm/m-sh; cat /dev/shm/m-sh'
	[ "$output" = b ]
	run_x p unlink /dev/shm/m-sh
}
