# SPDX-License-Identifier: MIT
# Waiting and waking by the public API, wherever the ends run. A Bats file has $W, a
# directory, and says how an end runs: w PLACE SERVICE WORDS..., waittool in place a or b.

# start OUT PLACE SERVICE WORDS...: the same in the background
start() {
	local out=$W/$1
	shift
	: >"$out"
	{ w "$@" || true; echo ended; } >"$out" 2>&1 3>&- &
}

# heard OUT: wait for it, and have its output
heard() {
	wait_for 30 said "$1" '^ended$' || true
	cat "$W/$1"
}

# asleep: who said that he has it mapped is in his wait by now
asleep() { sleep $((PATIENCE < 4 ? PATIENCE : 4)); }

said() { grep -q "$2" "$W/$1"; }

wait_woken() {
	run_x w a maker one create 8192
	start waiter b peer one open wait 4096 0 expect 4096 7
	wait_for 20 said waiter mapped
	asleep
	run_x w a maker one open set 4096 7 wake 4096 1
	has 'wake 1'
	run_x heard waiter
	has 'wait 0'
}

wait_few() {
	run_x w a maker few create 4096
	local i
	woken() { [ "$(cat "$W"/w[123] | grep -c 'wait 0')" = "$1" ]; }
	for i in 1 2 3; do
		start "w$i" b peer few open wait 0 0 60000
		wait_for 20 said "w$i" mapped
	done
	asleep
	run_x w a maker few open wake 0 1
	wait_for 10 woken 1
	run_x w a maker few open wake 0 1
	wait_for 10 woken 2
	asleep
	woken 2
	run_x w a maker few open wake 0 1
	has 'wake 1'
	wait_for 10 woken 3
	for i in 1 2 3; do
		start "w$i" b peer few open wait 0 0 20000
		wait_for 20 said "w$i" mapped
	done
	asleep
	run_x w a maker few open wake 0 100
	has 'wake 3'
	for i in 1 2 3; do heard "w$i"; done >"$W/few"
	[ "$(grep -c 'wait 0' "$W/few")" = 3 ]
}

wait_times() {
	run_x w a maker times create 4096 wait 0 1 wait 0 0 0 wait 0 0 300 \
		alarm 300 interrupt wait 0 0 alarm 300 restart wait 0 0 1000 \
		wake 0 5 wait 2 0
	[ "$output" = 'mapped
wait EAGAIN
wait ETIMEDOUT
wait ETIMEDOUT
wait EINTR
wait EINTR
wake 0
wait EINVAL' ]
}
