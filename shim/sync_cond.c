/* SPDX-License-Identifier: MIT */
/*
 * Condition variables: an event count that sleepers compare, and how many of
 * them may go. Only who slept before a signal may take it; should that thread
 * have died, the next one wakes for no reason, and no signal is lost for others.
 */
#include "sync.h"

#include <errno.h>
#include <string.h>

#include "any_mutex.h"

struct cond {
	_Atomic uint32_t events;
	_Atomic uint32_t waiters;
	uint32_t clock;
	_Atomic uint32_t due;		/* signals that nobody has taken yet */
};
_Static_assert(sizeof(struct cond) <= sizeof(pthread_cond_t), "room");

struct waiting {
	struct cond *c;
	pthread_mutex_t *mutex;
};

static struct cond *of(pthread_cond_t *cond)
{
	return (struct cond *)cond;
}

int shim_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attributes)
{
	clockid_t clock = CLOCK_REALTIME;

	if (attributes)
		pthread_condattr_getclock(attributes, &clock);
	/* what it was before version 2.3.2 is no longer than this */
	memset(cond, 0, sizeof(struct cond));
	of(cond)->clock = (uint32_t)clock;
	return 0;
}

int shim_cond_destroy(pthread_cond_t *cond)
{
	shim_object_drain(&of(cond)->waiters);
	return 0;
}

/* It may have been chosen for a signal: let another have that. */
static void cancelled(void *arg)
{
	const struct waiting *w = arg;

	if (w->c->due)
		shim_wake_stale(&w->c->events, 1);
	shim_object_leave(&w->c->waiters);
	any_mutex_lock(w->mutex);
}

static int wait_for_signal(struct cond *c, uint32_t events,
			   const struct shim_deadline *deadline)
{
	uint32_t now;
	int r;

	for (;;) {
		r = shim_sleep_cancelable(&c->events, events, deadline);
		now = c->events;
		if (r == EINTR)
			r = 0;
		if (r)
			return r == ETIMEDOUT && now != events && shim_take(&c->due) ? 0 : r;
		if (now == events)
			continue;
		events = now;
		if (shim_take(&c->due))
			return 0;
	}
}

static int wait_cancelable(struct waiting *w, uint32_t events,
			   const struct shim_deadline *deadline)
{
	int r;

	pthread_cleanup_push(cancelled, w);
	r = wait_for_signal(w->c, events, deadline);
	pthread_cleanup_pop(0);
	return r;
}

int shim_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex,
		   const struct shim_deadline *deadline)
{
	struct waiting w = { of(cond), mutex };
	struct shim_deadline own;
	uint32_t events;
	int r, locked;

	if (deadline && deadline->clock == -1) {
		own = (struct shim_deadline){ (clockid_t)w.c->clock, deadline->at };
		deadline = &own;
	}
	r = shim_deadline_check(deadline);
	if (r)
		return r;
	pthread_testcancel();
	atomic_fetch_add(&w.c->waiters, 1);
	events = w.c->events;
	r = any_mutex_unlock(mutex);
	if (!r)
		r = wait_cancelable(&w, events, deadline);
	else
		mutex = NULL;		/* it was not held */
	shim_object_leave(&w.c->waiters);
	locked = mutex ? any_mutex_lock(mutex) : 0;
	return locked ? locked : r;
}

static SHIM_SLOW void wake(struct cond *c, uint32_t waiters, bool all)
{
	uint32_t due = c->due, more;

	do
		more = all ? waiters : due < waiters ? due + 1 : due;
	while (!atomic_compare_exchange_weak(&c->due, &due, more));
	atomic_fetch_add(&c->events, 1);
	shim_wake_stale(&c->events, all ? SHIM_EVERYBODY : 1);
}

int shim_cond_signal(pthread_cond_t *cond)
{
	uint32_t waiters = of(cond)->waiters & ~SHIM_DRAINING;

	if (waiters)
		wake(of(cond), waiters, false);
	return 0;
}

int shim_cond_broadcast(pthread_cond_t *cond)
{
	uint32_t waiters = of(cond)->waiters & ~SHIM_DRAINING;

	if (waiters)
		wake(of(cond), waiters, true);
	return 0;
}
