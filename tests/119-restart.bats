#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The monitor ends, by SIGKILL and otherwise, and the next one goes on: local
# mode. Who holds its files meanwhile is --hold, and a stand-in for systemd.

load helpers
load snare

setup_file() {
	D=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-restart.XXXXXX")
	export D
	ca_scratch "$D" <<'P'
version = 1;
vms = ( { name = "v"; }, { name = "w"; } );
services = ( { name = "t/maker"; vm = "host"; }, { name = "t/peer"; vm = "host"; },
	{ name = "t/v"; vm = "v"; }, { name = "t/w"; vm = "w"; } );
channels = ( { name = "main"; quota = "1M"; objects = 100; members = (
    { service = "t/maker"; rights = "rw,create"; },
    { service = "t/peer"; rights = "rw,create"; } ); },
	{ name = "link"; quota = "1M"; members = (
    { service = "t/v"; rights = "rw,create"; }, { service = "t/w"; rights = "rw"; } ); } );
P
	# the same, and one of the VMs may only read: its memory is a file
	sed '/"t\/w"; rights/s/"rw"/"ro"/' "$D/ca/policy.conf" >"$D/split.conf"
	mkdir "$D/id"
	local s
	for s in maker peer; do
		sivshmem-ca --dir "$D/ca" issue t/$s --out "$D/id/$s" >/dev/null 2>&1
	done
	cat >"$D/map" <<-C
		transport unix:$D/run/local.sock
		map /m-* main
		map /serve main name=served peer=*
		map /look  main name=served peer=t/maker
	C
}
teardown() {
	stop_holder
	[ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 15 "$D/audit.jsonl" "$D/cad.log"
}
teardown_file() { rm -rf "$D"; }

# start_holder COMMAND...: the daemon under it
start_holder() {
	: >"$D/cad.log"
	"$@" --policy "${POLICY:-$D/ca/policy.conf}" --ca-dir "$D/ca" --run-dir "$D/run" --audit "$D/audit.jsonl" \
		>"$D/cad.log" 2>&1 3>&- &
	echo $! >"$D/holder"
	wait_for 10 grep -q 'sivshmem-cad: ready' "$D/cad.log"
}
stop_holder() {
	[ -f "$D/holder" ] || return 0
	kill "$(cat "$D/holder")" 2>/dev/null || true
	wait_for 10 not_running "$(cat "$D/holder")"
	rm -f "$D/holder"
}
monitor() { cat "$D/run/sivshmem-cad.pid"; }
starts() { grep -c 'sivshmem-cad: ready' "$D/cad.log"; }
# next_monitor SIGNAL: end the monitor by it; $took ms later the next one is ready
next_monitor() {
	local was began
	was=$(starts)
	began=$(date +%s%3N)
	kill "-$1" "$(monitor)"
	wait_for 10 eval '[ "$(starts)" -gt '"$was"' ]'
	took=$(($(date +%s%3N) - began))
	echo "# ready again after $took ms"
}
as() {
	local service=$1
	shift
	timeout -k 5 50 env LD_PRELOAD="$SHIM" \
		SIVSHMEM_MAP="$D/map" SIVSHMEM_IDENTITY="$D/id/$service" "$@" 3>&-
}
a() { as maker shmtool "$@"; }
b() { as peer shmtool "$@"; }
status() { sivshmem-ca --dir "$D/ca" status --run-dir "$D/run" --json; }

goes_on() { # SIGNAL
	a open /m-x rwcx , truncate 5000 , map rw 4096 , write 0 one , wait 8 k 30 , read 0 3 , \
		open /m-y rwcx , truncate 100 , stat >"$BATS_TEST_TMPDIR/a" 2>&1 &
	local p=$!
	run_x b waitopen /m-x rw 10 , map rw 4096 , wait 0 one 10
	next_monitor "$1"
	[ "$took" -lt $((1000 * PATIENCE)) ]
	run_x b open /m-x rw , stat , map rw 4096 , read 0 3 , write 0 two , write 8 k
	has "size 5000 regular"
	has "read one"
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	grep -q 'read two' "$BATS_TEST_TMPDIR/a"
	grep -q 'size 100 regular' "$BATS_TEST_TMPDIR/a"
	# quotas count what was there before
	run_x b open /m-z rwcx , fails ENOSPC truncate 1M , truncate 512K , unlink /m-z
	run_x a fails EEXIST open /m-x rwcx , unlink /m-x , unlink /m-y
	run_x b fails ENOENT open /m-x rw
}

@test "restart: the monitor is killed under --hold, and local programs go on" {
	POLICY=$D/split.conf start_holder sivshmem-cad --hold
	local file
	file=$(find "$D/run/vm/w" -type l -exec readlink {} \;)
	[ -f "$file" ]
	goes_on KILL
	[ -f "$file" ] && [ "$(find "$D/run/vm/w" -type l -exec readlink {} \;)" = "$file" ]
	[ -n "$(audit "$D" '.event == "taken-over"')" ]
}

@test "restart: a planned end of the monitor is the same" {
	start_holder sivshmem-cad --hold
	goes_on TERM
}

@test "restart: what a revoked service could write loses its name, though its session is over" {
	start_holder sivshmem-cad --hold
	local p serial
	sivshmem-ca --dir "$D/ca" issue t/maker --out "$D/id/gone" >/dev/null 2>&1
	as gone shmtool open /m-kept rwcx , truncate 100 , map rw , write 0 mine , wait 8 go 6 \
		>"$BATS_TEST_TMPDIR/a" 2>&1 &
	p=$!
	run_x b waitopen /m-kept rw 10 , map rw , wait 0 mine 10
	next_monitor KILL
	run_x b open /m-kept rw
	serial=$(sivshmem-ca --dir "$D/ca" show "$D/id/gone" --json | jq -r '.chain[0].serial')
	run_x sivshmem-ca --dir "$D/ca" revoke "$serial" --run-dir "$D/run"
	lost_its_name() { [ -n "$(audit "$D" '.event == "quarantine" and .object == "m-kept"')" ]; }
	wait_for 5 lost_its_name
	# new memory, in which nobody reads or writes who is not let in
	run_x b fails ENOENT open /m-kept rw , open /m-kept rwcx , truncate 100 , map rw 100 , read 0 4
	hasnt "read mine"
	[ -n "$(audit "$D" ".event == \"quarantine\" and .serial == \"$serial\"")" ]
	run_x a fails EEXIST open /m-kept rwcx , unlink /m-kept
	wait "$p" || true
}

@test "restart: who connects while there is no monitor waits for the next" {
	start_holder sivshmem-cad --hold
	run_x a open /m-w rwcx , truncate 100
	kill -STOP "$(cat "$D/holder")"
	kill -9 "$(monitor)"
	b open /m-w rw , stat >"$BATS_TEST_TMPDIR/b" 2>&1 &
	local p=$!
	sleep 1
	[ ! -s "$BATS_TEST_TMPDIR/b" ]
	kill -CONT "$(cat "$D/holder")"
	wait "$p"
	grep -q 'size 100 regular' "$BATS_TEST_TMPDIR/b"
	run_x a unlink /m-w
}

@test "restart: a program proves itself to peers that come after it" {
	start_holder sivshmem-cad --hold
	a open /serve rwcx , truncate 100 , sleep 30 >"$BATS_TEST_TMPDIR/a" 2>&1 &
	local p=$!
	run_x b waitopen /look rw 10 , stat
	next_monitor KILL
	run_x b open /look rw , stat
	has "size 100"
	# with none to come it says so, once
	stop_holder
	wait_for 15 grep -q "'served': no peer can verify this process: " "$BATS_TEST_TMPDIR/a"
	[ "$(grep -c verify "$BATS_TEST_TMPDIR/a")" -eq 1 ]
	# shellcheck disable=SC2046
	kill $(children "$p")
	wait "$p" || true
}

under_systemd() { # OPTION...
	local run=$BATS_TEST_TMPDIR
	printf '#!/bin/sh\nexec python3 "%s" "%s" %s -- sivshmem-cad "$@"\n' \
		"$TOP/tests/attack/fdstore.py" "$run" "$*" >"$run/systemd"
	chmod +x "$run/systemd"
	start_holder "$run/systemd"
}

@test "restart: as many objects as there may be files are kept" {
	local i n ops=()
	sed 's/objects = 100;/objects = 2000;/' "$D/ca/policy.conf" >"$D/many.conf"
	POLICY=$D/many.conf start_holder prlimit --nofile=1024:1024 sivshmem-cad --hold
	for n in 0 1 2; do
		ops=()
		for i in $(seq 200); do ops+=(open "/m-$n-$i" rwcx ','); done
		a "${ops[@]}" stat >/dev/null
	done
	next_monitor KILL
	run_x b open /m-0-1 rw , open /m-2-200 rw
	[ -n "$(audit "$D" '.event == "taken-over" and .result == "granted"')" ]
	[ "$(status | jq '.objects | length')" -eq 600 ]
}

@test "restart: under systemd's file store it is the same" {
	under_systemd
	goes_on KILL
	goes_on TERM
}

@test "restart: a state that anybody has altered harms nothing but itself" {
	under_systemd --alter 150 "${SEED:-$RANDOM}"
	a open /m-x rwcx , truncate 5000 , open /m-y rwcx , truncate 100 , map rw , wait 8 k 60 &
	local p=$! holder
	holder=$(cat "$D/holder")
	run_x b waitopen /m-y rw 10
	run_x b open /m-w rwcx , truncate 1 , unlink /m-w
	kill -USR1 "$holder"
	wait "$holder"
	rm "$D/holder"
	cat "$D/cad.log"
	grep -q '^150 altered states: ready each time' "$D/cad.log"
	! grep -E 'Sanitizer|runtime error' "$D/cad.log"
	# some are good enough, most are not: both have been met
	[ -n "$(audit "$D" '.event == "taken-over" and .result == "granted"')" ]
	[ -n "$(audit "$D" '.event == "taken-over" and .result == "refused"')" ]
	kill "$p" 2>/dev/null || true
}

@test "restart: a local object that a program has sized as it likes costs nobody anything" {
	start_holder sivshmem-cad --hold
	cat >"$BATS_TEST_TMPDIR/absurd.py" <<-'P'
	import _posixshmem, ctypes, os, sys, time
	FTRUNCATE = 77
	name = "/m-absurd"
	fd = _posixshmem.shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
	raw = ctypes.CDLL(None, use_errno=True).syscall
	assert raw(FTRUNCATE, fd, ctypes.c_long(2 ** 63 - 1)) == 0
	began = time.monotonic()
	os.close(_posixshmem.shm_open(name, os.O_TRUNC | os.O_RDWR, 0o600))
	print("emptied", os.fstat(fd).st_size, flush=True)
	assert raw(FTRUNCATE, fd, ctypes.c_long(2 ** 63 - 1)) == 0
	os.rename("/dev/shm/m-absurd", "/dev/shm/m-absurd2")
	print("renamed", os.getpid(), flush=True)
	time.sleep(300)
	P
	as maker python3 "$BATS_TEST_TMPDIR/absurd.py" >"$BATS_TEST_TMPDIR/a" 2>&1 &
	local p=$! before
	before=$(audit "$D" '.event == "taken-over" and .result == "refused"' | wc -l)
	wait_for 5 grep -q renamed "$BATS_TEST_TMPDIR/a"
	grep -qx 'emptied 0' "$BATS_TEST_TMPDIR/a"
	run_x b open /m-beside rwcx , truncate 100
	next_monitor KILL
	run_x b open /m-beside rw , stat , unlink /m-beside , unlink /m-absurd2
	has 'size 100 regular'
	[ "$(audit "$D" '.event == "taken-over" and .result == "refused"' | wc -l)" -eq "$before" ]
	# as it was left, and as it was taken over
	run_x b open /m-beside rwcx , truncate 100
	kill "$(sed -n 's/^renamed //p' "$BATS_TEST_TMPDIR/a")"
	wait "$p" || true
	as maker python3 - >"$BATS_TEST_TMPDIR/a" 2>&1 <<-'P' &
	import _posixshmem, ctypes, os, time
	fd = _posixshmem.shm_open("/m-absurd", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
	assert ctypes.CDLL(None).syscall(77, fd, ctypes.c_long(2 ** 63 - 1)) == 0
	print("absurd", os.getpid(), flush=True)
	time.sleep(300)
	P
	p=$!
	wait_for 5 grep -q absurd "$BATS_TEST_TMPDIR/a"
	next_monitor KILL
	next_monitor KILL
	run_x b open /m-beside rw , stat , unlink /m-beside , unlink /m-absurd
	[ "$(audit "$D" '.event == "taken-over" and .result == "refused"' | wc -l)" -eq "$before" ]
	kill "$(sed -n 's/^absurd //p' "$BATS_TEST_TMPDIR/a")"
	wait "$p" || true
}

@test "restart: who holds a file's lock in the kernel holds up nobody but himself" {
	requires root
	start_holder sivshmem-cad --hold
	# a write from memory that nobody ever fills: the kernel has the file locked meanwhile
	cat >"$BATS_TEST_TMPDIR/stuck.py" <<-'P'
	import _posixshmem, ctypes, fcntl, mmap, os, struct, threading, time
	libc = ctypes.CDLL(None, use_errno=True)
	fd = _posixshmem.shm_open("/m-stuck", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
	os.ftruncate(fd, 8192)
	page = mmap.mmap(-1, 4096)
	at = ctypes.addressof(ctypes.c_char.from_buffer(page))
	uffd = libc.syscall(323, os.O_CLOEXEC)
	assert uffd >= 0, "userfaultfd"
	fcntl.ioctl(uffd, 0xc018aa3f, bytearray(struct.pack("QQQ", 0xaa, 0, 0)))
	fcntl.ioctl(uffd, 0xc020aa00, bytearray(struct.pack("QQQQ", at, 4096, 1, 0)))
	stuck = threading.Thread(target=libc.syscall,
	                         args=(1, fd, ctypes.c_void_p(at), ctypes.c_long(4096)), daemon=True)
	stuck.start()
	time.sleep(0.3)
	print(os.getpid(), "stuck" if stuck.is_alive() else "not stuck", flush=True)
	time.sleep(40)
	P
	as maker python3 "$BATS_TEST_TMPDIR/stuck.py" >"$BATS_TEST_TMPDIR/a" 2>&1 &
	local p q r
	wait_for 10 grep ' stuck$' "$BATS_TEST_TMPDIR/a"
	p=$(cut -d ' ' -f 1 "$BATS_TEST_TMPDIR/a")
	# who sizes it waits for the writer, and the daemon does not
	as peer shmtool open /m-stuck rw , truncate 4096 >/dev/null 2>&1 &
	q=$!
	as peer shmtool open /m-stuck rwt >/dev/null 2>&1 &
	r=$!
	sleep 1
	run as peer timeout 8 shmtool open /m-beside rwcx , truncate 100 , unlink /m-beside , unlink /m-stuck
	kill -KILL "$p"
	wait "$q" || true
	wait "$r" || true
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "restart: the monitor dies at each step of a QEMU's coming and going, and serves the next" {
	requires root
	requires strace
	start_holder sivshmem-cad --hold
	local path=$D/run/vm/v/control.sock refused call n was pid snare
	refused=$(audit "$D" '.event == "taken-over" and .result == "refused"' | wc -l)
	laid() { grep -q "TracerPid:.*[1-9]" "/proc/$1/status"; }
	for call in accept4:1 unlink:1 sendmsg:1 sendmsg:4 fallocate:1 bind:1; do
		n=${call#*:}
		call=${call%:*}
		was=$(starts)
		pid=$(monitor)
		strace -qq -p "$pid" -e trace="$call" --inject="$call:signal=KILL:when=$n" \
			-o /dev/null 2>"$BATS_TEST_TMPDIR/strace" 3>&- &
		snare=$!
		wait_for 10 laid "$pid"
		timeout 10 "$TOP/tests/attack/qemu.py" greet "$path" >/dev/null 2>&1 3>&- || true
		wait_for 10 eval '[ "$(starts)" -gt '"$was"' ]'
		wait "$snare" 2>/dev/null || true
		wait_for 10 test -S "$path"
		wait_for 10 eval 'timeout 10 "$TOP/tests/attack/qemu.py" greet "$path" | grep -q memory'
	done
	[ "$(audit "$D" '.event == "taken-over" and .result == "refused"' | wc -l)" -eq "$refused" ]
}

@test "restart: the local worker dies at each message of an open, and each open is made" {
	requires root
	requires strace
	SNARE=$BATS_TEST_TMPDIR/strace
	# of one monitor: those that were killed before left lines that nobody signed
	rm -f "$D"/audit.jsonl*
	start_holder sivshmem-cad --hold
	a open /m-k rwcx , truncate 4096 , map rw , write 0 kept , wait 8 k 100 , read 16 4 \
		>"$BATS_TEST_TMPDIR/a" 2>&1 &
	local p=$! call n began caught=0 before
	run_x b waitopen /m-k rw 10 , map rw , wait 0 kept 10
	before=$(kills host "$D")
	for call in "${SNARE_CALLS[@]}"; do
		for n in 1 2 3 4 5 6 7 8 9 10; do
			snare host "$call" "$n"
			began=$(date +%s%3N)
			run_x b open "/m-$call$n" rwc , truncate 4096 , map rw , write 0 x , unlink "/m-$call$n"
			[ $(($(date +%s%3N) - began)) -lt $((1500 * PATIENCE)) ]
			snared host || break
			caught=$((caught + 1))
		done
	done
	echo "# $caught deaths"
	[ "$caught" -ge 10 ]
	[ "$(($(kills host "$D") - before))" -eq "$caught" ]
	run_x b open /m-k rw , map rw , read 0 4 , write 16 back , write 8 k , unlink /m-k
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	grep -q 'read back' "$BATS_TEST_TMPDIR/a"
	run_x sivshmem-ca --dir "$D/ca" audit verify "$D/audit.jsonl"
}
