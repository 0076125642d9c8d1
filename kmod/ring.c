// SPDX-License-Identifier: GPL-2.0
#include "ring.h"

#define MASK	(SIVRING_SIZE - 1)

static __u32 padded(__u32 length)
{
	return (length + 7) & ~7u;
}

void siv_ring_init(struct siv_ring *r, __u8 *bytes, __u32 *publish, __u32 *peer)
{
	r->bytes = bytes;
	r->publish = publish;
	r->peer = peer;
	r->own = 0;
}

void siv_ring_reset(struct siv_ring *r)
{
	r->own = 0;
	WRITE_ONCE(*r->publish, 0);
}

static void copy_in(struct siv_ring *r, __u32 at, const void *data, __u32 length)
{
	__u32 pos = at & MASK;
	__u32 first = length < SIVRING_SIZE - pos ? length : SIVRING_SIZE - pos;

	memcpy(r->bytes + pos, data, first);
	memcpy(r->bytes, (const __u8 *)data + first, length - first);
}

static void copy_out(const struct siv_ring *r, __u32 at, void *data, __u32 length)
{
	__u32 pos = at & MASK;
	__u32 first = length < SIVRING_SIZE - pos ? length : SIVRING_SIZE - pos;

	memcpy(data, r->bytes + pos, first);
	memcpy((__u8 *)data + first, r->bytes, length - first);
}

int siv_ring_put(struct siv_ring *r, const struct sivring_frame *frame,
		 const void *payload)
{
	static const __u8 zeros[8];
	__u32 head = smp_load_acquire(r->peer);
	__u32 used = r->own - head;
	__u32 length = frame->length;
	__u32 need = sizeof(*frame) + padded(length);

	if (used > SIVRING_SIZE)
		return -EBADMSG;
	if (need > SIVRING_SIZE - used)
		return -EAGAIN;
	copy_in(r, r->own, frame, sizeof(*frame));
	copy_in(r, r->own + sizeof(*frame), payload, length);
	copy_in(r, r->own + sizeof(*frame) + length, zeros,
		padded(length) - length);
	r->own += need;
	smp_store_release(r->publish, r->own);
	return 0;
}

int siv_ring_get(struct siv_ring *r, struct sivring_frame *frame, void *payload)
{
	__u32 tail = smp_load_acquire(r->peer);
	__u32 there = tail - r->own;

	if (!there)
		return 0;
	if (there > SIVRING_SIZE || there < sizeof(*frame))
		return -EBADMSG;
	copy_out(r, r->own, frame, sizeof(*frame));
	if (frame->length > SIVRING_PAYLOAD_MAX ||
	    sizeof(*frame) + padded(frame->length) > there)
		return -EBADMSG;
	copy_out(r, r->own + sizeof(*frame), payload, frame->length);
	r->own += sizeof(*frame) + padded(frame->length);
	smp_store_release(r->publish, r->own);
	return 1;
}

bool siv_ring_empty(const struct siv_ring *r)
{
	return smp_load_acquire(r->peer) == r->own;
}
