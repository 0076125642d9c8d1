/* SPDX-License-Identifier: MIT */
/* The daemon's end of the ring against a guest that this test plays. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../ca-host/ring.h"
#include "guest_ring.h"
#include "test.h"

static uint8_t memory[SIVRING_MEMORY] __attribute__((aligned(4096)));
static struct sivring_page *const page = (void *)memory;
static struct wring ring;
static struct wring_frame got;

static void guest_send(uint16_t type, const void *payload, uint32_t length)
{
	const struct sivring_frame header = {
		.length = length, .type = type, .session = 3, .sequence = 4,
	};

	guest_send_frame(memory, &header, payload);
}

static void up(void)
{
	memset(memory, 0, sizeof(memory));
	wring_init(&ring, memory);
	page->guest_nonce = 11;
	wring_begin(&ring, 11, 5);
	page->guest_epoch = 5;
}

static void epochs(void)
{
	memset(memory, 0, sizeof(memory));
	wring_init(&ring, memory);
	CHECK(page->magic == SIVRING_MAGIC && page->version == SIVRING_VERSION);
	CHECK(page->host_epoch == 0);
	CHECK(wring_state(&ring) == WRING_NO_GUEST);
	page->guest_nonce = 11;
	CHECK(wring_state(&ring) == WRING_NEW_GUEST && wring_guest_nonce(&ring) == 11);
	wring_begin(&ring, 11, 5);
	CHECK(page->host_nonce == 11 && page->host_epoch == 5);
	CHECK(wring_state(&ring) == WRING_WAITING);
	page->guest_epoch = 4;
	CHECK(wring_state(&ring) == WRING_WAITING);
	page->guest_epoch = 5;
	CHECK(wring_state(&ring) == WRING_UP);
	page->guest_nonce = 12;
	CHECK(wring_state(&ring) == WRING_NEW_GUEST);
}

static void restart_keeps_the_nonce(void)
{
	struct wring next;

	up();
	guest_send(1, "x", 1);
	CHECK(wring_receive(&ring, &got) == 1 && page->g2h_head == 32);
	wring_init(&next, memory);
	CHECK(next.nonce == 11 && wring_state(&next) == WRING_WAITING);
	wring_begin(&next, 11, 6);
	CHECK(page->host_epoch == 6 && page->g2h_head == 0 && page->h2g_tail == 0);
	CHECK(wring_state(&next) == WRING_WAITING);
	/* a guest that came while no worker was there is a new one */
	page->guest_nonce = 12;
	wring_init(&next, memory);
	CHECK(next.nonce == 0 && wring_state(&next) == WRING_NEW_GUEST);
}

static void frames_arrive(void)
{
	uint8_t payload[SIVRING_PAYLOAD_MAX];

	up();
	CHECK(wring_receive(&ring, &got) == 0);
	/* many times round the ring, with every remainder of 8 */
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t length = i * 37 % (SIVRING_PAYLOAD_MAX + 1);

		memset(payload, (int)(i % 251 + 1), length);
		guest_send((uint16_t)i, payload, length);
		CHECK(wring_receive(&ring, &got) == 1);
		CHECK(got.header.length == length && got.header.type == (uint16_t)i);
		CHECK(got.header.session == 3 && got.header.sequence == 4);
		CHECK(!memcmp(got.payload, payload, length));
		CHECK(page->g2h_head == page->g2h_tail);
		CHECK(wring_receive(&ring, &got) == 0);
	}
}

static void indices_wrap(void)
{
	struct sivring_frame header = { .length = 5, .type = 65 };
	char payload[8];

	up();
	ring.g2h_head = page->g2h_tail = 0u - 16;
	ring.h2g_tail = page->h2g_head = page->h2g_tail = 0u - 16;
	guest_send(9, "across", 6);
	CHECK(page->g2h_tail == 16);
	CHECK(wring_receive(&ring, &got) == 1 && !memcmp(got.payload, "across", 6));
	CHECK(!wring_send(&ring, &header, "hello") && page->h2g_tail == 16);
	CHECK(guest_receive(memory, &header, payload) && !memcmp(payload, "hello", 5));
}

static int receive_at(uint32_t tail)
{
	up();
	page->g2h_tail = tail;
	return wring_receive(&ring, &got);
}

static void bad_tails(void)
{
	CHECK(receive_at(SIVRING_SIZE + 8) == -EPROTO);
	CHECK(receive_at(0u - 8) == -EPROTO);
	CHECK(receive_at(0x80000000u) == -EPROTO);
	CHECK(receive_at(8) == -EPROTO);
	CHECK(receive_at(16) == -EPROTO);
	for (uint32_t odd = 1; odd < 8; odd++)
		CHECK(receive_at(32 + odd) == -EPROTO);
	/* zeros are a frame without payload; its type is for others to refuse */
	CHECK(receive_at(24) == 1 && receive_at(SIVRING_SIZE) == 1);
}

static int receive_length(uint32_t claimed, uint32_t tail)
{
	up();
	memcpy(memory + SIVRING_G2H_OFF, &claimed, sizeof(claimed));
	page->g2h_tail = tail;
	return wring_receive(&ring, &got);
}

static void bad_lengths(void)
{
	CHECK(receive_length(SIVRING_PAYLOAD_MAX, SIVRING_SIZE) == 1);
	CHECK(receive_length(SIVRING_PAYLOAD_MAX + 1, SIVRING_SIZE) == -EPROTO);
	CHECK(receive_length(0xffffffffu, SIVRING_SIZE) == -EPROTO);
	CHECK(receive_length(0xfffffff9u, SIVRING_SIZE) == -EPROTO);
	CHECK(receive_length(1, 24) == -EPROTO);
	CHECK(receive_length(8, 24) == -EPROTO);
	CHECK(receive_length(9, 32) == -EPROTO);
	CHECK(receive_length(8, 32) == 1);
}

static void padding_is_zero(void)
{
	for (uint32_t length = 1; length < 8; length++) {
		up();
		guest_send(1, "1234567", length);
		memory[SIVRING_G2H_OFF + 31] = 1;
		CHECK(wring_receive(&ring, &got) == -EPROTO);
	}
}

static void refused_frames_are_not_consumed(void)
{
	up();
	guest_send(1, "a", 1);
	guest_send(1, "b", 1);
	memset(memory + SIVRING_G2H_OFF + 32, 0xff, 4);
	CHECK(wring_receive(&ring, &got) == 1);
	CHECK(wring_receive(&ring, &got) == -EPROTO);
	CHECK(page->g2h_head == 32);
}

/* the page says what the guest wants it to say: our own indices decide */
static void own_indices_are_private(void)
{
	struct sivring_frame header = { .length = 8, .type = 65 };

	up();
	guest_send(1, "12345678", 8);
	page->g2h_head = 4096;
	page->h2g_tail = 4096;
	CHECK(wring_receive(&ring, &got) == 1 && page->g2h_head == 32);
	CHECK(!wring_send(&ring, &header, "abcdefgh") && page->h2g_tail == 32);
}

static void full_ring(void)
{
	struct sivring_frame header = { .length = SIVRING_PAYLOAD_MAX, .type = 65 };
	static uint8_t payload[SIVRING_PAYLOAD_MAX];
	uint32_t sent = 0, taken = 0;
	int r;

	up();
	while (!(r = wring_send(&ring, &header, payload)))
		sent++;
	CHECK(r == -EAGAIN);
	CHECK(sent == SIVRING_SIZE / (sizeof(header) + SIVRING_PAYLOAD_MAX));
	CHECK(guest_receive(memory, &header, payload));
	taken++;
	CHECK(!wring_send(&ring, &header, payload));
	CHECK(wring_send(&ring, &header, payload) == -EAGAIN);
	while (guest_receive(memory, &header, payload))
		taken++;
	CHECK(taken == sent + 1);
	/* to the last byte */
	header.length = 8;
	for (uint32_t i = 0; i < SIVRING_SIZE / 32; i++)
		CHECK(!wring_send(&ring, &header, payload));
	CHECK(wring_send(&ring, &header, payload) == -EAGAIN);
}

static void bad_guest_head(void)
{
	struct sivring_frame header = { .length = 8, .type = 65 };

	up();
	page->h2g_head = 8;		/* ahead of what we wrote */
	CHECK(wring_send(&ring, &header, "abcdefgh") == -EPROTO);
	page->h2g_head = 0;
	CHECK(!wring_send(&ring, &header, "abcdefgh"));
	page->h2g_head = 12;
	CHECK(wring_send(&ring, &header, "abcdefgh") == -EPROTO);
	page->h2g_head = 0u - SIVRING_SIZE;
	CHECK(wring_send(&ring, &header, "abcdefgh") == -EPROTO);
}

static void sent_frames_are_padded(void)
{
	struct sivring_frame header = { .length = 5, .type = 65 };

	up();
	memset(memory + SIVRING_H2G_OFF, 0xff, 64);
	CHECK(!wring_send(&ring, &header, "hello"));
	CHECK(!memcmp(memory + SIVRING_H2G_OFF + 24, "hello\0\0\0", 8));
	CHECK(memory[SIVRING_H2G_OFF + 32] == 0xff);
}

/* Random bytes and tails: never more than was there, never a long payload. */
static void noise(void)
{
	unsigned int frames = 0;

	srandom(1);
	for (int round = 0; round < 3000; round++) {
		up();
		for (int i = 0; i < 512; i++)
			memory[SIVRING_G2H_OFF + i] =
				(uint8_t)(random() % 3 ? 0 : random());
		page->g2h_tail = (uint32_t)(random() % 80) * 8;
		for (int r = 1, n = 0; r > 0; n++) {
			r = wring_receive(&ring, &got);
			CHECK(r == 0 || r == 1 || r == -EPROTO);
			CHECK(r != 1 || got.header.length <= SIVRING_PAYLOAD_MAX);
			CHECK(ring.g2h_head <= page->g2h_tail && n < 80);
			frames += r == 1;
		}
	}
	CHECK(frames > 0);
}

static atomic_bool over;

static void *change_length(void *unused)
{
	static const uint32_t lengths[] = { 8, SIVRING_PAYLOAD_MAX, 0x7ffffff8, 40, UINT32_MAX };
	volatile uint32_t *length = (void *)(memory + SIVRING_G2H_OFF);

	for (unsigned int i = 0; !over; i++)
		*length = lengths[i % 5];
	return unused;
}

/* What was checked is what is used, whatever the guest writes in between. */
static void lengths_that_change_meanwhile(void)
{
	unsigned int wrong = 0, frames = 0, refused = 0;
	time_t end = time(NULL) + 10;
	pthread_t guest;

	up();
	page->g2h_tail = SIVRING_SIZE;
	over = false;
	CHECK(!pthread_create(&guest, NULL, change_length, NULL));
	/* the moment is short: many tries hit it, if it is there */
	while ((frames < 4000000 || refused < 4000000) && time(NULL) < end) {
		int r;

		ring.g2h_head = 0;
		r = wring_receive(&ring, &got);
		frames += r == 1;
		refused += r == -EPROTO;
		wrong += r == 1 && (got.header.length > SIVRING_PAYLOAD_MAX ||
			ring.g2h_head != sizeof(got.header) + ((got.header.length + 7) & ~7u));
	}
	over = true;
	pthread_join(guest, NULL);
	/* both say that the guest did run meanwhile */
	CHECK(!wrong && frames >= 1000 && refused >= 1000);
}

int main(void)
{
	RUN(epochs);
	RUN(restart_keeps_the_nonce);
	RUN(frames_arrive);
	RUN(indices_wrap);
	RUN(bad_tails);
	RUN(bad_lengths);
	RUN(padding_is_zero);
	RUN(refused_frames_are_not_consumed);
	RUN(own_indices_are_private);
	RUN(full_ring);
	RUN(bad_guest_head);
	RUN(sent_frames_are_padded);
	RUN(noise);
	RUN(lengths_that_change_meanwhile);
	return test_failures != 0;
}
