#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The audit log over kills, restarts and rotations; and what was done to it is found.

load helpers

setup() {
	D=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-audit.XXXXXX")
	LOG=$D/audit.jsonl
	ca_scratch "$D" <<'P'
version = 1;
services = ( { name = "t/maker"; vm = "host"; } );
channels = ( { name = "main"; quota = "1M"; members = (
      { service = "t/maker"; rights = "rw,create"; } ); } );
P
	sivshmem-ca --dir "$D/ca" issue t/maker --out "$D/id" >/dev/null
	printf 'transport unix:%s/run/local.sock\nmap /* main\n' "$D" >"$D/map"
	start_cad "$D"
}
teardown() { stop_cad "$D"; rm -rf "$D"; }

# opens N: lines in the log
opens() {
	local i
	for i in $(seq "$1"); do
		SIVSHMEM_MAP=$D/map SIVSHMEM_IDENTITY=$D/id LD_PRELOAD=$BUILD/libsivshmem-shim.so \
			"$BUILD/tools/shmtool" open /o rwcx , unlink /o >/dev/null
	done
}

verify() { sivshmem-ca --dir "$D/ca" audit verify "$@"; }
settled() { tail -n 1 "$LOG" | grep -q '"event":"checkpoint"'; }
killed() { kill -KILL "$CAD_PID"; wait_for 5 not_running "$CAD_PID"; }
# forge N TIME [WHICH]: as who has no key: cut the log off behind the second
# signature, or WHICH; append N lines, and let the head say what the last one is
forge() {
	python3 - "$LOG" "$@" <<'P'
import hashlib, json, sys
log, count, time = sys.argv[1], int(sys.argv[2]), sys.argv[3]
lines = open(log).read().splitlines()
at = [i for i, l in enumerate(lines) if '"checkpoint"' in l][int((sys.argv[4:] or [1])[0])]
lines = lines[:at + 1]
last = json.loads(lines[-1])
n, chain = last["n"], bytes.fromhex(last["chain"])
for _ in range(count):
    n += 1
    text = f'{{"n":{n},"time":"{time}","event":"open","object":"invented","result":"granted"'
    chain = hashlib.blake2b(b"sivshmem audit v1\0" + chain + text.encode(), digest_size=32).digest()
    lines.append(f'{text},"chain":"{chain.hex()}"}}')
open(log, "w").write("\n".join(lines) + "\n")
open(log + ".head", "w").write(f"{n:020} {chain.hex()}\n")
P
}
rotate() {
	[ ! -e "$LOG.1" ] || mv "$LOG.1" "$LOG.2"
	mv "$LOG" "$LOG.1"
	run_x sivshmem-ca --dir "$D/ca" reload --run-dir "$D/run"
	wait_for 5 test -s "$LOG"
}

@test "audit: the chain goes on over rotation, restart and kill" {
	opens 2
	rotate
	opens 1
	stop_cad "$D"
	start_cad "$D"
	opens 1
	rotate
	opens 1
	wait_for 5 settled
	killed
	rm -rf "$D"/run/*
	start_cad "$D"
	wait_for 5 settled
	run_x verify --audit "$LOG"
	has "whole: no line was altered, removed or added"
	# of all that, the kill alone could have cost lines
	has "note: the daemon before this one did not stop: it was killed after line"
	[ "$(grep -c 'note:' <<<"$output")" -eq 1 ]
	grep -q '"event":"stop"' "$LOG.1"
	# the newest alone: it says what it goes on from
	run_x verify "$LOG"
	has "note: the log begins with line"
	has "whole:"
	# by a pipe, as of compressed files
	run_x verify - < <(cat "$LOG.2" "$LOG.1" "$LOG")
	has "lines 1 to"
	has "note: nothing says whether lines are missing at its end"
	run_x 1 verify "$LOG.2" "$LOG"
	has "$LOG:1: lines "
	has "are missing"
	run_x 1 verify "$LOG" "$LOG.1"
	has "$LOG.1:1: line"
	has "out of order"
}

@test "audit: a rename says what from, and what to" {
	SIVSHMEM_MAP=$D/map SIVSHMEM_IDENTITY=$D/id LD_PRELOAD=$SHIM python3 - <<-'P'
	import os
	os.close(os.open("/dev/shm/from", os.O_CREAT | os.O_RDWR, 0o600))
	os.rename("/dev/shm/from", "/dev/shm/to")
	os.unlink("/dev/shm/to")
	P
	[ "$(audit "$D" '.event == "rename" and .object == "from" and .to == "to"' | wc -l)" -eq 1 ]
}

@test "audit: who may write the file alters and removes nothing unseen" {
	local whole
	opens 2
	wait_for 5 settled
	whole=$D/whole
	cp "$LOG" "$whole"
	cp "$LOG.head" "$whole.head"
	run_x verify "$whole"
	sed '5s/granted/refused/' "$whole" >"$LOG"
	run_x 1 verify "$LOG"
	has "$LOG:5: line 5 is altered"
	has "NOT whole"
	sed 4d "$whole" >"$LOG"
	run_x 1 verify "$LOG"
	has "$LOG:4: line 4 is missing"
	sed '3i {"event":"open","result":"granted"}' "$whole" >"$LOG"
	run_x 1 verify "$LOG"
	has "the line before is none of this log: altered or added"
	head -n -2 "$whole" >"$LOG"
	run_x 1 verify "$LOG"
	has "lines are missing at the end: the daemon wrote line"
	grep -v checkpoint "$whole" >"$LOG"
	run_x 1 verify "$LOG"
	has "no signature of the host"
	: >"$LOG"
	run_x 1 verify "$LOG"
	has "no line of an audit log was found"
	run_x 3 verify "$D/none"
	has "$D/none: No such file"
	# the host's certificate is of the root that the verifier has, not of the log's choice
	sivshmem-ca --dir "$D/ca2" init --host testhost >/dev/null
	run_x 1 sivshmem-ca --dir "$D/ca2" audit verify "$whole"
	has "the host's certificate: issued by another CA"
}

@test "audit: the running daemon sees that its log was cut when it starts again" {
	opens 1
	wait_for 5 settled
	killed
	rm -rf "$D"/run/*
	head -n -3 "$LOG" >"$D/cut"
	cp "$D/cut" "$LOG"
	start_cad "$D"
	grep -q 'lines are missing at its end; `sivshmem-ca audit verify` says more' "$D/cad.log"
	wait_for 5 settled
	run_x 1 verify --audit "$LOG"
	has "found when the daemon started: lines are missing at its end"
	has "are missing"
}

@test "audit: a line that a crash cut in two is a note" {
	opens 1
	wait_for 5 settled
	killed
	rm -rf "$D"/run/*
	printf '{"n":99,"time":"2026-' >>"$LOG"
	run_x verify --audit "$LOG"
	has "note: the last line is not whole"
	start_cad "$D"
	wait_for 5 settled
	run_x verify --audit "$LOG"
	has "note: the line before was being written when the daemon died"
	has "whole:"
}

@test "audit: lines that a daemon only found are not proven by what it signs" {
	opens 2
	wait_for 5 settled
	killed
	rm -rf "$D"/run/*
	forge 3 2026-01-01T00:00:00.000Z
	# nobody has signed them, and whoever wrote them is not about to
	run_x 1 verify "$LOG"
	has "unproven: lines"
	has "not proven: 3 lines that the daemon did not sign"
	start_cad "$D"
	wait_for 5 settled
	run_x 1 verify "$LOG"
	has ": unproven: lines"
	has "which the daemon that wrote them did not sign: it was killed, or somebody else wrote them"
	has "not proven: 3 lines that the daemon did not sign"
	# what a daemon has written a moment ago is not signed yet
	killed
	rm -rf "$D"/run/*
	forge 3 "$(date -u +%Y-%m-%dT%H:%M:%S.000Z)"
	run_x verify "$LOG"
	has "note: no signature covers the last 3 lines"
}

@test "audit: nothing comes after a stop but a start" {
	opens 1
	stop_cad "$D"
	run_x verify "$LOG"
	hasnt "note"
	forge 2 2026-01-01T00:00:00.000Z -1
	start_cad "$D"
	wait_for 5 settled
	run_x 1 verify "$LOG"
	has ": added: the daemon had stopped before"
	has ": unproven: lines"
	stop_cad "$D"
	# an end that is cut off at a signature can be of a daemon that was killed
	forge 0 - 0
	start_cad "$D"
	wait_for 5 settled
	run_x verify "$LOG"
	has "note: the daemon before this one did not stop: it was killed after line 2, or what it wrote then is cut off"
}

@test "audit: without its head a log is not whole, nor is one that a daemon found so" {
	opens 1
	wait_for 5 settled
	mv "$LOG.head" "$D/head"
	run_x 1 verify "$LOG"
	has "$LOG.head: is not there, so that lines can be missing at the end"
	has "NOT whole: 1 faults"
	: >"$LOG.head"
	run_x 1 verify "$LOG"
	has "the head file beside the log is not what the daemon writes"
	cp "$D/head" "$LOG.head"
	run_x verify "$LOG"
	killed
	rm -rf "$D"/run/*
	head -n 2 "$LOG" >"$D/cut"
	cp "$D/cut" "$LOG"
	rm "$LOG.head"
	start_cad "$D"
	wait_for 5 settled
	run_x 1 verify "$LOG"
	has "found when the daemon started: the head file beside it was missing or not whole"
}

@test "audit: what a revoked host's key signed proves nothing" {
	local serial
	opens 1
	wait_for 5 settled
	serial=$(sivshmem-ca --dir "$D/ca" show "$D/ca/host.cert" --json | jq -r '.chain[0].serial')
	run_x verify "$LOG"
	run_x sivshmem-ca --dir "$D/ca" revoke "$serial" --run-dir "$D/none"
	run_x 1 verify "$LOG"
	has "$LOG:1: the host's certificate $serial is revoked"
	has "NOT whole: 1 faults"
	echo 9 >"$D/ca/revoked.epoch"
	run_x 1 verify "$LOG"
	has "the list is an old one"
}
