#!/bin/bash
# SPDX-License-Identifier: MIT
# Run the named parts of the test suite, print each part's time, and end with
# `N passed, N failed, N skipped`. Parts: unit local lint vm.
set -u
cd "$(dirname "$0")/.." || exit 3
: "${BUILD:=$PWD/build}" "${KERNELS:=6.1 6.12}"
export BUILD
passed=0 failed=0 skipped=0
log=$(mktemp) || exit 3
trap 'rm -f "$log"' EXIT

# count LOG: TAP lines, from bats or from our unit programs
count() {
	local ok bad skip
	skip=$(grep -cE '^ok .*# skip' "$1")
	ok=$(grep -cE '^ok ' "$1")
	bad=$(grep -cE '^not ok ' "$1")
	passed=$((passed + ok - skip)) failed=$((failed + bad))
	skipped=$((skipped + skip))
}

# part NAME COMMAND...: run it, show its output, count what it says. A command
# that fails without a "not ok" line counts as one failure: nothing hides.
part() {
	local name=$1 rc start=$SECONDS before=$failed
	shift
	printf '# %s\n' "$name"
	"$@" 2>&1 </dev/null | tee "$log"
	rc=${PIPESTATUS[0]}
	count "$log"
	if [ "$rc" -ne 0 ] && [ "$failed" -eq "$before" ]; then
		printf 'not ok - %s ended with %d\n' "$name" "$rc"
		failed=$((failed + 1))
	fi
	printf '# %s took %d s\n' "$name" $((SECONDS - start))
}

run_unit() {
	local t rc=0
	for t in "$BUILD"/unit/*_test; do
		"$t" || { rc=1; printf 'not ok %s ended with a failure\n' "${t##*/}"; }
	done
	return $rc
}

for arg in "$@"; do
	case $arg in
	unit)	part unit run_unit ;;
	local)	part local bats --tap tests/0*.bats tests/1*.bats ;;
	lint)	part lint tests/lint.sh ;;
	vm)
		# the first kernel runs everything, the others the core scenarios
		first=1
		for k in $KERNELS; do
			export SIVSHMEM_KERNEL=$k
			if [ $first = 1 ]; then
				part "vm on $k" bats --tap tests/5*.bats
			else
				part "vm on $k" bats --tap tests/50*.bats
			fi
			first=0
		done ;;
	*)	echo "tests/run.sh: unknown part '$arg' (unit, local, lint, vm)" >&2
		exit 2 ;;
	esac
done
printf '%d passed, %d failed' "$passed" "$failed"
[ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped"
printf '\n'
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
