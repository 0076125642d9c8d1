#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The classics with all their ends on this host, without the shim.

load helpers
load classics

setup() {
	W=$(mktemp -d)
	PRE=/sivshmem-classic$$-
}
teardown() {
	rm -rf "$W"
	rm -f "/dev/shm$PRE"* "/dev/shm/sem.${PRE#/}"*
}

one() { timeout -s KILL 60 sh -c 'echo $$ >"$0"; exec "$@"' "$W/one.pid" "$@"; }
two() { timeout -s KILL 60 "$@"; }
three() { two "$@"; }
kill_one() { kill -KILL "$(cat "$W/one.pid")"; }

@test "classics: a bounded buffer with named semaphores" { classic_producer bounded_buffer; }
@test "classics: producer and consumer with conditions" { classic_producer prodcons; }
@test "classics: three participants of a barrier" { classic_barrier; }
@test "classics: writers and readers of one lock" { classic_rwlock; }
@test "classics: the holder of a robust mutex is killed" { classic_robust; }

@test "classics: nothing is left, and what cannot be is said" {
	local prog
	for prog in bounded_buffer prodcons barrier rwlock robust; do
		run_x 2 $prog
		has "usage: $prog NAME"
	done
	run_x 2 prodcons "${PRE}x" produce 1x
	has "'1x': not a number"
	: >"/dev/shm${PRE}there"
	run_x 1 bounded_buffer "${PRE}there" produce 1
	has "is there already"
	classic_producer prodcons
	classic_barrier
	classic_rwlock
	classic_robust
	rm "/dev/shm${PRE}there"
	! compgen -G "/dev/shm/*${PRE#/}*"
}
