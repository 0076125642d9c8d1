/* SPDX-License-Identifier: MIT */
/*
 * Mutexes. A normal one is 0, 1 (locked) or 2 (and somebody may sleep), as in
 * U. Drepper, "Futexes Are Tricky". What must know its owner has its id in the
 * word, and a bit for sleepers.
 */
#include "sync.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

struct mutex {
	_Atomic uint32_t lock;
	uint32_t count;			/* of a recursive one; the owner's */
	_Atomic uint32_t state;
	uint32_t users;
	int kind;
};
_Static_assert(sizeof(struct mutex) <= sizeof(pthread_mutex_t), "room");

/* of kind, as in glibc's static initialisers */
#define KIND_TYPE	3
#define KIND_ROBUST	16
#define KIND_PRIORITY	(32 | 64)
#define KIND_SHARED	128

enum { CONSISTENT, INCONSISTENT = 0x7fffffff, LOST = 0x7ffffffe };

static struct mutex *of(pthread_mutex_t *mutex)
{
	return (struct mutex *)mutex;
}

int shim_mutex_init_kind(pthread_mutex_t *mutex, int kind)
{
	memset(mutex, 0, sizeof(*mutex));
	of(mutex)->kind = kind | KIND_SHARED;
	return 0;
}

int shim_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
	int type = PTHREAD_MUTEX_NORMAL, robust = PTHREAD_MUTEX_STALLED;
	int protocol = PTHREAD_PRIO_NONE;

	if (attributes) {
		pthread_mutexattr_gettype(attributes, &type);
		pthread_mutexattr_getrobust(attributes, &robust);
		pthread_mutexattr_getprotocol(attributes, &protocol);
	}
	/* a kernel cannot lend priority to a thread of another one */
	if (protocol != PTHREAD_PRIO_NONE)
		return ENOTSUP;
	return shim_mutex_init_kind(mutex, (type & KIND_TYPE) |
				    (robust == PTHREAD_MUTEX_ROBUST ? KIND_ROBUST : 0));
}

int shim_mutex_destroy(pthread_mutex_t *mutex)
{
	if (of(mutex)->lock)
		return EBUSY;
	of(mutex)->kind = -1;
	return 0;
}

/* --- without owner --- */

static SHIM_SLOW int plain_wait(struct mutex *m, const struct shim_deadline *deadline)
{
	int r = shim_deadline_check(deadline);

	while (!r || r == ETIMEDOUT) {
		if (!atomic_exchange(&m->lock, 2))
			return 0;
		if (r)
			break;
		r = shim_sleep(&m->lock, 2, 0, deadline);
	}
	return r;
}

static int plain_lock(struct mutex *m, const struct shim_deadline *deadline)
{
	uint32_t old = 0;

	return atomic_compare_exchange_strong(&m->lock, &old, 1) ? 0 : plain_wait(m, deadline);
}

static int plain_unlock(struct mutex *m)
{
	if (atomic_exchange(&m->lock, 0) != 1)
		shim_wake(&m->lock, 1);
	return 0;
}

/* --- with owner --- */

static bool has_owner(const struct mutex *m)
{
	int type = m->kind & KIND_TYPE;

	return m->kind & KIND_ROBUST || type == PTHREAD_MUTEX_RECURSIVE ||
	       type == PTHREAD_MUTEX_ERRORCHECK;
}

static void owned_free(struct mutex *m, unsigned int wake)
{
	if (atomic_exchange(&m->lock, 0) & SIVSHMEM_OWNER_WAITERS)
		shim_wake(&m->lock, wake);
}

/* True: nobody made it consistent. Who finds out passes that on. */
static bool lost(struct mutex *m)
{
	if (m->state != LOST || !(m->kind & KIND_ROBUST))
		return false;
	owned_free(m, SHIM_EVERYBODY);
	return true;
}

static int acquired(struct mutex *m)
{
	if (lost(m))
		return ENOTRECOVERABLE;
	m->count = 1;
	return 0;
}

static int inherited(struct mutex *m)
{
	if (lost(m))
		return ENOTRECOVERABLE;
	m->count = 1;
	m->state = INCONSISTENT;
	return EOWNERDEAD;
}

/* The thread has it already; -1: then it waits for itself, as POSIX says. */
static int again(struct mutex *m, bool try)
{
	switch (m->kind & KIND_TYPE) {
	case PTHREAD_MUTEX_RECURSIVE:
		if (m->count == UINT_MAX)
			return EAGAIN;
		m->count++;
		return 0;
	case PTHREAD_MUTEX_ERRORCHECK:
		return try ? EBUSY : EDEADLK;
	}
	return try ? EBUSY : -1;
}

/* old is another's. 0: try again. */
static int wait_for_owner(struct mutex *m, uint32_t *old, const struct shim_deadline *deadline)
{
	unsigned int flags = m->kind & KIND_ROBUST ? SIVSHMEM_WORD_OWNED : 0;

	if (!(*old & SIVSHMEM_OWNER_WAITERS)) {
		if (!atomic_compare_exchange_strong(&m->lock, old, *old | SIVSHMEM_OWNER_WAITERS))
			return shim_changed(deadline);
		*old |= SIVSHMEM_OWNER_WAITERS;
	}
	return shim_sleep(&m->lock, *old, flags, deadline);
}

static SHIM_SLOW int owned_lock(struct mutex *m, const struct shim_deadline *deadline)
{
	uint32_t id, old, waiters = 0;
	int r = shim_self(m, &id), slept = 0;

	if (r)
		return r;
	for (;;) {
		old = 0;
		if (atomic_compare_exchange_strong(&m->lock, &old, id | waiters))
			return acquired(m);
		if ((old & SIVSHMEM_OWNER_MASK) == id) {
			r = again(m, false);
			if (r >= 0)
				return r;
		}
		if (slept)
			return slept;
		slept = shim_deadline_check(deadline);
		if (!slept)
			slept = wait_for_owner(m, &old, deadline);
		/* who else sleeps is not known any more */
		waiters = SIVSHMEM_OWNER_WAITERS;
		if (!slept || slept == ETIMEDOUT)
			continue;
		if (slept != EOWNERDEAD)
			return slept;
		if (atomic_compare_exchange_strong(&m->lock, &old, id | waiters))
			return inherited(m);
		slept = 0;
	}
}

static SHIM_SLOW int owned_trylock(struct mutex *m)
{
	static const struct timespec long_ago;
	const struct shim_deadline now = { CLOCK_MONOTONIC, &long_ago };
	uint32_t id, old = 0;
	int r = shim_self(m, &id);

	if (r)
		return r;
	if (atomic_compare_exchange_strong(&m->lock, &old, id))
		return acquired(m);
	if ((old & SIVSHMEM_OWNER_MASK) == id)
		return again(m, true);
	if (!(m->kind & KIND_ROBUST) ||
	    shim_sleep(&m->lock, old, SIVSHMEM_WORD_OWNED, &now) != EOWNERDEAD)
		return EBUSY;
	return atomic_compare_exchange_strong(&m->lock, &old, id | SIVSHMEM_OWNER_WAITERS) ?
		inherited(m) : EBUSY;
}

static SHIM_SLOW int owned_unlock(struct mutex *m)
{
	uint32_t id;
	int r = shim_self(m, &id);

	if (r)
		return r;
	if ((m->lock & SIVSHMEM_OWNER_MASK) != id)
		return EPERM;
	if ((m->kind & KIND_TYPE) == PTHREAD_MUTEX_RECURSIVE && m->count > 1) {
		m->count--;
		return 0;
	}
	if (m->kind & KIND_ROBUST && m->state == INCONSISTENT) {
		m->state = LOST;
		owned_free(m, SHIM_EVERYBODY);
	} else {
		owned_free(m, 1);
	}
	return 0;
}

/* --- any --- */

/* The usual one, with no question left but whether it is free. */
static bool is_normal(const struct mutex *m)
{
	return !(m->kind & ~KIND_SHARED);
}

static int usable(const struct mutex *m)
{
	if (m->kind < 0)
		return EINVAL;
	return m->kind & KIND_PRIORITY ? ENOTSUP : 0;
}

int shim_mutex_lock(pthread_mutex_t *mutex, const struct shim_deadline *deadline)
{
	struct mutex *m = of(mutex);
	int r;

	if (is_normal(m))
		return plain_lock(m, deadline);
	r = usable(m);
	if (r)
		return r;
	return has_owner(m) ? owned_lock(m, deadline) : plain_lock(m, deadline);
}

int shim_mutex_trylock(pthread_mutex_t *mutex)
{
	struct mutex *m = of(mutex);
	uint32_t old = 0;
	int r = usable(m);

	if (r)
		return r;
	if (has_owner(m))
		return owned_trylock(m);
	return atomic_compare_exchange_strong(&m->lock, &old, 1) ? 0 : EBUSY;
}

int shim_mutex_unlock(pthread_mutex_t *mutex)
{
	struct mutex *m = of(mutex);
	int r;

	if (is_normal(m))
		return plain_unlock(m);
	r = usable(m);
	if (r)
		return r;
	return has_owner(m) ? owned_unlock(m) : plain_unlock(m);
}

int shim_mutex_consistent(pthread_mutex_t *mutex)
{
	struct mutex *m = of(mutex);

	if (usable(m) || !(m->kind & KIND_ROBUST) || m->state != INCONSISTENT)
		return EINVAL;
	m->state = CONSISTENT;
	return 0;
}
