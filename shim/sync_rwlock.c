/* SPDX-License-Identifier: MIT */
/*
 * Read-write locks. Readers and writers sleep on event counts of their own, so
 * that an unlock wakes one writer, or the readers. Whether somebody waits changes
 * as one word of 64 bits with the state: where nobody does, the next to have the
 * lock may free its memory at once.
 */
#include "sync.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

struct rwlock {
	union {
		_Atomic uint64_t both;
		struct {
			_Atomic uint32_t state;		/* WRITER, or how many readers */
			_Atomic uint32_t waiting;	/* all together */
		};
	};
	_Atomic uint32_t read_events, write_events;
	_Atomic uint32_t readers_wait, writers_wait;
	_Atomic uint32_t writer;	/* who has it to write, 0: not known */
	_Atomic uint32_t writers_dead;	/* so many of those who wait, as it seems */
	uint32_t unused[4];
	uint32_t preference;		/* where glibc's initialisers have it */
};
_Static_assert(offsetof(struct rwlock, preference) == 48 &&
	       sizeof(struct rwlock) <= sizeof(pthread_rwlock_t), "layout");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "state is the low half");

#define WRITER		0x80000000u
#define READERS_MAX	0x7fffffffu
#define TURN_MS		1000		/* a writer that waits longer may be dead */

static struct rwlock *of(pthread_rwlock_t *lock)
{
	return (struct rwlock *)lock;
}

int shim_rwlock_init(pthread_rwlock_t *lock, const pthread_rwlockattr_t *attributes)
{
	int preference = PTHREAD_RWLOCK_PREFER_READER_NP;

	if (attributes)
		pthread_rwlockattr_getkind_np(attributes, &preference);
	memset(lock, 0, sizeof(*lock));
	of(lock)->preference = (uint32_t)preference;
	return 0;
}

int shim_rwlock_destroy(pthread_rwlock_t *lock)
{
	return of(lock)->state ? EBUSY : 0;
}

/* The thread waits for itself: asked before it sleeps, and only then. */
static bool is_mine(const struct rwlock *l)
{
	uint32_t id;

	return l->state & WRITER && l->writer && !shim_self(l, &id) && l->writer == id;
}

static bool writers_first(const struct rwlock *l)
{
	return l->preference == PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP;
}

static void wake_writer(struct rwlock *l)
{
	if (!l->writers_wait)
		return;
	atomic_fetch_add(&l->write_events, 1);
	shim_wake_stale(&l->write_events, 1);
}

static void wake_readers(struct rwlock *l)
{
	if (!l->readers_wait)
		return;
	atomic_fetch_add(&l->read_events, 1);
	shim_wake_stale(&l->read_events, SHIM_EVERYBODY);
}

/* --- readers --- */

static bool held_off(const struct rwlock *l)
{
	return writers_first(l) && l->writers_wait > l->writers_dead;
}

static bool earlier(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/*
 * True: it was free for a turn and nobody took it, as a living writer would.
 * Asked whenever readers are held off, by those too who only try.
 */
static bool stays_free(const struct rwlock *l)
{
	static __thread struct {
		const struct rwlock *lock;
		uint32_t events;
		struct timespec until;
	} seen __attribute__((tls_model("initial-exec")));
	uint32_t events = l->write_events;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!l->state && seen.lock == l && seen.events == events)
		return !earlier(&now, &seen.until);
	now.tv_sec += TURN_MS / 1000;
	seen.lock = l->state ? NULL : l;
	seen.events = events;
	seen.until = now;
	return false;
}

/* 0, EAGAIN (too many), or EBUSY. */
static int try_read(struct rwlock *l, bool regardless)
{
	uint32_t state = l->state;

	for (;;) {
		if (state & WRITER || (!regardless && held_off(l)))
			return EBUSY;
		if (state == READERS_MAX)
			return EAGAIN;
		if (atomic_compare_exchange_weak(&l->state, &state, state + 1))
			return 0;
	}
}

/*
 * Sleep for readers who may be kept out only by writers that wait: not longer
 * than a turn, since a writer that was killed never leaves. *turn: it is over.
 */
static int sleep_a_turn(struct rwlock *l, uint32_t events,
			const struct shim_deadline *deadline, bool *turn)
{
	clockid_t clock = deadline && deadline->at ? deadline->clock : CLOCK_MONOTONIC;
	struct timespec at;
	struct shim_deadline end = { clock, &at };
	int r;

	clock_gettime(clock, &at);
	at.tv_sec += TURN_MS / 1000;
	if (deadline && deadline->at && earlier(deadline->at, &at))
		return shim_sleep(&l->read_events, events, 0, deadline);
	r = shim_sleep(&l->read_events, events, 0, &end);
	*turn = r == ETIMEDOUT;
	return *turn ? 0 : r;
}

static int try_read_again(struct rwlock *l, bool regardless)
{
	if (held_off(l) && stays_free(l))
		l->writers_dead = l->writers_wait;
	return try_read(l, regardless);
}

int shim_rwlock_read(pthread_rwlock_t *lock, bool try, const struct shim_deadline *deadline)
{
	struct rwlock *l = of(lock);
	bool turn = false;
	uint32_t events;
	int r, slept = 0;

	r = try_read(l, false);
	if (r == EBUSY)
		r = try_read_again(l, false);
	if (r != EBUSY || try)
		return r;
	r = is_mine(l) ? EDEADLK : shim_deadline_check(deadline);
	if (r)
		return r;
	atomic_fetch_add(&l->waiting, 1);
	atomic_fetch_add(&l->readers_wait, 1);
	for (;;) {
		events = l->read_events;
		r = try_read_again(l, turn);
		if (r != EBUSY)
			break;
		if (slept) {
			r = slept;
			break;
		}
		slept = writers_first(l) ? sleep_a_turn(l, events, deadline, &turn) :
					   shim_sleep(&l->read_events, events, 0, deadline);
	}
	atomic_fetch_sub(&l->readers_wait, 1);
	atomic_fetch_sub(&l->waiting, 1);
	return r;
}

/* --- writers --- */

static bool try_write(struct rwlock *l)
{
	uint32_t state = 0, id;

	if (!atomic_compare_exchange_strong(&l->state, &state, WRITER))
		return false;
	/* ids may have run out, and then nobody is told of a deadlock */
	l->writer = shim_self(l, &id) ? 0 : id;
	return true;
}

/* True: it was the last. */
static bool waits_no_more(struct rwlock *l)
{
	uint32_t left = atomic_fetch_sub(&l->writers_wait, 1) - 1;

	atomic_fetch_sub(&l->waiting, 1);
	if (l->writers_dead > left)
		l->writers_dead = left;
	return !left;
}

int shim_rwlock_write(pthread_rwlock_t *lock, bool try, const struct shim_deadline *deadline)
{
	struct rwlock *l = of(lock);
	uint32_t events;
	int r;

	if (try_write(l))
		return 0;
	if (try)
		return EBUSY;
	r = is_mine(l) ? EDEADLK : shim_deadline_check(deadline);
	if (r)
		return r;
	atomic_fetch_add(&l->waiting, 1);
	atomic_fetch_add(&l->writers_wait, 1);
	for (;;) {
		events = l->write_events;
		if (try_write(l)) {
			r = 0;
			break;
		}
		if (r)
			break;
		r = shim_sleep(&l->write_events, events, 0, deadline);
	}
	/* readers that it held off may go */
	if (waits_no_more(l) && r && writers_first(l))
		wake_readers(l);
	return r;
}

static SHIM_SLOW int wake_waiting(struct rwlock *l, bool was_written)
{
	wake_writer(l);
	if (was_written)
		wake_readers(l);
	return 0;
}

/* Who begins to wait later than this takes it back finds the lock free. */
int shim_rwlock_unlock(pthread_rwlock_t *lock)
{
	struct rwlock *l = of(lock);
	uint64_t both = l->both;
	uint32_t state, left;

	do {
		state = (uint32_t)both;
		if (!state)
			return EPERM;
		left = state & WRITER ? 0 : state - 1;
		if (state & WRITER)
			l->writer = 0;
	} while (!atomic_compare_exchange_weak(&l->both, &both, both - state + left));
	return !left && both >> 32 ? wake_waiting(l, state & WRITER) : 0;
}
