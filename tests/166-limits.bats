#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What a VM and a service may use, by the policy's limits; and that who is over them
# takes it from nobody else.

load helpers

setup_file() {
	D=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-limits.XXXXXX")
	export D
	ca_scratch "$D" <<'P'
version = 1;
vms = ( { name = "a"; limits = { handshakes = 10; log = 20; }; }, { name = "b"; } );
services = (
  { name = "t/here"; vm = "host"; },
  { name = "t/few";  vm = "host"; limits = { bytes = "8K"; objects = 2; sessions = 2; }; },
  { name = "t/slow"; vm = "host"; limits = { handshakes = 2; }; },
  { name = "t/terse"; vm = "host"; limits = { log = 10; }; },
  { name = "t/a";    vm = "a"; }
);
channels = (
  { name = "local"; quota = "1M"; members = (
      { service = "t/here"; rights = "rw,create"; },
      { service = "t/few"; rights = "rw,create"; },
      { service = "t/slow"; rights = "rw,create"; },
      { service = "t/terse"; rights = "rw,create"; } ); },
  { name = "one"; quota = "1M"; members = ( { service = "t/a"; rights = "rw,create"; } ); }
);
P
	local s
	for s in here few slow terse; do
		sivshmem-ca --dir "$D/ca" issue t/$s --out "$D/$s" >/dev/null 2>&1
	done
	printf 'transport unix:%s/run/local.sock\nmap /l-* local\n' "$D" >"$D/map"
	start_cad "$D"
}
teardown_file() {
	stop_cad "$D"
	rm -rf "$D"
}
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 5 "$D/audit.jsonl" "$D/cad.log"; }

# as SERVICE COMMAND...: under the shim
as() {
	local id=$1
	shift
	env LD_PRELOAD="$SHIM" SIVSHMEM_MAP="$D/map" SIVSHMEM_IDENTITY="$D/$id" \
		timeout -k 5 50 "$@" 3>&-
}

# lines JQ-EXPRESSION: how many of the audit log are so
lines() { audit "$D" "$1" | wc -l; }

@test "limits: bytes and objects of a service" {
	run_x as few shmtool open /l-1 rwcx , truncate 8192 , fails ENOSPC truncate 8193
	[ "$(lines '.service == "t/few" and .event == "resize" and
		.reason == "over the limit of bytes of the service that created it"')" -eq 1 ]
	# they are counted where they were made, whoever asks
	run_x as here shmtool open /l-1 rw , fails ENOSPC truncate 12288
	run_x as few shmtool open /l-2 rwcx , fails ENOSPC open /l-3 rwcx
	[ "$(lines '.reason == "over the service'"'"'s limit of objects"')" -eq 1 ]
	run_x as here shmtool open /l-3 rwcx , truncate 65536 , unlink /l-3
	run_x as few shmtool unlink /l-1 , open /l-4 rwcx , truncate 8192 , unlink /l-4 , unlink /l-2
}

@test "limits: sessions of a service at once" {
	local i
	for i in 1 2; do
		as few shmtool open /l-s rwc , truncate 4096 , map rw , wait 0 go 45 >/dev/null 2>&1 &
	done
	two() { [ "$(lines '.service == "t/few" and .object == "l-s"')" -eq 2 ]; }
	wait_for 10 two
	run_x as few shmtool fails EACCES open /l-s rw
	has "the host refused service 't/few'"
	[ "$(lines '.reason == "the service has all the sessions that it may have"')" -eq 1 ]
	run_x as here shmtool open /l-s rw , map rw , write 0 go
	wait
	run_x as few shmtool open /l-s rw , unlink /l-s
}

@test "limits: a service that begins too often waits, and is served" {
	local began=$SECONDS i p
	told() { [ "$(lines '.event == "limit" and .service == "t/slow" and .handshakes > 0')" -gt 0 ]; }
	# the first two at once, two in each second after; again where this machine is slower than that
	often() {
		local all=()
		for i in $(seq 8); do
			as slow shmtool open /l-often rwc >"$BATS_TEST_TMPDIR/$i" 2>&1 &
			all+=($!)
		done
		for p in "${all[@]}"; do wait "$p" || { cat "$BATS_TEST_TMPDIR"/*; touch "$D/unserved"; }; done
		told || { sleep 2; told; }
	}
	wait_for 30 often
	[ ! -e "$D/unserved" ]
	[ $((SECONDS - began)) -ge 2 ]
	[ "$(lines '.service == "t/slow" and .event != "limit" and .result == "refused"')" -eq 0 ]
	run_x as slow shmtool unlink /l-often
}

@test "limits: nothing is granted that the log has no line of" {
	local began=$SECONDS all=() i
	for i in $(seq 40); do all+=(open /l-terse rwc ','); done
	run_x as terse shmtool "${all[@]}" unlink /l-terse
	[ $((SECONDS - began)) -ge 2 ]
	[ "$(lines '.service == "t/terse" and .object == "l-terse" and .result == "granted"')" -eq 41 ]
}

@test "limits: a guest kernel that floods has so many handshakes and lines, and no more" {
	local before flood seen
	before=$(wc -l <"$D/audit.jsonl")
	python3 "$TOP/tests/attack/guest.py" flood "$D/run" a handshakes >"$D/flood" 3>&- &
	flood=$!
	wait_for 10 grep -q flooding "$D/flood"
	for i in 1 2 3 4; do
		sleep 1
		run_x as here shmtool open /l-beside rwcx , truncate 4096 , unlink /l-beside
	done
	kill -0 $flood
	kill $flood
	wait $flood || true
	told() { [ "$(lines '.event == "limit" and .vm == "a" and .handshakes > 100')" -gt 0 ]; }
	wait_for 5 told
	seen=$(tail -n "+$((before + 1))" "$D/audit.jsonl" | jq -c 'select(.vm == "a")' | wc -l)
	echo "# $seen lines on the guest that flooded" >&3
	# half of 20 at once, half of 20 in each second, the counts, and its coming and going
	[ "$seen" -le 100 ]
	run_x sivshmem-ca --dir "$D/ca" audit verify "$D/audit.jsonl"
}
