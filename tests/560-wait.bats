#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Waiting and waking between VMs, by the public API and the module.

load helpers
load vmhelp
load waits

setup_file() { vm_world a b c; }
teardown_file() { vm_end; }
teardown() { vm_note; }

@test "wait: a wake in one VM ends a wait in the other" { wait_woken; }

@test "wait: a sleeper sleeps, and nobody looks after it" {
	run_x w a maker idle create 4096
	start waiter b peer idle open wait 0 0
	wait_for 20 said waiter mapped
	asleep
	# shellcheck disable=SC2016
	run_x in_vm b sh -c 'p=$(pidof waittool); s() { grep -h ctxt_switches /proc/$p/task/*/status; }
		one=$(s); sleep 4; [ "$one" = "$(s)" ] && echo asleep'
	has asleep
	run_x w a maker idle open set 0 1 wake 0 1
	run_x heard waiter
	has 'wait 0'
}

@test "wait: one wake is for one sleeper, and for all only if that many are asked" { wait_few; }

@test "wait: within one VM too, and words do not wake each other's sleepers" {
	run_x w a maker local create 4096
	start left b peer local open wait 0 0 $((4000 * PATIENCE))
	start right b peer local open wait 4 0 $((4000 * PATIENCE))
	wait_for 20 said left mapped
	wait_for 20 said right mapped
	asleep
	run_x w b peer local open wake 8 1 wake 0 9
	has 'wake 0'
	has 'wake 1'
	run_x heard left
	has 'wait 0'
	run_x heard right
	has 'wait ETIMEDOUT'
}

@test "wait: values, times and signals" { wait_times; }

# owned NAME: a thread in a owns a word of it, and one in b waits for its end
owned() {
	run_x w a maker "$1" create 4096
	start owner a maker "$1" open own 0 hold
	wait_for 20 said owner 'own 0'
	start waiter b peer "$1" open waitowner 0
	wait_for 20 said waiter mapped
	asleep
	! said waiter waitowner
}

told_of_death() {
	run_x heard waiter
	has 'waitowner EOWNERDEAD'
	heard owner
}

@test "wait: the owner of a word dies, and its waiter in another VM is told" {
	owned owner
	run_x kill_in a waittool
	told_of_death
}

@test "wait: the guest of an owner reboots, and its waiter in another VM is told" {
	owned rebooted
	run_x "$VM" reboot a --dir "$W"
	told_of_death
}

@test "wait: the VM of an owner dies, and its waiter in another VM is told" {
	owned gone
	kill -9 "$(cat "$W/a.pid")"
	told_of_death
}

@test "wait: no kernel had anything to complain about" {
	no_splats b
	no_splats c
}
