#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Unmodified programs as they run natively: both ends here, no shim. What they
# print is what they must print with the ends in VMs.

load helpers
load programs

setup() {
	N=/sivshmem-t$BATS_ROOT_PID-$BATS_TEST_NUMBER
	BASE=$TOP/examples
	export JOIN_SECONDS=20
}
teardown() { rm -f "/dev/shm${N}"* "/dev/shm/sem.${N#/}"*; }

end() {
	shift
	exec timeout -s KILL 60 "$@"
}

@test "programs: Boost's containers in a segment" { prog_boost_container; }
@test "programs: Boost's anonymous locks" { prog_boost_anonymous; }
@test "programs: Boost's named locks" { prog_boost_named; }
@test "programs: Boost's message queues" { prog_boost_queue; }
@test "programs: C++20's semaphores" { prog_atomic_wait; }
@test "programs: Python's bytes and lists" { prog_python; }
@test "programs: Node's typed arrays" {
	requires node
	(cd "$BASE/node" && node -e 'require("shm-typed-array")' 2>/dev/null) ||
		skip "needs npm install in examples/node"
	prog_node
}
@test "programs: mutexes of each type" {
	local type
	for type in normal recursive errorcheck normal+robust recursive+robust errorcheck+robust; do
		sync_mutex $type
	done
}
@test "programs: a robust mutex that is not repaired" { sync_notrecoverable; }
@test "programs: children are not their parents" { sync_forked; }
@test "programs: zeroed memory" { sync_zeroed; }
@test "programs: C11's locks" { sync_c11; }
@test "programs: a barrier of two threads here and one there" { sync_barrier; }
@test "programs: conditions" { sync_cond; }
@test "programs: unnamed semaphores" { sync_sem; }
@test "programs: named semaphores" { sync_sem_named; }
@test "programs: read-write locks" { sync_rwlock; }
@test "programs: raw futexes" { sync_futex; }
@test "programs: signals and cancellation" { sync_interrupted; }
