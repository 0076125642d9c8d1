#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Each fuzz target for a short while, from the corpus in the repository; `make
# fuzz` runs them long. See tests/fuzz/.

load helpers

# fuzzed TARGET...: nothing was found, and each ran more than its corpus
fuzzed() {
	local t
	# beside other tests each has less of the processors
	FUZZ_SECONDS=${FUZZ_SECONDS:-$((60 * ${PATIENCE:-1}))} RUN_TIMEOUT=$((400 * ${PATIENCE:-1})) run_x "$TOP/tests/fuzz/run.sh" short "$@"
	for t; do
		[[ $output =~ $t\ +([0-9]+)\ executions,\ nothing\ found ]]
		[ "${BASH_REMATCH[1]}" -gt "$(find "$TOP/tests/fuzz/corpus/$t" -type f | wc -l)" ]
	done
	echo "$output" | sed 's/^/# /' >&3
}

@test "fuzz: certificates and the text of keys" { fuzzed cert keyfile; }
@test "fuzz: policy and map" { fuzzed policy mapfile; }
@test "fuzz: revocation list and audit log" { fuzzed crl audit; }
@test "fuzz: names and paths of the shim, results of the host" { fuzzed route result; }
@test "fuzz: both ends of the handshake, members" {
	fuzzed host_handshake service_handshake member
}
@test "fuzz: worker and monitor" { fuzzed worker rpc; }
@test "fuzz: the daemon's sockets, the module's wake table" { fuzzed hub kmod_wake; }
@test "fuzz: the module's frames, sessions and objects" { fuzzed kmod_control; }

@test "fuzz: every target is in this file and has a corpus" {
	local t
	for t in "$TOP"/tests/fuzz/*.c; do
		t=$(basename "$t" .c)
		grep -q "fuzzed .*\b$t\b" "$BATS_TEST_FILENAME"
		[ -n "$(ls "$TOP/tests/fuzz/corpus/$t")" ]
	done
}

# Who finds nothing must be able to find something.
@test "fuzz: a target with a bug is found out" {
	cat >"$BATS_TEST_TMPDIR/bug.c" <<-'C'
	#include "fuzz.h"
	int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
	{
		struct input in = { data, size };
		char few[4];
		uint8_t n = take_uint8(&in);
		if (n == 0x53 && take_uint8(&in) == 0x49)
			take(&in, few, take_uint8(&in));
		return few[0] == few[1] ? 0 : 0;
	}
	C
	mkdir -p "$BATS_TEST_TMPDIR/fuzz"
	clang -g -O1 -fsanitize=fuzzer,address,undefined -I"$TOP/tests/fuzz" \
		-o "$BATS_TEST_TMPDIR/fuzz/cert" "$BATS_TEST_TMPDIR/bug.c"
	BUILD=$BATS_TEST_TMPDIR FUZZ_SECONDS=$((60 * ${PATIENCE:-1})) FUZZ_RUNS=2000000 run "$TOP/tests/fuzz/run.sh" short cert
	[ "$status" -ne 0 ]
	has "FOUND: $BATS_TEST_TMPDIR/fuzz/findings/cert-"
	has "stack-buffer-overflow"
}
