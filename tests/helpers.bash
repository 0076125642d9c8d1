# SPDX-License-Identifier: MIT
# Helpers for all Bats files: binaries, a scratch CA, a daemon, run_x.

: "${BUILD:=$(cd "$BATS_TEST_DIRNAME/.." && pwd)/build}"
TOP=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
export BUILD TOP
PATH=$BUILD:$BUILD/tools:$PATH
# of a build with SANITIZE=1 the runtime comes first
SHIM=${SIVSHMEM_SANITIZED:+$(gcc -print-file-name=libasan.so):}$BUILD/libsivshmem-shim.so

# how many times as long as alone things may take here
: "${PATIENCE:=1}"

# run_x [RC] COMMAND...: run under a bound, say what ran and what it printed,
# and demand the exit status (0 if not given).
run_x() {
	local want=0
	case $1 in
	[0-9]|[0-9][0-9]|[0-9][0-9][0-9]) want=$1; shift ;;
	esac
	if [ "$(type -t "$1")" = function ]; then
		run "$@"
	else
		run timeout -k 5 "${RUN_TIMEOUT:-$((60 * PATIENCE))}" "$@"
	fi
	printf '$ %s\n%s\n-> %s (want %s)\n' "$*" "$output" "$status" "$want"
	[ "$status" -eq "$want" ]
}

# has TEXT: the last run_x printed it.
has() {
	case $output in
	*"$1"*) ;;
	*)	printf 'expected to find: %s\nin: %s\n' "$1" "$output"; return 1 ;;
	esac
}

# hasnt TEXT
hasnt() {
	case $output in
	*"$1"*) printf 'did not expect: %s\nin: %s\n' "$1" "$output"; return 1 ;;
	esac
}

# requires root|python3...: skip aloud what this system can't do.
requires() {
	case $1 in
	root)	[ "$(id -u)" -eq 0 ] || skip "needs root" ;;
	*)	command -v "$1" >/dev/null || skip "needs $1" ;;
	esac
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	local end=$((SECONDS + $1 * PATIENCE))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || { echo "waited in vain for: $*"; return 1; }
		sleep 0.05
	done
}

# ca_scratch DIR: a CA in DIR/ca; the policy is read from standard input.
ca_scratch() {
	mkdir -p "$1/run"
	sivshmem-ca --dir "$1/ca" init --host testhost >/dev/null
	cat >"$1/ca/policy.conf"
	sivshmem-ca --dir "$1/ca" check >/dev/null
}

# start_cad DIR [OPTION...]: the daemon on DIR/ca and DIR/run; sets CAD_PID.
# With CAD_HOLD set, under --hold.
start_cad() {
	local dir=$1
	shift
	: >"$dir/cad.log"	# the one before may have said that it is ready
	ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=1 sivshmem-cad ${CAD_HOLD:+--hold} \
		--ca-dir "$dir/ca" --run-dir "$dir/run" \
		--audit "$dir/audit.jsonl" "$@" >"$dir/cad.log" 2>&1 3>&- &
	CAD_PID=$!
	echo "$CAD_PID" >"$dir/cad.mypid"
	wait_for 10 grep -q 'sivshmem-cad: ready' "$dir/cad.log" || {
		cat "$dir/cad.log"; return 1; }
}

# stop_cad DIR
stop_cad() {
	[ -f "$1/cad.mypid" ] || return 0
	kill "$(cat "$1/cad.mypid")" 2>/dev/null
	wait_for 5 not_running "$(cat "$1/cad.mypid")" ||
		kill -9 "$(cat "$1/cad.mypid")"
	rm -f "$1/cad.mypid"
	# Bats does not count what fails in teardown_file: tests/run.sh looks there, too
	if grep -E -A20 'Sanitizer|runtime error' "$1/cad.log"; then
		[ -z "${SIVSHMEM_FINDINGS:-}" ] || cp "$1/cad.log" "$(mktemp "$SIVSHMEM_FINDINGS/cad.XXXXXX")"
		return 1
	fi
}

# children PID: those of its processes that it has now (a bare system has no pgrep)
children() { cat "/proc/$1/task/$1/children"; }

not_running() { ! kill -0 "$1" 2>/dev/null; }

# audit DIR JQ-EXPRESSION: select audit lines, one compact JSON object a line.
audit() { jq -c "select($2)" "$1/audit.jsonl"; }
