/* SPDX-License-Identifier: MIT */
/*
 * wakebench a|b BATCHES ROUNDS REGION BELL: round trips between two machines
 * that sleep, in turn by two semaphores in the region and by the bare doorbell
 * /dev/bell. a prints one JSON object: ns for one way.
 */
#include <semaphore.h>

#include "region.h"

struct two {
	sem_t ping __attribute__((aligned(64)));
	sem_t pong __attribute__((aligned(64)));
	_Atomic uint32_t ready;
};

static struct two *two;
static int bell;

static void post(sem_t *sem)
{
	if (sem_post(sem))
		err(3, "sem_post");
}

static void await(sem_t *sem)
{
	if (sem_wait(sem))
		err(3, "sem_wait");
}

static void by_semaphore(long rounds, int leads)
{
	for (long i = 0; i < rounds; i++) {
		if (leads)
			post(&two->ping);
		await(leads ? &two->pong : &two->ping);
		if (!leads)
			post(&two->pong);
	}
}

static void ring(void)
{
	if (write(bell, "", 1) != 1)
		err(3, "write");
}

static void by_bell(long rounds, int leads)
{
	char byte;

	for (long i = 0; i < rounds; i++) {
		if (leads)
			ring();
		if (read(bell, &byte, 1) != 1)
			err(3, "read");
		if (!leads)
			ring();
	}
}

int main(int argc, char **argv)
{
	static void (*const play[])(long, int) = { by_semaphore, by_bell };
	double *t[2], *ratio;
	long batches, rounds;
	int leads;

	if (argc != 6)
		errx(2, "usage: wakebench a|b BATCHES ROUNDS REGION BELL");
	leads = argv[1][0] == 'a';
	batches = atol(argv[2]);
	rounds = atol(argv[3]);
	two = region_map(argv[4], sizeof(*two), leads);
	bell = open(argv[5], O_RDWR | O_CLOEXEC);
	if (bell < 0)
		err(3, "%s", argv[5]);
	t[0] = calloc((size_t)batches, sizeof(double));
	t[1] = calloc((size_t)batches, sizeof(double));
	ratio = calloc((size_t)batches, sizeof(double));
	if (!t[0] || !t[1] || !ratio)
		err(3, "calloc");
	if (leads && (sem_init(&two->ping, 1, 0) || sem_init(&two->pong, 1, 0)))
		err(3, "sem_init");
	if (leads)
		two->ready = 1;
	while (two->ready != (leads ? 2 : 1))
		usleep(1000);
	two->ready = 2;
	for (long i = 0; i < batches; i++) {
		for (int how = 0; how < 2; how++) {
			uint64_t start = now_ns();

			play[how](rounds, leads);
			t[how][i] = (double)(now_ns() - start) / (double)rounds / 2;
		}
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
