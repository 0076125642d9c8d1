#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A hostile kernel in VM c writes over the hints by which the kernels of a link
# wake each other's sleepers: wakes come late or for no reason, and no worse.

load helpers
load vmhelp
load programs

setup_file() {
	"$TOP/tests/kmod.sh" "$SIVSHMEM_KERNEL" "$BUILD/scribble-$SIVSHMEM_KERNEL" \
		"$TOP/tests/attack/scribble" >&2
	VM_FILES=$BUILD/scribble-$SIVSHMEM_KERNEL/scribble.ko vm_world a b c
}
teardown_file() { vm_end; }
teardown() { vm_note; }

end() {
	local place=$1 service=maker
	[ "$place" = a ] || service=peer
	as "$place" "$service" "$F/$2" "${@:3}"
}

# attack OPTION...: c is at it for 15 seconds
attack() {
	in_vm c insmod "$F/scribble.ko" seconds=15 "$@"
}

# to and fro through two semaphores, then a condition
rounds() {
	local to='sem-post 64 , sem-clockwait 128 20000 ,' fro='sem-clockwait 64 20000 , sem-post 128 ,'
	N=$1 sync "sem-init 64 0 , sem-init 128 0 , mutex-init 192 errorcheck , cond-init 256 ,
		word 0 1 , $to $to $to $to spinuntil 4 2 , mutex-lock 192 , cond-signal 256 ,
		mutex-unlock 192" \
		"$fro $fro $fro $fro mutex-lock 192 , word 4 2 , cond-wait 256 192 , mutex-unlock 192" ||
		return 1
	! grep -v -- '-> 0$' "$BATS_TEST_TMPDIR/a" "$BATS_TEST_TMPDIR/b"
}

@test "hostile: hints that are wiped make wakes late, not lost" {
	run_x attack
	rounds /t3-wiped
}

@test "hostile: hints that are noise, and doorbells without end, wake for no reason at most" {
	sleep 15
	run_x in_vm c rmmod scribble
	run_x attack noise=1
	rounds /t3-noise
	run_x end a synctool make /t3-noise2 4096 , sem-init 0 0 , sem-timedwait 0 1500 , \
		mutex-init 64 normal , mutex-lock 64 , mutex-timedlock 64 1500
	has 'sem-timedwait 0 -> -1 (ETIMEDOUT)'
	has 'mutex-timedlock 64 -> 110 (ETIMEDOUT)'
}

@test "hostile: the kernels of the others had nothing to complain about" {
	no_splats a
	no_splats b
}
