# SPDX-License-Identifier: MIT
# Unmodified programs, their ends in places a, b and c, and what they must print
# wherever these are. A Bats file defines where that is:
#
#   end PLACE COMMAND...   run it there, under a bound; a tool has its bare name;
#                          called in a subshell, so it may exec
#   N                      a name for shared objects, with a slash, new each time
#   BASE                   the directory of examples/ as PLACE sees it
#   PAUSE                  ms in which the other end surely got into its wait
#
# so that the same text is expected natively and between VMs.

: "${PAUSE:=300}"
PYTHON=/usr/bin/python3

# ends A B [C]: these commands at once, each in its place; all must end with 0,
# or with WANT_A, WANT_B... Their output is in $BATS_TEST_TMPDIR/a and so on.
ends() {
	local command place rc bad=0 want
	local -a places=(a b c) jobs=() words=()
	for command in "$@"; do
		place=${places[${#jobs[@]}]}
		eval "words=($command)"
		end "$place" "${words[@]}" >"$BATS_TEST_TMPDIR/$place" \
			2>"$BATS_TEST_TMPDIR/$place.err" 3>&- &
		jobs+=($!)
	done
	for place in "${places[@]:0:$#}"; do
		rc=0
		wait "${jobs[0]}" || rc=$?
		jobs=("${jobs[@]:1}")
		want=WANT_${place^^}
		printf '$ %s: %s\n' "$place" "$1"
		shift
		cat "$BATS_TEST_TMPDIR/$place" "$BATS_TEST_TMPDIR/$place.err"
		printf -- '-> %s (want %s)\n' "$rc" "${!want:-0}"
		[ "$rc" -eq "${!want:-0}" ] || bad=1
	done
	return $bad
}

# printed PLACE LINE...: exactly these lines
printed() {
	local place=$1
	shift
	diff <(printf '%s\n' "$@") "$BATS_TEST_TMPDIR/$place"
}

prog_boost_container() {
	ends "boost container make ${N#/} 200" "boost container use ${N#/} 200" || return 1
	printed a 'make: the map has 200 entries, the last 39602, the vector 201' &&
		printed b 'use: 200 squares add up to 2646700' 'use: vector gone: 1'
}
prog_boost_anonymous() {
	ends "boost anonymous make ${N#/} 500" "boost anonymous use ${N#/} 500" || return 1
	printed a 'make: 500 items, sum 375750' && printed b 'use: 500 items, sum 375750'
}
prog_boost_named() {
	ends "boost named make ${N#/} 500" "boost named use ${N#/} 500" || return 1
	printed a 'make: counted to 1000' && printed b 'use: counted to 1000'
}
prog_boost_queue() {
	ends "boost queue make ${N#/} 500" "boost queue use ${N#/} 500" || return 1
	printed a 'make: sent 500 messages, told that they add up to 125250 with priority 7' &&
		printed b 'use: received 500 messages, which add up to 125250, then none: 1'
}

prog_atomic_wait() {
	ends "atomic_wait ping $N 500" "atomic_wait pong $N 500" || return 1
	printed a 'ping: 500 rounds, ball 1000' && printed b 'pong: 500 rounds, ball 1000'
}

prog_python() {
	ends "$PYTHON $BASE/python/exchange.py make ${N#/}" \
		"$PYTHON $BASE/python/exchange.py use ${N#/}" || return 1
	printed a 'make: 5000 bytes, zero: True' \
		"make: read b'world', the list is now ['TEXT', 43, 2.5, None, True, b'bytes']" &&
		printed b "use: read b'hello', 6 things: ['text', 42, 2.5, None, True, b'bytes']" \
		'use: done'
}

prog_node() {
	ends "node $BASE/node/exchange.js make $N" "node $BASE/node/exchange.js use $N" || return 1
	printed a "make: read 'world', sum 499500" &&
		printed b "use: 1000 numbers, sum 249750, read 'hello'" 'use: done'
}

# sync 'A WORDS' 'B WORDS': synctool at both ends; word 0 says that a has made all
sync() { ends "synctool make $N 4096 , $1 , unlink $N" "synctool join $N , spinuntil 0 1 , $2"; }

# sync_mutex TYPE: handed over; who has it not can't unlock it, nor wait for ever
sync_mutex() {
	local theft='' stolen=()
	[ "$1" = normal ] || theft='mutex-unlock 64 ,' stolen=('mutex-unlock 64 -> 1 (EPERM)')
	sync "mutex-init 64 $1 , mutex-lock 64 , word 0 1 , spinuntil 4 1 , sleep $PAUSE ,
		word 8 7 , mutex-unlock 64 , spinuntil 4 2 , mutex-lock 64 , expect 8 8 ,
		mutex-unlock 64 , mutex-destroy 64" \
		"$theft mutex-trylock 64 , mutex-timedlock 64 50 , mutex-clocklock 64 50 ,
		word 4 1 , mutex-lock 64 , expect 8 7 , word 8 8 , mutex-unlock 64 , word 4 2" ||
		return 1
	printed a 'mutex-init 64 -> 0' 'mutex-lock 64 -> 0' 'mutex-unlock 64 -> 0' \
		'mutex-lock 64 -> 0' 'mutex-unlock 64 -> 0' 'mutex-destroy 64 -> 0' &&
		printed b "${stolen[@]}" 'mutex-trylock 64 -> 16 (EBUSY)' \
			'mutex-timedlock 64 -> 110 (ETIMEDOUT)' \
			'mutex-clocklock 64 -> 110 (ETIMEDOUT)' \
			'mutex-lock 64 -> 0' 'mutex-unlock 64 -> 0'
}

# a child is another owner than its parent, however it was made
sync_forked() {
	sync "mutex-init 64 errorcheck , mutex-init 128 recursive , mutex-lock 64 , mutex-lock 128 ,
		mutex-unlock-forked 64 , mutex-unlock-forked 128 , word 0 1 , mutex-unlock 64 ,
		mutex-unlock 128 , spinuntil 4 1" \
		"mutex-lock 64 , mutex-unlock 64 , word 4 1" || return 1
	printed a 'mutex-init 64 -> 0' 'mutex-init 128 -> 0' 'mutex-lock 64 -> 0' \
		'mutex-lock 128 -> 0' 'mutex-unlock-forked 64 -> 1 (EPERM)' \
		'mutex-unlock-forked 128 -> 1 (EPERM)' 'mutex-unlock 64 -> 0' \
		'mutex-unlock 128 -> 0'
}

# b dies with the mutex while a waits; a does not repair it
sync_notrecoverable() {
	WANT_B=137 sync "mutex-init 64 normal+robust , word 0 1 , spinuntil 4 1 , mutex-lock 64 ,
		mutex-unlock 64 , mutex-lock 64 , mutex-trylock 64 , mutex-consistent 64 ,
		mutex-destroy 64" \
		"mutex-lock 64 , word 4 1 , sleep $PAUSE , die" || return 1
	printed a 'mutex-init 64 -> 0' 'mutex-lock 64 -> 130 (EOWNERDEAD)' \
		'mutex-unlock 64 -> 0' 'mutex-lock 64 -> 131 (ENOTRECOVERABLE)' \
		'mutex-trylock 64 -> 131 (ENOTRECOVERABLE)' \
		'mutex-consistent 64 -> 22 (EINVAL)' 'mutex-destroy 64 -> 0' &&
		printed b 'mutex-lock 64 -> 0'
}

sync_cond() {
	sync "mutex-init 64 errorcheck , cond-init 128 , word 0 1 , mutex-lock 64 ,
		cond-until 128 64 8 1 , cond-timedwait 128 64 50 , cond-clockwait 128 64 50 ,
		mutex-unlock 64 , word 4 1 , mutex-lock 64 , cond-until 128 64 8 2 ,
		mutex-unlock 64 , spinuntil 4 2 , cond-destroy 128" \
		"sleep $PAUSE , mutex-lock 64 , word 8 1 , cond-signal 128 , mutex-unlock 64 ,
		spinuntil 4 1 , sleep $PAUSE , mutex-lock 64 , word 8 2 , cond-broadcast 128 ,
		mutex-unlock 64 , word 4 2" || return 1
	printed a 'mutex-init 64 -> 0' 'cond-init 128 -> 0' 'mutex-lock 64 -> 0' \
		'cond-until 128 -> 0' 'cond-timedwait 128 -> 110 (ETIMEDOUT)' \
		'cond-clockwait 128 -> 110 (ETIMEDOUT)' 'mutex-unlock 64 -> 0' \
		'mutex-lock 64 -> 0' 'cond-until 128 -> 0' 'mutex-unlock 64 -> 0' \
		'cond-destroy 128 -> 0' &&
		printed b 'mutex-lock 64 -> 0' 'cond-signal 128 -> 0' 'mutex-unlock 64 -> 0' \
			'mutex-lock 64 -> 0' 'cond-broadcast 128 -> 0' 'mutex-unlock 64 -> 0'
}

sync_sem() {
	sync "sem-init 64 0 , word 0 1 , sem-wait 64 , sem-timedwait 64 50 ,
		sem-clockwait 64 50 , sem-trywait 64 , word 4 1 , sem-wait 64 , sem-getvalue 64 ,
		sem-destroy 64" \
		"sleep $PAUSE , sem-post 64 , spinuntil 4 1 , post-in-handler 64 $PAUSE ,
		sleep $((2 * PAUSE)) , handled" || return 1
	printed a 'sem-init 64 -> 0' 'sem-wait 64 -> 0' 'sem-timedwait 64 -> -1 (ETIMEDOUT)' \
		'sem-clockwait 64 -> -1 (ETIMEDOUT)' 'sem-trywait 64 -> -1 (EAGAIN)' \
		'sem-wait 64 -> 0' 'sem-getvalue 64 -> 0' 'sem-destroy 64 -> 0' &&
		printed b 'sem-post 64 -> 0' 'handled 1'
}

sync_sem_named() {
	sync "sem-open $N-s r , sem-open $N-s cx 600 1 , word 0 1 , spinuntil 4 1 ,
		sem-trywait $N-s , sleep $PAUSE , sem-post $N-s , spinuntil 4 2 , sem-unlink $N-s ,
		sem-unlink $N-s , word 0 2 , spinuntil 4 3 , sem-getvalue $N-s , sem-close $N-s" \
		"sem-open $N-s cx 600 5 , sem-open $N-s c 600 5 , sem-wait $N-s , word 4 1 ,
		sem-wait $N-s , word 4 2 , spinuntil 0 2 , sem-open $N-s r , sem-post $N-s ,
		sem-close $N-s , word 4 3" || return 1
	printed a "sem-open $N-s -> -1 (ENOENT)" "sem-open $N-s -> 0" \
		"sem-trywait $N-s -> -1 (EAGAIN)" "sem-post $N-s -> 0" "sem-unlink $N-s -> 0" \
		"sem-unlink $N-s -> -1 (ENOENT)" "sem-getvalue $N-s -> 1" "sem-close $N-s -> 0" &&
		printed b "sem-open $N-s -> -1 (EEXIST)" "sem-open $N-s -> 0" \
			"sem-wait $N-s -> 0" "sem-wait $N-s -> 0" "sem-open $N-s -> -1 (ENOENT)" \
			"sem-post $N-s -> 0" "sem-close $N-s -> 0"
}

sync_rwlock() {
	sync "rwlock-init 64 , rwlock-rdlock 64 , word 0 1 , spinuntil 4 1 , sleep $PAUSE ,
		rwlock-unlock 64 , spinuntil 4 2 , rwlock-tryrdlock 64 , rwlock-trywrlock 64 ,
		rwlock-timedrdlock 64 50 , rwlock-clockwrlock 64 50 , word 0 2 , rwlock-rdlock 64 ,
		expect 8 1 , rwlock-unlock 64 , rwlock-wrlock 64 , rwlock-rdlock 64 ,
		rwlock-wrlock 64 , rwlock-timedwrlock 64 50 , rwlock-trywrlock 64 ,
		rwlock-unlock 64 , rwlock-destroy 64" \
		"rwlock-rdlock 64 , rwlock-unlock 64 , rwlock-trywrlock 64 , rwlock-timedwrlock 64 50 ,
		word 4 1 , rwlock-wrlock 64 , word 4 2 , spinuntil 0 2 , sleep $PAUSE , word 8 1 ,
		rwlock-unlock 64" || return 1
	printed a 'rwlock-init 64 -> 0' 'rwlock-rdlock 64 -> 0' 'rwlock-unlock 64 -> 0' \
		'rwlock-tryrdlock 64 -> 16 (EBUSY)' 'rwlock-trywrlock 64 -> 16 (EBUSY)' \
		'rwlock-timedrdlock 64 -> 110 (ETIMEDOUT)' \
		'rwlock-clockwrlock 64 -> 110 (ETIMEDOUT)' 'rwlock-rdlock 64 -> 0' \
		'rwlock-unlock 64 -> 0' 'rwlock-wrlock 64 -> 0' \
		'rwlock-rdlock 64 -> 35 (EDEADLK)' 'rwlock-wrlock 64 -> 35 (EDEADLK)' \
		'rwlock-timedwrlock 64 -> 35 (EDEADLK)' 'rwlock-trywrlock 64 -> 16 (EBUSY)' \
		'rwlock-unlock 64 -> 0' 'rwlock-destroy 64 -> 0' &&
		printed b 'rwlock-rdlock 64 -> 0' 'rwlock-unlock 64 -> 0' \
			'rwlock-trywrlock 64 -> 16 (EBUSY)' \
			'rwlock-timedwrlock 64 -> 110 (ETIMEDOUT)' 'rwlock-wrlock 64 -> 0' \
			'rwlock-unlock 64 -> 0'
}

# b's three threads and a: each wake moves or wakes as many as it says; between
# VMs it moves nobody, and says how many it may have reached (COUNTS=hints)
sync_futex() {
	sync "word 0 1 , futex-wait 8 1 shared , futex-wait 8 0 shared 50 ,
		futex-wait-bitset 8 0 1 shared 50 , futex-wait 8 0 shared , word 0 2 ,
		spinuntil 4 1 , sleep $PAUSE , futex-wake-bitset 8 9 8 shared ,
		futex-cmp-requeue 8 0 9 12 1 shared , futex-cmp-requeue 8 0 9 12 0 shared ,
		futex-wake 8 9 shared , futex-wake 12 9 shared" \
		"sleep $PAUSE , futex-wake 8 1 shared , spinuntil 0 2 , start futex-wait 8 0 shared ,
		start futex-wait 8 0 shared , start futex-wait-bitset 8 0 4 shared , word 4 1 ,
		finish" || return 1
	[ -z "${COUNTS:-}" ] || sed -i -e '/futex-wake-b/s/-> .*/-> 2/' -e '/futex-wake 8/s/-> .*/-> 0/' \
		-e '/requeue 8 -> [0-9]/s/-> .*/-> 1/' -e '/futex-wake 12/s/-> .*/-> 1/' \
		"$BATS_TEST_TMPDIR/a"
	printed a 'futex-wait 8 -> -1 (EAGAIN)' 'futex-wait 8 -> -1 (ETIMEDOUT)' \
		'futex-wait-bitset 8 -> -1 (ETIMEDOUT)' 'futex-wait 8 -> 0' \
		'futex-wake-bitset 8 -> 2' 'futex-cmp-requeue 8 -> -1 (EAGAIN)' \
		'futex-cmp-requeue 8 -> 1' 'futex-wake 8 -> 0' 'futex-wake 12 -> 1' &&
		printed b 'futex-wake 8 -> 1' 'futex-wait 8 -> 0' 'futex-wait 8 -> 0' \
			'futex-wait-bitset 8 -> 0'
}

# what a waiter hears of signals and cancellation, while b could still wake it
sync_interrupted() {
	sync "sem-init 64 0 , mutex-init 128 normal , cond-init 192 , word 0 1 ,
		signal $PAUSE eintr , sem-wait 64 , handled , cancel $PAUSE sem-wait 64 ,
		cancel $PAUSE cond-wait 192 128 , cancel $PAUSE cond-timedwait 192 128 60000 ,
		signal $PAUSE restart , sem-timedwait 64 60000 , handled ,
		signal $PAUSE restart , word 0 2 , sem-wait 64 , handled , mutex-trylock 128 ,
		mutex-unlock 128 , sem-getvalue 64" \
		"spinuntil 0 2 , sleep $((3 * PAUSE)) , sem-post 64" || return 1
	printed a 'sem-init 64 -> 0' 'mutex-init 128 -> 0' 'cond-init 192 -> 0' \
		'sem-wait 64 -> -1 (EINTR)' 'handled 1' 'cancel sem-wait 64 -> cancelled' \
		'cancel cond-wait 192 -> cancelled, mutex held' \
		'cancel cond-timedwait 192 -> cancelled, mutex held' \
		'sem-timedwait 64 -> -1 (EINTR)' 'handled 1' 'sem-wait 64 -> 0' \
		'handled 1' 'mutex-trylock 128 -> 0' 'mutex-unlock 128 -> 0' \
		'sem-getvalue 64 -> 0' && printed b 'sem-post 64 -> 0'
}

# Zeroed memory is an unlocked mutex and a semaphore of 0. They are private to
# their process, so natively nobody is woken: no end waits without a bound.
sync_zeroed() {
	sync "zero 64 40 , zero 128 32 , mutex-lock 64 , word 0 1 , spinuntil 4 1 ,
		mutex-unlock 64 , word 0 2 , spinuntil 4 2 , sem-trywait 128 , mutex-trylock 64" \
		"mutex-trylock 64 , mutex-timedlock 64 50 , sem-trywait 128 , sem-timedwait 128 50 ,
		word 4 1 , spinuntil 0 2 , mutex-lock 64 , mutex-unlock 64 , sem-post 128 , word 4 2" ||
		return 1
	printed a 'mutex-lock 64 -> 0' 'mutex-unlock 64 -> 0' 'sem-trywait 128 -> 0' \
		'mutex-trylock 64 -> 0' &&
		printed b 'mutex-trylock 64 -> 16 (EBUSY)' \
			'mutex-timedlock 64 -> 110 (ETIMEDOUT)' 'sem-trywait 128 -> -1 (EAGAIN)' \
			'sem-timedwait 128 -> -1 (ETIMEDOUT)' 'mutex-lock 64 -> 0' \
			'mutex-unlock 64 -> 0' 'sem-post 128 -> 0'
}

# C11's are private too
sync_c11() {
	sync "mtx-init 64 timed , cnd-init 128 , mtx-lock 64 , word 0 1 , spinuntil 4 1 ,
		cnd-timedwait 128 64 50 , mtx-unlock 64 , word 0 2 , spinuntil 4 2 , mtx-timedlock 64 50" \
		"mtx-trylock 64 , mtx-timedlock 64 50 , word 4 1 , spinuntil 0 2 , mtx-lock 64 ,
		cnd-signal 128 , cnd-broadcast 128 , mtx-unlock 64 , word 4 2" || return 1
	printed a 'mtx-init 64 -> 0' 'cnd-init 128 -> 0' 'mtx-lock 64 -> 0' \
		'cnd-timedwait 128 -> 4 (timedout)' 'mtx-unlock 64 -> 0' 'mtx-timedlock 64 -> 0' &&
		printed b 'mtx-trylock 64 -> 1 (busy)' 'mtx-timedlock 64 -> 4 (timedout)' \
			'mtx-lock 64 -> 0' 'cnd-signal 128 -> 0' 'cnd-broadcast 128 -> 0' \
			'mtx-unlock 64 -> 0'
}

# b's two threads and a meet; whose the serial one is, nobody says
sync_barrier() {
	sync "barrier-init 64 3 , word 0 1 , barrier-wait 64 , barrier-wait 64 , spinuntil 4 1 ,
		barrier-destroy 64" \
		"start barrier-wait 64 , start barrier-wait 64 , finish , start barrier-wait 64 ,
		barrier-wait 64 , finish , word 4 1" || return 1
	[ "$(cat "$BATS_TEST_TMPDIR"/[ab] | grep -c '^barrier-wait 64 -> 0$')" -eq 4 ] &&
		[ "$(cat "$BATS_TEST_TMPDIR"/[ab] | grep -c '^barrier-wait 64 -> -1 (serial)$')" -eq 2 ]
}
