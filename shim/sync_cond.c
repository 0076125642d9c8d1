/* SPDX-License-Identifier: MIT */
/*
 * Condition variables: an event count that sleepers compare, and how many of
 * them may go. Only who slept before a signal may take it; should that thread
 * have died, the next one wakes for no reason, and no signal is lost for others.
 * A broadcast hands nothing out that one who came later could take: all who came
 * before it see that it was.
 */
#include "sync.h"

#include <errno.h>
#include <string.h>

#include "any_mutex.h"

struct cond {
	_Atomic uint32_t events;
	_Atomic uint32_t waiters;
	_Atomic uint32_t broadcasts;	/* and the clock, which is bit 0 */
	_Atomic uint32_t due;		/* signals that nobody has taken yet */
};
_Static_assert(sizeof(struct cond) <= sizeof(pthread_cond_t), "room");

#define CLOCK		1u
#define BROADCAST	2u
_Static_assert(CLOCK_REALTIME == 0 && CLOCK_MONOTONIC == 1, "a clock is one bit");

struct waiting {
	struct cond *c;
	pthread_mutex_t *mutex;
	uint32_t events, broadcasts;	/* when it came */
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
	of(cond)->broadcasts = (uint32_t)clock & CLOCK;
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

static bool may_go(const struct waiting *w)
{
	return w->c->broadcasts != w->broadcasts || shim_take(&w->c->due);
}

static int wait_for_signal(const struct waiting *w, const struct shim_deadline *deadline)
{
	uint32_t events = w->events, now;
	int r;

	for (;;) {
		r = shim_sleep_cancelable(&w->c->events, events, deadline);
		now = w->c->events;
		if (r == EINTR)
			r = 0;
		if (r)
			return r == ETIMEDOUT && now != events && may_go(w) ? 0 : r;
		if (now == events)
			continue;
		events = now;
		if (may_go(w))
			return 0;
	}
}

static int wait_cancelable(struct waiting *w, const struct shim_deadline *deadline)
{
	int r;

	pthread_cleanup_push(cancelled, w);
	r = wait_for_signal(w, deadline);
	pthread_cleanup_pop(0);
	return r;
}

int shim_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex,
		   const struct shim_deadline *deadline)
{
	struct waiting w = { .c = of(cond), .mutex = mutex };
	struct shim_deadline own;
	int r, locked;

	if (deadline && deadline->clock == -1) {
		own = (struct shim_deadline){ (clockid_t)(w.c->broadcasts & CLOCK), deadline->at };
		deadline = &own;
	}
	r = shim_deadline_check(deadline);
	if (r)
		return r;
	pthread_testcancel();
	atomic_fetch_add(&w.c->waiters, 1);
	w.broadcasts = w.c->broadcasts;
	w.events = w.c->events;
	r = any_mutex_unlock(mutex);
	if (!r)
		r = wait_cancelable(&w, deadline);
	else
		mutex = NULL;		/* it was not held */
	shim_object_leave(&w.c->waiters);
	locked = mutex ? any_mutex_lock(mutex) : 0;
	return locked ? locked : r;
}

static uint32_t waiters(const struct cond *c)
{
	return c->waiters & ~SHIM_DRAINING;
}

static void wake(struct cond *c, unsigned int count)
{
	atomic_fetch_add(&c->events, 1);
	shim_wake_stale(&c->events, count);
}

/* Who waits is asked after what is due: no older count than that keeps a signal back. */
static SHIM_SLOW void signal_one(struct cond *c)
{
	uint32_t due = c->due, more;

	do
		more = due < waiters(c) ? due + 1 : due;
	while (!atomic_compare_exchange_weak(&c->due, &due, more));
	wake(c, 1);
}

static SHIM_SLOW void signal_all(struct cond *c)
{
	atomic_fetch_add(&c->broadcasts, BROADCAST);
	wake(c, SHIM_EVERYBODY);
}

int shim_cond_signal(pthread_cond_t *cond)
{
	if (waiters(of(cond)))
		signal_one(of(cond));
	return 0;
}

int shim_cond_broadcast(pthread_cond_t *cond)
{
	if (waiters(of(cond)))
		signal_all(of(cond));
	return 0;
}
