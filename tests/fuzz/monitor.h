/* SPDX-License-Identifier: MIT */
/*
 * The daemon's monitor in this process, on a run directory of its own, with a
 * socket pair where a worker's would be. Needs fuzz.h and handshake.h before.
 */
#ifndef SIVSHMEM_FUZZ_MONITOR_H
#define SIVSHMEM_FUZZ_MONITOR_H

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "../../ca-host/limits.h"
#include "../../ca-host/monitor.h"
#include "../../ca-host/signer_process.h"
#include "../../ca-host/wipe.h"

static const char policy_text[] =
	"version = 1;\nlimits = { handshakes = 100000; log = 100000; };\nvms = ( { name = \"a\"; }, { name = \"b\"; } );\n"
	"services = ( { name = \"app/cam\"; vm = \"a\"; }, { name = \"reader\"; vm = \"b\"; },\n"
	"  { name = \"other\"; vm = \"b\"; }, { name = \"here\"; vm = \"host\"; } );\n"
	"channels = ( { name = \"c\"; quota = \"64K\"; objects = 4; members = (\n"
	"    { service = \"app/cam\"; rights = \"rw,create\"; },\n"
	"    { service = \"reader\"; rights = \"ro\"; },\n"
	"    { service = \"other\"; rights = \"rw,create\"; } ); },\n"
	"  { name = \"p\"; quota = \"16K\"; members = (\n"
	"    { service = \"app/cam\"; rights = \"rw,create\"; } ); },\n"
	"  { name = \"l\"; quota = \"64K\"; objects = 3; members = (\n"
	"    { service = \"here\"; rights = \"rw,create\"; } ); } );\n";

static char run_dir[] = "/dev/shm/sivshmem-fuzz-XXXXXX";

/* The signer, without its process. */
int host_sign(enum host_context context, const uint8_t *msg, size_t len, uint8_t sig[64])
{
	ALWAYS(signer_context(context) && len == HOST_SIGN_LEN);
	sivshmem_sign_hash(sig, signer_context(context), msg, host_party.secret);
	return 0;
}

bool host_signer_reaped(pid_t pid, int status)
{
	(void)pid;
	(void)status;
	return false;
}

static void drop_run_dir(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", run_dir);
	ALWAYS(!system(command));
}

static inline void monitor_setup(void)
{
	struct sivshmem_error err;

	ALWAYS(mkdtemp(run_dir));
	atexit(drop_run_dir);
	ALWAYS(!policy_load(file_with(policy_text, strlen(policy_text)), &monitor.policy, &err));
	drop_file();
	monitor.run_dir = run_dir;
	strcpy(monitor.host, "host-a");
	monitor.root = root.cert;
	monitor.chain = (struct sivp_chain){ .count = 1, .cert[0] = host_party.cert };
	memcpy(monitor.boot_epoch, epoch_id, sizeof(monitor.boot_epoch));
	monitor.fd_end = 900;
	ALWAYS(!audit_start("/dev/null") && !loop_init() && !store_start() &&
	       !domains_start() && !limits_start() && !hub_start());
}

/* The other ends of the domain's rpc and event sockets. */
static inline void monitor_worker(struct domain *d, int *rpc, int *event)
{
	int r[2], e[2];

	ALWAYS(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, r) &&
	       !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, e));
	d->event = e[0];
	d->rpc = (struct watch){ .fd = r[0], .ready = rpc_ready, .owner = d };
	ALWAYS(!loop_add(&d->rpc, EPOLLIN));
	*rpc = r[1];
	*event = e[1];
}

/* As often as the loop would, until the asker has an answer or is given up. */
static inline void monitor_answer(struct domain *d, int asker)
{
	struct pollfd answer = { .fd = asker, .events = POLLIN };

	for (int turn = 0; d->rpc.fd >= 0 && !poll(&answer, 1, 0); turn++) {
		ALWAYS(turn < 100);
		rpc_ready(&d->rpc, EPOLLIN);
		wipe_tick();
	}
}

/* Authenticated as if by the handshake. */
static inline struct session *monitor_session(struct domain *d, uint64_t id, const char *name, int conn)
{
	const struct sivring_session who = { .uid = 5, .gid = 6, .pid = 7, .comm = "fuzz" };
	struct session *s = session_create(d, id, &who, conn);

	ALWAYS(s);
	s->service = policy_find_service(monitor.policy, name);
	return s;
}

/* As new: no session, no object, and the same ids as last time. */
static inline void monitor_reset(void)
{
	struct session *s;
	const char *why;

	for (uint32_t i = 0; i < monitor.domain_count; i++)
		domain_reset(&monitor.domains[i]);
	for (uint32_t i = 0; i < monitor.policy->channel_count; i++) {
		const struct policy_channel *c = &monitor.policy->channels[i];
		bool local = c->link == POLICY_ON_HOST;
		struct object *o;

		s = monitor_session(local ? monitor_host_domain() : monitor.domains, 1,
				    local ? "here" : "app/cam", -1);
		while ((o = store_first(c)))
			ALWAYS(!store_unlink(s, c, o->name, &why));
		session_destroy(s);
	}
	do
		wipe_tick();
	while (!wipe_deadline());
	monitor.next_session = 76;
}

/* Objects lie in the link's memory, beside each other, within quotas. */
static inline void monitor_check_channel(const struct policy_channel *c, uint64_t *pages)
{
	uint64_t objects = 0;

	ALWAYS(store_used(c) <= c->quota);
	for (const struct object *o = store_first(c); o; o = LIST_NEXT(o, node)) {
		ALWAYS(++objects <= c->objects && o->size <= o->pages * 4096 &&
		       memchr(o->name, 0, sizeof(o->name)));
		for (uint32_t i = 0; i < o->extent_count; i++) {
			const struct sivring_extent *e = &o->extents[i];

			ALWAYS(e->length && e->offset + e->length <=
			       monitor.policy->links[c->link].usable);
			for (uint64_t p = e->offset / 4096; p < (e->offset + e->length) / 4096; p++) {
				ALWAYS(p >= 128 * 64 || !(pages[p / 64] >> p % 64 & 1));
				if (p < 128 * 64)
					pages[p / 64] |= UINT64_C(1) << p % 64;
			}
		}
	}
}

static inline void monitor_check(void)
{
	for (uint32_t l = 0; l < monitor.policy->link_count; l++) {
		uint64_t pages[128] = { 0 };

		for (uint32_t i = 0; i < monitor.policy->channel_count; i++)
			if (monitor.policy->channels[i].link == l)
				monitor_check_channel(&monitor.policy->channels[i], pages);
	}
}

#endif
