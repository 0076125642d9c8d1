#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# All primitives at once, from three VMs with four processes each; SECONDS_EACH=600
# makes the long variant. Every operation is checked by the program.

load helpers
load vmhelp

setup_file() { vm_world a b c; }
teardown_file() { vm_end; }
teardown() { vm_note; }

: "${SECONDS_EACH:=30}"

# place NAME NUMBER VM SERVICE [kill]: one VM's part
place() {
	local name=$1 number=$2 vm=$3 service=$4
	shift 4
	"$VM" exec "$vm" --dir "$W" --timeout $((SECONDS_EACH + 200)) --user $U:$U \
		--env SIVSHMEM_IDENTITY="$F/$service" --env SIVSHMEM_MAP="$F/shim.conf" \
		--env LD_PRELOAD="$F/libsivshmem-shim.so" -- \
		"$F/stress" "$name" "$number" 3 4 "$SECONDS_EACH" "$@" >"$W/stress-$number" 2>&1 3>&-
}

# load_it NAME [kill]: from all three; their words are shown
load_it() {
	local name=$1 pids=() bad=0 p
	shift
	place "$name" 0 a maker "$@" &
	pids+=($!)
	place "$name" 1 b peer "$@" &
	pids+=($!)
	place "$name" 2 c third "$@" &
	pids+=($!)
	for p in "${pids[@]}"; do wait "$p" || bad=1; done
	cat "$W"/stress-[012]
	return $bad
}

@test "stress: a mixed load of all primitives from three VMs stays exact" {
	run_x load_it /t3-load
	[ "$(grep -cx exact <<<"$output")" -eq 3 ]
	echo "$output" | sed 's/^/# /' >&3
}

@test "stress: the same while processes are killed at random" {
	run_x load_it /t3-kill kill
	[ "$(grep -cx exact <<<"$output")" -eq 3 ]
	echo "$output" | sed 's/^/# /' >&3
}

@test "stress: no kernel had anything to complain about" {
	no_splats a
	no_splats b
	no_splats c
}
