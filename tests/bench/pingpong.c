/* SPDX-License-Identifier: MIT */
/*
 * pingpong a|b BATCHES ROUNDS REGION REGION: polling round trips between two
 * machines. The batches alternate between the two regions, so that what
 * disturbs one disturbs the other. a prints one JSON object: ns a round trip.
 * The first region must be shm:, which is new and zero at each run.
 */
#include <stdatomic.h>
#include "region.h"

#define SIZE	4096u

struct ball {
	_Atomic uint64_t ping;
	char pad1[120];
	_Atomic uint64_t pong;
	char pad2[120];
	_Atomic uint64_t ready;
};

static double play(struct ball *b, uint64_t *turn, long rounds, int leads)
{
	uint64_t start = now_ns(), n = *turn;
	long i;

	for (i = 0; i < rounds; i++) {
		n++;
		if (leads) {
			atomic_store_explicit(&b->ping, n, memory_order_release);
			while (atomic_load_explicit(&b->pong, memory_order_acquire) != n)
				;
		} else {
			while (atomic_load_explicit(&b->ping, memory_order_acquire) != n)
				;
			atomic_store_explicit(&b->pong, n, memory_order_release);
		}
	}
	*turn = n;
	return (double)(now_ns() - start) / (double)rounds;
}

int main(int argc, char **argv)
{
	struct ball *ball[2];
	double *t[2], *ratio;
	uint64_t turn[2] = { 0, 0 };
	long batches, rounds, i;
	int leads, r;

	if (argc != 6)
		errx(2, "usage: pingpong a|b BATCHES ROUNDS REGION REGION");
	leads = argv[1][0] == 'a';
	batches = atol(argv[2]);
	rounds = atol(argv[3]);
	ratio = calloc((size_t)batches, sizeof(*ratio));
	for (r = 0; r < 2; r++) {
		t[r] = calloc((size_t)batches, sizeof(**t));
		ball[r] = region_map(argv[4 + r], SIZE, leads);
		if (!t[r] || !ratio)
			err(3, "calloc");
		if (leads)
			memset(ball[r], 0, sizeof(*ball[r]));
	}
	if (leads) {
		atomic_store(&ball[0]->ready, 1);
		while (atomic_load(&ball[0]->ready) != 2)
			usleep(1000);
	} else {
		while (atomic_load(&ball[0]->ready) != 1)
			usleep(1000);
		atomic_store(&ball[0]->ready, 2);
	}
	for (i = 0; i < batches; i++) {
		for (r = 0; r < 2; r++)
			t[r][i] = play(ball[r], &turn[r], rounds, leads);
		ratio[i] = t[0][i] / t[1][i];
	}
	if (!leads)
		return 0;
	printf("{");
	print_compared(t[0], t[1], ratio, (size_t)batches);
	printf("}\n");
	shm_unlink(strchr(argv[4], ':') + 1);
	return 0;
}
