/* SPDX-License-Identifier: MIT */
/*
 * The shim's synchronisation objects, in shared memory of this host alone and on
 * futex(2). Who must be stopped or die is a process.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../shim/region.h"
#include "../../shim/sync.h"
#include "real.h"
#include "test.h"

#define PATIENCE_S	15	/* then what should have ended hangs */

REAL_SLOT(mmap);
REAL_SLOT(pthread_mutex_lock);
REAL_SLOT(pthread_mutex_unlock);

#define AT(time)	(&(const struct shim_deadline){ CLOCK_MONOTONIC, (time) })

static struct shared {
	pthread_mutex_t mutex;
	union {
		pthread_cond_t cond;
		_Atomic uint32_t cond_word[4];	/* the second counts who waits */
	};
	union {
		pthread_rwlock_t lock;
		_Atomic uint32_t lock_word[14];	/* the first is the state, one counts writers */
	};
	pthread_barrier_t barrier;
	sem_t sem;
	atomic_uint ready, round;
	atomic_bool done;
} *at;

/* --- in the place of the module --- */

static bool spoilt;		/* somebody changes each word before one can sleep on it */

int sivshmem_word_wait(const _Atomic uint32_t *word, uint32_t expected, unsigned int flags,
		       uint32_t bitset, clockid_t clock, const struct timespec *deadline)
{
	int op = FUTEX_WAIT_BITSET | (clock == CLOCK_REALTIME ? FUTEX_CLOCK_REALTIME : 0);

	(void)flags;
	if (spoilt)
		return -EAGAIN;
	return syscall(SYS_futex, word, op, expected, deadline, NULL, bitset) ? -errno : 0;
}

int sivshmem_word_wake(const _Atomic uint32_t *word, unsigned int count, unsigned int flags,
		       uint32_t bitset)
{
	if (flags & SIVSHMEM_WORD_STALE || count > INT_MAX)
		count = INT_MAX;
	return (int)syscall(SYS_futex, word, FUTEX_WAKE_BITSET, count, NULL, NULL, bitset);
}

int sivshmem_word_owner(const void *address, uint32_t *id)
{
	(void)address;
	*id = (uint32_t)gettid();
	return 0;
}

/* --- helpers --- */

static void fresh(void)
{
	spoilt = false;
	memset(at, 0, sizeof(*at));
}

static struct timespec in_ms(long ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += ms * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

static double seconds(void)
{
	struct timespec t = in_ms(0);

	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void rest(void)
{
	usleep(10000);
}

static pid_t child(void (*work)(void))
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(PATIENCE_S);
		work();
		_exit(0);
	}
	return pid;
}

static bool ends_well(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && !status;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* --- condition variables --- */

static void wait_once(void)
{
	shim_mutex_lock(&at->mutex, NULL);
	at->ready++;
	shim_cond_wait(&at->cond, &at->mutex, NULL);
	shim_mutex_unlock(&at->mutex);
}

static void start_waiters(pid_t pid[2])
{
	fresh();
	pid[0] = child(wait_once);
	pid[1] = child(wait_once);
	while (at->ready != 2)
		rest();
	shim_mutex_lock(&at->mutex, NULL);	/* now both have let go of it */
	shim_mutex_unlock(&at->mutex);
}

/* Who calls has counted before the second came, and was held up until now. */
static void call_late(int (*call)(pthread_cond_t *))
{
	at->cond_word[1]--;
	call(&at->cond);
	at->cond_word[1]++;
}

static bool both_go(int (*first)(pthread_cond_t *), int (*late)(pthread_cond_t *))
{
	pid_t pid[2];
	bool ok;

	start_waiters(pid);
	kill(pid[0], SIGSTOP);
	kill(pid[1], SIGSTOP);
	first(&at->cond);
	call_late(late);
	kill(pid[0], SIGCONT);
	kill(pid[1], SIGCONT);
	ok = ends_well(pid[0]);
	return ends_well(pid[1]) && ok;
}

static void late_broadcast_takes_nothing_away(void)
{
	CHECK(both_go(shim_cond_broadcast, shim_cond_broadcast));
	CHECK(both_go(shim_cond_broadcast, shim_cond_signal));
}

static void one_signal_is_for_one(void)
{
	pid_t pid[2];

	start_waiters(pid);
	shim_cond_signal(&at->cond);
	usleep(300000);
	CHECK((waitpid(pid[0], NULL, WNOHANG) > 0) + (waitpid(pid[1], NULL, WNOHANG) > 0) == 1);
	shim_cond_signal(&at->cond);
	while (waitpid(-1, NULL, 0) > 0)
		;
	CHECK(!(at->cond_word[1] | at->cond_word[3]));
}

#define FOLLOWERS	4

/* Who saw a round before it slept waits for the next already, in the midst of a broadcast. */
static void *follow_rounds(void *unused)
{
	unsigned int mine = 0;

	shim_mutex_lock(&at->mutex, NULL);
	while (!at->done) {
		while (at->round == mine && !at->done)
			shim_cond_wait(&at->cond, &at->mutex, NULL);
		mine = at->round;
		at->ready++;
	}
	shim_mutex_unlock(&at->mutex);
	return unused;
}

/* Without the mutex; there is no other word to those who miss one. */
static bool tell_a_round(void)
{
	double begin = seconds();
	unsigned int all;

	shim_mutex_lock(&at->mutex, NULL);
	all = ++at->round * FOLLOWERS;
	shim_mutex_unlock(&at->mutex);
	shim_cond_broadcast(&at->cond);
	while (at->ready < all && seconds() - begin < PATIENCE_S)
		;
	return at->ready >= all;
}

static void broadcasts_lose_nobody(void)
{
	pthread_t thread[FOLLOWERS];
	double begin = seconds();
	bool ok = true;
	size_t i;

	fresh();
	for (i = 0; i < FOLLOWERS; i++)
		CHECK(!pthread_create(&thread[i], NULL, follow_rounds, NULL));
	while (ok && seconds() - begin < 2)
		ok = tell_a_round();
	at->done = true;
	shim_mutex_lock(&at->mutex, NULL);
	shim_mutex_unlock(&at->mutex);
	shim_cond_broadcast(&at->cond);
	for (i = 0; i < FOLLOWERS; i++)
		pthread_join(thread[i], NULL);
	CHECK(ok && at->round > 100 && !at->cond_word[1]);
}

/* --- read-write locks --- */

#define WRITERS_WAIT	5

static void write_once(void)
{
	shim_rwlock_write(&at->lock, false, NULL);
	at->round++;
	shim_rwlock_unlock(&at->lock);
}

static void writers_first(void)
{
	pthread_rwlockattr_t a;

	fresh();
	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	shim_rwlock_init(&at->lock, &a);
	pthread_rwlockattr_destroy(&a);
}

/* The lock is read, and that one waits to write. */
static pid_t start_writer(uint32_t waiting)
{
	pid_t pid;

	shim_rwlock_read(&at->lock, false, NULL);
	pid = child(write_once);
	while (at->lock_word[WRITERS_WAIT] != waiting)
		rest();
	return pid;
}

static bool readers_get_in(void)
{
	const struct timespec now = in_ms(0);

	return !shim_rwlock_read(&at->lock, true, NULL) && !shim_rwlock_unlock(&at->lock) &&
	       !shim_rwlock_read(&at->lock, false, AT(&now)) && !shim_rwlock_unlock(&at->lock);
}

static void dead_writer_keeps_nobody_out(void)
{
	double begin;

	writers_first();
	end(start_writer(1));
	shim_rwlock_unlock(&at->lock);
	CHECK(shim_rwlock_read(&at->lock, true, NULL) == EBUSY);
	begin = seconds();
	while (shim_rwlock_read(&at->lock, true, NULL) && seconds() - begin < 3)
		rest();
	CHECK(seconds() - begin > 0.5 && !shim_rwlock_unlock(&at->lock) && readers_get_in());
	writers_first();
	end(start_writer(1));
	shim_rwlock_unlock(&at->lock);
	CHECK(!shim_rwlock_read(&at->lock, false, NULL) && !shim_rwlock_unlock(&at->lock));
	CHECK(readers_get_in());
}

/* beside a dead one too */
static void living_writer_is_first(void)
{
	pid_t pid = start_writer(2);

	CHECK(shim_rwlock_read(&at->lock, true, NULL) == EBUSY);
	usleep(1200000);		/* it is not free, however long */
	CHECK(shim_rwlock_read(&at->lock, true, NULL) == EBUSY);
	CHECK(!shim_rwlock_unlock(&at->lock) && ends_well(pid) && at->round == 1);
	CHECK(readers_get_in());
}

static void *read_and_write(void *writes)
{
	unsigned int n = 0, before;

	while (n++ < 20000) {
		if (writes) {
			shim_rwlock_write(&at->lock, false, NULL);
			at->round = before = at->round + 1;
		} else {
			shim_rwlock_read(&at->lock, false, NULL);
			before = at->round;
		}
		if (!(n % 64))
			sched_yield();
		if (at->round != before)
			at->done = true;
		shim_rwlock_unlock(&at->lock);
	}
	return NULL;
}

static void share_lock(void)
{
	pthread_t thread[6];
	size_t i;

	for (i = 0; i < 6; i++)
		pthread_create(&thread[i], NULL, read_and_write, i % 2 ? &at->lock : NULL);
	for (i = 0; i < 6; i++)
		pthread_join(thread[i], NULL);
	_exit(at->done || at->round != 60000);
}

/* nor is any wake lost, without which this would not end */
static void writers_are_alone(void)
{
	fresh();
	CHECK(ends_well(child(share_lock)));
	writers_first();
	CHECK(ends_well(child(share_lock)));
	CHECK(!at->lock_word[0] && !at->lock_word[1] && !at->lock_word[WRITERS_WAIT]);
}

static void unlock_traced(void)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(1);
	raise(SIGSTOP);
	shim_rwlock_unlock(&at->lock);
}

/* Once the lock is free its memory may be another's: false if that is written to. */
static bool leaves_alone(void)
{
	const uint32_t others = 0xa5a5a5a5;
	pid_t pid = child(unlock_traced);
	bool is_free = false, alone = true;
	size_t i;
	int status;

	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		if (!is_free && !at->lock_word[0]) {
			is_free = true;
			memset(&at->lock, (int)(others & 0xff), sizeof(at->lock));
		}
		ptrace(is_free ? PTRACE_CONT : PTRACE_SINGLESTEP, pid, NULL, NULL);
	}
	for (i = 0; is_free && i < 14; i++)
		alone &= at->lock_word[i] == others;
	return alone;
}

/* by each instruction of the unlock, where tracing is allowed */
static void unlocked_memory_is_left_alone(void)
{
	fresh();
	CHECK(!shim_rwlock_write(&at->lock, false, NULL) && leaves_alone());
	fresh();
	CHECK(!shim_rwlock_read(&at->lock, false, NULL) && leaves_alone());
}

/* --- who breaks the rules, and changes what others compare --- */

static struct timespec soon;

static void time_out_on_mutex(void)
{
	shim_mutex_lock(&at->mutex, NULL);
	_exit(shim_mutex_lock(&at->mutex, AT(&soon)) != ETIMEDOUT);
}

static void lock_for_good(void)
{
	shim_mutex_lock(&at->mutex, NULL);
}

static void time_out_on_owned_mutex(void)
{
	shim_mutex_init_kind(&at->mutex, PTHREAD_MUTEX_ERRORCHECK);
	ends_well(child(lock_for_good));
	_exit(shim_mutex_lock(&at->mutex, AT(&soon)) != ETIMEDOUT);
}

static void time_out_on_cond(void)
{
	shim_mutex_lock(&at->mutex, NULL);
	_exit(shim_cond_wait(&at->cond, &at->mutex, AT(&soon)) != ETIMEDOUT);
}

static void time_out_on_sem(void)
{
	_exit(!shim_sem_wait(&at->sem, AT(&soon)) || errno != ETIMEDOUT);
}

static void time_out_to_write(void)
{
	shim_rwlock_read(&at->lock, true, NULL);
	_exit(shim_rwlock_write(&at->lock, false, AT(&soon)) != ETIMEDOUT);
}

static void time_out_to_read(void)
{
	at->lock_word[0] = 1u << 31;
	_exit(shim_rwlock_read(&at->lock, false, AT(&soon)) != ETIMEDOUT);
}

static void destroy_cond(void)
{
	at->cond_word[1] = 1;
	_exit(shim_cond_destroy(&at->cond));
}

static bool ends_in_time(void (*work)(void))
{
	double begin = seconds();
	bool ok;

	fresh();
	spoilt = true;
	soon = in_ms(200);
	ok = ends_well(child(work));
	return ok && seconds() - begin < 10;
}

static void deadlines_hold(void)
{
	CHECK(ends_in_time(time_out_on_mutex));
	CHECK(ends_in_time(time_out_on_owned_mutex));
	CHECK(ends_in_time(time_out_on_cond));
	CHECK(ends_in_time(time_out_on_sem));
	CHECK(ends_in_time(time_out_to_write));
	CHECK(ends_in_time(time_out_to_read));
	CHECK(ends_in_time(destroy_cond));
}

/* What is there when the time is up is had. */
static void long_ago_is_no_obstacle(void)
{
	const struct timespec now = in_ms(0);

	fresh();
	CHECK(!shim_mutex_lock(&at->mutex, AT(&now)));
	CHECK(shim_mutex_lock(&at->mutex, AT(&now)) == ETIMEDOUT);
	CHECK(shim_sem_wait(&at->sem, AT(&now)) && errno == ETIMEDOUT);
	CHECK(!shim_sem_post(&at->sem) && !shim_sem_wait(&at->sem, AT(&now)));
	CHECK(!shim_rwlock_write(&at->lock, false, AT(&now)));
	CHECK(shim_rwlock_unlock(&at->lock) == 0);
	CHECK(!shim_rwlock_read(&at->lock, false, AT(&now)));
	CHECK(shim_rwlock_write(&at->lock, false, AT(&now)) == ETIMEDOUT);
}

/* Whoever is inside may look only a second later, and then has to be run too. */
static void *leave_late(void *unused)
{
	usleep(1500000);
	at->done = true;
	shim_object_leave(&at->cond_word[1]);
	return unused;
}

static void destroying_waits_for_a_late_one(void)
{
	pthread_t thread;

	fresh();
	at->cond_word[1] = 1;
	CHECK(!pthread_create(&thread, NULL, leave_late, NULL));
	shim_cond_destroy(&at->cond);
	CHECK(at->done);
	pthread_join(thread, NULL);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED || !shim_region_add((uintptr_t)at, 4096))
		return 1;
	RUN(late_broadcast_takes_nothing_away);
	RUN(one_signal_is_for_one);
	RUN(broadcasts_lose_nobody);
	RUN(dead_writer_keeps_nobody_out);
	RUN(living_writer_is_first);
	RUN(writers_are_alone);
	RUN(unlocked_memory_is_left_alone);
	RUN(deadlines_hold);
	RUN(long_ago_is_no_obstacle);
	RUN(destroying_waits_for_a_late_one);
	return test_failures != 0;
}
