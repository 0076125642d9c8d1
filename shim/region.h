/* SPDX-License-Identifier: MIT */
/* Which addresses of this process lie in a channel of a VM. */
#ifndef SIVSHMEM_SHIM_REGION_H
#define SIVSHMEM_SHIM_REGION_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All regions are in [start, start + span), and little else; span 0: there are none. */
extern _Atomic uintptr_t shim_region_start;
extern _Atomic size_t shim_region_span;
/* One of the regions, in one word so that nobody reads half of it: first page, pages; or 0. */
extern _Atomic uint64_t shim_region_hot;

#define SHIM_HOT_SHIFT	12		/* of an address; a page has at least as many bytes */
#define SHIM_HOT_PAGES	28		/* bits */

/* Async-signal-safe, and leaves errno. */
bool shim_region_has(uintptr_t address);

static inline bool shim_region_near(uintptr_t address)
{
	return address - atomic_load_explicit(&shim_region_start, memory_order_acquire) <
	       atomic_load_explicit(&shim_region_span, memory_order_acquire);
}

static inline bool shim_region_is_hot(uintptr_t address)
{
	uint64_t hot = atomic_load_explicit(&shim_region_hot, memory_order_acquire);

	return (address >> SHIM_HOT_SHIFT) - (hot >> SHIM_HOT_PAGES) <
	       (hot & ((UINT64_C(1) << SHIM_HOT_PAGES) - 1));
}

/* The question of every wrapper: nothing but two loads for other memory. */
static inline bool shim_in_channel(const void *p)
{
	if (__builtin_expect(!shim_region_near((uintptr_t)p), 1))
		return false;
	return shim_region_is_hot((uintptr_t)p) || shim_region_has((uintptr_t)p);
}

/* The end of the page that the byte before n is on. */
uintptr_t shim_page_up(uintptr_t n);

/* length in bytes, made whole pages; what was there before is forgotten. false: no memory */
bool shim_region_add(uintptr_t start, size_t length);
void shim_region_remove(uintptr_t start, size_t length);
/* Is any of it in a region? */
bool shim_region_any(uintptr_t start, size_t length);

/*
 * Around a system call that frees addresses, or moves what is there: they are
 * forgotten first, for once they are free another thread may be given them. Until
 * it is told what came of it nobody else changes anything, and no signal comes.
 */
struct shim_region_leaving {
	uintptr_t start, stop;
	size_t span;
	uint64_t hot;
	sigset_t mask;
};

/* false, with errno: no memory, and nothing has begun */
bool shim_region_leave(struct shim_region_leaving *l, uintptr_t start, size_t length);
/* The call failed: all is as before. */
void shim_region_stay(const struct shim_region_leaving *l);
/* They are free; what was there is at `to` now, unless its length is 0. */
void shim_region_left(const struct shim_region_leaving *l, uintptr_t to, size_t length);

#endif
