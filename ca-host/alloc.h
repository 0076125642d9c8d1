/* SPDX-License-Identifier: MIT */
/* Which pages of a link are free. Knows nothing of what is in them. */
#ifndef SIVSHMEM_CA_ALLOC_H
#define SIVSHMEM_CA_ALLOC_H

#include <stdbool.h>
#include <stdint.h>
#include <sivshmem/ring.h>

#define ALLOC_PAGE	4096u
#define ALLOC_HUGE	(2u << 20)

struct pages;
struct pages *pages_create(uint64_t bytes);		/* NULL: no memory */
void pages_destroy(struct pages *pages);
/*
 * Take `bytes` (a multiple of the page) as at most `room` extents: the best
 * fitting run, at a 2 MiB boundary from 2 MiB on; pieces where no run is long
 * enough. -ENOSPC, and nothing is taken, if it can't be done.
 */
int pages_take(struct pages *pages, uint64_t bytes,
	struct sivring_extent *extents, uint32_t room, uint32_t *count);
/* -EINVAL, and nothing happens, for what is not wholly taken. */
int pages_give(struct pages *pages, const struct sivring_extent *extent);
/* Take exactly this. -EINVAL, and nothing happens, for what is not wholly free. */
int pages_reserve(struct pages *pages, const struct sivring_extent *extent);
/* Each free run, in order. */
void pages_each(const struct pages *pages,
	void (*run)(const struct sivring_extent *run, void *context), void *context);
uint64_t pages_free(const struct pages *pages);		/* bytes */

#endif
