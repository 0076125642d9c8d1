/* SPDX-License-Identifier: MIT */
/* The guest's end of a control ring, as sivshmem/ring.h tells it, byte by byte. */
#ifndef SIVSHMEM_TEST_GUEST_RING_H
#define SIVSHMEM_TEST_GUEST_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sivshmem/ring.h>

static inline void guest_put(uint8_t *memory, uint32_t *tail, const void *bytes,
			     uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		memory[SIVRING_G2H_OFF + (*tail)++ % SIVRING_SIZE] =
			((const uint8_t *)bytes)[i];
}

static inline void guest_send_frame(uint8_t *memory,
				    const struct sivring_frame *header,
				    const void *payload)
{
	struct sivring_page *page = (void *)memory;
	uint32_t tail = page->g2h_tail;

	guest_put(memory, &tail, header, sizeof(*header));
	guest_put(memory, &tail, payload, header->length);
	while (tail % 8)
		guest_put(memory, &tail, "", 1);
	__atomic_store_n(&page->g2h_tail, tail, __ATOMIC_RELEASE);
}

static inline void guest_take(const uint8_t *memory, uint32_t *head, void *bytes,
			      uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		((uint8_t *)bytes)[i] =
			memory[SIVRING_H2G_OFF + (*head)++ % SIVRING_SIZE];
}

static inline bool guest_receive(uint8_t *memory, struct sivring_frame *header,
				 void *payload)
{
	struct sivring_page *page = (void *)memory;
	uint32_t head = page->h2g_head;

	if (__atomic_load_n(&page->h2g_tail, __ATOMIC_ACQUIRE) == head)
		return false;
	guest_take(memory, &head, header, sizeof(*header));
	guest_take(memory, &head, payload, header->length);
	__atomic_store_n(&page->h2g_head, (head + 7) & ~7u, __ATOMIC_RELEASE);
	return true;
}

#endif
