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
extern atomic_uint shim_region_sequence;	/* odd: a writer is at work */

/* Async-signal-safe, and leaves errno. */
bool shim_region_has(uintptr_t address);

static inline bool shim_region_near(uintptr_t address)
{
	return address - atomic_load_explicit(&shim_region_start, memory_order_acquire) <
	       atomic_load_explicit(&shim_region_span, memory_order_acquire);
}

/* Near, and that is exact. Without the sequence, start and span of two times may mix. */
static inline bool shim_region_sure(uintptr_t address)
{
	unsigned int before = atomic_load_explicit(&shim_region_sequence, memory_order_acquire);
	bool sure = shim_region_near(address) &&
		    !atomic_load_explicit(&shim_region_mixed, memory_order_acquire);

	return sure && !(before & 1) &&
	       atomic_load_explicit(&shim_region_sequence, memory_order_relaxed) == before;
}

/* The question of every wrapper: nothing but two loads for other memory. */
static inline bool shim_in_channel(const void *p)
{
	if (__builtin_expect(!shim_region_near((uintptr_t)p), 1))
		return false;
	return shim_region_sure((uintptr_t)p) || shim_region_has((uintptr_t)p);
}

/* length in bytes, made whole pages; what was there before is forgotten. false: no memory */
bool shim_region_add(uintptr_t start, size_t length);
void shim_region_remove(uintptr_t start, size_t length);

#endif
