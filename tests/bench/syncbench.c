/* SPDX-License-Identifier: MIT */
/*
 * syncbench REGION [REGION]: what uncontended locks cost, process-shared, in
 * each region in turn. Prints {"lock":..,"sem":..,"signal":..}, ns for a lock
 * and its unlock, a post and its wait, a signal that nobody waits for; with two
 * regions {"first":{..},"second":{..},"paired_ratio":{..}}.
 */
#include <pthread.h>
#include <semaphore.h>

#include "region.h"

#define BATCHES	201
#define CALLS	5000
#define KINDS	3

struct objects {
	pthread_mutex_t mutex __attribute__((aligned(64)));
	sem_t sem __attribute__((aligned(64)));
	pthread_cond_t cond __attribute__((aligned(64)));
};

static const char *const names[KINDS] = { "lock", "sem", "signal" };

static void run(struct objects *o, int kind)
{
	for (int i = 0; i < CALLS; i++) {
		switch (kind) {
		case 0:
			pthread_mutex_lock(&o->mutex);
			pthread_mutex_unlock(&o->mutex);
			break;
		case 1:
			sem_post(&o->sem);
			sem_wait(&o->sem);
			break;
		default:
			pthread_cond_signal(&o->cond);
		}
	}
}

static struct objects *make(const char *region)
{
	struct objects *o = region_map(region, sizeof(*o), 1);
	pthread_mutexattr_t m;
	pthread_condattr_t c;

	pthread_mutexattr_init(&m);
	pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
	pthread_condattr_init(&c);
	pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED);
	if (pthread_mutex_init(&o->mutex, &m) || sem_init(&o->sem, 1, 0) ||
	    pthread_cond_init(&o->cond, &c))
		errx(3, "cannot make the objects");
	shm_unlink(strchr(region, ':') + 1);
	return o;
}

static void print(double v[KINDS][BATCHES])
{
	printf("{");
	for (int k = 0; k < KINDS; k++) {
		if (k)
			printf(",");
		print_spread(names[k], v[k], BATCHES);
	}
	printf("}");
}

int main(int argc, char **argv)
{
	static double t[3][KINDS][BATCHES];
	struct objects *o[2];

	if (argc != 2 && argc != 3)
		errx(2, "usage: syncbench REGION [REGION]");
	for (int r = 0; r < argc - 1; r++)
		o[r] = make(argv[1 + r]);
	for (int i = 0; i < BATCHES; i++) {
		for (int k = 0; k < KINDS; k++) {
			for (int r = 0; r < argc - 1; r++) {
				uint64_t start = now_ns();

				run(o[r], k);
				t[r][k][i] = (double)(now_ns() - start) / CALLS;
			}
			t[2][k][i] = t[0][k][i] / t[1][k][i];
		}
	}
	if (argc == 2) {
		print(t[0]);
	} else {
		printf("{\"first\":");
		print(t[0]);
		printf(",\"second\":");
		print(t[1]);
		printf(",\"paired_ratio\":");
		print(t[2]);
		printf("}");
	}
	puts("");
	return 0;
}
