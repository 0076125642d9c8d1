/* SPDX-License-Identifier: MIT */
/*
 * Producer and consumer with a mutex and two conditions:
 * prodcons NAME produce|consume N
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "object.h"

#define SLOTS		8
#define MOST		100000000

struct queue {
	ready_t ready;
	pthread_mutex_t mutex;
	pthread_cond_t not_empty, not_full;
	uint32_t first, filled;
	bool done;		/* the consumer has all it wants */
	uint32_t slot[SLOTS];
};

static void init(struct queue *q)
{
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;

	must(pthread_mutexattr_init(&ma), "pthread_mutexattr_init");
	must(pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED), "mutex setpshared");
	must(pthread_mutex_init(&q->mutex, &ma), "pthread_mutex_init");
	must(pthread_condattr_init(&ca), "pthread_condattr_init");
	must(pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED), "condition setpshared");
	must(pthread_cond_init(&q->not_empty, &ca), "pthread_cond_init");
	must(pthread_cond_init(&q->not_full, &ca), "pthread_cond_init");
}

static void lock(struct queue *q)
{
	must(pthread_mutex_lock(&q->mutex), "pthread_mutex_lock");
}

static void unlock(struct queue *q)
{
	must(pthread_mutex_unlock(&q->mutex), "pthread_mutex_unlock");
}

static void sleep_on(pthread_cond_t *c, struct queue *q)
{
	must(pthread_cond_wait(c, &q->mutex), "pthread_cond_wait");
}

static void rouse(pthread_cond_t *c)
{
	must(pthread_cond_signal(c), "pthread_cond_signal");
}

static void produce(const char *name, uint32_t n)
{
	struct queue *q = object_make(name, sizeof(*q));

	if (!q)
		errx(1, "%s is there already: of another run?", name);
	init(q);
	object_publish(q);
	for (uint32_t i = 1; i <= n; i++) {
		lock(q);
		while (q->filled == SLOTS)
			sleep_on(&q->not_full, q);
		q->slot[(q->first + q->filled++) % SLOTS] = i;
		rouse(&q->not_empty);
		unlock(q);
	}
	lock(q);
	while (!q->done)
		sleep_on(&q->not_full, q);
	unlock(q);
	object_remove(name);
	printf("produced %u\n", n);
}

static void consume(const char *name, uint32_t n)
{
	struct queue *q = object_find(name, sizeof(*q));
	uint64_t sum = 0;

	for (uint32_t i = 1; i <= n; i++) {
		lock(q);
		while (!q->filled)
			sleep_on(&q->not_empty, q);
		if (q->slot[q->first] != i)
			errx(1, "item %u is %u", i, q->slot[q->first]);
		sum += q->slot[q->first];
		q->first = (q->first + 1) % SLOTS;
		q->filled--;
		q->done = i == n;
		rouse(&q->not_full);
		unlock(q);
	}
	printf("consumed %u, sum %ju\n", n, (uintmax_t)sum);
}

int main(int argc, char **argv)
{
	if (argc != 4 || (strcmp(argv[2], "produce") && strcmp(argv[2], "consume")))
		errx(2, "usage: prodcons NAME produce|consume N");
	if (!strcmp(argv[2], "produce"))
		produce(argv[1], number(argv[3], MOST));
	else
		consume(argv[1], number(argv[3], MOST));
	return 0;
}
