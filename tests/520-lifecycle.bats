#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What dies and what lives on: processes, modules, workers, guests, the daemon.

load helpers
load vmhelp

setup_file() { vm_world a b; }
teardown_file() { vm_end; }
teardown() { vm_note; }

sessions() { status | jq '.sessions | length'; }
objects() { status | jq '.objects | length'; }
no_objects() { [ "$(objects)" -eq 0 ]; }

@test "life: an object outlives its creator, and its grants do not" {
	run_x a open /m-o rwcx , truncate 4096 , map rw , write 0 stays
	wait_for 10 no_sessions
	[ "$(objects)" -eq 1 ]
	run_x b open /m-o r , map r , read 0 5 , unlink /m-o
	has "read stays"
	wait_for 10 no_objects
}

@test "life: a process killed while mapped leaves no session, and the other end goes on" {
	a open /m-k rwcx , truncate 4096 , map rw , write 0 alive , wait 8 k 40 , die \
		>"$BATS_TEST_TMPDIR/a" 2>&1 3>&- &
	local p=$!
	run_x b waitopen /m-k rw 20 , map rw 4096 , wait 0 alive 20 , write 8 k , sleep 1 , read 0 5 , write 0 still
	has "read alive"
	wait "$p" || true
	wait_for 10 no_sessions
	run_x a open /m-k rw , map r , read 0 5 , unlink /m-k
	has "read still"
	wait_for 10 no_objects
}

@test "life: killed at random in the handshake, forty times" {
	in_vm a sh -c "cd /tmp; export LD_PRELOAD=$F/libsivshmem-shim.so SIVSHMEM_MAP=$F/shim.conf \
		SIVSHMEM_IDENTITY=$F/maker; for i in \$(seq 40); do
		setpriv --reuid 1000 --regid 1000 --clear-groups $F/shmtool open /m-hs rwc , sleep 5 >/dev/null 2>&1 & p=\$!
		sleep 0.0\$((i % 10)); kill -9 \$p; wait \$p 2>/dev/null; done; true"
	wait_for 20 no_sessions
	run_x a open /m-hs rwc , unlink /m-hs
}

@test "life: 64 processes open at once" {
	run_x a open /m-64 rwcx , truncate 4096
	run_x as b peer sh -c "for i in \$(seq 64); do
		$F/shmtool open /m-64 rw , map rw , write \$((i * 8)) x >/tmp/o64-\$i 2>&1 & done; wait
		grep -l '^write 1' /tmp/o64-* | wc -l"
	has "64"
	run_x a open /m-64 r , map r , read 512 1 , unlink /m-64
	has "read x"
}

@test "life: the worker is killed; mappings go on, and new opens work" {
	a open /m-w rwcx , truncate 4096 , map rw , write 0 one , wait 8 k 40 , read 0 3 , \
		open /m-w2 rwcx , truncate 100 , unlink /m-w2 , stat \
		>"$BATS_TEST_TMPDIR/a" 2>&1 3>&- &
	local p=$! w
	run_x b waitopen /m-w rw 20 , map rw 4096 , wait 0 one 20
	for w in $(status | jq '.vms[].worker_pid'); do kill -9 "$w"; done
	sleep 1
	run_x b open /m-w rw , map rw , write 0 two , write 8 k
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	grep -q 'read two' "$BATS_TEST_TMPDIR/a"
	grep -q 'size 100 regular' "$BATS_TEST_TMPDIR/a"
	run_x a unlink /m-w
	wait_for 10 no_sessions
	wait_for 10 no_objects
}

@test "life: sivshmem status names what is open" {
	a open /m-st rwcx , truncate 12345 , sleep 3 >/dev/null 2>&1 3>&- &
	local p=$!
	run_x b waitopen /m-st r 20
	run_x in_vm a $F/sivshmem status
	has "main"
	has "m-st"
	has "12345"
	run_x in_vm a $F/sivshmem status --json
	jq -e . <<<"$output" >/dev/null
	run_x sivshmem-ca --dir "$W/ca" status --run-dir "$W/run"
	has "m-st"
	wait "$p"
	run_x a unlink /m-st
}

@test "life: the module is not unloaded while in use, and is when it is not" {
	a open /m-rm rwcx , truncate 100 , sleep 4 >/dev/null 2>&1 3>&- &
	local p=$!
	run_x b waitopen /m-rm r 20
	run_x 1 in_vm a rmmod sivshmem
	wait "$p"
	run_x a unlink /m-rm
	run_x in_vm a rmmod sivshmem
	# not loaded: an errno and a line that says what to do
	run_x a fails EHOSTDOWN open /m-x rwc
	has "sivshmem.ko"
	run_x in_vm a insmod /sivshmem.ko
	run_x a open /m-again rwcx , truncate 100 , unlink /m-again
}

@test "life: a guest that reboots comes back, and its sessions are gone" {
	a open /m-rb rwcx , truncate 4096 , map rw , write 0 kept , sleep 60 >/dev/null 2>&1 3>&- &
	local p=$!
	run_x b waitopen /m-rb rw 20 , map rw 4096 , wait 0 kept 20
	run_x timeout 120 "$VM" reboot a --dir "$W"
	kill "$p" 2>/dev/null || true
	wait_for 20 no_sessions
	run_x b open /m-rb rw , map rw , read 0 4 , write 0 more
	has "read kept"
	run_x a open /m-rb rw , map rw , read 0 4 , unlink /m-rb
	has "read more"
}

@test "life: a killed guest's sessions end, and a new QEMU takes its place" {
	a open /m-dead rwcx , truncate 4096 , map rw , write 0 dead , sleep 60 >/dev/null 2>&1 3>&- &
	local p=$!
	run_x b waitopen /m-dead rw 20 , map rw 4096 , wait 0 dead 20
	run_x "$VM" kill a --dir "$W"
	kill "$p" 2>/dev/null || true
	wait_for 20 no_sessions
	run_x b open /m-dead rw , map rw , read 0 4
	has "read dead"
	vm_boot a
	run_x a open /m-dead rw , map rw , read 0 4 , unlink /m-dead
	has "read dead"
}

@test "life: neither kernel had anything to complain about" {
	no_splats a
	no_splats b
}

@test "life: without the daemon mappings go on, and opens say EHOSTDOWN" {
	a open /m-dn rwcx , truncate 4096 , map rw , wait 0 one 60 , write 8 two , stat \
		>"$BATS_TEST_TMPDIR/a" 2>&1 3>&- &
	local p=$!
	b waitopen /m-dn rw 20 , map rw 4096 , wait 16 go 60 , write 0 one , wait 8 two 30 \
		>"$BATS_TEST_TMPDIR/b" 2>&1 3>&- &
	local q=$!
	wait_for 20 eval '[ "$(sessions)" -eq 2 ]'
	# the last one in says go; then the daemon dies
	b open /m-dn rw , map rw 4096 , sleep 2 , write 16 go >/dev/null 2>&1 3>&- &
	local r=$!
	wait_for 20 eval '[ "$(sessions)" -eq 3 ]'
	sleep 0.5
	kill -9 "$(cat "$W/cad.mypid")"
	wait "$r" && wait "$p" && wait "$q"
	grep -q 'saw two' "$BATS_TEST_TMPDIR/b"
	run_x b fails EHOSTDOWN open /m-dn rw
	has "sivshmem-cad"
}
