/* SPDX-License-Identifier: MIT */
/*
 * Barriers: the round, which sleepers compare, and how many have come in it
 * change as one word of 64 bits.
 */
#include "sync.h"

#include <errno.h>
#include <string.h>

struct barrier {
	union {
		_Atomic uint64_t both;
		struct {
			_Atomic uint32_t round;
			_Atomic uint32_t come;
		};
	};
	uint32_t count;
	_Atomic uint32_t inside;	/* between coming and leaving */
};
_Static_assert(sizeof(struct barrier) <= sizeof(pthread_barrier_t), "room");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "round is the low half");

static struct barrier *of(pthread_barrier_t *barrier)
{
	return (struct barrier *)barrier;
}

int shim_barrier_init(pthread_barrier_t *barrier, unsigned int count)
{
	if (!count)
		return EINVAL;
	memset(barrier, 0, sizeof(*barrier));
	of(barrier)->count = count;
	return 0;
}

int shim_barrier_destroy(pthread_barrier_t *barrier)
{
	if (of(barrier)->come)
		return EBUSY;
	shim_object_drain(&of(barrier)->inside);
	return 0;
}

/* 0, the serial one, or an errno of the sleep. */
static int pass(struct barrier *b)
{
	uint64_t both = b->both;
	uint32_t round, come;
	int r;

	for (;;) {
		round = (uint32_t)both;
		come = (uint32_t)(both >> 32);
		if (come + 1 >= b->count) {
			if (!atomic_compare_exchange_weak(&b->both, &both,
							  (uint64_t)(uint32_t)(round + 1)))
				continue;
			shim_wake(&b->round, SHIM_EVERYBODY);
			return PTHREAD_BARRIER_SERIAL_THREAD;
		}
		if (atomic_compare_exchange_weak(&b->both, &both,
						 both + (UINT64_C(1) << 32)))
			break;
	}
	do
		r = shim_sleep(&b->round, round, 0, NULL);
	while (!r && b->round == round);
	return r;
}

int shim_barrier_wait(pthread_barrier_t *barrier)
{
	struct barrier *b = of(barrier);
	int r;

	atomic_fetch_add(&b->inside, 1);
	r = pass(b);
	shim_object_leave(&b->inside);
	return r;
}
