#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The unmodified programs of 116-programs.bats with an end in each VM: what they
# print must be the same. And what only VMs can show.

load helpers
load vmhelp
load programs

PAUSE=700

setup_file() { vm_world a b; }
teardown_file() { vm_end; }
setup() {
	N=/m-sync$BATS_TEST_NUMBER
	BASE=$F/examples
}
teardown() { vm_note; }

end() {
	local place=$1 program=$2 service=maker
	shift 2
	[ "$place" = a ] || service=peer
	[[ $program = */* || $program = node ]] || program=$F/$program
	as "$place" "$service" /usr/bin/env JOIN_SECONDS=30 "$program" "$@"
}

@test "sync: mutexes of each type" {
	local type
	for type in normal recursive errorcheck normal+robust recursive+robust errorcheck+robust; do
		N=/m-sync-$type sync_mutex $type
	done
}
@test "sync: a robust mutex that is not repaired" { sync_notrecoverable; }
@test "sync: children are not their parents" { sync_forked; }
@test "sync: zeroed memory" { sync_zeroed; }
@test "sync: C11's locks" { sync_c11; }
@test "sync: a barrier of two threads here and one there" { sync_barrier; }
@test "sync: conditions" { sync_cond; }
@test "sync: unnamed semaphores" { sync_sem; }
@test "sync: named semaphores" { sync_sem_named; }
@test "sync: read-write locks" { sync_rwlock; }
@test "sync: raw futexes" { COUNTS=hints sync_futex; }
@test "sync: signals and cancellation" { sync_interrupted; }
@test "sync: Boost's containers in a segment" { prog_boost_container; }
@test "sync: Boost's anonymous locks" { prog_boost_anonymous; }
@test "sync: Boost's named locks" { prog_boost_named; }
@test "sync: Boost's message queues" { prog_boost_queue; }
@test "sync: C++20's semaphores" { prog_atomic_wait; }
@test "sync: Python's bytes and lists" { prog_python; }
@test "sync: Node's typed arrays" {
	requires node
	(cd "$TOP/examples/node" && node -e 'require("shm-typed-array")' 2>/dev/null) ||
		skip "needs npm install in examples/node"
	prog_node
}

@test "sync: priority inheritance is refused at once" {
	run_x end a synctool make "$N" 4096 , mutex-init 0 normal+pi
	has 'mutex-init 0 -> 95 (EOPNOTSUPP)'
}

@test "sync: who tries a robust mutex of a dead owner hears of it" {
	end a synctool make "$N" 4096 , mutex-init 64 normal+robust , mutex-lock 64 , word 0 1 , \
		sleep 3000 , die >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	run_x end b synctool join "$N" , spinuntil 0 1 , mutex-trylock 64 , sleep 5000 , \
		mutex-trylock 64 , mutex-consistent 64 , mutex-unlock 64 , mutex-lock 64
	[ "$(grep '^mutex' <<<"$output")" = 'mutex-trylock 64 -> 16 (EBUSY)
mutex-trylock 64 -> 130 (EOWNERDEAD)
mutex-consistent 64 -> 0
mutex-unlock 64 -> 0
mutex-lock 64 -> 0' ]
}

@test "sync: a descriptor that was passed on is as good as the first" {
	run_x end a /usr/bin/python3 "$F/passtool.py" "$N"
	[ "$output" = 'SCM_RIGHTS sock
fork fork
exec exec
posix_spawn spwn
mode 0o640 size 8192
truncated to 0' ]
}

@test "sync: nothing uncontended calls the kernel" {
	local i
	local -a ops=()
	for i in 1 2 3 4 5 6 7 8; do
		ops+=(mutex-lock 64 "," mutex-unlock 64 "," mutex-lock 128 "," mutex-unlock 128 ","
			sem-post 192 "," sem-wait 192 "," cond-signal 256 "," cond-broadcast 256 ","
			rwlock-rdlock 320 "," rwlock-unlock 320 "," rwlock-wrlock 320 ","
			rwlock-unlock 320 ",")
	done
	run_x end a /usr/bin/env -u LD_PRELOAD strace -f -e trace=ioctl,futex -o /tmp/trace \
		-E LD_PRELOAD="$F/libsivshmem-shim.so" "$F/synctool" make "$N" 4096 , \
		mutex-init 128 normal+robust , sem-init 192 0 , "${ops[@]}" unlink "$N"
	[ "$(grep -c 'sem-wait 192 -> 0' <<<"$output")" -eq 8 ]
	run_x in_vm a cat /tmp/trace
	# one for the thread's id as an owner; none for each operation
	[ "$(grep -c 'futex(' <<<"$output")" -le 2 ]	# pthread_once(3)
	[ "$(grep -c '0xb7, 0x8' <<<"$output")" -eq 1 ]
	! grep -q '0xb7, 0x[67]' <<<"$output"
}

@test "sync: no kernel had anything to complain about" {
	no_splats a
	no_splats b
}
