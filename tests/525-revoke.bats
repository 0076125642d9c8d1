#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Certificates are revoked while their sessions have memory mapped.

load helpers
load vmhelp

vm_more() {
	local i
	for i in 1 2 3 4 5 6; do vm_issue "gone$i" t/maker; done
}
setup_file() { vm_world a b; }
teardown_file() { vm_end; }
teardown() { vm_note; }

serial() { ca show "$W/files/$1" --json | jq -r ".chain[0].serial"; }
revoke() { ca revoke "$(serial "$1")" --run-dir "$W/run"; }
said() { grep -q "$1" "$BATS_TEST_TMPDIR/out"; }
objects() { status | jq -c "[.objects[] | select(.name == \"$1\")]"; }
workers() { status | jq '.vms[].worker_pid'; }

# victim BUNDLE COMMAND...: in a, in the background
victim() { as a "$@" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- & }

@test "revoke: the mapping dies within moments, the service stays out, its name is free" {
	local began ended number
	number=$(serial gone1)
	victim gone1 "$F/shmtool" open /m-one rwcx , truncate 4096 , map rw , write 0 first , \
		waitfault 0 30 , fails EACCES open /m-other rwcx
	run_x b waitopen /m-one rw 20 , map rw , wait 0 first 20
	began=$(date +%s%N)
	run_x ca revoke "$number" --run-dir "$W/run"
	wait_for 20 said 'fault SIGBUS'
	ended=$(stat -c %.Y "$BATS_TEST_TMPDIR/out")
	echo "# from the command to SIGBUS in the guest: $(awk "BEGIN { printf \"%.0f\", ($ended - $began / 1e9) * 1000 }") ms" >&3
	wait $!
	run_x 1 tool a gone1 open /m-one rw
	has 'EACCES'
	grep -q '"event":"auth".*"result":"refused","reason":"revoked"' "$W/audit.jsonl"
	# the honest go on with new memory
	run_x b open /m-one rwcx , truncate 4096 , map rw , check zero , write 0 again
	run_x a open /m-one rw , map rw , read 0 5 , unlink /m-one
	has 'read again'
	run_x ca list
	has "$(serial gone1)"
	has 'revoked'
}

@test "revoke: who had it open goes on among themselves" {
	victim gone2 "$F/shmtool" open /m-two rwcx , truncate 4096 , map rw , write 0 first , \
		waitfault 0 30
	b waitopen /m-two rw 20 , map rw , wait 0 first 20 , write 8 here , wait 8 over 30 , \
		write 0 still >"$BATS_TEST_TMPDIR/b" 2>&1 3>&- &
	local b=$!
	run_x a waitopen /m-two rw 20 , map rw , wait 8 here 20
	a open /m-two rw , map rw , write 16 mapped , wait 0 still 40 , read 0 5 \
		>"$BATS_TEST_TMPDIR/a" 2>&1 3>&- &
	local a=$!
	run_x b open /m-two rw , map rw , wait 16 mapped 20
	b open /m-two rw , map rw , sleep 4 , write 8 over >"$BATS_TEST_TMPDIR/b2" 2>&1 3>&- &
	sleep 1.5
	run_x revoke gone2
	wait_for 20 said 'fault SIGBUS'
	wait "$b"
	wait "$a"
	grep -q 'read still' "$BATS_TEST_TMPDIR/a"
}

@test "revoke: the descriptor is dead wherever it went" {
	victim gone3 python3 "$F/heirs.py" /m-heirs
	wait_for 20 said mapped
	run_x revoke gone3
	wait_for 20 said '^received exit'
	sort "$BATS_TEST_TMPDIR/out" | diff - <(sort <<'X'
mapped
watcher SIGBUS
inherited mapping SIGBUS
received read OSError 128
received write OSError 128
received size OSError 128
received open OSError 128
received map OSError 128
received exit 0
X
)
}

@test "revoke: a sleeper wakes, though the worker that should tell hangs and dies" {
	local w rc=0
	victim gone4 "$F/synctool" make /m-sleep 4096 , sem-init 64 0 , word 0 1 , sem-wait 64
	run_x b waitopen /m-sleep rw 20 , map rw , sleep 1
	w=$(workers)
	kill -STOP $w
	run_x revoke gone4
	kill -KILL $w
	wait $! || rc=$?
	cat "$BATS_TEST_TMPDIR/out"
	# the memory is gone when it looks again: SIGBUS; or just not yet
	[ "$rc" -eq 135 ] || [ "$rc" -eq 7 ] || grep -q EKEYREVOKED "$BATS_TEST_TMPDIR/out"
}

@test "revoke: locks of who does not let go of them are free for his VM and for others" {
	local name victim
	locks() { # OUT VM SERVICE OPERATION...
		local out=$1
		shift
		: >"$BATS_TEST_TMPDIR/$out"
		as "$1" "$2" python3 "$F/locktool.py" /m-lk print there "${@:3}" flock ex flock un \
			record ex 0 10 print got >"$BATS_TEST_TMPDIR/$out" 2>&1 3>&- &
	}
	in_all() { for name in early peer late; do grep -q "$1" "$BATS_TEST_TMPDIR/$name" || return 1; done; }
	victim gone6 python3 "$F/locktool.py" /m-lk flock ex record ex 0 10 print mine hold
	victim=$!
	wait_for 40 said mine
	locks early a maker
	locks peer b peer
	locks late a maker await /m-lk-go
	wait_for 40 in_all there
	sleep 1
	run_x revoke gone6
	sleep 2
	run_x as b peer python3 "$F/locktool.py" /m-lk-go
	wait_for 20 in_all got || { head "$BATS_TEST_TMPDIR"/{early,peer,late}; false; }
	kill -0 "$victim"
	run_x kill_in a python3
}

@test "revoke: pages that the guest cannot let go of are nobody else's" {
	created() { b open "$1" rwcx , truncate 5242880; }
	victim gone5 sh -c "$F/shmtool open /m-pin rwcx , truncate 5242880 , map rw 4096 , write 0 mine
		exec $F/hold pin /m-pin 8"
	wait_for 20 said pinned
	run_x revoke gone5
	sleep 1
	run_x objects m-pin
	has '"unlinked":true'
	run_x b open /m-q rwcx , fails ENOSPC truncate 5242880 , unlink /m-q
	wait $! || true
	wait_for 10 created /m-q2
	run_x b unlink /m-q2
	[ "$(objects m-pin)" = '[]' ]
}

@test "revoke: no kernel had anything to complain about" {
	no_splats a
	no_splats b
}
