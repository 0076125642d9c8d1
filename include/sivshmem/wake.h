/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * The wake table: how the kernels of a link's VMs tell each other that threads
 * sleep, and that some must wake; one slot per VM of the link in the order of the
 * policy. And which of their threads that can own locks live: the holders, of each
 * VM that may write the link. These are the end of the link's memory, the slots lie
 * before them, and both belong to no object. Where a VM may only read the link, the
 * slots are at the start of a memory of its own, which all of them write.
 *
 * A VM counts its sleepers in its own slot before they look at their word a
 * last time; who changed the word looks for counts after that. Where there is
 * one, it adds the wakes and their bitset to `pending`, sets the bucket's bit in
 * `dirty` (both with locked instructions) and rings vector 0 of that VM. A bucket is the hash
 * of object and offset: words that share one cost a spurious wake.
 *
 * The slots are hints, for any VM of the link can write them: a VM looks at its
 * sleepers' words itself once a second. The holders end waits for a lock's owner,
 * and so are where only those can write who can write the lock; a VM trusts for its
 * own threads only what it has in its own memory. Little-endian.
 */
#ifndef SIVSHMEM_WAKE_H
#define SIVSHMEM_WAKE_H

#include <linux/types.h>

#define SIVWAKE_MEMORY		(2u << 20)	/* where it has its own, bytes */
#define SIVWAKE_BUCKETS		256
#define SIVWAKE_HOLDERS		8192	/* threads of one VM that can own locks */

struct sivwake_slot {
	/* by the slot's VM */
	__u32 waiters[SIVWAKE_BUCKETS];
	__u32 owned;			/* of them, those who wait for an owner */
	__u32 pad1[15];
	/* by the others; the slot's VM takes it back to 0 */
	__u64 pending[SIVWAKE_BUCKETS];	/* how many | bitset << 32 */
	__u64 dirty[SIVWAKE_BUCKETS / 64];
	__u32 died;			/* an owner of another VM: look at words */
	__u32 pad2[231];
};

/* by their VM, and by the daemon when that is gone: odd = alive */
struct sivwake_holders {
	__u16 state[SIVWAKE_HOLDERS];
};

#ifdef __KERNEL__
static_assert(sizeof(struct sivwake_slot) == 4096, "slot");
static_assert(sizeof(struct sivwake_holders) == 16384, "holders");
#else
_Static_assert(sizeof(struct sivwake_slot) == 4096, "slot");
_Static_assert(sizeof(struct sivwake_holders) == 16384, "holders");
#endif

static inline unsigned int sivwake_bucket(__u64 object, __u64 offset)
{
	__u64 x = object * 0x9e3779b97f4a7c15ull ^ (offset >> 2) * 0xd6e8feb86659fd93ull;

	return (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9ull >> 56;
}

/*
 * The id of a thread that owns a lock: in the 30 bits that a robust futex has
 * for one, and never 0. `vm` is the policy's index, the same in each link.
 */
#define SIVWAKE_GENERATION	0x1ffu

static inline __u32 sivwake_owner(__u32 vm, __u32 holder, __u32 generation)
{
	return (vm + 1) << 22 | holder << 9 | (generation & SIVWAKE_GENERATION);
}

static inline __u32 sivwake_owner_vm(__u32 owner)
{
	return ((owner >> 22) & 0xff) - 1;
}

static inline __u32 sivwake_owner_holder(__u32 owner)
{
	return (owner >> 9) & (SIVWAKE_HOLDERS - 1);
}

#endif
