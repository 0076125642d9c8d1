/* SPDX-License-Identifier: MIT */
/*
 * Zeroing memory a slice at a time, so that nobody waits for another's gigabytes:
 * a slice takes well under a millisecond, and the loop serves all domains between
 * two of them.
 */
#ifndef SIVSHMEM_CA_WIPE_H
#define SIVSHMEM_CA_WIPE_H

#include <stdbool.h>
#include <stdint.h>
#include <sivshmem/ring.h>

#define WIPE_SLICE	(UINT64_C(1) << 20)	/* bytes */

/* Zero bytes of a memfd, and give the host their pages; errno. */
int wipe_now(int memory, uint64_t offset, uint64_t length);
/*
 * Taken pages of a link that nobody has any more: they are free when they are
 * zeroed. Those that can't be zeroed are never given to anybody again.
 */
void wipe_later(uint32_t link, const struct sivring_extent *extent);
/* Are pages of the link on their way? */
bool wipe_pending(uint32_t link);

/* For the loop: ms until there is something to do, or -1; one slice of it. */
int wipe_deadline(void);
void wipe_tick(void);

#endif
