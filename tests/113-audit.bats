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
	hasnt "note"
	grep -q '"event":"stop"' "$LOG.1"
	# the newest alone: it says what it goes on from
	run_x verify "$LOG"
	has "note: the log begins with line"
	has "whole:"
	# by a pipe, as of compressed files
	run_x verify - < <(cat "$LOG.2" "$LOG.1" "$LOG")
	has "lines 1 to"
	run_x 1 verify "$LOG.2" "$LOG"
	has "$LOG:1: lines "
	has "are missing"
	run_x 1 verify "$LOG" "$LOG.1"
	has "$LOG.1:1: line"
	has "out of order"
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
