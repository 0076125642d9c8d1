/* SPDX-License-Identifier: MIT */
#include "keep.h"

#include <stdlib.h>
#include <string.h>
#include <bsd/err.h>
#include <bsd/string.h>

#include "handover.h"
#include "journal.h"
#include "keep_records.h"

#define SOCKETS_MAX	8

struct lost {
	SLIST_ENTRY(lost) node;
	uint32_t link;
	struct sivring_extent extent;
};

static struct journal *journal;
static bool quiet;
static struct keep_meta last;		/* as it was put */
static struct {
	uint64_t key;
	int fd;
} sockets[SOCKETS_MAX];
static uint32_t socket_count;
static SLIST_HEAD(lost_list, lost) all_lost = SLIST_HEAD_INITIALIZER(all_lost);

static void put(enum keep_kind kind, uint64_t key, const void *fixed, size_t length)
{
	if (journal && !quiet)
		journal_put(journal, kind, key, fixed, length, NULL, 0);
}

static void gone(enum keep_kind kind, uint64_t key)
{
	if (journal && !quiet)
		journal_gone(journal, kind, key);
}

/* --- one function for each kind --- */

static void put_meta(bool anyway)
{
	struct keep_meta now = { .next_session = monitor.next_session, .ids = store_ids };

	memcpy(now.boot_epoch, monitor.boot_epoch, sizeof(now.boot_epoch));
	if (anyway || memcmp(&now, &last, sizeof(now)))
		put(KEEP_META, 0, &now, sizeof(now));
	last = now;
}

static void put_socket(uint32_t i)
{
	const struct keep_socket r = { .fd = handover_put(sockets[i].fd) };

	put(KEEP_SOCKET, sockets[i].key, &r, sizeof(r));
}

void keep_socket(const char *name, int fd)
{
	if (!journal || socket_count == SOCKETS_MAX)
		return;
	sockets[socket_count].key = keep_name(name);
	sockets[socket_count].fd = fd;
	put_socket(socket_count++);
}

void keep_domain(const struct domain *d)
{
	struct keep_domain r = { .ring_epoch = d->ring_epoch, .up = d->up };

	if (!journal || !d->vm)
		return;
	strlcpy(r.name, d->name, sizeof(r.name));
	r.memory = handover_put(d->memory);
	r.wake = handover_put(d->wake);
	r.ring = handover_put(d->ring);
	put(KEEP_DOMAIN, d->vm->index, &r, sizeof(r));
}

void keep_link(uint32_t index)
{
	const struct policy_link *policy = &monitor.policy->links[index];
	const struct link *link = &monitor.links[index];
	struct keep_link r = {
		.writers = policy->writers, .readers = policy->readers,
		.bytes = policy->memory, .usable = policy->usable, .version = SIVRING_VERSION,
	};
	uint32_t i;

	if (!journal)
		return;
	memcpy(r.position, policy->position, sizeof(r.position));
	r.memory = handover_put(link->memory);
	r.table = policy->split ? handover_put(link->table) : 0;
	for (i = 0; i < monitor.policy->vm_count; i++)
		r.bell[i] = handover_put(link->bell[i]);
	put(KEEP_LINK, index, &r, sizeof(r));
}

/* What is there, but can't be kept, must be missed by who looks for it. */
static uint64_t needed(int fd)
{
	uint64_t number = handover_put(fd);

	return fd >= 0 && !number ? UINT64_MAX : number;
}

void keep_device(const struct device *dev)
{
	struct keep_device r = { .sent = dev->sent };

	if (!journal)
		return;
	r.conn = needed(dev->conn.fd);
	r.listener = needed(dev->listener.fd);
	put(KEEP_DEVICE, keep_device_key(dev), &r, sizeof(r));
}

static void put_lost(const struct lost *l)
{
	const struct keep_lost r = { .extent = l->extent };

	put(KEEP_LOST, (uint64_t)l->link << 48 | l->extent.offset >> 12, &r, sizeof(r));
}

void keep_lost(uint32_t link, const struct sivring_extent *extent)
{
	struct lost *l = journal ? calloc(1, sizeof(*l)) : NULL;

	if (!l)
		return;
	l->link = link;
	l->extent = *extent;
	SLIST_INSERT_HEAD(&all_lost, l, node);
	put_lost(l);
}

void keep_object(const struct object *o)
{
	struct keep_object r = {
		.generation = o->generation, .size = o->size, .change = o->change,
		.pages = o->pages, .mode = o->mode, .uid = o->uid, .gid = o->gid,
		.unlinked = o->unlinked, .lock_wanted = o->lock_wanted,
		.members = roster_last(o), .link = o->channel->link,
	};

	if (!journal || quiet)
		return;
	strlcpy(r.channel, o->channel->name, sizeof(r.channel));
	strlcpy(r.name, o->name, sizeof(r.name));
	strlcpy(r.creator, o->creator, sizeof(r.creator));
	r.memfd = handover_put(o->memfd);
	journal_put(journal, KEEP_OBJECT, o->id, &r, sizeof(r), o->extents,
		    o->extent_count * sizeof(*o->extents));
}

void keep_object_gone(const struct object *o)
{
	handover_forget(o->memfd);
	gone(KEEP_OBJECT, o->id);
	if (o->writer_count)
		gone(KEEP_WRITERS, o->id);
}

void keep_writers(const struct object *o)
{
	if (journal && !quiet && o->writer_count)
		journal_put(journal, KEEP_WRITERS, o->id, NULL, 0, o->writers,
			    o->writer_count * sizeof(*o->writers));
}

void keep_session(const struct session *s)
{
	struct keep_session r = {
		.id = s->id, .who = s->who, .serial = s->serial,
		.not_after = s->not_after, .since = s->since,
		.authenticated = s->holder != NULL, .revoked = s->revoked,
		.chain = s->chain,
	};

	if (!journal || quiet || !s->domain->vm)
		return;
	r.domain = s->domain->vm->index;
	if (s->holder)
		strlcpy(r.service, s->holder->name, sizeof(r.service));
	put(KEEP_SESSION, s->host_id, &r, sizeof(r));
}

void keep_session_gone(const struct session *s)
{
	if (s->domain->vm)
		gone(KEEP_SESSION, s->host_id);
}

void keep_grant(const struct grant *g)
{
	const struct keep_grant r = {
		.session = g->session->host_id, .object = g->object->id, .rights = g->rights,
	};

	if (g->session->domain->vm)
		put(KEEP_GRANT, g->id, &r, sizeof(r));
}

void keep_grant_gone(const struct grant *g)
{
	if (g->session->domain->vm)
		gone(KEEP_GRANT, g->id);
}

/* How many locks the grant has; to `all`, if that is there. */
static uint32_t locks_of(const struct grant *g, struct sivring_lock *all)
{
	const struct lock *l;
	uint32_t n = 0;

	for (l = LIST_FIRST(&g->locks); l; l = lock_next(l)) {
		if (all)
			all[n] = *lock_is(l);
		n++;
	}
	return n;
}

void keep_locks(const struct grant *g)
{
	struct sivring_lock *all;
	uint32_t n;

	if (!journal || quiet)
		return;
	n = locks_of(g, NULL);
	if (!n) {
		gone(KEEP_LOCKS, g->id);
		return;
	}
	all = calloc(n, sizeof(*all));
	if (!all)
		err(3, "locks of a grant");
	locks_of(g, all);
	journal_put(journal, KEEP_LOCKS, g->id, NULL, 0, all, n * sizeof(*all));
	free(all);
}

/* --- all of it --- */

static void put_objects(void)
{
	const struct object *o;
	const struct grant *g;
	uint32_t i;

	for (i = 0; i < monitor.policy->channel_count; i++)
		for (o = store_first(&monitor.policy->channels[i]); o; o = LIST_NEXT(o, node)) {
			keep_object(o);
			keep_writers(o);
			LIST_FOREACH(g, &o->grants, of_object)
				if (!LIST_EMPTY(&g->locks))
					keep_locks(g);
		}
}

static void put_sessions(const struct domain *d)
{
	const struct session *s;
	const struct grant *g;

	LIST_FOREACH(s, &d->sessions, node) {
		keep_session(s);
		LIST_FOREACH(g, &s->grants, of_session)
			keep_grant(g);
	}
}

static void put_all(void)
{
	const struct lost *l;
	uint32_t i, k;

	put_meta(true);
	for (i = 0; i < socket_count; i++)
		put_socket(i);
	for (i = 0; i < monitor.policy->link_count; i++)
		keep_link(i);
	for (i = 0; i < monitor.policy->vm_count; i++) {
		keep_domain(&monitor.domains[i]);
		keep_device(&monitor.domains[i].control);
		for (k = 0; k < monitor.policy->link_count; k++)
			if (monitor.policy->links[k].readers >> i & 1)
				keep_device(&monitor.links[k].device[i]);
		put_sessions(&monitor.domains[i]);
	}
	SLIST_FOREACH(l, &all_lost, node)
		put_lost(l);
	put_objects();
}

void keep_cold(const char *why)
{
	audit_write(&(struct audit){ .event = "taken-over", .refused = true, .reason = why });
	handover_cold(why);
}

void keep_begin(struct journal *old)
{
	journal = old ? old : journal_create();
	if (!journal)
		err(3, "no memory for the state that a restart keeps");
	if (!old)
		handover_put_state(journal_fd(journal));
}

void keep_pause(bool on)
{
	quiet = on;
}

void keep_whole(void)
{
	if (journal)
		journal_rewrite(journal, put_all);
}

void keep_commit(void)
{
	if (!journal || quiet)
		return;
	put_meta(false);
	if (journal_commit(journal))
		journal_rewrite(journal, put_all);
	handover_settle();
}
