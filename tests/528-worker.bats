#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The worker of a VM dies: at each message of an open and a resize, under load,
# and with words of the guest's kernel unread. Nobody there does anything for it.

load helpers
load vmhelp
load snare

vm_more() { vm_issue gone t/maker; }
setup_file() { vm_world a b; }
teardown_file() { vm_end; }
setup() { SNARE=$BATS_TEST_TMPDIR/strace; }
teardown() { vm_note; }

said() { grep -q "$2" "$BATS_TEST_TMPDIR/$1"; }
W_TIMEOUT=250

# each_message FLAGS WORDS...: the worker of a dies at each message of an open and WORDS
each_message() {
	local flags=$1 call n began
	shift
	caught=0
	for call in "${SNARE_CALLS[@]}"; do
		for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
			snare a "$call" "$n"
			began=$(date +%s%3N)
			run_x a open "/m-$call$n" "$flags" "$@"
			slowest=$((slowest > $(date +%s%3N) - began ? slowest : $(date +%s%3N) - began))
			snared a || break
			caught=$((caught + 1))
		done
	done
}

# an exclusive create whose answer is lost may find itself: before anybody dies
kept_is_there() { run_x b waitopen /m-k rw 20 , map rw , wait 0 kept 20; }

@test "worker: it dies at each message of an open, and each open is made" {
	requires root
	requires strace
	local began slowest=0 calm call n before
	run_x w a maker doze create 4096
	bg waiter w b peer doze open wait 0 0
	local waiter=$!
	wait_for 20 said waiter mapped
	began=$(date +%s%3N)
	run_x a open /m-calm rwc , truncate 4096 , map rw , write 0 x , unlink /m-calm
	calm=$(($(date +%s%3N) - began))
	bg keeper a open /m-k rwcx , truncate 4096 , map rw , write 0 kept , wait 8 k 45
	kept_is_there
	before=$(kills a "$W")
	each_message rwc , truncate 4096 , map rw , write 0 x
	echo "# $caught deaths; an open took $calm ms with none, at most $slowest ms with one" | tee /dev/fd/3
	[ "$caught" -ge 15 ]
	# all of it again, on a machine that may have more to do, and a second
	[ "$slowest" -lt $((3 * calm + 1000)) ]
	[ "$(($(kills a "$W") - before))" -eq "$caught" ]
	[ "$(audit "$W" '.event == "create" and (.object | startswith("m-"))' | jq -r .object | sort -u | wc -l)" -ge "$caught" ]
	for call in "${SNARE_CALLS[@]}"; do
		for n in 1 2 3 4 5 6 7 8 9 10 11 12; do
			[ -n "$(audit "$W" ".event == \"create\" and .object == \"m-$call$n\"")" ] || break
			run_x b open "/m-$call$n" rw , map rw , read 0 1 , unlink "/m-$call$n"
		done
	done
	run_x w a maker doze open set 0 1 wake 0 1
	wait "$waiter"
	said waiter 'wait 0'
	run_x b open /m-k rw , map rw , read 0 4 , write 8 k , unlink /m-k
	has 'read kept'
	run_x ca audit verify "$W/audit.jsonl"
}

@test "worker: what it had not read when it died, the next one hears" {
	bg held as a maker python3 "$F/locktool.py" /m-l flock ex print mine hold
	local pid
	wait_for 20 said held mine
	pid=$(worker a)
	kill -STOP "$pid"
	kill_in a python3
	sleep 1
	kill -KILL "$pid"
	run_x as b peer python3 "$F/locktool.py" /m-l flock ex
	has 'flock ex done'
	run_x b unlink /m-l
	wait_for 10 no_sessions
	wait_for 5 no_objects
}

@test "worker: killed again and again under load, nothing is lost" {
	local i end
	bg ping a open /m-k rwcx , truncate 4096 , map rw , write 0 kept , wait 8 k 45 , read 0 4
	local ping=$!
	kept_is_there
	bg load as a maker sh -c "for i in \$(seq 12); do $F/shmtool open /m-s\$i rwc , truncate 8192 , map rw , write 0 v\$i || echo lost \$i; done; echo ended"
	local load=$!
	end=$((SECONDS + 30))
	while ! said load ended && [ "$SECONDS" -lt "$end" ]; do
		sleep "$((RANDOM % 2)).$((RANDOM % 5 + 5))"
		kill -KILL "$(worker a)" || true
	done
	wait "$load"
	said load ended
	! said load lost
	for i in $(seq 12); do
		echo "open /m-s$i rw , map rw 4096 , read 0 2 , unlink /m-s$i ,"
	done >"$BATS_TEST_TMPDIR/words"
	# shellcheck disable=SC2046
	run_x b $(cat "$BATS_TEST_TMPDIR/words") open /m-k rw , map rw , read 0 4 , write 8 k , unlink /m-k
	has 'read kept'
	wait "$ping"
	said ping 'read kept'
	wait_for 10 no_sessions
	wait_for 5 no_objects
}

@test "worker: a certificate is revoked after its session's worker has died" {
	bg victim tool a gone open /m-v rwcx , truncate 4096 , map rw , write 0 mine , waitfault 0 40
	run_x b waitopen /m-v rw 20 , map rw , wait 0 mine 20
	local pid
	pid=$(worker a)
	kill -KILL "$pid"
	wait_for 5 new_worker a "$pid"
	# its kernel has said again that it is there
	sleep 2
	run_x ca revoke "$(ca show "$W/files/gone" --json | jq -r '.chain[0].serial')" --run-dir "$W/run"
	wait_for 10 said victim 'fault SIGBUS'
	no_splats a
	no_splats b
}
