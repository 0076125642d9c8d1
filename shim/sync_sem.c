/* SPDX-License-Identifier: MIT */
/* Unnamed semaphores, in the layout that glibc has had since 2.21. */
#include "sync.h"

#include <errno.h>
#include <limits.h>

struct sem {
	union {
		_Atomic uint64_t both;
		struct {
			_Atomic uint32_t value;
			_Atomic uint32_t waiters;
		};
	};
	uint32_t shared;		/* glibc has FUTEX_PRIVATE_FLAG here: not private */
};

_Static_assert(sizeof(struct sem) <= sizeof(sem_t), "room");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "value is the low half");

#define SHARED	128u

static struct sem *of(sem_t *sem)
{
	return (struct sem *)sem;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

int shim_sem_init(sem_t *sem, unsigned int value)
{
	if (value > SEM_VALUE_MAX)
		return fail(EINVAL);
	of(sem)->waiters = 0;
	of(sem)->shared = SHARED;
	of(sem)->value = value;
	return 0;
}

int shim_sem_trywait(sem_t *sem)
{
	return shim_take(&of(sem)->value) ? 0 : fail(EAGAIN);
}

/* It may have been chosen for a unit that it will not take. */
static void cancelled(void *arg)
{
	struct sem *s = arg;

	atomic_fetch_sub(&s->waiters, 1);
	if (s->value)
		shim_wake(&s->value, 1);
}

static int sleep_until_taken(struct sem *s, const struct shim_deadline *deadline)
{
	int r = 0;

	while (!shim_take(&s->value)) {
		if (r)
			return r;
		r = shim_sleep_cancelable(&s->value, 0, deadline);
	}
	return 0;
}

static SHIM_SLOW int wait_for_unit(struct sem *s, const struct shim_deadline *deadline)
{
	int r = shim_deadline_check(deadline);

	if (r)
		return fail(r);
	atomic_fetch_add(&s->waiters, 1);
	pthread_cleanup_push(cancelled, s);
	r = sleep_until_taken(s, deadline);
	pthread_cleanup_pop(0);
	atomic_fetch_sub(&s->waiters, 1);
	return r ? fail(r) : 0;
}

atomic_bool shim_cancelling;

int shim_sem_wait(sem_t *sem, const struct shim_deadline *deadline)
{
	if (atomic_load_explicit(&shim_cancelling, memory_order_relaxed))
		pthread_testcancel();
	return shim_take(&of(sem)->value) ? 0 : wait_for_unit(of(sem), deadline);
}

/* Whoever takes the unit may free the semaphore: not read any more once it is there. */
int shim_sem_post(sem_t *sem)
{
	struct sem *s = of(sem);
	uint64_t both = s->both;

	do
		if ((uint32_t)both >= SEM_VALUE_MAX)
			return fail(EOVERFLOW);
	while (!atomic_compare_exchange_weak(&s->both, &both, both + 1));
	if (both >> 32)
		shim_wake(&s->value, 1);
	return 0;
}

int shim_sem_getvalue(sem_t *sem, int *value)
{
	*value = (int)(of(sem)->value & INT_MAX);
	return 0;
}
