/* SPDX-License-Identifier: MIT */
/*
 * The bounded buffer with two named semaphores:
 * bounded_buffer NAME produce|consume N
 *
 * NAME-empty counts the free slots of the ring, NAME-full the filled ones.
 */
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "object.h"

#define SLOTS		16
#define MOST		100000000

struct ring {
	ready_t ready;
	uint32_t slot[SLOTS];
};

static char empty_name[256], full_name[256];

static sem_t *count(const char *name, int flags, unsigned int value)
{
	sem_t *s = sem_open(name, flags, 0600, value);

	if (s == SEM_FAILED)
		err(1, "sem_open of %s", name);
	return s;
}

static void take(sem_t *s)
{
	while (sem_wait(s))
		if (errno != EINTR)
			err(1, "sem_wait");
}

static void give(sem_t *s)
{
	if (sem_post(s))
		err(1, "sem_post");
}

static void leave(sem_t *empty, sem_t *full)
{
	if (sem_close(empty) || sem_close(full))
		err(1, "sem_close");
}

static void produce(const char *name, unsigned int n)
{
	struct ring *r = object_make(name, sizeof(*r));
	sem_t *empty, *full;

	if (!r)
		errx(1, "%s is there already: of another run?", name);
	empty = count(empty_name, O_CREAT | O_EXCL, SLOTS);
	full = count(full_name, O_CREAT | O_EXCL, 0);
	object_publish(r);
	for (unsigned int i = 0; i < n; i++) {
		take(empty);
		r->slot[i % SLOTS] = i + 1;
		give(full);
	}
	/* with every slot free again all was consumed, and the names may go */
	for (unsigned int i = 0; i < SLOTS; i++)
		take(empty);
	leave(empty, full);
	if (sem_unlink(empty_name) || sem_unlink(full_name))
		err(1, "sem_unlink");
	object_remove(name);
	printf("produced %u\n", n);
}

static void consume(const char *name, unsigned int n)
{
	struct ring *r = object_find(name, sizeof(*r));
	sem_t *empty = count(empty_name, 0, 0), *full = count(full_name, 0, 0);
	uint64_t sum = 0;

	for (unsigned int i = 0; i < n; i++) {
		take(full);
		if (r->slot[i % SLOTS] != i + 1)
			errx(1, "item %u is %u", i + 1, r->slot[i % SLOTS]);
		sum += r->slot[i % SLOTS];
		give(empty);
	}
	leave(empty, full);
	printf("consumed %u, sum %ju\n", n, (uintmax_t)sum);
}

static void semaphore_name(char to[256], const char *name, const char *of)
{
	if (snprintf(to, 256, "%s-%s", name, of) >= 256)
		errx(2, "the name is too long");
}

int main(int argc, char **argv)
{
	if (argc != 4 || (strcmp(argv[2], "produce") && strcmp(argv[2], "consume")))
		errx(2, "usage: bounded_buffer NAME produce|consume N");
	semaphore_name(empty_name, argv[1], "empty");
	semaphore_name(full_name, argv[1], "full");
	if (!strcmp(argv[2], "produce"))
		produce(argv[1], number(argv[3], MOST));
	else
		consume(argv[1], number(argv[3], MOST));
	return 0;
}
