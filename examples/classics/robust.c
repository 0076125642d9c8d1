/* SPDX-License-Identifier: MIT */
/*
 * The holder of a robust mutex dies, and the other end repairs what it left:
 * robust NAME hold|lock
 *
 * hold: makes the object, locks, and pauses until it is killed.
 * lock: waits for the mutex; to standard error, for how many milliseconds.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "object.h"

/* whoever holds the mutex makes both equal again before he lets go */
struct account {
	ready_t ready;
	pthread_mutex_t mutex;
	unsigned int paid_in, paid_out;
};

static void init(struct account *a)
{
	pthread_mutexattr_t ma;

	must(pthread_mutexattr_init(&ma), "pthread_mutexattr_init");
	must(pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED), "setpshared");
	must(pthread_mutexattr_setrobust(&ma, PTHREAD_MUTEX_ROBUST), "setrobust");
	must(pthread_mutex_init(&a->mutex, &ma), "pthread_mutex_init");
}

static void hold(const char *name)
{
	struct account *a = object_make(name, sizeof(*a));

	if (!a)
		errx(1, "%s is there already: of another run?", name);
	init(a);
	must(pthread_mutex_lock(&a->mutex), "pthread_mutex_lock");
	a->paid_in = 1;
	object_publish(a);
	puts("held");
	for (;;)
		pause();
}

static long ms_since(const struct timespec *t)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now))
		err(1, "clock_gettime");
	return (now.tv_sec - t->tv_sec) * 1000 + (now.tv_nsec - t->tv_nsec) / 1000000;
}

static void repair(struct account *a)
{
	if (a->paid_in != 1 || a->paid_out)
		errx(1, "the account is not as its holder left it");
	puts("EOWNERDEAD");
	a->paid_out = a->paid_in;
	must(pthread_mutex_consistent(&a->mutex), "pthread_mutex_consistent");
	puts("consistent");
	must(pthread_mutex_unlock(&a->mutex), "pthread_mutex_unlock");
	puts("unlocked");
}

static void lock(const char *name)
{
	struct account *a = object_find(name, sizeof(*a));
	struct timespec since;
	int r;

	if (clock_gettime(CLOCK_MONOTONIC, &since))
		err(1, "clock_gettime");
	puts("waiting");
	r = pthread_mutex_lock(&a->mutex);
	if (r != EOWNERDEAD)
		errx(1, "pthread_mutex_lock: %s instead of EOWNERDEAD",
		     r ? strerrorname_np(r) : "success");
	fprintf(stderr, "waited %ld ms\n", ms_since(&since));
	repair(a);
	must(pthread_mutex_lock(&a->mutex), "pthread_mutex_lock after the repair");
	if (a->paid_in != a->paid_out)
		errx(1, "the repair is lost");
	puts("locked again");
	must(pthread_mutex_unlock(&a->mutex), "pthread_mutex_unlock");
	object_remove(name);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 3 || (strcmp(argv[2], "hold") && strcmp(argv[2], "lock")))
		errx(2, "usage: robust NAME hold|lock");
	if (!strcmp(argv[2], "hold"))
		hold(argv[1]);
	else
		lock(argv[1]);
	return 0;
}
