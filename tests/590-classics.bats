#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The same classics between VMs, with the same output.

load helpers
load vmhelp
load classics

setup_file() { vm_world a b c; }
teardown_file() { vm_end; }
teardown() { vm_note; }

PRE=/m- PRE_THREE=/t3-
one() { as a maker "$F/$1" "${@:2}"; }
two() { as b peer "$F/$1" "${@:2}"; }
remove() { as b peer rm "$@"; }
three() { as c third "$F/$1" "${@:2}"; }
kill_one() { kill -9 "$(cat "$W/a.pid")"; }

@test "classics: a bounded buffer with named semaphores, in two VMs" {
	classic_producer bounded_buffer
}

@test "classics: producer and consumer with conditions, in two VMs" {
	classic_producer prodcons
}

@test "classics: a barrier of three VMs" { classic_barrier; }

@test "classics: writers and readers of one lock, in two VMs" { classic_rwlock; }

@test "classics: all names are free again, for the other end to make" {
	local end
	for end in one two; do
		start $end $end rwlock /m-rwlock write 1 2
	done
	printed one "wrote 1, sum 2"
	printed two "wrote 1, sum 2"
	start c one prodcons /m-prodcons consume $ITEMS
	start p two prodcons /m-prodcons produce $ITEMS
	printed c "$CONSUMED"
	printed p "$PRODUCED"
	start c one bounded_buffer /m-bounded_buffer consume $ITEMS
	start p two bounded_buffer /m-bounded_buffer produce $ITEMS
	printed c "$CONSUMED"
	printed p "$PRODUCED"
	classic_barrier
}

@test "classics: names that a killed run left can be removed by rm" {
	start p one bounded_buffer /m-bounded_buffer produce 2000
	wait_for 20 remove /dev/shm/sem.m-bounded_buffer-full
	run_x kill_in a bounded_buffer
	run_x 1 two bounded_buffer /m-bounded_buffer produce 1
	has "is there already"
	run_x remove /dev/shm/sem.m-bounded_buffer-empty /dev/shm/m-bounded_buffer
	classic_producer bounded_buffer
}

@test "classics: the whole VM of a robust mutex's holder is killed" { classic_robust; }

@test "classics: no kernel had anything to complain about" {
	no_splats b
	no_splats c
}
