/* SPDX-License-Identifier: MIT */
#include "resize.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "close_large.h"
#include "keep.h"
#include "limits.h"
#include "wipe.h"

static bool is_local(const struct object *o)
{
	return o->channel->link == POLICY_ON_HOST;
}

/* Zero the object's bytes from..to, wherever they lie in the link. */
static int zero_bytes(const struct object *o, uint64_t from, uint64_t to)
{
	int memory = monitor.links[o->channel->link].memory, r;
	uint64_t at = 0;
	uint32_t i;

	for (i = 0; i < o->extent_count && at < to; i++) {
		const struct sivring_extent *e = &o->extents[i];
		uint64_t start = from > at ? from - at : 0;
		uint64_t end = to - at < e->length ? to - at : e->length;

		if (start < end) {
			r = wipe_now(memory, e->offset + start, end - start);
			if (r)
				return r;
		}
		at += e->length;
	}
	return 0;
}

static void give_back(const struct object *o, const struct sivring_extent *e, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		wipe_later(o->channel->link, &e[i]);
}

/* Join what touches, so that huge mappings and the extent limit profit. */
static uint32_t append(struct sivring_extent *all, uint32_t have,
		       const struct sivring_extent *more, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		if (have && all[have - 1].offset + all[have - 1].length == more[i].offset)
			all[have - 1].length += more[i].length;
		else
			all[have++] = more[i];
	return have;
}

/* Their VMs may have written to them while they were free: see zero_slice(). */
static int take_memory(struct object *o, uint64_t pages)
{
	struct link *link = &monitor.links[o->channel->link];
	struct sivring_extent more[SIVRING_EXTENTS_MAX], *all;
	uint32_t count;

	if (pages_take(link->pages, pages * ALLOC_PAGE, more,
		       SIVRING_EXTENTS_MAX - o->extent_count, &count))
		return wipe_pending(o->channel->link) ? STORE_LATER : ENOSPC;
	all = reallocarray(o->extents, o->extent_count + count, sizeof(*all));
	if (!all) {
		give_back(o, more, count);
		return ENOMEM;
	}
	o->extents = all;
	o->extent_count = append(o->extents, o->extent_count, more, count);
	o->pages += pages;
	return 0;
}

void store_forget_resize(struct domain *d)
{
	if (d->resizing)
		d->resizing->resizer = NULL;
	d->resizing = NULL;
}

/*
 * What a resize zeroes: between the old and the new end, both ways, since peers
 * may write past the end at any time.
 */
static int begin_resize(struct object *o, uint64_t size, uint64_t pages, struct domain *by)
{
	uint64_t low = size < o->size ? size : o->size;
	uint64_t high = resize_pages(size < o->size ? o->size : size) * ALLOC_PAGE;
	int r = 0;

	if (pages > o->pages)
		r = take_memory(o, pages - o->pages);
	if (r)
		return r;
	store_forget_resize(by);
	o->resizer = by;
	by->resizing = o;
	o->resize_to = size;
	o->zero_at = low;
	o->zero_end = high;
	return 0;
}

/* STORE_LATER until the bytes are zero. */
static int zero_slice(struct object *o)
{
	uint64_t left, now;
	int r;

	left = o->zero_at < o->zero_end ? o->zero_end - o->zero_at : 0;
	now = left < WIPE_SLICE ? left : WIPE_SLICE;
	r = now ? zero_bytes(o, o->zero_at, o->zero_at + now) : 0;
	o->zero_at += now;
	return r ? r : now < left ? STORE_LATER : 0;
}

static int resize_memory(struct object *o, uint64_t size, uint64_t pages, struct domain *by)
{
	int r = 0;

	/*
	 * Who may do it has the memory open to write and does it himself. Who writes
	 * to it may hold the file for as long as he likes, and whoever sizes it waits.
	 */
	if (is_local(o)) {
		o->size = size;
		o->pages = pages;
		return 0;
	}
	if (o->resizer && o->resizer != by)
		return STORE_LATER;
	if (!o->resizer || o->resize_to != size)
		r = begin_resize(o, size, pages, by);
	if (!r)
		r = zero_slice(o);
	if (r == STORE_LATER)
		return r;
	store_forget_resize(by);
	if (!r)
		o->size = size;
	return r;
}

/* The record of one that is larger would make no sense: see keep_check.c. */
#define LOCAL_MAX	(INT64_MAX / ALLOC_PAGE * ALLOC_PAGE)
/* More than any quota, and the sum of all objects' is still a number of bytes. */
#define PAGES_MAX	(UINT64_C(1) << 32)

/* A write past the end of a local object makes it longer, and nobody is asked. */
void resize_look(struct object *o)
{
	struct stat st;

	if (!is_local(o) || fstat(o->memfd, &st))
		return;
	o->size = (uint64_t)st.st_size < LOCAL_MAX ? (uint64_t)st.st_size : LOCAL_MAX;
	o->pages = resize_pages(o->size) < PAGES_MAX ? resize_pages(o->size) : PAGES_MAX;
}

int resize_object(struct object *o, uint64_t size, struct domain *by, const char **reason)
{
	uint64_t pages = resize_pages(size);
	uint64_t used = store_used(o->channel) / ALLOC_PAGE - o->pages;
	int r;

	if (size > INT64_MAX)
		return EFBIG;
	if (pages > o->pages && pages + used > o->channel->quota / ALLOC_PAGE) {
		*reason = "over the channel's quota of bytes";
		return ENOSPC;
	}
	*reason = pages > o->pages ? limits_pages(o, pages - o->pages) : NULL;
	if (*reason)
		return ENOSPC;
	r = resize_memory(o, size, pages, by);
	if (r == STORE_LATER)
		return r;
	if (r) {
		*reason = "the host has no memory for it";
		return r;
	}
	o->change++;
	keep_object(o);
	store_announce(o, by);
	return 0;
}

/* To free it takes as long as it is large. */
void resize_free(struct object *o)
{
	/* others may have a memfd mapped without our knowing, so it can't be cut to pieces first */
	if (o->memfd >= 0)
		close_large(o->memfd);
	else
		give_back(o, o->extents, o->extent_count);
}
