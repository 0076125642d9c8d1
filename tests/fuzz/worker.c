/* SPDX-License-Identifier: MIT */
/*
 * The worker of a VM under its guest: frames, bytes and indices of the control
 * ring, messages of processes, sealed requests with anything inside. It asks
 * the real monitor, which has its turn when the worker waits for the answer.
 */
#include "fuzz.h"
#include "handshake.h"
#include "monitor.h"

#include <sys/mman.h>

#include "../unit/guest_ring.h"
#include "../../ca-host/worker_vm.c"
#include "../../ca-host/session.c"

static struct wvm vm;
static uint8_t *memory;
static struct wsession ready;		/* as after the handshake */
static struct sivshmem_keys client;
static uint32_t from;			/* where the ring's indices began */
static bool lied;			/* about h2g_head: what is there makes no sense */
#define WIPE	16384u			/* bytes before it that may be looked at */

ssize_t __real_recv(int fd, void *buffer, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *buffer, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *buffer, size_t size, int flags)
{
	if (fd == PRIV_FD_RPC) {
		monitor_answer(&monitor.domains[0], fd);
		ALWAYS(monitor.domains[0].rpc.fd >= 0);
	}
	return __real_recv(fd, buffer, size, flags);
}

static struct sivring_page *page(void)
{
	return (void *)memory;
}

static bool receive(struct sivring_frame *header, uint8_t *payload)
{
	if (page()->h2g_head == page()->h2g_tail)
		return false;
	ALWAYS(guest_receive(memory, header, payload));
	ALWAYS(header->length <= SIVRING_PAYLOAD_MAX &&
	       (header->type == SIVRING_RELAY || header->type >= SIVRING_WELCOME) &&
	       header->type <= SIVRING_DONE);
	return true;
}

static void say(uint16_t type, uint16_t flags, uint64_t session, const void *payload,
		uint32_t length)
{
	const struct sivring_frame header = { length, type, flags, session, 9 };

	if (page()->g2h_tail - page()->g2h_head > SIVRING_SIZE - 16384)
		return;
	guest_send_frame(memory, &header, payload);
}

static void clear(uint32_t index, uint32_t length)
{
	uint32_t at = index % SIVRING_SIZE;
	uint32_t first = length < SIVRING_SIZE - at ? length : SIVRING_SIZE - at;

	memset(memory + SIVRING_G2H_OFF + at, 0, first);
	memset(memory + SIVRING_G2H_OFF, 0, length - first);
}

static void begin_ring(uint32_t start)
{
	uint32_t used = vm.ring.g2h_head - from + WIPE;

	used = used < SIVRING_SIZE ? used : SIVRING_SIZE;
	memset(memory, 0, sizeof(struct sivring_page));
	/* what an input may have written: no byte of it is there in the next */
	clear(from, used);
	clear(start, WIPE);
	wvm_drop(&vm, false);
	wring_init(&vm.ring, memory);
	wring_begin(&vm.ring, 5, 6);
	vm.ring.g2h_head = vm.ring.h2g_tail = start;
	page()->g2h_head = page()->g2h_tail = page()->h2g_head = page()->h2g_tail = start;
	page()->guest_nonce = 5;
	page()->guest_epoch = 6;
	monitor.domains[0].ring_epoch = 6;
	vm.greeted = true;
	vm.renew = vm.published = false;
	vm.deaf_until = vm.epochs.full_at = vm.worker.refusals.full_at = 0;
	vm.idle_wakes = 0;
	from = start;
	lied = false;
}

/* As a process of the guest does it, once; what follows goes on from there. */
static void shake_hands(void)
{
	static uint8_t payload[SIVRING_PAYLOAD_MAX];
	const struct sivring_session who = { .uid = 5, .gid = 6, .pid = 7, .comm = "fuzz" };
	enum sivshmem_cert_error reason;
	struct sivshmem_handshake hs;
	struct sivring_frame header;
	struct sivp_ready_body body;
	struct sivp_hello hello;
	struct sivp_auth auth;
	int64_t when;

	monitor_reset();
	begin_ring(0);
	say(SIVRING_SESSION_OPEN, 0, 1, &who, sizeof(who));
	ALWAYS(!sivshmem_hs_client_hello_with(&hs, client_secret, &hello));
	say(SIVRING_RELAY, 0, 1, &hello, sizeof(hello));
	serve_ring(&vm);
	ALWAYS(receive(&header, payload) && header.type == SIVRING_RELAY);
	ALWAYS(!sivshmem_hs_client_auth(&hs, payload, header.length, &bundle, "host-a", &auth,
					&when, &reason));
	say(SIVRING_RELAY, 0, 1, &auth, sizeof(auth));
	serve_ring(&vm);
	ALWAYS(receive(&header, payload) && header.type == SIVRING_RELAY);
	ALWAYS(!sivshmem_hs_client_ready(&hs, payload, header.length, &body, &client) &&
	       body.status == SIVP_OK);
	ready = *wsession_find(&vm.worker, 1);
	ALWAYS(ready.state == STATE_READY);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int fds[5], high[5];

	(void)argc;
	(void)argv;
	/* 3 to 7 are the worker's */
	for (int i = 0; i < 6; i++)
		ALWAYS(open("/dev/null", O_RDWR | O_CLOEXEC) >= 0);
	if (hs_setup())
		return 1;
	monitor_setup();
	monitor_worker(&monitor.domains[0], &fds[0], &fds[1]);
	fds[2] = monitor.domains[0].memory;
	fds[3] = monitor.domains[0].wake;
	fds[4] = monitor.domains[0].ring;
	for (int i = 0; i < 5; i++)
		ALWAYS((high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 64)) >= 0);
	for (int i = 0; i < 5; i++)
		ALWAYS(dup2(high[i], PRIV_FD_RPC + i) >= 0);
	memory = mmap(NULL, SIVRING_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, PRIV_FD_MEMORY, 0);
	ALWAYS(memory != MAP_FAILED);
	vm.worker.carrier = &wvm_carrier;
	vm.worker.links = 1;
	vm.worker.refusals = (struct bucket){ .rate = 20, .burst = 200 };
	strcpy(vm.worker.vm, "a");
	memcpy(vm.worker.boot_epoch, epoch_id, sizeof(epoch_id));
	vm.last = &vm.first;
	vm.epochs = (struct bucket){ .rate = EPOCHS_RATE, .burst = EPOCHS_BURST };
	ALWAYS(!wsessions_init(&vm.worker));
	shake_hands();
	return 0;
}

/* Session 1 authenticated on both sides, session 2 of another VM. */
static void begin_input(uint8_t how)
{
	static const uint32_t starts[] = { 0, SIVRING_SIZE - 64, UINT32_MAX - 63, 4096 };
	struct wsession *s, **bucket;

	wsessions_forget(&vm.worker);
	monitor_reset();
	ALWAYS(monitor_session(&monitor.domains[0], 1, "app/cam", -1)->host_id ==
	       ready.host_session);
	monitor_session(&monitor.domains[1], 1, "other", -1);
	begin_ring(starts[how & 3]);
	client.sent = 0;
	client.received = 1;
	s = vm.worker.sessions->free;
	vm.worker.sessions->free = s->next;
	bucket = bucket_of(vm.worker.sessions, 1);
	*s = ready;
	s->next = *bucket;
	*bucket = s;
}

static uint64_t some_grant(uint8_t which)
{
	const struct session *s = domain_session(&monitor.domains[0], 1);
	const struct grant *g;
	uint64_t last = which;

	if (s)
		LIST_FOREACH(g, &s->grants, of_session)
			last = g->id;
	return last;
}

static void fuzz_frame(struct input *in)
{
	static uint8_t payload[SIVRING_PAYLOAD_MAX + 64];
	uint8_t type = take_uint8(in), how = take_uint8(in);
	uint32_t length = take_uint16(in) % sizeof(payload);

	if (how & 1)
		length %= 72;
	take(in, payload, length);
	/* what begins with a grant should often name one that exists */
	if (how & 2 && length >= 8)
		memcpy(payload, &(uint64_t){ some_grant(how) }, 8);
	say(how & 4 ? type : type % 9, how & 8 ? how : how >> 7, how >> 4 & 3, payload, length);
}

static void fuzz_bytes(struct input *in)
{
	uint8_t bytes[256];
	size_t n = take(in, bytes, take_uint8(in));
	uint32_t tail = page()->g2h_tail;

	guest_put(memory, &tail, bytes, (uint32_t)n);
	page()->g2h_tail += take_uint16(in);
}

static void fuzz_page(struct input *in)
{
	uint8_t which = take_uint8(in);

	if (which & 1)
		page()->guest_nonce = take_uint8(in) & 7;
	if (which & 2)
		page()->guest_epoch = which & 32 ? vm.ring.epoch : take_uint8(in) & 7;
	if (which & 4)
		page()->h2g_head = take_uint32(in);
	if (which & 8)
		page()->g2h_tail += take_uint32(in);
	if (which & 16)
		patch(in, memory, sizeof(struct sivring_page));
	lied |= which & (4 | 16);
}

static void fuzz_request(struct input *in)
{
	static const char *const objects[] = { "o", "p", "../x", "" };
	struct sivp_request request = { .op = 1 + take_uint8(in) % 6, .mode = 0600 };
	uint8_t record[sizeof(struct sivp_hdr) + sizeof(request) + SIVP_TAG_LEN];
	uint8_t how = take_uint8(in);

	request.oflag = how & 7;
	request.rights = how & 8 ? 1 : 3;
	request.grant = some_grant(how);
	request.size = take_uint16(in);
	strcpy(request.channel, how & 16 ? "p" : "c");
	strcpy(request.object, objects[how >> 5 & 3]);
	if (request.op == SIVP_OP_RENAME)
		strcpy(request.to, "q");
	if (how & 128)
		patch(in, &request, sizeof(request));
	sivshmem_record_seal(&client, SIVP_REQUEST, &request, sizeof(request), record);
	say(SIVRING_RELAY, 0, 1, record, sizeof(record));
}

/* Of any type, as a process sends it. */
static void fuzz_message(struct input *in)
{
	uint8_t message[1024], how = take_uint8(in);
	size_t length = sizeof(real.hello);

	memcpy(message, &real.hello, length);
	if (how & 1) {
		length = sizeof(real.auth);
		memcpy(message, &real.auth, length);
	}
	if (how & 2)
		length = take(in, message, take_uint16(in) % sizeof(message));
	else if (how & 4)
		patch(in, message, length);
	if (length)
		say(SIVRING_RELAY, 0, how >> 3 & 3, message, (uint32_t)length);
}

/* The other VM meddles with what they share. */
static void fuzz_other(struct input *in)
{
	struct session *s = domain_session(&monitor.domains[1], 1);
	const struct policy_channel *c = policy_find_channel(monitor.policy, "c");
	uint8_t how = take_uint8(in);
	struct grant *g = NULL;
	const char *why;
	bool made;

	if (store_open(s, c, how & 1 ? "o" : "p", how >> 1 & 7, 3, 0600, &g, &made, &why))
		return;
	if (how & 16)
		store_resize(g, take_uint16(in), false, &why);
	if (how & 32)
		store_release(g);
	if (how & 64)
		store_unlink(s, c, how & 1 ? "o" : "p", &why);
}

static void guest_reads(void)
{
	static uint8_t payload[SIVRING_PAYLOAD_MAX];
	struct sivring_frame header;

	/* a guest takes its indices back with the epoch */
	if (lied || page()->guest_epoch != vm.ring.epoch || vm.ring.epoch != 6)
		return;
	while (receive(&header, payload))
		;
}

static void step(struct input *in)
{
	switch (take_uint8(in) % 10) {
	case 0:
	case 1:
		fuzz_frame(in);
		break;
	case 2:
		fuzz_bytes(in);
		break;
	case 3:
		fuzz_page(in);
		break;
	case 4:
	case 5:
		fuzz_request(in);
		break;
	case 6:
		fuzz_message(in);
		break;
	case 7:
		fuzz_other(in);
		take_events(&vm);
		break;
	case 8:
		guest_reads();
		break;
	default:
		serve_ring(&vm);
	}
	ALWAYS(vm.waiting <= WVM_BACKLOG_MAX && (vm.first || !vm.waiting));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	begin_input(take_uint8(&in));
	for (int n = 0; n < 48 && in.left; n++)
		step(&in);
	serve_ring(&vm);
	take_events(&vm);
	guest_reads();
	monitor_check();
	return 0;
}
