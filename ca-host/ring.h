/* SPDX-License-Identifier: MIT */
/*
 * The daemon's end of a control ring (sivshmem/ring.h). The truth about our own
 * indices is here, in private memory: what the page says of them is for the
 * guest's eyes. Everything the guest writes is copied out once.
 */
#ifndef SIVSHMEM_CA_RING_H
#define SIVSHMEM_CA_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sivshmem/ring.h>

struct wring {
	struct sivring_page *page;	/* shared, hostile */
	uint8_t *g2h, *h2g;
	uint64_t nonce, epoch;		/* what we told the guest */
	uint32_t g2h_head, h2g_tail;
};

enum wring_state {
	WRING_NO_GUEST,		/* nobody has written a nonce yet */
	WRING_NEW_GUEST,	/* another nonce than we answered */
	WRING_WAITING,		/* the guest has not taken the epoch over */
	WRING_UP,
};

struct wring_frame {
	struct sivring_frame header;
	uint8_t payload[SIVRING_PAYLOAD_MAX + 8];	/* room for the padding */
};

/*
 * memory is SIVRING_MEMORY bytes. nonce is that of a guest which a worker
 * before us served, else 0.
 */
void wring_init(struct wring *ring, void *memory);
uint64_t wring_guest_nonce(const struct wring *ring);
enum wring_state wring_state(const struct wring *ring);
/* Begin an epoch; ring the guest afterwards. */
void wring_begin(struct wring *ring, uint64_t nonce, uint64_t epoch);
/* 1: a frame, 0: none, -EPROTO: broken. The payload's length is within its limit. */
int wring_receive(struct wring *ring, struct wring_frame *frame);
/* -EAGAIN: full, -EPROTO: broken. payload holds header->length bytes. */
int wring_send(struct wring *ring, const struct sivring_frame *header,
	const void *payload);
/* More than half of the guest's ring is taken: it may wait for us. */
bool wring_crowded(const struct wring *ring);

#endif
