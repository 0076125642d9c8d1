#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The unmodified programs of 116-programs.bats with both ends on this host, each
# under the shim with an identity of its own: local mode.

load helpers
load programs
load waits

setup_file() {
	D=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-local.XXXXXX")
	export D
	ca_scratch "$D" <<'P'
version = 1;
services = ( { name = "t/maker"; vm = "host"; }, { name = "t/peer"; vm = "host"; } );
channels = ( { name = "main"; quota = "8M"; objects = 200; members = (
      { service = "t/maker"; rights = "rw,create"; },
      { service = "t/peer";  rights = "rw,create"; } ); } );
P
	mkdir "$D/id"
	sivshmem-ca --dir "$D/ca" issue t/maker --out "$D/id/maker" >/dev/null 2>&1
	sivshmem-ca --dir "$D/ca" issue t/peer --out "$D/id/peer" >/dev/null 2>&1
	cat >"$D/map" <<C
transport unix:$D/run/local.sock
map /l-*   main
map /psm_* main
C
	start_cad "$D"
}
teardown_file() {
	stop_cad "$D"
	rm -rf "$D"
}
setup() {
	N=/l-$BATS_TEST_NUMBER
	BASE=$TOP/examples
	W=$D
	export JOIN_SECONDS=20
}
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 5 "$D/audit.jsonl" "$D/cad.log"; }

end() {
	local service=maker
	[ "$1" = a ] || service=peer
	shift
	exec timeout -s KILL 60 env LD_PRELOAD="$BUILD/libsivshmem-shim.so" SIVSHMEM_MAP="$D/map" \
		SIVSHMEM_IDENTITY="$D/id/$service" "$@"
}

w() {
	TRANSPORT=unix:$D/run/local.sock SIVSHMEM_IDENTITY=$D/id/$2 \
		timeout -s KILL 60 waittool main "${@:3}" 3>&-
}

# nothing went past the channel
nothing_outside() { ! compgen -G "/dev/shm/*${N#/}*"; }

@test "local: Boost's containers in a segment" { prog_boost_container && nothing_outside; }
@test "local: Boost's anonymous locks" { prog_boost_anonymous && nothing_outside; }
@test "local: Boost's named locks" { prog_boost_named && nothing_outside; }
@test "local: Boost's message queues" { prog_boost_queue && nothing_outside; }
@test "local: C++20's semaphores" { prog_atomic_wait && nothing_outside; }
@test "local: Python's bytes and lists" { prog_python && nothing_outside; }
@test "local: mutexes of each type" {
	local type
	for type in normal recursive errorcheck normal+robust recursive+robust errorcheck+robust; do
		N=/l-$type sync_mutex $type
	done
}
@test "local: a robust mutex that is not repaired" { sync_notrecoverable; }
@test "local: children are not their parents" { sync_forked; }
@test "local: zeroed memory" { sync_zeroed; }
@test "local: C11's locks" { sync_c11; }
@test "local: a barrier of two threads here and one there" { sync_barrier; }
@test "local: conditions" { sync_cond; }
@test "local: unnamed semaphores" { sync_sem; }
@test "local: named semaphores" { sync_sem_named && nothing_outside; }
@test "local: read-write locks" { sync_rwlock; }
@test "local: raw futexes" { sync_futex; }
@test "local: signals and cancellation" { sync_interrupted; }
@test "local: sivshmem_wait and sivshmem_wake" {
	wait_woken
	wait_few
	wait_times
}
