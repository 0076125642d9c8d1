/* SPDX-License-Identifier: MIT */
#include "alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* free runs, sorted by offset, none touching the next */
struct pages {
	uint64_t bytes, free;
	struct sivring_extent *run;
	size_t count, room;
};

struct pages *pages_create(uint64_t bytes)
{
	struct pages *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->room = 16;
	p->run = calloc(p->room, sizeof(*p->run));
	if (!p->run) {
		free(p);
		return NULL;
	}
	p->bytes = p->free = bytes;
	p->run[0].length = bytes;
	p->count = 1;
	return p;
}

void pages_destroy(struct pages *pages)
{
	if (!pages)
		return;
	free(pages->run);
	free(pages);
}

uint64_t pages_free(const struct pages *pages)
{
	return pages->free;
}

static int reserve(struct pages *p, size_t count)
{
	struct sivring_extent *more;

	if (count <= p->room)
		return 0;
	more = reallocarray(p->run, count * 2, sizeof(*more));
	if (!more)
		return -ENOMEM;
	p->run = more;
	p->room = count * 2;
	return 0;
}

static void remove_run(struct pages *p, size_t i)
{
	memmove(&p->run[i], &p->run[i + 1], (--p->count - i) * sizeof(*p->run));
}

/* room for one more run is there */
static void insert_run(struct pages *p, size_t i, uint64_t offset, uint64_t length)
{
	memmove(&p->run[i + 1], &p->run[i], (p->count++ - i) * sizeof(*p->run));
	p->run[i].offset = offset;
	p->run[i].length = length;
}

/* Cut [offset, offset + length) out of run i, which holds it. */
static void cut(struct pages *p, size_t i, uint64_t offset, uint64_t length)
{
	uint64_t start = p->run[i].offset, end = start + p->run[i].length;

	p->free -= length;
	if (start == offset && end == offset + length) {
		remove_run(p, i);
	} else if (start == offset) {
		p->run[i].offset += length;
		p->run[i].length -= length;
	} else {
		p->run[i].length = offset - start;
		if (end > offset + length)
			insert_run(p, i + 1, offset + length, end - offset - length);
	}
}

static uint64_t aligned_start(const struct sivring_extent *run, uint64_t align)
{
	return (run->offset + align - 1) & ~(align - 1);
}

/* The shortest run that holds `bytes` from an aligned start on, or count. */
static size_t best_fit(const struct pages *p, uint64_t bytes, uint64_t align)
{
	size_t best = p->count, i;

	for (i = 0; i < p->count; i++) {
		const struct sivring_extent *r = &p->run[i];
		uint64_t skip = aligned_start(r, align) - r->offset;

		if (r->length < skip || r->length - skip < bytes)
			continue;
		if (best == p->count || r->length < p->run[best].length)
			best = i;
	}
	return best;
}

static size_t longest(const struct pages *p)
{
	size_t best = 0, i;

	for (i = 1; i < p->count; i++)
		if (p->run[i].length > p->run[best].length)
			best = i;
	return best;
}

static void take_run(struct pages *p, size_t i, uint64_t offset, uint64_t length,
		     struct sivring_extent *extents, uint32_t *count)
{
	extents[*count].offset = offset;
	extents[(*count)++].length = length;
	cut(p, i, offset, length);
}

int pages_take(struct pages *p, uint64_t bytes, struct sivring_extent *extents,
	       uint32_t room, uint32_t *count)
{
	uint64_t align = bytes >= ALLOC_HUGE ? ALLOC_HUGE : ALLOC_PAGE;

	*count = 0;
	if (!bytes || bytes % ALLOC_PAGE)
		return -EINVAL;
	if (bytes > p->free)
		return -ENOSPC;
	if (reserve(p, p->count + 1))
		return -ENOMEM;
	while (bytes) {
		size_t i = best_fit(p, bytes, align);
		uint64_t length;

		if (*count == room) {
			while (*count)
				pages_give(p, &extents[--*count]);
			return -ENOSPC;
		}
		if (i == p->count && align > ALLOC_PAGE) {
			align = ALLOC_PAGE;
			continue;
		}
		if (i < p->count) {
			take_run(p, i, aligned_start(&p->run[i], align), bytes,
				 extents, count);
			return 0;
		}
		i = longest(p);
		length = p->run[i].length;
		take_run(p, i, p->run[i].offset, length, extents, count);
		bytes -= length;
	}
	return 0;
}

int pages_reserve(struct pages *p, const struct sivring_extent *e)
{
	uint64_t end = e->offset + e->length;
	size_t i;

	if (!e->length || (e->offset | e->length) % ALLOC_PAGE || end < e->offset)
		return -EINVAL;
	if (reserve(p, p->count + 1))
		return -ENOMEM;
	for (i = 0; i < p->count; i++) {
		const struct sivring_extent *r = &p->run[i];

		if (e->offset < r->offset || end > r->offset + r->length)
			continue;
		cut(p, i, e->offset, e->length);
		return 0;
	}
	return -EINVAL;
}

void pages_each(const struct pages *p,
		void (*run)(const struct sivring_extent *run, void *context), void *context)
{
	size_t i;

	for (i = 0; i < p->count; i++)
		run(&p->run[i], context);
}

int pages_give(struct pages *p, const struct sivring_extent *e)
{
	uint64_t end = e->offset + e->length;
	bool left, right;
	size_t i;

	if (!e->length || (e->offset | e->length) % ALLOC_PAGE || end < e->offset ||
	    end > p->bytes)
		return -EINVAL;
	if (reserve(p, p->count + 1))
		return -ENOMEM;
	for (i = 0; i < p->count && p->run[i].offset < e->offset; i++)
		;
	if ((i && p->run[i - 1].offset + p->run[i - 1].length > e->offset) ||
	    (i < p->count && p->run[i].offset < end))
		return -EINVAL;
	p->free += e->length;
	left = i && p->run[i - 1].offset + p->run[i - 1].length == e->offset;
	right = i < p->count && p->run[i].offset == end;
	if (left && right) {
		p->run[i - 1].length += e->length + p->run[i].length;
		remove_run(p, i);
	} else if (left) {
		p->run[i - 1].length += e->length;
	} else if (right) {
		p->run[i].offset = e->offset;
		p->run[i].length += e->length;
	} else {
		insert_run(p, i, e->offset, e->length);
	}
	return 0;
}
