/* SPDX-License-Identifier: MIT */
#include "bucket.h"

#include "../shim/lib/clock.h"

#define SECOND	1000000000

static int64_t cost(const struct bucket *b)
{
	return SECOND / b->rate;
}

static int64_t now_ns(void)
{
	return sivshmem_now_ms() * (SECOND / 1000);
}

bool bucket_has(const struct bucket *b)
{
	return !b->rate || b->full_at + cost(b) <= now_ns() + cost(b) * b->burst;
}

void bucket_owe(struct bucket *b)
{
	int64_t now = now_ns();

	if (!b->rate)
		return;
	if (b->full_at < now)
		b->full_at = now;
	b->full_at += cost(b);
}

bool bucket_take(struct bucket *b)
{
	bool has = bucket_has(b);

	if (has)
		bucket_owe(b);
	return has;
}
