#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The monitor ends and the next one takes its VMs over: their QEMUs, objects,
# grants, sessions and locks. Nobody in a guest does anything for it.

load helpers
load vmhelp

setup_file() {
	export CAD_HOLD=1
	vm_world a b
}
teardown_file() { vm_end; }
teardown() { vm_note; }

monitor() { cat "$W/run/sivshmem-cad.pid"; }
holder() { cat "$W/cad.mypid"; }
starts() { grep -c 'sivshmem-cad: ready' "$W/cad.log"; }
objects() { status | jq '[.objects[] | select(.name | startswith("m-"))] | length'; }
said() { grep -q "$2" "$BATS_TEST_TMPDIR/$1"; }
# outage: there is no monitor until outage_over
outage() {
	was=$(starts)
	kill -STOP "$(holder)"
	kill -9 "$(monitor)"
}
outage_over() {
	kill -CONT "$(holder)"
	wait_for 10 eval '[ "$(starts)" -gt '"$was"' ]'
}

@test "restart: mapped memory goes on without a monitor, and opens with the next" {
	bg a a open /m-x rwcx , truncate 5000 , map rw 4096 , write 0 one , wait 8 k 40 , read 0 3 , \
		open /m-y rwcx , truncate 100 , stat
	local p=$! began
	run_x b waitopen /m-x rw 20 , map rw 4096 , wait 0 one 20
	bg b b open /m-x rw , map rw 4096 , wait 0 out 40 , write 0 two , write 8 k
	local q=$!
	bg c b open /m-x rw , map rw 4096 , sleep 5 , write 0 out
	# a session is there before what it opens
	wait_for 20 eval 'said a "^map" && said b "^map" && said c "^map"'
	outage
	wait "$q" || { cat "$BATS_TEST_TMPDIR/b"; false; }
	began=$(date +%s%3N)
	outage_over
	run_x b open /m-x rw , stat , map rw 4096 , read 0 3
	echo "# $(($(date +%s%3N) - began)) ms from the end of the outage to the end of an open" | tee /dev/fd/3
	has "size 5000 regular"
	has "read two"
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	said a 'read two'
	said a 'size 100 regular'
	run_x a unlink /m-x , unlink /m-y
	wait_for 20 no_sessions
	wait_for 20 no_objects
}

@test "restart: a wake ends a sleep in the other VM while there is no monitor" {
	run_x w a maker doze create 4096
	bg waiter w b peer doze open wait 0 0
	wait_for 20 said waiter mapped
	bg waker w a maker doze open sleep 6000 set 0 1 wake 0 1
	wait_for 20 said waker mapped
	outage
	wait_for 30 said waiter 'wait 0'
	outage_over
}

@test "restart: an unlinked object keeps its pages, and its share of the quota" {
	bg a a open /m-u rwcx , truncate 6M , map rw , write 0 mine , unlink /m-u , write 8 u , \
		wait 16 k 40 , read 0 4
	local p=$!
	wait_for 20 eval 'status | jq -e ".objects[] | select(.name == \"m-u\").unlinked"'
	kill -9 "$(monitor)"
	wait_for 10 status
	run_x b open /m-v rwcx , fails ENOSPC truncate 3M , truncate 1M , map rw , fill X , unlink /m-v
	run_x in_vm a sh -c "kill \$(pidof shmtool)"
	wait "$p" || true
	wait_for 20 no_objects
	run_x b open /m-v rwcx , truncate 7M , map rw , check zero , unlink /m-v
}

@test "restart: a lock is still held by who held it" {
	bg a as a maker python3 "$F/locktool.py" /m-l flock ex print mine hold
	wait_for 20 said a mine
	kill -9 "$(monitor)"
	wait_for 10 status
	run_x as b peer python3 "$F/locktool.py" /m-l flock ex nb
	has 'flock ex EAGAIN'
	run_x in_vm a sh -c "kill -9 \$(pidof python3)"
	run_x as b peer python3 "$F/locktool.py" /m-l flock ex
	has 'flock ex done'
	run_x b unlink /m-l
}

@test "restart: a process with many locks ends while there is no monitor, and they with it" {
	local more
	more=$(for _ in $(seq 19); do echo open flock sh; done)
	# shellcheck disable=SC2086
	bg a as a maker python3 "$F/locktool.py" /m-20 flock sh $more print mine hold
	wait_for 20 said a mine
	outage
	# shellcheck disable=SC2016
	run in_vm a sh -c 'p=$(pidof python3); now() { cut -d" " -f1 /proc/uptime | tr -d .; }
		began=$(now); kill -9 $p; while [ -e /proc/$p ]; do sleep 0.1; done
		echo $(($(now) - began))'
	outage_over
	echo "# gone after $output hundredths of a second" | tee /dev/fd/3
	# an unlock waits for five seconds, and there are twenty
	[ "$output" -lt 800 ]
	run_x as b peer python3 "$F/locktool.py" /m-20 flock ex
	has 'flock ex done'
	run_x b unlink /m-20
}

@test "restart: killed again and again under load, nothing is lost" {
	local i
	bg a as a maker sh -c "for i in \$(seq 15); do $F/shmtool open /m-s\$i rwc , truncate 8192 , map rw , write 0 v\$i || echo again \$i; done"
	local p=$!
	bg keeper a open /m-k rwcx , truncate 4096 , map rw , write 0 kept , sleep 45 , read 0 4
	run_x b waitopen /m-k rw 20 , map rw , wait 0 kept 20
	for i in 1 2 3 4 5 6 7 8; do
		sleep "$((RANDOM % 2)).$((RANDOM % 10))"
		kill -9 "$(monitor)"
		wait_for 10 status
	done
	wait "$p"
	cat "$BATS_TEST_TMPDIR/a"
	! said a again
	for i in $(seq 15); do
		echo "open /m-s$i rw , map rw 4096 , read 0 3 , unlink /m-s$i ,"
	done >"$BATS_TEST_TMPDIR/words"
	# what a process was told that it has, the other VM finds, whole
	# shellcheck disable=SC2046
	run_x b $(cat "$BATS_TEST_TMPDIR/words") open /m-k rw , map rw , read 0 4 , unlink /m-k
	has 'read kept'
	run_x in_vm a sh -c "kill \$(pidof shmtool)"
	wait_for 20 no_sessions
	wait_for 20 no_objects
}

@test "restart: a VM that dies while there is no monitor is told to the other, and its grants end" {
	run_x w a maker gone create 4096
	bg owner w a maker gone open own 0 hold
	wait_for 20 said owner 'own 0'
	bg waiter w b peer gone open waitowner 0
	wait_for 20 said waiter mapped
	sleep 1
	outage
	kill -9 "$(cat "$W/a.pid")"
	sleep 1
	outage_over
	wait_for 20 said waiter 'waitowner EOWNERDEAD'
	wait_for 20 no_sessions
	[ -n "$(audit "$W" '.event == "vm-down" and .vm == "a"')" ]
}

@test "restart: a new QEMU takes the dead one's place" {
	vm_boot a
	run_x a open /m-n rwcx , truncate 100 , unlink /m-n
}

@test "restart: a monitor that dies while a VM goes down costs no other VM anything" {
	requires root
	requires strace
	bg gone a open /m-gone rwcx , truncate 100 , map rw , write 0 here , unlink /m-gone , \
		say there , sleep 90
	bg stays b open /m-stays rwcx , truncate 4096 , map rw , write 0 kept , wait 8 go 90 , read 0 4
	wait_for 20 said gone there
	wait_for 20 b open /m-stays rw , stat
	local stays=$! refused was
	refused=$(audit "$W" '.event == "taken-over" and .result == "refused"' | wc -l)
	was=$(starts)
	# its objects go, what they were is wiped, and its socket is not there yet
	strace -qq -p "$(monitor)" -e trace=fallocate --inject=fallocate:signal=KILL:when=1 -o /dev/null \
		2>"$BATS_TEST_TMPDIR/strace" 3>&- &
	wait_for 10 grep -q "TracerPid:.*[1-9]" "/proc/$(monitor)/status"
	kill -9 "$(cat "$W/a.pid")"
	wait_for 20 eval '[ "$(starts)" -gt '"$was"' ]'
	[ "$(audit "$W" '.event == "taken-over" and .result == "refused"' | wc -l)" -eq "$refused" ]
	run_x b open /m-stays rw , map rw , write 8 go , unlink /m-stays
	wait "$stays"
	said stays 'read kept'
	vm_boot a
	run_x a open /m-n rwcx , truncate 100 , unlink /m-n
	no_splats b
}
