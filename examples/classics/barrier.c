/* SPDX-License-Identifier: MIT */
/*
 * Participants that go through rounds together:
 * barrier NAME K ROUNDS, K times, all with the same words
 *
 * The first to come makes the object. Each says in which round it is and
 * looks, between two barriers, whether all others are in the same one.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "object.h"

#define MOST_PARTIES	64
#define MOST_ROUNDS	1000000

struct meeting {
	ready_t ready;
	uint32_t parties, rounds;
	_Atomic uint32_t joined;
	pthread_barrier_t barrier;
	uint32_t round[MOST_PARTIES];
};

static void init(struct meeting *m, uint32_t parties, uint32_t rounds)
{
	pthread_barrierattr_t a;

	must(pthread_barrierattr_init(&a), "pthread_barrierattr_init");
	must(pthread_barrierattr_setpshared(&a, PTHREAD_PROCESS_SHARED), "setpshared");
	must(pthread_barrier_init(&m->barrier, &a, parties), "pthread_barrier_init");
	m->parties = parties;
	m->rounds = rounds;
}

/* whether this one was the last to come */
static bool meet(struct meeting *m)
{
	int r = pthread_barrier_wait(&m->barrier);

	if (r == PTHREAD_BARRIER_SERIAL_THREAD)
		return true;
	must(r, "pthread_barrier_wait");
	return false;
}

static uint32_t join(struct meeting *m, uint32_t parties, uint32_t rounds)
{
	uint32_t me;

	if (m->parties != parties || m->rounds != rounds)
		errx(1, "the others are %u with %u rounds", m->parties, m->rounds);
	me = atomic_fetch_add(&m->joined, 1);
	if (me >= parties)
		errx(1, "all %u are there already", parties);
	return me;
}

static void one_round(struct meeting *m, uint32_t me, uint32_t round)
{
	m->round[me] = round;
	meet(m);
	for (uint32_t i = 0; i < m->parties; i++)
		if (m->round[i] != round)
			errx(1, "participant %u is in round %u, this one in %u", i, m->round[i],
			     round);
	/* nobody goes on before all have looked */
	meet(m);
}

int main(int argc, char **argv)
{
	uint32_t parties, rounds, me;
	struct meeting *m;

	if (argc != 4)
		errx(2, "usage: barrier NAME K ROUNDS");
	parties = number(argv[2], MOST_PARTIES);
	rounds = number(argv[3], MOST_ROUNDS);
	m = object_make(argv[1], sizeof(*m));
	if (m) {
		init(m, parties, rounds);
		object_publish(m);
	} else {
		m = object_find(argv[1], sizeof(*m));
	}
	me = join(m, parties, rounds);
	for (uint32_t r = 1; r <= rounds; r++)
		one_round(m, me, r);
	/* everybody is past finding it */
	if (meet(m))
		object_remove(argv[1]);
	printf("%u participants, %u rounds\n", parties, rounds);
	return 0;
}
