#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# POSIX and C11 synchronisation between VMs, by a program that knows only those.

load helpers
load vmhelp

setup_file() { vm_world a b; }
teardown_file() { vm_end; }
teardown() { vm_note; }

sa() { as a maker "$F/synctool" "$@"; }
sb() { as b peer "$F/synctool" "$@"; }

# start OUT COMMAND...: in the background; end OUT: wait for it, and have its output
start() {
	local out=$W/$1
	shift
	: >"$out"
	{ "$@" || true; echo ended; } >"$out" 2>&1 3>&- &
}
said() { grep -q "$2" "$W/$1"; }
end() {
	wait_for 30 said "$1" '^ended$' || true
	cat "$W/$1"
}
# same OUT TEXT: it printed just that
same() { diff <(end "$1" | grep -vx ended) <(echo "$2"); }

@test "sync: a mutex excludes, and its unlock wakes the other VM" {
	local kind
	for kind in normal recursive errorcheck robust; do
		start one sa /m-mx-$kind:4096 mutex-init 64 $kind mutex-lock 64 set 0 1 \
			sleep 1500 set 0 2 mutex-unlock 64 until 0 3 mutex-timed 64 5000 mutex-unlock 64
		run_x sb /m-mx-$kind until 0 1 mutex-try 64 mutex-timed 64 100 mutex-clock 64 100 \
			mutex-lock 64 get 0 set 0 3 sleep 300 mutex-unlock 64
		[ "$output" = 'until ok
mutex-try EBUSY
mutex-timed ETIMEDOUT
mutex-clock ETIMEDOUT
mutex-lock ok
2 get ok
set ok
sleep ok
mutex-unlock ok' ]
		run_x end one
		has 'mutex-timed ok'
	done
}

@test "sync: mutexes keep their kind's rules, and zeroed memory is one" {
	run_x sa /m-rules:4096 mutex-lock 0 mutex-unlock 0 \
		mutex-init 64 recursive mutex-lock 64 mutex-lock 64 mutex-try 64 mutex-unlock 64 \
		mutex-unlock 64 mutex-destroy 64 mutex-unlock 64 mutex-unlock 64 mutex-destroy 64 \
		mutex-init 128 errorcheck mutex-unlock 128 mutex-lock 128 mutex-lock 128 mutex-try 128 \
		mutex-init 192 robust mutex-unlock 192 mutex-consistent 192 mutex-init 256 inherit
	[ "$output" = 'mutex-lock ok
mutex-unlock ok
mutex-init ok
mutex-lock ok
mutex-lock ok
mutex-try ok
mutex-unlock ok
mutex-unlock ok
mutex-destroy EBUSY
mutex-unlock ok
mutex-unlock EPERM
mutex-destroy ok
mutex-init ok
mutex-unlock EPERM
mutex-lock ok
mutex-lock EDEADLK
mutex-try EBUSY
mutex-init ok
mutex-unlock EPERM
mutex-consistent EINVAL
mutex-init EOPNOTSUPP' ]
}

@test "sync: the owner of a robust mutex dies, and the other VM repairs it" {
	start one sa /m-robust:4096 mutex-init 64 robust mutex-lock 64 set 0 1 hold
	start two sb /m-robust until 0 1 mutex-try 64 set 0 2 mutex-lock 64 mutex-consistent 64 \
		mutex-unlock 64 mutex-lock 64 mutex-unlock 64
	run_x sb /m-robust until 0 2
	sleep 1
	run_x in_vm a pkill -KILL synctool
	same two 'until ok
mutex-try EBUSY
set ok
mutex-lock EOWNERDEAD
mutex-consistent ok
mutex-unlock ok
mutex-lock ok
mutex-unlock ok'
	# one that is not repaired is lost, and a try sees the death too
	start one sa /m-robust mutex-lock 64 set 0 3 hold
	run_x sb /m-robust until 0 3
	run_x in_vm a pkill -KILL synctool
	end one
	run_x sb /m-robust mutex-try 64 mutex-unlock 64 mutex-lock 64 mutex-try 64
	[ "$output" = 'mutex-try EOWNERDEAD
mutex-unlock ok
mutex-lock ENOTRECOVERABLE
mutex-try ENOTRECOVERABLE' ]
}

@test "sync: condition variables: signal, broadcast, times" {
	local i
	run_x sa /m-cond:4096 mutex-init 64 errorcheck cond-init 128
	for i in 1 2 3; do
		start "w$i" sb /m-cond mutex-lock 64 add 0 1 cond-wait 128 64 add 4 1 mutex-unlock 64
	done
	run_x sa /m-cond until 0 3 mutex-lock 64 cond-signal 128 mutex-unlock 64 until 4 1 \
		sleep 2500 get 4 mutex-lock 64 cond-broadcast 128 mutex-unlock 64 until 4 3
	has '1 get ok'
	for i in 1 2 3; do
		run_x end "w$i"
		has 'cond-wait ok'
	done
	run_x sb /m-cond mutex-lock 64 cond-timed 128 64 200 cond-clock 128 64 200 mutex-unlock 64 \
		cond-signal 128 cond-destroy 128
	[ "$output" = 'mutex-lock ok
cond-timed ETIMEDOUT
cond-clock ETIMEDOUT
mutex-unlock ok
cond-signal ok
cond-destroy ok' ]
}

@test "sync: semaphores: units, times, signals" {
	run_x sa /m-sem:4096 sem-init 64 1 sem-wait 64 sem-try 64
	has 'sem-try EAGAIN'
	start one sb /m-sem set 0 1 sem-wait 64 sem-timed 64 200 sem-clock 64 10000 set 0 2
	run_x sa /m-sem until 0 1 sleep 500 sem-post 64 sleep 1500 sem-post 64 until 0 2 sem-get 64
	has '0 sem-get ok'
	same one 'set ok
sem-wait ok
sem-timed ETIMEDOUT
sem-clock ok
set ok'
	run_x sa /m-sem alarm 200 sem-wait 64 alarm 200 restart sem-timed 64 500 \
		alarm-posts 64 alarm 200 restart sem-wait 64 sem-get 64
	[ "$output" = 'alarm ok
sem-wait EINTR
alarm ok
sem-timed ETIMEDOUT
alarm-posts ok
alarm ok
sem-wait ok
0 sem-get ok' ]
}

@test "sync: threads that wait can be cancelled, and what they held is right" {
	run_x sa /m-cancel:4096 mutex-init 64 errorcheck cond-init 128 sem-init 192 0 \
		cancel 300 sem-wait 192 sem-post 192 sem-get 192 \
		mutex-lock 64 mutex-unlock 64
	has 'cancel ECANCELED'
	has '1 sem-get ok'
	# its cleanup handler finds the mutex held, and gives it back
	run_x sb /m-cancel cancel 500 cond-locked 128 64 mutex-try 64 mutex-unlock 64
	[ "$output" = 'cancel ECANCELED
mutex-try ok
mutex-unlock ok' ]
}

@test "sync: read-write locks" {
	run_x sa /m-rw:4096 rw-init 64 rw-rd 64 rw-tryrd 64 rw-trywr 64 rw-unlock 64 rw-unlock 64 \
		rw-wr 64 rw-tryrd 64 rw-timedwr 64 100 rw-unlock 64
	[ "$output" = 'rw-init ok
rw-rd ok
rw-tryrd ok
rw-trywr EBUSY
rw-unlock ok
rw-unlock ok
rw-wr ok
rw-tryrd EBUSY
rw-timedwr ETIMEDOUT
rw-unlock ok' ]
	start r1 sb /m-rw rw-rd 64 add 0 1 until 4 1 rw-unlock 64
	start r2 sb /m-rw rw-rd 64 add 0 1 until 4 1 rw-unlock 64
	start w1 sa /m-rw until 0 2 set 4 1 rw-wr 64 add 8 1 sleep 500 add 8 1 rw-unlock 64
	run_x sb /m-rw until 8 1 rw-rd 64 get 8 rw-unlock 64
	has '2 get ok'
	run_x end w1
	# a writer that waits goes before readers that come
	run_x sa /m-rww:4096 rw-init 64 writers
	start r1 sb /m-rww rw-rd 64 add 0 1 until 4 1 sleep 500 rw-unlock 64
	start w1 sa /m-rww until 0 1 set 4 1 rw-timedwr 64 9000 rw-unlock 64 add 8 1
	run_x sb /m-rww until 4 1 sleep 100 rw-tryrd 64 rw-rd 64 rw-unlock 64
	has 'rw-tryrd EBUSY'
	has 'rw-rd ok'
}

@test "sync: barriers let all go at once, round after round" {
	run_x sa /m-bar:4096 barrier-init 64 3
	start one sb /m-bar barrier-wait 64 barrier-wait 64 barrier-wait 64
	start two sb /m-bar barrier-wait 64 barrier-wait 64 barrier-wait 64
	run_x sa /m-bar sleep 500 barrier-wait 64 barrier-wait 64 barrier-wait 64 barrier-destroy 64
	echo "$output" >"$W/three"
	end one >>"$W/three"
	end two >>"$W/three"
	[ "$(grep -c 'barrier-wait ok' "$W/three")" = 9 ]
	[ "$(grep -c 'serial barrier-wait ok' "$W/three")" = 3 ]
}

@test "sync: C11 mutexes and conditions" {
	run_x sa /m-c11:4096 mtx-init 64 plain mtx-lock 64 mtx-try 64 mtx-timed 64 100 mtx-unlock 64
	has 'mtx-try EBUSY'
	has 'mtx-timed ETIMEDOUT'
	start one sb /m-c11 mtx-lock 64 set 0 1 cnd-wait 128 64 mtx-unlock 64 mtx-lock 64 \
		cnd-timed 128 64 200 mtx-unlock 64
	run_x sa /m-c11 until 0 1 mtx-lock 64 mtx-unlock 64 cnd-signal 128
	same one 'mtx-lock ok
set ok
cnd-wait ok
mtx-unlock ok
mtx-lock ok
cnd-timed ETIMEDOUT
mtx-unlock ok'
}

@test "sync: futexes by syscall(2), private ones too" {
	start one sb /m-fut:4096 set 4 1 futex-wait 0 0 futex-wait 0 0 futex-wait 0 7 200 set 4 2 \
		futex-bits 0 7 2 9000 set 4 3 futex-wait 0 7
	run_x sa /m-fut until 4 1 sleep 500 set 0 7 futex-wake 0 1 until 4 2 sleep 300 \
		futex-wakebits 0 1 2 until 4 3 sleep 300 \
		futex-requeue 0 1 9 futex-requeue 0 1 7
	has '1 futex-wake ok'
	has 'futex-requeue EAGAIN'
	has '1 futex-requeue ok'
	same one 'set ok
futex-wait ok
futex-wait EAGAIN
futex-wait ETIMEDOUT
set ok
futex-bits ok
set ok
futex-wait ok'
}

@test "sync: a child goes on with what its parent has" {
	start one sa /m-fork:4096 mutex-init 64 robust sem-init 128 0 mutex-lock 64 fork \
		mutex-try 64 mutex-unlock 64 sem-wait 128
	run_x sb /m-fork sleep 1500 sem-post 128
	run_x end one
	has 'mutex-try EBUSY'
	has 'mutex-unlock EPERM'
	has 'sem-wait ok'
}

@test "sync: named semaphores" {
	run_x as a maker "$F/semtool" open /m-named cx 1 , wait 5000 , value
	has 'value 0'
	start one as b peer "$F/semtool" open /m-named - , wait 9000 , value
	sleep 2
	! said one value
	run_x as a maker "$F/semtool" open /m-named - , post , close , unlink /m-named
	run_x end one
	has 'value 0'
	run_x 1 as b peer "$F/semtool" open /m-named -
}

@test "sync: nothing uncontended calls the kernel" {
	local i
	local -a ops=()
	for i in 1 2 3 4 5 6 7 8; do
		ops+=(mutex-lock 0 mutex-unlock 0 mutex-lock 64 mutex-unlock 64 sem-post 128 sem-wait 128
			cond-signal 192 cond-broadcast 192 rw-rd 256 rw-unlock 256 rw-wr 256 rw-unlock 256)
	done
	run_x as a maker env -u LD_PRELOAD strace -f -e trace=ioctl,futex -o /tmp/trace \
		-E LD_PRELOAD="$F/libsivshmem-shim.so" "$F/synctool" /m-fast:4096 \
		mutex-init 64 robust sem-init 128 0 mutex-lock 64 mutex-unlock 64 say begin "${ops[@]}"
	has begin
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
