/* SPDX-License-Identifier: MIT */
/*
 * In whose name a local object was ever given out for writing. Whoever has its
 * memory mapped keeps it when his session, his grant or this monitor has ended,
 * so that no list of sessions knows whom a revocation is about.
 */
#include "writers.h"

#include <errno.h>
#include <stdlib.h>

#include "keep.h"

static bool has(const struct object *o, uint64_t serial)
{
	uint32_t i;

	for (i = 0; i < o->writer_count; i++)
		if (o->writers[i] == serial)
			return true;
	return false;
}

static int add(struct object *o, uint64_t serial)
{
	uint64_t *more;

	if (has(o, serial))
		return 0;
	more = reallocarray(o->writers, o->writer_count + 1, sizeof(*more));
	if (!more)
		return ENOMEM;
	o->writers = more;
	o->writers[o->writer_count++] = serial;
	return 0;
}

int writers_add(struct object *o, const struct sivp_chain *chain)
{
	const uint32_t before = o->writer_count;
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < chain->count; i++)
		r = add(o, chain->cert[i].serial);
	if (o->writer_count != before)
		keep_writers(o);
	return r;
}

int writers_adopt(struct object *o, const uint64_t *serials, uint32_t count)
{
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < count; i++)
		r = add(o, serials[i]);
	return r;
}

uint64_t writers_find(const struct object *o, bool (*is_bad)(uint64_t serial))
{
	uint32_t i;

	for (i = 0; i < o->writer_count; i++)
		if (is_bad(o->writers[i]))
			return o->writers[i];
	return 0;
}
