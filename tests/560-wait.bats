#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Waiting and waking between VMs, by the public API and the module.

load helpers
load vmhelp

setup_file() { vm_world a b c; }
teardown_file() { vm_end; }
teardown() { vm_note; }

# w VM SERVICE WORDS...: waittool there
w() {
	local name=$1 service=$2
	shift 2
	"$VM" exec "$name" --dir "$W" --timeout 50 --user $U:$U \
		--env SIVSHMEM_IDENTITY="$F/$service" -- "$F/waittool" main "$@" 3>&-
}

# start OUT VM SERVICE WORDS...: the same in the background
start() {
	local out=$W/$1
	shift
	: >"$out"
	{ w "$@" || true; echo ended; } >"$out" 2>&1 3>&- &
}

# end OUT: wait for it, and have its output
end() {
	wait_for 30 said "$1" '^ended$' || true
	cat "$W/$1"
}

said() { grep -q "$2" "$W/$1"; }

@test "wait: a wake in one VM ends a wait in the other" {
	run_x w a maker one create 8192
	start waiter b peer one open wait 4096 0 expect 4096 7
	wait_for 20 said waiter mapped
	sleep 1
	run_x w a maker one open set 4096 7 wake 4096 1
	has 'wake 1'
	run_x end waiter
	has 'wait 0'
}

@test "wait: a sleeper sleeps, and nobody looks after it" {
	run_x w a maker idle create 4096
	start waiter b peer idle open wait 0 0
	wait_for 20 said waiter mapped
	sleep 1
	# shellcheck disable=SC2016
	run_x in_vm b sh -c 'p=$(pidof waittool); s() { grep -h ctxt_switches /proc/$p/task/*/status; }
		one=$(s); sleep 4; [ "$one" = "$(s)" ] && echo asleep'
	has asleep
	run_x w a maker idle open set 0 1 wake 0 1
	run_x end waiter
	has 'wait 0'
}

@test "wait: one wake is for one sleeper, and for all only if that many are asked" {
	run_x w a maker few create 4096
	local i
	for i in 1 2 3; do
		start "w$i" b peer few open wait 0 0 3000
		wait_for 20 said "w$i" mapped
	done
	sleep 1
	run_x w a maker few open wake 0 1 sleep 500 wake 0 1
	for i in 1 2 3; do end "w$i"; done >"$W/few"
	[ "$(grep -c 'wait 0' "$W/few")" = 2 ]
	[ "$(grep -c 'wait ETIMEDOUT' "$W/few")" = 1 ]
	for i in 1 2 3; do
		start "w$i" b peer few open wait 0 0 20000
		wait_for 20 said "w$i" mapped
	done
	sleep 1
	run_x w a maker few open wake 0 100
	has 'wake 3'
	for i in 1 2 3; do end "w$i"; done >"$W/few"
	[ "$(grep -c 'wait 0' "$W/few")" = 3 ]
}

@test "wait: within one VM too, and words do not wake each other's sleepers" {
	run_x w a maker local create 4096
	start left b peer local open wait 0 0 4000
	start right b peer local open wait 4 0 4000
	wait_for 20 said left mapped
	wait_for 20 said right mapped
	sleep 1
	run_x w b peer local open wake 8 1 wake 0 9
	has 'wake 0'
	has 'wake 1'
	run_x end left
	has 'wait 0'
	run_x end right
	has 'wait ETIMEDOUT'
}

@test "wait: values, times and signals" {
	run_x w a maker times create 4096 wait 0 1 wait 0 0 0 wait 0 0 300 \
		alarm 300 interrupt wait 0 0 alarm 300 restart wait 0 0 1000 \
		wake 0 5 wait 2 0
	[ "$output" = 'mapped
wait EAGAIN
wait ETIMEDOUT
wait ETIMEDOUT
wait EINTR
wait ETIMEDOUT
wake 0
wait EINVAL' ]
}

@test "wait: the owner of a word dies, and its waiter in another VM is told" {
	run_x w a maker owner create 4096
	start owner a maker owner open own 0 hold
	wait_for 20 said owner 'own 0'
	start waiter b peer owner open waitowner 0
	wait_for 20 said waiter mapped
	sleep 1
	! said waiter waitowner
	run_x kill_in a waittool
	run_x end waiter
	has 'waitowner EOWNERDEAD'
	end owner
}

@test "wait: the VM of an owner dies, and its waiter in another VM is told" {
	run_x w a maker gone create 4096
	start owner a maker gone open own 0 hold
	wait_for 20 said owner 'own 0'
	start waiter b peer gone open waitowner 0
	wait_for 20 said waiter mapped
	sleep 1
	! said waiter waitowner
	kill -9 "$(cat "$W/a.pid")"
	run_x end waiter
	has 'waitowner EOWNERDEAD'
	end owner
}

@test "wait: no kernel had anything to complain about" {
	no_splats b
	no_splats c
}
