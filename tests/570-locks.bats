#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# flock(2) and fcntl(2) on objects: they exclude between VMs as within one.

load helpers
load vmhelp

setup_file() { vm_world a b; }
teardown_file() { vm_end; }
teardown() { vm_note; }

la() { as a maker python3 "$F/locktool.py" "$@"; }
lb() { as b peer python3 "$F/locktool.py" "$@"; }
said() { grep -q "$2" "$W/$1"; }

# hold OUT VM OPERATION...: in the background
hold() {
	local out=$W/$1 vm=$2
	shift 2
	: >"$out"		# what the last of that name said does not count
	"$vm" "$@" >>"$out" 2>&1 3>&- &
}

@test "locks: flock excludes the other VM until it is given back" {
	hold one la /m-f flock ex print mine await /m-f-tried sleep 1 \
		flock un print gone
	wait_for 20 said one mine
	run_x lb /m-f flock ex nb flock sh nb mark /m-f-tried flock ex print got flock un
	[ "$(grep -v ' s$' <<<"$output" | head -5)" = 'flock ex EAGAIN
flock sh EAGAIN
flock ex done
got
flock un done' ]
	said one gone
}

@test "locks: shared ones live side by side, and a conversion waits for them" {
	hold one la /m-s flock sh print mine await /m-s-tried sleep 1
	wait_for 20 said one mine
	run_x lb /m-s flock sh nb flock ex nb mark /m-s-tried flock ex
	[ "$(grep -v ' s$' <<<"$output" | head -3)" = 'flock sh done
flock ex EAGAIN
flock ex done' ]
}

@test "locks: two who share one and both want it alone get it in turn" {
	hold one la /m-c flock sh print mine await /m-c-tried flock ex print first flock un
	wait_for 20 said one mine
	run_x lb /m-c flock sh mark /m-c-tried sleep 1 flock ex nb flock ex flock un
	[ "$(grep -v ' s$' <<<"$output" | sed -n '1p;3,$p')" = 'flock sh done
flock ex done
flock un done' ]
	wait_for 20 said one 'flock un done'
}

@test "locks: what is given back while the host is away is given back" {
	local workers
	hold one la /m-w flock ex print mine await /m-w-go sleep 4 flock un print gone hold
	wait_for 20 said one mine
	workers=$(status | jq '.vms[].worker_pid')
	run_x lb /m-w mark /m-w-go
	sleep 1
	kill -STOP $workers
	wait_for 40 said one gone
	# what it wrote into its ring is lost with the worker
	kill -KILL $workers
	run_x lb /m-w flock ex
	has 'flock ex done'
	run_x kill_in a python3
}

# slab: KiB that the kernel of A has for its own
slab() { in_vm a awk '/^Slab:/ { print $2 }' /proc/meminfo; }

@test "locks: unlocks without end while the host is away cost the kernel no memory" {
	local workers before now
	hold one la /m-i record ex 0 1000000 print mine await /m-i-go sleep 3 \
		idle 20000 peel 20000 hold
	hold two la /m-i flock sh open print mine await /m-i-go sleep 3 closes 12000 hold
	# one that nobody has ever locked
	hold three la /m-j print mine await /m-i-go sleep 3 idle 20000 hold
	wait_for 20 said one mine
	wait_for 20 said two mine
	wait_for 20 said three mine
	workers=$(status | jq '.vms[].worker_pid')
	run_x lb /m-i mark /m-i-go
	sleep 1
	before=$(slab)
	kill -STOP $workers
	wait_for 50 eval 'said one peel && said two closes && said three "idle record"' || { kill -CONT $workers; false; }
	now=$(slab)
	kill -CONT $workers
	cat "$W/one" "$W/two"
	said one 'idle flock done'
	said one 'idle record done'
	said one 'peel done'
	said two 'closes done'
	said three 'idle record done'
	echo "# $((now - before)) KiB more" | tee /dev/fd/3
	[ $((now - before)) -lt 800 ]
	# all that was given back is, and no more
	run_x lb /m-i record ex 0 20000 record ex 20000 1 nb
	has 'record ex 0 20000 done'
	has 'record ex 20000 1 EAGAIN'
	run_x kill_in a python3
}

@test "locks: one that is given after its asker has gone is given back" {
	local workers
	hold one la /m-g print mine await /m-g-go sleep 2 flock ex print back hold
	wait_for 20 said one mine
	workers=$(status | jq '.vms[].worker_pid')
	run_x lb /m-g mark /m-g-go
	sleep 1
	kill -STOP $workers
	wait_for 20 said one back
	kill -CONT $workers
	said one 'flock ex EHOSTDOWN'
	run_x lb /m-g flock ex
	has 'flock ex done'
	run_x kill_in a python3
}

@test "locks: what is given back late ends no lock that was taken since" {
	local workers
	hold one la /m-o flock ex print mine await /m-o-go sleep 2 aside un sleep 4 flock ex \
		print again hold
	wait_for 20 said one mine
	workers=$(status | jq '.vms[].worker_pid')
	run_x lb /m-o mark /m-o-go
	sleep 1
	kill -STOP $workers
	wait_for 20 said one 'aside un done'
	kill -CONT $workers
	wait_for 20 said one again
	for _ in 1 2 3 4 5; do
		run_x lb /m-o flock ex nb
		has 'flock ex EAGAIN'
		sleep 1
	done
	run_x kill_in a python3
}

@test "locks: who asks for an object's size all the time wakes nobody who waits for its lock" {
	hold one la /m-t flock ex print mine hold
	wait_for 20 said one mine
	hold two lb /m-t print mine flock ex
	wait_for 20 said two mine
	sleep 1
	# shellcheck disable=SC2016
	run_x as b peer sh -c 'p=$(grep -l "lock[t]ool" /proc/[0-9]*/cmdline | cut -d/ -f3)
		s() { awk "/^voluntary/ { print \$2 }" /proc/$p/status; }
		one=$(s)
		python3 -c "
import _posixshmem, os, time
fd, n, end = _posixshmem.shm_open(\"/m-t\", os.O_RDWR, mode=0), 0, time.monotonic() + 4
while time.monotonic() < end:
    os.fstat(fd)
    n += 1
print(\"asked\", n)"
		echo woken $(($(s) - one))'
	echo "$output" >"$W/asked"
	! said two 'flock ex done'
	run_x kill_in a python3
	wait_for 10 said two 'flock ex done'
	cat "$W/two"
	[ "$(sed -n 's/^asked //p' "$W/asked")" -gt 100 ]
	[ "$(sed -n 's/^woken //p' "$W/asked")" -lt 20 ]
}

@test "locks: record locks of two VMs meet byte by byte, and F_GETLK shows them" {
	hold one la /m-r record ex 10 20 record un 15 5 print mine await /m-r-tried
	wait_for 20 said one mine
	run_x lb /m-r record ex 0 10 nb record ex 9 2 nb record ex 15 5 nb test 0 100 \
		record sh 29 1 nb record sh 30 10 nb mark /m-r-tried
	[ "$(grep -v ' s$' <<<"$output" | head -6)" = 'record ex 0 10 done
record ex 9 2 EAGAIN
record ex 15 5 done
test ex 10 5
record sh 29 1 EAGAIN
record sh 30 10 done' ]
}

@test "locks: the end of a process, of a descriptor and of a child give them back" {
	hold one la /m-e flock ex print mine hold
	wait_for 20 said one mine
	hold two lb /m-e flock ex print mine hold
	sleep 1
	! said two mine
	run_x kill_in a python3
	wait_for 10 said two mine
	# two descriptions of one process, and a child that has the parent's
	run_x la /m-e2 flock ex open flock ex nb close flock ex nb fork flock un print child
	[ "$(grep -v ' s$' <<<"$output" | head -5)" = 'flock ex done
flock ex EAGAIN
flock ex done
flock un done
child' ]
	# closing any descriptor of the object drops the process's record locks
	hold three la /m-e3 record ex 0 10 open close print closed await /m-e3-tried
	wait_for 20 said three closed
	run_x lb /m-e3 record ex 0 10 nb mark /m-e3-tried
	has 'record ex 0 10 done'
}

@test "locks: a process that shreds a lock runs out of locks, and the daemon does not" {
	run_x la /m-shred record sh 0 5000 shred 500 record un 0 5000
	has 'shred done'
	run_x la /m-shred record sh 0 5000 shred 2000 record un 0 5000
	has 'shred ENOLCK'
	has 'record un 0 5000 done'
	run_x lb /m-shred record ex 0 5000 nb
	has 'record ex 0 5000 done'
}

@test "locks: the end of a VM gives them back" {
	hold one la /m-v flock ex record ex 0 0 print mine hold
	wait_for 20 said one mine
	hold two lb /m-v flock ex record ex 0 0 print mine
	sleep 1
	! said two mine
	kill -9 "$(cat "$W/a.pid")"
	wait_for 10 said two mine
	no_splats b
}
