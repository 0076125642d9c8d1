/* SPDX-License-Identifier: MIT */
/* Which addresses of this process lie in a channel of a VM. */
#ifndef SIVSHMEM_SHIM_REGION_H
#define SIVSHMEM_SHIM_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All regions are in [start, start + span), and little else; span 0: there are none. */
extern _Atomic uintptr_t shim_region_start;
extern _Atomic size_t shim_region_span;
extern atomic_bool shim_region_mixed;	/* other memory lies between regions */

/* Async-signal-safe, and leaves errno. */
bool shim_region_has(uintptr_t address);

static inline bool shim_region_near(uintptr_t address)
{
	return address - atomic_load_explicit(&shim_region_start, memory_order_acquire) <
	       atomic_load_explicit(&shim_region_span, memory_order_acquire);
}

/* The question of every wrapper: nothing but two loads for other memory. */
static inline bool shim_in_channel(const void *p)
{
	if (__builtin_expect(!shim_region_near((uintptr_t)p), 1))
		return false;
	/* read after the two above, and written before them */
	return !atomic_load_explicit(&shim_region_mixed, memory_order_acquire) ||
	       shim_region_has((uintptr_t)p);
}

/* length in bytes, made whole pages; what was there before is forgotten. false: no memory */
bool shim_region_add(uintptr_t start, size_t length);
void shim_region_remove(uintptr_t start, size_t length);

#endif
