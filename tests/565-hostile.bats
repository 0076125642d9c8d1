#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A hostile kernel in VM c writes over the hints by which the kernels of a link
# wake each other's sleepers: wakes come late or for no reason, and no worse. Of
# the link of channel three it may write all, of that of main it may only read.

load helpers
load vmhelp
load programs

vm_policy() {
	vm_services
	cat <<'P'
channels = (
  { name = "main"; quota = "1M"; members = (
      { service = "t/maker";  rights = "rw,create"; },
      { service = "t/peer";   rights = "rw,create"; },
      { service = "t/third";  rights = "ro"; } ); },
  { name = "three"; quota = "1M"; members = (
      { service = "t/maker";  rights = "rw,create"; },
      { service = "t/peer";   rights = "rw,create"; },
      { service = "t/third";  rights = "rw,create"; } ); }
);
P
}

setup_file() {
	"$TOP/tests/kmod.sh" "$SIVSHMEM_KERNEL" "$BUILD/scribble-$SIVSHMEM_KERNEL" \
		"$TOP/tests/attack/scribble" >&2
	VM_FILES=$BUILD/scribble-$SIVSHMEM_KERNEL/scribble.ko vm_world a b c
}
teardown_file() { vm_end; }
teardown() {
	vm_note
	in_vm c rmmod scribble || true
}

end() {
	local place=$1 service=maker
	[ "$place" = a ] || service=peer
	as "$place" "$service" "$F/$2" "${@:3}"
}

# attack OPTION...: c is at it until the test's end
attack() {
	in_vm c insmod "$F/scribble.ko" "$@"
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
	run_x attack noise=1
	rounds /t3-noise
	run_x end a synctool make /t3-noise2 4096 , sem-init 0 0 , sem-timedwait 0 1500 , \
		mutex-init 64 normal , mutex-lock 64 , mutex-timedlock 64 1500
	has 'sem-timedwait 0 -> -1 (ETIMEDOUT)'
	has 'mutex-timedlock 64 -> 110 (ETIMEDOUT)'
}

# hold NAME: a holds a lock until it is told to die
hold() {
	bg owner end a synctool make "$1" 4096 , mutex-init 64 normal+robust , \
		sem-init 128 0 , mutex-lock 64 , word 0 1 , sem-wait 128 , die
	run_x end b synctool join "$1" , spinuntil 0 1
}

# held NAME OPTION...: a holds a lock, c attacks, b tries to have it; then its owner dies
held() {
	local name=$1
	shift
	hold "$name"
	run_x attack "$@"
	run_x end b synctool join "$name" , mutex-trylock 64 , mutex-timedlock 64 4000 , \
		mutex-trylock 64 , sem-post 128 , mutex-timedlock 64 20000
	[ "$(grep '^mutex' <<<"$output")" = 'mutex-trylock 64 -> 16 (EBUSY)
mutex-timedlock 64 -> 110 (ETIMEDOUT)
mutex-trylock 64 -> 16 (EBUSY)
mutex-timedlock 64 -> 130 (EOWNERDEAD)' ]
}

@test "hostile: who may only read ends no owner of a lock among those who may write" {
	held /m-wiped
}

@test "hostile: nor by noise" {
	held /m-noise noise=1
}

@test "hostile: nor does he keep one alive that has died" {
	held /m-frozen frozen=1
}

@test "hostile: the kernels of the others had nothing to complain about" {
	no_splats a
	no_splats b
}

@test "hostile: nor one whose VM has died" {
	hold /m-gone
	run_x attack frozen=1
	kill -9 "$(cat "$W/a.pid")"
	run_x end b synctool join /m-gone , mutex-timedlock 64 20000
	has 'mutex-timedlock 64 -> 130 (EOWNERDEAD)'
	no_splats b
}
