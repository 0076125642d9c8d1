/* SPDX-License-Identifier: MIT */
/* A real worker process of a VM; this test is its monitor and its guest kernel. */
#include <errno.h>
#include <signal.h>

#include "../../ca-host/worker_vm.h"
#include "../../shim/lib/handshake.h"
#include "guest_ring.h"
#include "priv_peer.h"
#include "test.h"

static struct sivring_frame got;
static uint8_t payload[SIVRING_PAYLOAD_MAX];
static uint64_t nonce = 100, sequence = 1;

static struct sivring_page *page(void)
{
	return (void *)peer.memory;
}

static void doorbell(void)
{
	if (eventfd_write(peer.wake, 1))
		perror("doorbell");
}

static void say(enum sivring_type type, uint64_t session, uint16_t flags,
		const void *data, size_t length)
{
	const struct sivring_frame header = {
		.length = (uint32_t)length, .type = (uint16_t)type, .flags = flags,
		.session = session, .sequence = ++sequence,
	};

	guest_send_frame(peer.memory, &header, data);
	doorbell();
}

/* The next frame is of this type: in got and payload. */
static bool told(enum sivring_type type)
{
	eventfd_t count;

	for (int i = 0; i < PATIENCE / 10; i++) {
		if (guest_receive(peer.memory, &got, payload))
			return got.type == type;
		poll(&(struct pollfd){ .fd = peer.ring, .events = POLLIN }, 1, 10);
		eventfd_read(peer.ring, &count);
	}
	return false;
}

static bool took_epoch(void)
{
	for (int i = 0; i < PATIENCE / 10; i++) {
		if (page()->host_nonce == page()->guest_nonce &&
		    page()->host_epoch == peer.epoch) {
			page()->g2h_tail = page()->h2g_head = 0;
			__atomic_store_n(&page()->guest_epoch, peer.epoch,
					 __ATOMIC_RELEASE);
			doorbell();
			return true;
		}
		usleep(10000);
	}
	return false;
}

static bool kernel_starts(void)
{
	page()->guest_epoch = 0;
	page()->guest_nonce = ++nonce;
	doorbell();
	return asked_ok(PRIV_RESET) && gave_epoch(PRIV_NEW_EPOCH) && took_epoch();
}

static bool greeted(void)
{
	const struct sivring_hello hello = { SIVRING_VERSION, SIVRING_VERSION, 4096 };
	struct sivring_welcome welcome;

	say(SIVRING_HELLO, 0, 0, &hello, sizeof(hello));
	if (!told(SIVRING_WELCOME) || got.sequence != sequence)
		return false;
	memcpy(&welcome, payload, sizeof(welcome));
	return welcome.version == SIVRING_VERSION && welcome.links == 1 && !strcmp(welcome.vm, "vm1");
}

static bool guest_up(void)
{
	return worker_up(false) && kernel_starts() && greeted();
}

static bool session_opens(uint64_t id)
{
	const struct sivring_session who = { .uid = 1000, .pid = 42, .comm = "cam" };

	say(SIVRING_SESSION_OPEN, id, 0, &who, sizeof(who));
	return gave_session(id) && peer.asked.session_open.who.uid == 1000 &&
	       peer.asked.session_open.who.pid == 42 && !peer.asked.session_open.again;
}

static void epoch_and_welcome(void)
{
	CHECK(guest_up());
	CHECK(worker_down() == 0);
}

static bool status_says(const char *line)
{
	char path[64], text[4096];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", peer.pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	return strstr(text, line);
}

static void sandboxed(void)
{
	CHECK(guest_up());
	CHECK(status_says("NoNewPrivs:\t1"));
#ifndef __SANITIZE_ADDRESS__
	CHECK(status_says("Seccomp:\t2"));
#endif
	CHECK(worker_down() == 0);
}

static void another_version(void)
{
	const struct sivring_hello hello = { SIVRING_VERSION + 1, 9, 4096 };

	CHECK(worker_up(false) && kernel_starts());
	say(SIVRING_HELLO, 0, 0, &hello, sizeof(hello));
	CHECK(refused(PRIV_WHY_VERSION));
	CHECK(told(SIVRING_WELCOME) && payload[0] == 0);
	CHECK(worker_down() == 0);
}

static bool relayed(uint64_t session, void *out, size_t length)
{
	if (!told(SIVRING_RELAY) || got.session != session || got.length != length)
		return false;
	memcpy(out, payload, length);
	return true;
}

/* all four messages as RELAY frames; the session's keys */
static bool shaken(uint64_t id, struct sivshmem_keys *keys)
{
	struct sivshmem_bundle bundle = {
		.secret = service.secret, .root = root.cert,
		.chain = { .count = 1, .cert[0] = service.cert },
	};
	enum sivshmem_cert_error reason;
	struct sivshmem_handshake hs;
	struct sivp_ready_body body;
	struct sivp_hello hello;
	struct sivp_ready ready;
	struct sivp_host host;
	struct sivp_auth auth;
	int64_t host_time;

	sivshmem_hs_client_hello(&hs, &hello);
	say(SIVRING_RELAY, id, 0, &hello, sizeof(hello));
	if (!gave_host(id) || !relayed(id, &host, sizeof(host)) || got.sequence != sequence ||
	    sivshmem_hs_client_auth(&hs, &host, sizeof(host), &bundle, NULL, &auth,
				    &host_time, &reason))
		return false;
	say(SIVRING_RELAY, id, 0, &auth, sizeof(auth));
	if (!asked(PRIV_AUTH))
		return false;
	answer(&(struct priv_reply){ .ready = { .vm = "vm1" } }, NULL, 0);
	return relayed(id, &ready, sizeof(ready)) &&
	       !sivshmem_hs_client_ready(&hs, &ready, sizeof(ready), &body, keys) &&
	       body.status == SIVP_OK;
}

static const struct sivring_extent extents[2] = { { 0, 4096 }, { 8192, 4096 } };
static const struct priv_reply with_object = {
	.grant.grant = {
		.grant = 5, .rights = 3, .channel = "camera", .name = "cam0",
		.object = { .object = 6, .size = 5000, .link = 0x4000, .extents_count = 2 },
	},
};

static void open_tells_the_kernel_first(void)
{
	const struct sivp_request request = {
		.op = SIVP_OP_OPEN, .rights = 3, .channel = "camera", .object = "cam0",
	};
	uint8_t record[8 + sizeof(request) + 16], answer_record[8 + sizeof(struct sivp_result) + 16];
	struct sivshmem_keys keys;
	struct sivp_result result;

	CHECK(guest_up() && session_opens(3) && shaken(3, &keys));
	sivshmem_record_seal(&keys, SIVP_REQUEST, &request, sizeof(request), record);
	say(SIVRING_RELAY, 3, 0, record, sizeof(record));
	CHECK(asked(PRIV_OPEN) && peer.asked.session == 3);
	answer(&with_object, extents, 2);
	CHECK(told(SIVRING_GRANT) && got.session == 3);
	CHECK(got.length == sizeof(struct sivring_grant) + sizeof(extents));
	CHECK(!memcmp(payload, &with_object.grant.grant, sizeof(struct sivring_grant)));
	CHECK(!memcmp(payload + sizeof(struct sivring_grant), extents, sizeof(extents)));
	CHECK(relayed(3, answer_record, sizeof(answer_record)));
	CHECK(!sivshmem_record_open(&keys, SIVP_RESULT, answer_record,
				    sizeof(answer_record), &result, sizeof(result)));
	CHECK(!result.error && result.grant == 5 && result.size == 5000);
	/* what the kernel does for a VM is not a process's to ask */
	struct sivp_request release = { .op = SIVP_OP_RELEASE, .grant = 5 };
	sivshmem_record_seal(&keys, SIVP_REQUEST, &release, sizeof(release), record);
	say(SIVRING_RELAY, 3, 0, record, sizeof(record));
	CHECK(relayed(3, answer_record, sizeof(answer_record)));
	CHECK(!sivshmem_record_open(&keys, SIVP_RESULT, answer_record,
				    sizeof(answer_record), &result, sizeof(result)));
	CHECK(result.error == EOPNOTSUPP);
	say(SIVRING_SESSION_CLOSE, 3, 0, NULL, 0);
	CHECK(asked_ok(PRIV_SESSION_CLOSE) && peer.asked.session == 3);
	CHECK(worker_down() == 0);
}

static void kernel_requests(void)
{
	const struct sivring_resize resize = { .grant = 5, .size = 5000, .grow_only = 1 };
	const struct sivring_release grant = { .grant = 5 };
	struct sivring_done done;

	CHECK(guest_up());
	say(SIVRING_RESIZE, 0, 0, &resize, sizeof(resize));
	CHECK(asked(PRIV_RESIZE) && peer.asked.session == 0);
	CHECK(peer.asked.grant.grant == 5 && peer.asked.grant.size == 5000 &&
	      peer.asked.grant.grow_only == 1);
	answer(&with_object, extents, 2);
	CHECK(told(SIVRING_DONE) && got.sequence == sequence);
	CHECK(got.length == sizeof(done) + sizeof(extents));
	memcpy(&done, payload, sizeof(done));
	CHECK(!done.error && done.object.size == 5000 && done.object.extents_count == 2);
	CHECK(!memcmp(payload + sizeof(done), extents, sizeof(extents)));

	say(SIVRING_STAT, 0, 0, &grant, sizeof(grant));
	CHECK(asked(PRIV_STAT));
	answer_error(ESTALE);
	CHECK(told(SIVRING_DONE) && got.length == sizeof(done));
	memcpy(&done, payload, sizeof(done));
	CHECK(done.error == ESTALE && done.object.extents_count == 0);

	say(SIVRING_RELEASE, 0, 0, &grant, sizeof(grant));
	CHECK(asked_ok(PRIV_RELEASE) && peer.asked.grant.grant == 5);
	CHECK(worker_down() == 0);
}

static void events_become_frames(void)
{
	struct worker_event event = {
		.event = {
			.type = PRIV_EVENT_OBJECT, .session = 3, .grant = 5,
			.object = with_object.grant.grant.object,
		},
		.extents = { { 0, 4096 }, { 8192, 4096 } },
	};
	const size_t size = sizeof(event.event) + sizeof(extents);
	struct sivring_release revoked;
	struct sivring_end end;

	CHECK(guest_up());
	CHECK(send(peer.event, &event, size, 0) == (ssize_t)size);
	CHECK(told(SIVRING_OBJECT));
	CHECK(got.length == sizeof(struct sivring_object) + sizeof(extents));
	CHECK(!memcmp(payload, &event.event.object, sizeof(event.event.object)));
	event.event.type = PRIV_EVENT_REVOKE;
	CHECK(send(peer.event, &event, sizeof(event.event), 0) > 0);
	CHECK(told(SIVRING_REVOKE) && got.session == 3);
	memcpy(&revoked, payload, sizeof(revoked));
	CHECK(revoked.grant == 5);
	event.event.type = PRIV_EVENT_END;
	event.event.reason = EKEYREVOKED;
	CHECK(send(peer.event, &event, sizeof(event.event), 0) > 0);
	CHECK(told(SIVRING_SESSION_END) && got.session == 3);
	memcpy(&end, payload, sizeof(end));
	CHECK(end.reason == EKEYREVOKED);
	CHECK(worker_down() == 0);
}

static bool starts_over(void)
{
	return refused(PRIV_WHY_RING) && gave_epoch(PRIV_NEW_EPOCH) && took_epoch() &&
	       greeted();
}

static void broken_rings(void)
{
	const struct sivring_session who = { .uid = 1000 };

	CHECK(guest_up() && session_opens(3));
	page()->g2h_tail += SIVRING_SIZE + 8;
	doorbell();
	CHECK(starts_over());
	/* its sessions are forgotten */
	say(SIVRING_RELAY, 3, 0, "x", 1);
	CHECK(told(SIVRING_SESSION_END) && got.session == 3);
	say(99, 0, 0, NULL, 0);
	CHECK(starts_over());
	say(SIVRING_RELAY, 3, 1, "x", 1);
	CHECK(starts_over());
	say(SIVRING_RELEASE, 0, 0, "x", 1);
	CHECK(starts_over());
	say(SIVRING_SESSION_OPEN, 0, 0, &who, sizeof(who));
	CHECK(starts_over());
	CHECK(worker_down() == 0);
}

static void hello_comes_first(void)
{
	CHECK(worker_up(false) && kernel_starts());
	say(SIVRING_SESSION_CLOSE, 3, 0, NULL, 0);
	CHECK(starts_over());
	CHECK(worker_down() == 0);
}

static void sessions_come_again(void)
{
	const struct sivring_session who = { .uid = 1000 };
	struct sivp_hello hello;
	struct sivshmem_handshake hs;
	struct sivring_end end;

	CHECK(guest_up());
	say(SIVRING_SESSION_OPEN, 3, SIVRING_F_AGAIN, &who, sizeof(who));
	CHECK(gave_session(3) && peer.asked.session_open.again == 1);
	sivshmem_hs_client_hello(&hs, &hello);
	say(SIVRING_RELAY, 3, 0, &hello, sizeof(hello));
	CHECK(told(SIVRING_RELAY) && got.length == sizeof(struct sivp_abort));
	/* one that the monitor does not know */
	say(SIVRING_SESSION_OPEN, 4, SIVRING_F_AGAIN, &who, sizeof(who));
	CHECK(asked(PRIV_SESSION));
	answer_error(ESTALE);
	CHECK(told(SIVRING_SESSION_END) && got.session == 4);
	memcpy(&end, payload, sizeof(end));
	CHECK(end.reason == ESTALE);
	CHECK(worker_down() == 0);
}

/* the guest kernel may announce one twice when epochs change under it */
static void session_announced_twice(void)
{
	const struct sivring_session who = { .uid = 1000 };
	struct sivshmem_keys keys;
	uint8_t record[8 + sizeof(struct sivp_request) + 16];

	CHECK(guest_up() && session_opens(3) && shaken(3, &keys));
	say(SIVRING_SESSION_OPEN, 3, SIVRING_F_AGAIN, &who, sizeof(who));
	sivshmem_record_seal(&keys, SIVP_REQUEST, payload, sizeof(struct sivp_request),
			     record);
	say(SIVRING_RELAY, 3, 0, record, sizeof(record));
	CHECK(told(SIVRING_RELAY) && got.length == sizeof(struct sivp_abort));
	CHECK(worker_down() == 0);
}

static void guest_reboots(void)
{
	CHECK(guest_up() && session_opens(3));
	CHECK(kernel_starts() && greeted() && session_opens(3));
	CHECK(worker_down() == 0);
}

static bool pending(void)
{
	return poll(&(struct pollfd){ .fd = peer.rpc, .events = POLLIN }, 1, 0) > 0;
}

/* It asks again and again and reads no answer: it loses its ring. */
static void guest_that_does_not_read(void)
{
	const struct sivring_hello hello = { SIVRING_VERSION, SIVRING_VERSION, 4096 };
	int sent = 0;

	CHECK(guest_up());
	while (sent < 100000 && !pending()) {
		for (int i = 0; i < 64; i++)
			say(SIVRING_HELLO, 0, 0, &hello, sizeof(hello));
		sent += 64;
		while (page()->g2h_tail - __atomic_load_n(&page()->g2h_head,
							  __ATOMIC_ACQUIRE) >
		       SIVRING_SIZE / 2 && !pending())
			usleep(1000);
	}
	/* the ring's worth and the queue's, not more than both */
	CHECK(sent > 1000 && sent < 100000);
	CHECK(gave_epoch(PRIV_NEW_EPOCH) && took_epoch() && greeted());
	CHECK(worker_down() == 0);
}

/* ... and a guest that breaks it again and again is not served for a while. */
static void breaking_is_slow(void)
{
	int epochs = 0;

	CHECK(guest_up());
	while (epochs < 100) {
		page()->g2h_tail += 4;
		doorbell();
		CHECK(refused(PRIV_WHY_RING));
		if (poll(&(struct pollfd){ .fd = peer.rpc, .events = POLLIN }, 1, 300) <= 0)
			break;
		CHECK(gave_epoch(PRIV_NEW_EPOCH) && took_epoch());
		epochs++;
	}
	CHECK(epochs >= 5 && epochs <= 12);
	/* but it is served again */
	CHECK(gave_epoch(PRIV_NEW_EPOCH) && took_epoch() && greeted());
	CHECK(worker_down() == 0);
}

static void doorbells_for_nothing(void)
{
	CHECK(guest_up());
	for (int i = 0; i < 1000; i++)
		doorbell();
	CHECK(greeted());
	CHECK(worker_down() == 0);
}

int main(void)
{
	if (sodium_init() < 0)
		return 3;
	signal(SIGPIPE, SIG_IGN);
	make_parties();
	RUN(epoch_and_welcome);
	RUN(sandboxed);
	RUN(another_version);
	RUN(open_tells_the_kernel_first);
	RUN(kernel_requests);
	RUN(events_become_frames);
	RUN(broken_rings);
	RUN(hello_comes_first);
	RUN(sessions_come_again);
	RUN(session_announced_twice);
	RUN(guest_reboots);
	RUN(guest_that_does_not_read);
	RUN(breaking_is_slow);
	RUN(doorbells_for_nothing);
	return test_failures != 0;
}
