/* SPDX-License-Identifier: MIT */
/* Pages of a link: never given twice, never lost, whatever the order. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../ca-host/alloc.h"

#define P	ALLOC_PAGE
#define ROOM	64

static struct sivring_extent got[ROOM];
static uint32_t count;

static void takes_exactly_what_there_is(void)
{
	struct pages *p = pages_create(8 * P);

	CHECK(p && pages_free(p) == 8 * P);
	CHECK(pages_take(p, 0, got, ROOM, &count) == -EINVAL);
	CHECK(pages_take(p, P + 1, got, ROOM, &count) == -EINVAL);
	CHECK(pages_take(p, 9 * P, got, ROOM, &count) == -ENOSPC && !count);
	CHECK(!pages_take(p, 8 * P, got, ROOM, &count) && count == 1);
	CHECK(got[0].offset == 0 && got[0].length == 8 * P && !pages_free(p));
	CHECK(pages_take(p, P, got + 1, ROOM, &count) == -ENOSPC);
	CHECK(!pages_give(p, got) && pages_free(p) == 8 * P);
	pages_destroy(p);
}

static void refuses_what_was_not_taken(void)
{
	struct sivring_extent e = { .offset = 0, .length = 4 * P };
	struct pages *p = pages_create(8 * P);

	CHECK(p && pages_give(p, &e) == -EINVAL);
	CHECK(!pages_take(p, 4 * P, got, ROOM, &count) && got[0].offset == 0);
	e = (struct sivring_extent){ .offset = 2 * P, .length = 4 * P };
	CHECK(pages_give(p, &e) == -EINVAL);	/* half of it is free */
	e = (struct sivring_extent){ .offset = 1, .length = P };
	CHECK(pages_give(p, &e) == -EINVAL);
	e = (struct sivring_extent){ .offset = 0, .length = 0 };
	CHECK(pages_give(p, &e) == -EINVAL);
	e = (struct sivring_extent){ .offset = 7 * P, .length = 2 * P };
	CHECK(pages_give(p, &e) == -EINVAL);
	e = (struct sivring_extent){ .offset = -(uint64_t)P, .length = 2 * P };
	CHECK(pages_give(p, &e) == -EINVAL);
	CHECK(pages_free(p) == 4 * P);
	CHECK(!pages_give(p, got) && pages_give(p, got) == -EINVAL);
	CHECK(pages_free(p) == 8 * P);
	pages_destroy(p);
}

static void big_ones_are_aligned(void)
{
	struct pages *p = pages_create(4 * (uint64_t)ALLOC_HUGE);

	CHECK(p && !pages_take(p, P, got, ROOM, &count));
	CHECK(!pages_take(p, ALLOC_HUGE, got + 1, ROOM, &count) && count == 1);
	CHECK(got[1].offset % ALLOC_HUGE == 0 && got[1].offset);
	/* 2 MiB less a page lie before it: the best fit for less than 2 MiB */
	CHECK(!pages_take(p, ALLOC_HUGE - P, got + 2, ROOM, &count));
	CHECK(count == 1 && got[2].offset == P);
	pages_destroy(p);
}

/* Every second page is taken: a big one comes in pieces, or not at all. */
static void pieces_when_there_is_no_run(void)
{
	struct sivring_extent each[16], pieces[8];
	struct pages *p = pages_create(16 * P);
	uint32_t i;

	for (i = 0; i < 16; i++)
		CHECK(!pages_take(p, P, &each[i], 1, &count));
	for (i = 0; i < 16; i += 2)
		CHECK(!pages_give(p, &each[i]));
	CHECK(pages_take(p, 8 * P, pieces, 7, &count) == -ENOSPC);
	CHECK(pages_free(p) == 8 * P);
	CHECK(!pages_take(p, 8 * P, pieces, 8, &count) && count == 8 && !pages_free(p));
	for (i = 0; i < 8; i++)
		CHECK(pieces[i].length == P && pieces[i].offset / P % 2 == 0);
	pages_destroy(p);
}

/* 20000 random takes and gives against a map of single pages. */
static void any_order(void)
{
	enum { PAGES = 4096, HELD = 128 };
	static struct { struct sivring_extent e[16]; uint32_t n; } held[HELD];
	static unsigned char taken[PAGES];
	struct pages *p = pages_create((uint64_t)PAGES * P);
	uint64_t used = 0, at;
	uint32_t step, i, k;

	srandom(7);
	for (step = 0; step < 20000; step++) {
		k = (uint32_t)random() % HELD;
		if (!held[k].n && !pages_take(p, (uint64_t)(1 + random() % 700) * P,
					      held[k].e, 16, &held[k].n)) {
			for (i = 0; i < held[k].n; i++)
				for (at = 0; at < held[k].e[i].length / P; at++) {
					CHECK(!taken[held[k].e[i].offset / P + at]++);
					used++;
				}
		} else {
			for (i = 0; i < held[k].n; i++) {
				at = held[k].e[i].length / P;
				memset(taken + held[k].e[i].offset / P, 0, at);
				used -= at;
				CHECK(!pages_give(p, &held[k].e[i]));
			}
			held[k].n = 0;
		}
		CHECK(pages_free(p) == (PAGES - used) * P);
	}
	for (k = 0; k < HELD; k++)
		for (i = 0; i < held[k].n; i++)
			CHECK(!pages_give(p, &held[k].e[i]));
	CHECK(!pages_take(p, (uint64_t)PAGES * P, got, 1, &count) && count == 1);
	pages_destroy(p);
}

int main(void)
{
	RUN(takes_exactly_what_there_is);
	RUN(refuses_what_was_not_taken);
	RUN(big_ones_are_aligned);
	RUN(pieces_when_there_is_no_run);
	RUN(any_order);
	return test_failures != 0;
}
