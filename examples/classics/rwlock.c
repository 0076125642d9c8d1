/* SPDX-License-Identifier: MIT */
/*
 * Writers and readers with a read-write lock:
 * rwlock NAME write|read N PARTIES
 *
 * The first to come makes the object; nobody starts before all PARTIES are
 * there. A writer adds to two counters N times, a reader sees N times and
 * more that they are equal; all wait for the sum of what all writers add.
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "object.h"

#define MOST		1000000
#define MOST_PARTIES	64

struct counters {
	ready_t ready;
	uint32_t parties;
	_Atomic uint32_t joined;
	pthread_rwlock_t lock;
	uint64_t due;		/* what all writers add together */
	volatile uint64_t one, two;
};

static void init(struct counters *c, uint32_t parties)
{
	pthread_rwlockattr_t a;

	must(pthread_rwlockattr_init(&a), "pthread_rwlockattr_init");
	must(pthread_rwlockattr_setpshared(&a, PTHREAD_PROCESS_SHARED), "setpshared");
	must(pthread_rwlock_init(&c->lock, &a), "pthread_rwlock_init");
	c->parties = parties;
}

static void add(struct counters *c)
{
	must(pthread_rwlock_wrlock(&c->lock), "pthread_rwlock_wrlock");
	if (c->one != c->two)
		errx(1, "a writer sees %ju and %ju", (uintmax_t)c->one, (uintmax_t)c->two);
	c->one++;
	sched_yield();
	c->two++;
	must(pthread_rwlock_unlock(&c->lock), "pthread_rwlock_unlock");
}

static uint64_t look(struct counters *c)
{
	uint64_t one, two;

	must(pthread_rwlock_rdlock(&c->lock), "pthread_rwlock_rdlock");
	one = c->one;
	sched_yield();
	two = c->two;
	must(pthread_rwlock_unlock(&c->lock), "pthread_rwlock_unlock");
	if (one != two)
		errx(1, "a reader sees %ju and %ju", (uintmax_t)one, (uintmax_t)two);
	return one;
}

static void join(struct counters *c, const char *name, uint32_t parties, uint32_t adds)
{
	struct timespec since;

	if (c->parties != parties)
		errx(1, "the others are %u", c->parties);
	must(pthread_rwlock_wrlock(&c->lock), "pthread_rwlock_wrlock");
	c->due += adds;
	must(pthread_rwlock_unlock(&c->lock), "pthread_rwlock_unlock");
	if (clock_gettime(CLOCK_MONOTONIC, &since))
		err(1, "clock_gettime");
	/* the last to come takes the name away: nobody looks for it any more */
	if (atomic_fetch_add(&c->joined, 1) + 1 == parties)
		object_remove(name);
	while (atomic_load(&c->joined) < parties)
		object_patience(name, &since);
}

int main(int argc, char **argv)
{
	uint32_t n, parties;
	struct counters *c;
	uint64_t sum;

	if (argc != 5 || (strcmp(argv[2], "write") && strcmp(argv[2], "read")))
		errx(2, "usage: rwlock NAME write|read N PARTIES");
	n = number(argv[3], MOST);
	parties = number(argv[4], MOST_PARTIES);
	c = object_make(argv[1], sizeof(*c));
	if (c) {
		init(c, parties);
		object_publish(c);
	} else {
		c = object_find(argv[1], sizeof(*c));
	}
	join(c, argv[1], parties, *argv[2] == 'w' ? n : 0);
	for (uint32_t i = 0; i < n; i++)
		*argv[2] == 'w' ? add(c) : (void)look(c);
	/* a pause lets writers in, which the lock does not prefer */
	while ((sum = look(c)) < c->due)
		usleep(STEP_US);
	if (sum > c->due)
		errx(1, "the sum is %ju, not %ju", (uintmax_t)sum, (uintmax_t)c->due);
	printf("%s %u, sum %ju\n", *argv[2] == 'w' ? "wrote" : "read", n, (uintmax_t)sum);
	return 0;
}
