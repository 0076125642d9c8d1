#!/bin/bash
# SPDX-License-Identifier: MIT
# Run the named parts of the test suite, print each part's time, and end with
# `N passed, N failed, N skipped`. Parts: unit local sanitize fuzz lint vm debug.
# With `beside PART...` these run in what the other parts leave of the processors,
# and are shown at the end.
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

# own_shm COMMAND...: with a /dev/shm that nobody else uses, nor left anything in
own_shm() {
	if [ "$(id -u)" -eq 0 ] && unshare --mount true 2>/dev/null; then
		unshare --mount --propagation private sh -c \
			'mount -t tmpfs -o mode=1777 shm /dev/shm && exec "$@"' sh "$@"
	else
		"$@"
	fi
}

run_unit() {
	local t rc=0
	for t in "$BUILD"/unit/*_test; do
		"$t" || { rc=1; printf 'not ok %s ended with a failure\n' "${t##*/}"; }
	done
	return $rc
}

# everything again that runs as a process, built with SANITIZE=1 beside the rest
run_sanitize() {
	local BUILD=$BUILD/sanitize rc=0 t f=
	SIVSHMEM_FINDINGS=$(mktemp -d) || return 3
	export BUILD SIVSHMEM_SANITIZED=1 SIVSHMEM_FINDINGS
	export UBSAN_OPTIONS=print_stacktrace=1
	# a cancelled thread's stack is gone before ASan looks for its signal stack
	ASAN_OPTIONS=use_sigaltstack=0 run_unit || rc=1
	# what leaks in programs that only have the shim in them is their affair
	export ASAN_OPTIONS=use_sigaltstack=0:detect_leaks=0:verify_asan_link_order=0
	for t in $SANITIZE_BATS; do
		own_shm bats --tap --timing "$t" || rc=1
	done
	for f in "$SIVSHMEM_FINDINGS"/cad.*; do
		[ -e "$f" ] || continue
		# it ended of itself while a test had it traced, to kill it
		! grep -q 'LeakSanitizer does not work under ptrace' "$f" || continue
		echo "not ok - sanitize: a daemon ended with this"
		grep -E -A20 'Sanitizer|runtime error' "$f" | head -n 60 | sed 's/^/# /'
		rc=1
	done
	rm -rf "$SIVSHMEM_FINDINGS"
	[ $rc -ne 0 ] || echo "ok - sanitize: no daemon had anything to report at its end"
	return $rc
}
: "${SANITIZE_BATS:=tests/020-ca.bats tests/030-policy.bats tests/100-local.bats \
	tests/110-shim.bats tests/111-names.bats tests/113-audit.bats tests/118-members.bats \
	tests/119-restart.bats tests/166-limits.bats}"

# what runs beside the others, one after the other
start_beside() {
	beside_log=$(mktemp) || exit 3
	nice -n 15 env PATIENCE=10 "$0" "$@" >"$beside_log" 2>&1 </dev/null &
	beside=$!
}

# its parts, as if they had run here; the last line is its own count
collect_beside() {
	local rc before=$failed
	wait "$beside"
	rc=$?
	beside=''
	sed '$d' "$beside_log"
	count "$beside_log"
	[ "$rc" -eq 0 ] || [ "$failed" -gt "$before" ] || {
		echo "not ok - what ran beside ended with $rc"
		failed=$((failed + 1))
	}
}

beside='' beside_log=''
trap 'rm -f "$log" $beside_log; [ -z "$beside" ] || kill "$beside"' EXIT
parts=()
while [ $# -gt 0 ]; do
	[ "$1" != beside ] || { shift; start_beside "$@"; break; }
	parts+=("$1")
	shift
done

for arg in "${parts[@]}"; do
	case $arg in
	unit)	part unit run_unit ;;
	local)	part local own_shm bats --tap --timing tests/0*.bats tests/1[0-46-9]*.bats tests/15[5-9]*.bats ;;
	fuzz)	part fuzz bats --tap --timing tests/150-fuzz.bats ;;
	sanitize) part sanitize run_sanitize ;;
	lint)	part lint tests/lint.sh ;;
	debug)
		part 'debug kernel' bats --tap --timing tests/5[0-7]*.bats tests/600-*.bats
		SECONDS_EACH=${STORM_SECONDS:-600} part 'storm' bats --tap --timing tests/610-*.bats ;;
	vm)
		# the first kernel runs everything, the others what depends on the kernel
		first=1
		for k in $KERNELS; do
			export SIVSHMEM_KERNEL=$k
			if [ $first = 1 ]; then
				part "vm on $k" bats --tap --timing tests/[5-9]*.bats
			else
				SECONDS_EACH=10 part "vm on $k" bats --tap --timing tests/500*.bats \
					tests/525*.bats tests/535*.bats tests/5[67]0*.bats \
					tests/565-attack.bats tests/600*.bats
			fi
			first=0
		done ;;
	*)	echo "tests/run.sh: unknown part '$arg' (unit, local, sanitize, fuzz, lint, vm, debug)" >&2
		exit 2 ;;
	esac
done
[ -z "$beside" ] || collect_beside
printf '%d passed, %d failed' "$passed" "$failed"
[ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped"
printf '\n'
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
