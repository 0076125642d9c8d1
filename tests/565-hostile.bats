#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A hostile kernel in VM c writes over the hints by which the kernels of a link
# wake each other's sleepers: wakes come late or for no reason, and no worse.

load helpers
load vmhelp

setup_file() {
	"$TOP/tests/kmod.sh" "$SIVSHMEM_KERNEL" "$BUILD/scribble-$SIVSHMEM_KERNEL" \
		"$TOP/tests/attack/scribble" >&2
	VM_FILES=$BUILD/scribble-$SIVSHMEM_KERNEL/scribble.ko vm_world a b c
}
teardown_file() { vm_end; }
teardown() { vm_note; }

sa() { as a maker "$F/synctool" "$@"; }
sb() { as b peer "$F/synctool" "$@"; }

# attack OPTION...: c is at it for 15 seconds
attack() {
	in_vm c insmod "$F/scribble.ko" seconds=15 "$@"
}

# to and fro through two semaphores, a mutex and its condition
rounds() {
	local -a one=() two=()
	local i
	for i in 1 2 3 4; do
		one+=(sem-post 64 sem-clock 128 20000)
		two+=(sem-clock 64 20000 sem-post 128)
	done
	{ sb "$1" until 0 1 "${two[@]}" mutex-lock 192 set 0 2 cond-wait 256 192 mutex-unlock 192 \
		>"$W/two" 2>&1 || true; } &
	run_x sa "$1:4096" sem-init 64 0 sem-init 128 0 mutex-init 192 errorcheck cond-init 256 \
		set 0 1 "${one[@]}" until 0 2 mutex-lock 192 cond-signal 256 mutex-unlock 192
	wait
	cat "$W/two"
	[ "$(grep -c 'sem-clock ok' <<<"$output")" -eq 4 ]
	[ "$(grep -c 'sem-clock ok' "$W/two")" -eq 4 ]
	grep -q 'cond-wait ok' "$W/two"
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
	run_x sa /t3-noise2:4096 sem-init 0 0 sem-timed 0 1500 mutex-init 64 normal mutex-lock 64 \
		mutex-timed 64 1500
	has 'sem-timed ETIMEDOUT'
	has 'mutex-timed ETIMEDOUT'
}

@test "hostile: the kernels of the others had nothing to complain about" {
	no_splats a
	no_splats b
}
