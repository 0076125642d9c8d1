#!/bin/bash
# SPDX-License-Identifier: MIT
# run.sh short|long [TARGET...]: run the fuzz targets that are built in $BUILD/fuzz,
# from the corpora beside this script, and say of each how many inputs it ran.
#
# short: $FUZZ_RUNS inputs each (100000), $FUZZ_SECONDS at most (20).
# long: $FUZZ_RUNS inputs each (10000000), or what $FUZZ_SECONDS allows (no bound);
#	what is learned stays in $BUILD/fuzz/corpus.
# $FUZZ_MAX_LEN: bytes of an input at most (4096).
# A finding is kept in $BUILD/fuzz/findings/, and ends its target.
set -u
cd "$(dirname "$0")/../.." || exit 3
: "${BUILD:=$PWD/build}" "${FUZZ_JOBS:=$(nproc)}" "${FUZZ_MAX_LEN:=4096}"
mode=${1:-}
case $mode in
short)	: "${FUZZ_RUNS:=100000}" "${FUZZ_SECONDS:=20}" ;;
long)	: "${FUZZ_RUNS:=10000000}" "${FUZZ_SECONDS:=0}" ;;
*)	echo "usage: run.sh short|long [TARGET...]" >&2; exit 2 ;;
esac
shift
targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
	for t in tests/fuzz/*.c; do
		t=${t##*/}
		targets+=("${t%.c}")
	done
fi
mkdir -p "$BUILD/fuzz/findings" "$BUILD/fuzz/log"
# an input frees little: a small quarantine holds all of it, and stays in the cache
export ASAN_OPTIONS=quarantine_size_mb=1:thread_local_quarantine_size_kb=64:malloc_context_size=8:detect_leaks=1
export UBSAN_OPTIONS=print_stacktrace=1

one() { # one TARGET: run it, say what came of it
	local t=$1 log=$BUILD/fuzz/log/$1 runs rc
	local -a dirs=("tests/fuzz/corpus/$t") options=()
	if [ "$mode" = long ]; then
		mkdir -p "$BUILD/fuzz/corpus/$t"
		dirs=("$BUILD/fuzz/corpus/$t" "${dirs[@]}")
		# libconfig leaks, so each second input costs a search for what has;
		# the short run looks for leaks of our own
		[ "$t" != policy ] || options=(-detect_leaks=0)
	else
		# the corpus in the repository stays as it is, the run is repeatable
		options=(-seed=1)
		dirs=("$(mktemp -d)" "${dirs[@]}")
	fi
	nice -n 10 "$BUILD/fuzz/$t" -runs="$FUZZ_RUNS" -max_total_time="$FUZZ_SECONDS" \
		-max_len="$FUZZ_MAX_LEN" -timeout=20 -print_final_stats=1 -rss_limit_mb=2048 "${options[@]}" \
		-artifact_prefix="$BUILD/fuzz/findings/$t-" "${dirs[@]}" >"$log" 2>&1 </dev/null
	rc=$?
	[ "$mode" = long ] || rm -rf "${dirs[0]}"
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	if [ $rc -eq 0 ]; then
		printf '%-20s %12s executions, nothing found\n' "$t" "${runs:-0}"
	else
		printf '%-20s %12s executions, FOUND: %s\n' "$t" "${runs:-0}" \
			"$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)"
		grep -m 1 -A 15 -E 'not so:|ERROR:|runtime error:' "$log" | sed 's/^/    /'
	fi
	return $rc
}

bad=0 running=0
for t in "${targets[@]}"; do
	one "$t" &
	running=$((running + 1))
	if [ $running -ge "$FUZZ_JOBS" ]; then
		wait -n || bad=1
		running=$((running - 1))
	fi
done
while [ $running -gt 0 ]; do
	wait -n || bad=1
	running=$((running - 1))
done
exit $bad
