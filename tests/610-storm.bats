#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Processes of two guests do everything at random to the same objects, while they
# and the daemon's workers are killed, certificates are revoked under them, and, on a
# kernel that can, allocations fail.
# SECONDS_EACH=600 SEED=n makes the long variant.

load helpers
load vmhelp

# one that is revoked every 8 seconds
vm_more() {
	local i
	for ((i = 1; i <= SECONDS_EACH / 8; i++)); do vm_issue "mortal$i" t/maker; done
}
setup_file() { vm_world a b; }
teardown_file() { vm_end; }
teardown() { vm_note; }

: "${SECONDS_EACH:=20}" "${SEED:=$RANDOM}"
# failing VM: from here on allocations that the module makes, or has made for it, fail
failing() {
	local from size to
	from=$(in_vm "$1" cat /sys/module/sivshmem/sections/.text)
	size=$(in_vm "$1" cat /sys/module/sivshmem/coresize)
	printf -v to '0x%x' $((from + size))
	in_vm "$1" sh -c "mount -t debugfs none /sys/kernel/debug 2>/dev/null
		for d in failslab fail_page_alloc; do
			cd /sys/kernel/debug/\$d 2>/dev/null || exit 0
			echo $from >require-start && echo $to >require-end || exit 1
			echo N >task-filter; echo 0 >verbose; echo -1 >times; echo 3 >interval
			echo N >ignore-gfp-wait; echo 30 >probability
		done"
}

stop_failing() {
	in_vm "$1" sh -c 'for d in failslab fail_page_alloc; do
		! cd /sys/kernel/debug/$d 2>/dev/null || echo 0 >probability; done'
}

# storm VM SERVICE SEED SECONDS
storm() {
	local vm=$1 service=$2 seed=$3 seconds=$4
	"$VM" exec "$vm" --dir "$W" --timeout $((seconds + 120)) --user $U:$U \
		--env SIVSHMEM_IDENTITY="$F/$service" --env SIVSHMEM_MAP="$F/shim.conf" \
		--env LD_PRELOAD="$F/libsivshmem-shim.so" -- "$F/storm" /m-storm "$seconds" "$seed" \
		>"$W/storm-$service" 2>&1 3>&-
}

# Revoked in the middle of their storm, one after the other.
mortals() {
	local i s bad=0
	for ((i = 1; i <= SECONDS_EACH / 8; i++)); do
		storm a "mortal$i" $((SEED + 1000 + i)) 6 &
		s=$!
		sleep $((2 + RANDOM % 3))
		ca revoke "$(ca show "$W/files/mortal$i" --json | jq -r '.chain[0].serial')" \
			--run-dir "$W/run" >/dev/null || bad=1
		wait $s || bad=1
	done
	return $bad
}

kill_workers() {
	local end=$((SECONDS + SECONDS_EACH)) w
	while [ $SECONDS -lt $end ]; do
		sleep $((1 + RANDOM % 4))
		for w in $(ca status --run-dir "$W/run" --json |
			jq '.vms[] | select(.name != "host") | .worker_pid'); do
			[ "$w" -eq 0 ] || kill -KILL "$w" 2>/dev/null || true
		done
	done
}

both() {
	local a b m bad=0
	storm a maker "$SEED" "$SECONDS_EACH" &
	a=$!
	storm b peer $((SEED + 1)) "$SECONDS_EACH" &
	b=$!
	mortals &
	m=$!
	kill_workers
	wait $a || bad=1
	wait $b || bad=1
	wait $m || bad=1
	grep -h '^storm:' "$W/storm-maker" "$W/storm-peer"
	return $bad
}

@test "storm: everything at random from two guests, seed $SEED" {
	failing a
	failing b
	RUN_TIMEOUT=$((SECONDS_EACH + 180)) run_x both
	[ "$(grep -c '^storm: seed' <<<"$output")" -eq 2 ]
	echo "$output" | grep '^storm:' | sed 's/^/# /' >&3
	# those who were revoked came again, in vain
	grep -q '"event":"auth".*"result":"refused","reason":"revoked"' "$W/audit.jsonl"
	echo "# $((SECONDS_EACH / 8)) certificates revoked meanwhile" >&3
}

@test "storm: afterwards both guests open, share and close as before" {
	stop_failing a
	stop_failing b
	sleep 2
	run_x a open /m-calm rwcx , truncate 4096 , map rw , write 0 calm
	run_x b open /m-calm rw , map rw , read 0 4
	has "read calm"
	run_x a unlink /m-calm
}

@test "storm: no kernel had anything to complain about" {
	no_splats a
	no_splats b
}

@test "storm: no memory of the module was lost" {
	local vm
	for vm in a b; do
		in_vm "$vm" sh -c 'f=/sys/kernel/debug/kmemleak; [ -e $f ] || exit 0
			echo scan >$f; sleep 6; echo scan >$f; cat $f' >"$W/leaks-$vm"
		! grep -A20 -B5 -E 'sivshmem|siv_' "$W/leaks-$vm"
	done
}
