/* SPDX-License-Identifier: MIT */
/*
 * The monitor under a worker that was taken over: requests of any content, of
 * each domain, in any order; some real ones so that there is something to break.
 */
#include "fuzz.h"
#include "handshake.h"
#include "monitor.h"

static int rpc[3], event[3], local[2];
static union {
	struct priv_reply reply;
	uint8_t bytes[PRIV_REPLY_MAX];
} answer;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (hs_setup())
		return 1;
	monitor_setup();
	ALWAYS(monitor.domain_count == 3);
	for (int i = 0; i < 3; i++)
		monitor_worker(&monitor.domains[i], &rpc[i], &event[i]);
	return 0;
}

/* False: the monitor gave this worker up. */
static bool ask(unsigned int domain, const void *request, size_t size)
{
	struct domain *d = &monitor.domains[domain];
	ssize_t n;

	ALWAYS(send(rpc[domain], request, size, MSG_NOSIGNAL) == (ssize_t)size);
	monitor_answer(d, rpc[domain]);
	n = recv(rpc[domain], &answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC);
	if (d->rpc.fd < 0) {
		close(rpc[domain]);
		close(event[domain]);
		close(d->event);
		monitor_worker(d, &rpc[domain], &event[domain]);
		return false;
	}
	ALWAYS(n >= (ssize_t)sizeof(struct priv_reply) && n <= (ssize_t)sizeof(answer) &&
	       answer.reply.error >= 0);
	return true;
}

static void read_events(void)
{
	static uint8_t bytes[PRIV_REPLY_MAX];

	for (int i = 0; i < 3; i++)
		while (recv(event[i], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
}

/* One that exists, if there is any: a guess of 64 bits would find none. */
static uint64_t some_grant(uint8_t which)
{
	const struct session *s;
	const struct grant *g;
	unsigned int n = 0;
	uint64_t last = 0;

	for (uint32_t i = 0; i < monitor.domain_count; i++)
		LIST_FOREACH(s, &monitor.domains[i].sessions, node)
			LIST_FOREACH(g, &s->grants, of_session) {
				last = g->id;
				if (n++ == which)
					return last;
			}
	return last;
}

static void put_names(struct input *in, struct priv_request *q)
{
	static const char *const channels[] = { "c", "p", "l", "c" };
	static const char *const objects[] = { "o", "p", "q", "a name" };
	uint8_t n = take_uint8(in);

	q->name.oflag = n & 7;
	q->name.rights = n & 8 ? 1 : 3;
	q->name.mode = 0600;
	strcpy(q->name.channel, channels[n >> 4 & 3]);
	strcpy(q->name.object, objects[n >> 6]);
	strcpy(q->name.to, objects[take_uint8(in) & 3]);
}

static void fill(struct input *in, struct priv_request *q)
{
	switch (q->op) {
	case PRIV_SIGN:
		q->sign.hello = real.hello;
		memcpy(q->sign.eh, real.host.clear.eh, sizeof(q->sign.eh));
		break;
	case PRIV_AUTH:
		q->auth = real.auth_body;
		break;
	case PRIV_OPEN:
	case PRIV_UNLINK:
	case PRIV_RENAME:
		put_names(in, q);
		break;
	case PRIV_RESIZE:
	case PRIV_STAT:
	case PRIV_RELEASE:
		q->grant.grant = some_grant(take_uint8(in));
		q->grant.size = (uint64_t)take_uint16(in) << 2;
		break;
	case PRIV_LOCK:
		q->lock.grant = some_grant(take_uint8(in));
		q->lock.owner = take_uint8(in) & 3;
		q->lock.start = take_uint8(in);
		q->lock.end = take_uint8(in);
		q->lock.type = take_uint8(in) % 4;
		q->lock.flags = take_uint8(in) & 3;
		break;
	}
}

static void step(struct input *in)
{
	uint8_t how = take_uint8(in);
	unsigned int domain = (how & 3) % 3;
	struct priv_request q = { .op = take_uint8(in) % 18, .session = 1 + (how >> 2 & 1) };
	size_t size = sizeof(q);

	if (how & 8) {
		take(in, (uint8_t *)&q + 16, sizeof(q) - 16);
	} else {
		fill(in, &q);
		if (how & 16)
			patch(in, &q, sizeof(q));
	}
	if (how & 32)
		size = take_uint16(in) % sizeof(q);
	if (ask(domain, &q, size) && how & 64)
		monitor_check();
}

static void begin(void)
{
	monitor_reset();
	monitor_session(&monitor.domains[0], 1, "app/cam", -1);
	monitor_session(&monitor.domains[1], 1, "other", -1);
	monitor_session(&monitor.domains[1], 2, "reader", -1);
	for (int i = 0; i < 2; i++) {
		int pair[2];

		ALWAYS(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
		monitor_session(monitor_host_domain(), 1 + (uint64_t)i, "here", pair[0]);
		local[i] = pair[1];
	}
	close(local[1]);		/* a process that is gone */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	begin();
	for (int n = 0; n < 32 && in.left; n++)
		step(&in);
	read_events();
	monitor_check();
	close(local[0]);
	return 0;
}
