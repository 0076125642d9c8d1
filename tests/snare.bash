# SPDX-License-Identifier: MIT
# Kill a domain's worker at a system call of its own, from outside: strace stops
# it before the call, so each number of a call is another boundary of messages.
# Wants status() (the daemon's JSON) and $SNARE, a file for strace's words.

SNARE_CALLS=(recvfrom sendto write read)	# what a worker says and hears by

worker() { status | jq ".vms[] | select(.name == \"$1\").worker_pid"; }
kills() { grep -c worker-exit "$2/audit.jsonl" || true; }
new_worker() { # VM PID: another one is there, and not in its first moments
	local pid
	pid=$(worker "$1")
	[ "${pid:-0}" -gt 0 ] && [ "$pid" -ne "$2" ]
}
# the snare lies, or has closed already
laid() { ! kill -0 "$1" 2>/dev/null || grep -q "TracerPid:.*[1-9]" "/proc/$1/status"; }

# snare VM CALL N: the Nth CALL from now on is its end
snare() {
	snare_worker=$(worker "$1")
	strace -qq -p "$snare_worker" -e trace="$2" \
		--inject="$2:signal=KILL:when=$3" -o /dev/null 2>"$SNARE" 3>&- &
	snare_pid=$!
	wait_for 10 laid "$snare_worker"
}
# snared VM: it was caught, and there is another; else the snare is taken away
snared() {
	if kill -0 "$snare_worker" 2>/dev/null; then
		kill "$snare_pid" 2>/dev/null || true
		wait "$snare_pid" 2>/dev/null || true
		return 1
	fi
	wait "$snare_pid" 2>/dev/null || true
	wait_for 5 new_worker "$1" "$snare_worker"
}
