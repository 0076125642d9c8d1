#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# POSIX semantics of shared memory between two VMs.
#
#   VM a: t/maker (rw,create)                     VM b: t/peer (rw,create), t/reader (ro)
#        shmtool + shim --- control --- sivshmem-cad --- control --- shim + shmtool
#             \------------------- link memory (channel main) -----------------/

load helpers
load vmhelp

setup_file() { vm_world a b; }
teardown_file() { vm_end; }
teardown() { vm_note; }

@test "vm: data crosses both ways" {
	run_x a open /m-x rwcx , truncate 10000 , map rw , check zero , write 9990 from-a
	run_x b open /m-x rw , stat , map rw , read 9990 6 , write 0 from-b
	has "size 10000 regular"
	has "read from-a"
	run_x a open /m-x r , map r , read 0 6 , unlink /m-x
	has "read from-b"
}

@test "vm: a name that no pattern matches stays a segment of its own VM" {
	run_x a open /plain rwc , truncate 100
	run_x 1 b open /plain r
	has "open: ENOENT"
	run_x a unlink /plain
}

@test "vm: ENOENT before creation, EEXIST for O_EXCL, size 0 until ftruncate" {
	run_x b fails ENOENT open /m-new rw
	run_x a open /m-new rwcx , stat
	has "size 0 regular"
	run_x b fails EEXIST open /m-new rwcx , open /m-new rwc , stat , unlink /m-new
	has "size 0 regular"
	run_x a fails ENOENT open /m-new r
}

@test "vm: O_EXCL has exactly one winner between two VMs" {
	local i wins
	for i in 1 2 3 4 5 6; do
		a open /m-race$i rwcx >"$BATS_TEST_TMPDIR/a" 2>&1 3>&- &
		b open /m-race$i rwcx >"$BATS_TEST_TMPDIR/b" 2>&1 3>&- &
		wait
		wins=$(cat "$BATS_TEST_TMPDIR"/[ab] | grep -c "^open /m-race$i")
		echo "round $i: $wins winners: $(cat "$BATS_TEST_TMPDIR"/[ab])"
		[ "$wins" -eq 1 ]
		[ "$(cat "$BATS_TEST_TMPDIR"/[ab] | grep -c '^open: EEXIST')" -eq 1 ]
		run_x b unlink /m-race$i
	done
}

@test "vm: a size set in one VM is what fstat shows in the other" {
	a open /m-size rwcx , truncate 1 , map rw 1 , wait 0 g 40 , truncate 70001 , \
		map rw , write 70000 Z , write 0 h , wait 0 q 40 \
		>"$BATS_TEST_TMPDIR/a" 2>&1 3>&- &
	local p=$!
	run_x b waitopen /m-size rw 30 , waitsize 1 10 , map rw 1 , write 0 g , \
		waitsize 70001 30 , map rw , wait 0 h 30 , read 70000 1 , write 0 q
	has "size 70001"
	has "read Z"
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	# and at once, with no loop, when ftruncate has returned
	run_x a open /m-size rw , truncate 4097
	run_x b open /m-size rw , stat , unlink /m-size
	has "size 4097 regular"
}

@test "vm: growing shows zeros, also where bytes were before shrinking" {
	run_x a open /m-grow rwcx , truncate 20000 , map rw , fill X , unmap , truncate 5000 , truncate 20000
	run_x b open /m-grow rw , map r , read 4998 4 , unmap , unlink /m-grow
	has "read XX.."
}

@test "vm: access past the end is SIGBUS, also after the other VM shrank it" {
	a open /m-shrink rwcx , truncate 3M , map rw , fill x , wait 0 s 40 , waitfault 2M 20 , fault r 0 \
		>"$BATS_TEST_TMPDIR/a" 2>&1 3>&- &
	local p=$!
	run_x b waitopen /m-shrink rw 20 , waitsize 3M 10 , map rw 3M , wait 3145727 x 20 , write 0 s , truncate 1M , stat
	has "size 1048576"
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	grep -q 'fault SIGBUS' "$BATS_TEST_TMPDIR/a"
	grep -q 'fault none' "$BATS_TEST_TMPDIR/a"
	run_x b unlink /m-shrink
}

@test "vm: a mapping sees what the other VM grew" {
	a open /m-late rwcx , truncate 1 , map rw 8192 , wait 0 g 40 , fault r 4096 , read 5000 3 \
		>"$BATS_TEST_TMPDIR/a" 2>&1 3>&- &
	local p=$!
	run_x b waitopen /m-late rw 20 , truncate 8192 , map rw , write 5000 abc , write 0 g
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	grep -q 'fault none' "$BATS_TEST_TMPDIR/a"
	grep -q 'read abc' "$BATS_TEST_TMPDIR/a"
	run_x b unlink /m-late
}

@test "vm: unlink with live mappings, and a new object under the reused name" {
	a open /m-life rwcx , truncate 4096 , map rw , write 0 old1 , wait 8 u 40 , \
		fails ENOENT open /m-life r , open /m-life rwcx , truncate 4096 , \
		read 0 4 , map rw , check zero , write 0 new1 , wait 8 d 40 , read 0 4 \
		>"$BATS_TEST_TMPDIR/a" 2>&1 3>&- &
	local p=$!
	run_x b waitopen /m-life rw 20 , map rw 4096 , wait 0 old1 20 , unlink /m-life , write 8 u , \
		waitopen /m-life rw 20 , read 0 4 , map rw 4096 , wait 0 new1 20 , write 8 d
	has "read old1"
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	run_x b unlink /m-life
}

@test "vm: memory is zero again for the next object" {
	run_x a open /m-res rwcx , truncate 6M , map rw , fill S , unlink /m-res
	run_x b open /m-res2 rwcx , truncate 6M , map rw , check zero , unlink /m-res2
}

@test "vm: quotas are refused with ENOSPC and free again after unlink" {
	run_x a open /m-q rwcx , fails ENOSPC truncate 9M , truncate 8M , stat
	run_x b open /m-q2 rwcx , fails ENOSPC truncate 4096
	run_x a unlink /m-q
	run_x b open /m-q2 rw , truncate 4096 , unlink /m-q2
}

@test "vm: O_TRUNC empties an object" {
	run_x a open /m-trunc rwcx , truncate 8192 , map rw , fill t
	run_x b open /m-trunc rwt , stat , truncate 8192 , map rw , check zero , unlink /m-trunc
	has "size 0 regular"
}

@test "vm: read, write and lseek work on the fd" {
	run_x a open /m-rw rwcx , pwrite 5000 tail , stat , seekend
	has "size 5004 regular"
	has "end 5004"
	run_x b open /m-rw r , pread 4998 10 , fails EBADF pwrite 0 x , unlink /m-rw
	has "read ..tail"
}

@test "vm: a forked child uses the mapping and opens more" {
	run_x a open /m-fork rwcx , truncate 4096 , map rw , fork , write 0 kid , open /m-fork2 rwcx , truncate 100 , stat
	has "size 100 regular"
	run_x b open /m-fork r , map r , read 0 3 , unlink /m-fork , unlink /m-fork2
	has "read kid"
}

@test "vm: several objects in several processes at once" {
	local i pids=()
	for i in 1 2 3 4; do
		a open /m-many$i rwcx , truncate 100000 , map rw , fill $i , wait 0 z 40 \
			>"$BATS_TEST_TMPDIR/a$i" 2>&1 3>&- &
		pids+=($!)
	done
	for i in 1 2 3 4; do
		run_x b waitopen /m-many$i rw 20 , waitsize 100000 10 , map rw , \
			wait 99999 $i 20 , check $i , write 0 z , unlink /m-many$i
	done
	for i in "${pids[@]}"; do wait "$i"; done
}

@test "vm: big objects, page by page and whole" {
	run_x a open /big-1 rwcx , truncate 48M , map rw , fill B
	run_x b open /big-1 rw , map rw , check B , fill C
	run_x a open /big-1 rw , map r , check C , unlink /big-1
}

@test "vm: Python's shared_memory, one end in each VM" {
	as_py() {
		"$VM" exec "$1" --dir "$W" --timeout 80 --user $U:$U -- sh -c \
			"echo 'map /telemetry main' > /tmp/py-$2.conf && exec $F/sivshmem run \
			--map /tmp/py-$2.conf --identity $F/$2 -- /usr/bin/python3 $F/$3" 3>&-
	}
	as_py a maker cluster.py >"$BATS_TEST_TMPDIR/a" 2>&1 3>&- &
	local p=$!
	run_x as_py b peer infotainment.py
	has "read 'speed=88 km/h from the cluster'"
	wait "$p" || { cat "$BATS_TEST_TMPDIR/a"; false; }
	grep -q "read back 'seen by infotainment: 88'" "$BATS_TEST_TMPDIR/a"
}

@test "vm: neither kernel had anything to complain about" {
	no_splats a
	no_splats b
}
