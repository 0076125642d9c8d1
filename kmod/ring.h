/* SPDX-License-Identifier: GPL-2.0 */
/* Byte rings of the control device: copy out, validate, copy in. */
#ifndef SIVSHMEM_KMOD_RING_H
#define SIVSHMEM_KMOD_RING_H

#ifdef __KERNEL__
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/string.h>
#include <asm/barrier.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#endif

#include <sivshmem/ring.h>

/*
 * One direction as this end sees it: own index is private and only published,
 * never read back; the peer's is read once per call.
 */
struct siv_ring {
	__u8 *bytes;
	__u32 own;
	__u32 *publish;		/* where the peer looks for our index */
	__u32 *peer;		/* where the peer keeps its own */
};

void siv_ring_init(struct siv_ring *r, __u8 *bytes, __u32 *publish, __u32 *peer);
/* Forget everything: both ends start at 0. */
void siv_ring_reset(struct siv_ring *r);
/* -EAGAIN: no room now; -EBADMSG: the peer's index is impossible. */
int siv_ring_put(struct siv_ring *r, const struct sivring_frame *frame,
		 const void *payload);
/*
 * Take one frame; payload has room for SIVRING_PAYLOAD_MAX. 1: taken; 0: none;
 * -EBADMSG: the ring is broken.
 */
int siv_ring_get(struct siv_ring *r, struct sivring_frame *frame, void *payload);
bool siv_ring_empty(const struct siv_ring *r);

#endif
