/* SPDX-License-Identifier: MIT */
#include "ring.h"

#include <errno.h>
#include <string.h>

#define MASK	(SIVRING_SIZE - 1)

#define LOAD(field)		__atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define STORE(field, value)	__atomic_store_n(&(field), value, __ATOMIC_RELEASE)

/* what was copied stays as it was copied: no second read of shared memory */
static void fence(void)
{
	__asm__ volatile("" ::: "memory");
}

static void copy_out(void *to, const uint8_t *ring, uint32_t index, size_t length)
{
	size_t at = index & MASK, first = SIVRING_SIZE - at;

	if (first > length)
		first = length;
	memcpy(to, ring + at, first);
	memcpy((uint8_t *)to + first, ring, length - first);
	fence();
}

static void copy_in(uint8_t *ring, uint32_t index, const void *from, size_t length)
{
	size_t at = index & MASK, first = SIVRING_SIZE - at;

	if (first > length)
		first = length;
	memcpy(ring + at, from, first);
	memcpy(ring, (const uint8_t *)from + first, length - first);
}

static uint32_t padded(uint32_t length)
{
	return (length + 7) & ~7u;
}

void wring_init(struct wring *ring, void *memory)
{
	memset(ring, 0, sizeof(*ring));
	ring->page = memory;
	ring->g2h = (uint8_t *)memory + SIVRING_G2H_OFF;
	ring->h2g = (uint8_t *)memory + SIVRING_H2G_OFF;
	ring->nonce = LOAD(ring->page->host_nonce);
	if (ring->nonce != wring_guest_nonce(ring))
		ring->nonce = 0;
	STORE(ring->page->version, SIVRING_VERSION);
	STORE(ring->page->magic, SIVRING_MAGIC);
}

uint64_t wring_guest_nonce(const struct wring *ring)
{
	return LOAD(ring->page->guest_nonce);
}

enum wring_state wring_state(const struct wring *ring)
{
	uint64_t nonce = LOAD(ring->page->guest_nonce);

	if (!nonce)
		return WRING_NO_GUEST;
	if (nonce != ring->nonce)
		return WRING_NEW_GUEST;
	if (!ring->epoch || LOAD(ring->page->guest_epoch) != ring->epoch)
		return WRING_WAITING;
	return WRING_UP;
}

void wring_begin(struct wring *ring, uint64_t nonce, uint64_t epoch)
{
	ring->g2h_head = ring->h2g_tail = 0;
	ring->nonce = nonce;
	ring->epoch = epoch;
	/* first, so that the guest does not take reset indices for broken ones */
	STORE(ring->page->host_epoch, 0);
	STORE(ring->page->version, SIVRING_VERSION);
	STORE(ring->page->magic, SIVRING_MAGIC);
	STORE(ring->page->g2h_head, 0);
	STORE(ring->page->h2g_tail, 0);
	STORE(ring->page->host_nonce, nonce);
	STORE(ring->page->host_epoch, epoch);
}

static bool zeros(const uint8_t *bytes, size_t length)
{
	while (length > 0) {
		if (bytes[--length])
			return false;
	}
	return true;
}

int wring_receive(struct wring *ring, struct wring_frame *frame)
{
	uint32_t ready = LOAD(ring->page->g2h_tail) - ring->g2h_head, length;

	if (!ready)
		return 0;
	if (ready > SIVRING_SIZE || ready % 8 || ready < sizeof(frame->header))
		return -EPROTO;
	copy_out(&frame->header, ring->g2h, ring->g2h_head, sizeof(frame->header));
	if (frame->header.length > SIVRING_PAYLOAD_MAX)
		return -EPROTO;
	length = padded(frame->header.length);
	if (sizeof(frame->header) + length > ready)
		return -EPROTO;
	copy_out(frame->payload, ring->g2h,
		 ring->g2h_head + (uint32_t)sizeof(frame->header), length);
	if (!zeros(frame->payload + frame->header.length,
		   length - frame->header.length))
		return -EPROTO;
	ring->g2h_head += (uint32_t)sizeof(frame->header) + length;
	STORE(ring->page->g2h_head, ring->g2h_head);
	return 1;
}

int wring_send(struct wring *ring, const struct sivring_frame *header,
	       const void *payload)
{
	static const uint8_t zero[8];
	uint32_t used = ring->h2g_tail - LOAD(ring->page->h2g_head);
	uint32_t length = header->length, at = ring->h2g_tail;
	uint32_t total = (uint32_t)sizeof(*header) + padded(length);

	if (used > SIVRING_SIZE || used % 8)
		return -EPROTO;
	if (total > SIVRING_SIZE - used)
		return -EAGAIN;
	copy_in(ring->h2g, at, header, sizeof(*header));
	at += (uint32_t)sizeof(*header);
	if (length)
		copy_in(ring->h2g, at, payload, length);
	copy_in(ring->h2g, at + length, zero, padded(length) - length);
	ring->h2g_tail += total;
	STORE(ring->page->h2g_tail, ring->h2g_tail);
	return 0;
}

bool wring_crowded(const struct wring *ring)
{
	return LOAD(ring->page->g2h_tail) - ring->g2h_head > SIVRING_SIZE / 2;
}
