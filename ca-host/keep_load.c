/* SPDX-License-Identifier: MIT */
/* What the last monitor left. The policy may be another now: it decides. */
#include "keep.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bsd/err.h>
#include <bsd/string.h>

#include <sivshmem/wake.h>

#include "alloc.h"
#include "handover.h"
#include "journal.h"
#include "keep_check.h"
#include "resize.h"
#include "writers.h"

struct kept {
	uint32_t kind, count;		/* of the tail */
	uint64_t key;
	void *fixed;
	const void *tail;
};

static const struct {
	uint32_t fixed, tail;		/* bytes; of one in the tail */
	uint32_t most;			/* in the tail */
} shape[KEEP_KINDS] = {
	[KEEP_META] = { sizeof(struct keep_meta), 1, 0 },
	[KEEP_SOCKET] = { sizeof(struct keep_socket), 1, 0 },
	[KEEP_DOMAIN] = { sizeof(struct keep_domain), 1, 0 },
	[KEEP_LINK] = { sizeof(struct keep_link), 1, 0 },
	[KEEP_DEVICE] = { sizeof(struct keep_device), 1, 0 },
	[KEEP_LOST] = { sizeof(struct keep_lost), 1, 0 },
	[KEEP_OBJECT] = { sizeof(struct keep_object), sizeof(struct sivring_extent),
			  SIVRING_EXTENTS_MAX },
	[KEEP_SESSION] = { sizeof(struct keep_session), 1, 0 },
	[KEEP_GRANT] = { sizeof(struct keep_grant), 1, 0 },
	[KEEP_LOCKS] = { 0, sizeof(struct sivring_lock), UINT32_MAX },
	[KEEP_WRITERS] = { 0, sizeof(uint64_t), UINT32_MAX },
};

static struct kept *all;
static size_t all_count, all_room;
static bool taken_over;			/* there is something in all */

/* --- reading --- */

static struct kept *one_more(void)
{
	struct kept *more;

	if (all_count < all_room)
		return &all[all_count++];
	all_room = all_room ? 2 * all_room : 1024;
	more = reallocarray(all, all_room, sizeof(*more));
	if (!more)
		return NULL;
	all = more;
	return &all[all_count++];
}

static int take(const struct journal_record *r, const void *fixed, const void *tail,
		void *why)
{
	const char *bad;
	struct kept *k;
	uint8_t *copy;

	*(const char **)why = "a newer sivshmem-cad wrote it";
	if (!r->kind || r->kind >= KEEP_KINDS || r->fixed > shape[r->kind].fixed)
		return -EPROTONOSUPPORT;
	*(const char **)why = "a record has the wrong length";
	if (r->tail % shape[r->kind].tail || r->tail / shape[r->kind].tail > shape[r->kind].most)
		return -EBADMSG;
	*(const char **)why = "no memory";
	copy = calloc(1, shape[r->kind].fixed + (size_t)r->tail + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, fixed, r->fixed);
	memcpy(copy + shape[r->kind].fixed, tail, r->tail);
	bad = keep_check(r->kind, r->key, copy, copy + shape[r->kind].fixed,
			 r->tail / shape[r->kind].tail);
	k = bad ? NULL : one_more();
	if (bad)
		*(const char **)why = bad;
	if (!k) {
		free(copy);
		return bad ? -EBADMSG : -ENOMEM;
	}
	*k = (struct kept){ .kind = r->kind, .key = r->key, .fixed = copy,
		.tail = copy + shape[r->kind].fixed, .count = r->tail / shape[r->kind].tail };
	return 0;
}

static const struct kept *find(enum keep_kind kind, uint64_t key)
{
	size_t from = 0, to = all_count;

	while (from < to) {
		size_t at = (from + to) / 2;

		if (all[at].kind < kind || (all[at].kind == kind && all[at].key < key))
			from = at + 1;
		else
			to = at;
	}
	return from < all_count && all[from].kind == kind && all[from].key == key ?
		&all[from] : NULL;
}

void keep_read(void)
{
	const struct keep_meta *meta;
	const char *why = NULL;
	const struct kept *k;
	struct journal *journal;

	if (!handover_on())
		return;
	if (handover_state() < 0) {
		keep_begin(NULL);
		return;
	}
	if (journal_read(handover_state(), &why, take, &why))
		keep_cold(why);
	k = find(KEEP_META, 0);
	if (!k) {
		keep_cold("it is incomplete");
		return;			/* for who does not know that it never comes back */
	}
	meta = k->fixed;
	memcpy(monitor.boot_epoch, meta->boot_epoch, sizeof(monitor.boot_epoch));
	monitor.next_session = meta->next_session;
	store_ids = meta->ids;
	journal = journal_adopt(handover_state());
	if (!journal)
		keep_cold("it can't be mapped");
	keep_begin(journal);
	taken_over = true;
}

/* --- devices --- */

static int memory_of(uint64_t number, uint64_t bytes, const char *what)
{
	int fd = handover_take(number);

	if (!keep_is_memory(fd, bytes))
		keep_cold(what);
	return fd;
}

static int bell_of(uint64_t number)
{
	int fd = handover_take(number);

	if (!keep_is_bell(fd))
		keep_cold("an eventfd is missing");
	return fd;
}

bool keep_take_domain(struct domain *d)
{
	const struct kept *k = find(KEEP_DOMAIN, d->vm->index);
	const struct keep_domain *r = k ? k->fixed : NULL;

	if (!r || strncmp(r->name, d->name, sizeof(r->name)))
		return false;
	d->memory = memory_of(r->memory, SIVRING_MEMORY, "a VM's control memory is missing");
	d->wake = bell_of(r->wake);
	d->ring = bell_of(r->ring);
	d->ring_epoch = r->ring_epoch;
	d->up = r->up;
	return true;
}

static bool same_link(const struct keep_link *r, const struct policy_link *p)
{
	uint32_t i;

	if (r->writers != p->writers || r->readers != p->readers || r->bytes != p->memory ||
	    r->usable != p->usable || r->version != SIVRING_VERSION || !r->table != !p->split ||
	    memcmp(r->position, p->position, sizeof(r->position)))
		return false;
	/* the same places, and the same VMs at them */
	for (i = 0; i < monitor.policy->vm_count; i++) {
		const struct kept *k = find(KEEP_DOMAIN, i);

		if (p->readers >> i & 1 &&
		    (!k || strncmp(((const struct keep_domain *)k->fixed)->name,
				   monitor.policy->vms[i].name, SIVP_VM_LEN)))
			return false;
	}
	return true;
}

static const struct keep_link *link_record(uint32_t index)
{
	const struct kept *k = find(KEEP_LINK, index);

	return k && index < monitor.policy->link_count && same_link(k->fixed, &monitor.policy->links[index]) ?
		k->fixed : NULL;
}

bool keep_take_link(uint32_t index)
{
	const struct keep_link *r = link_record(index);
	struct link *link = &monitor.links[index];
	uint32_t i;

	if (!r) {
		if (taken_over)
			warnx("link %u is another than before: its VMs must be started anew", index);
		return false;
	}
	link->memory = memory_of(r->memory, r->bytes, "a link's memory is missing");
	link->table = monitor.policy->links[index].split ?
		memory_of(r->table, SIVWAKE_MEMORY, "a link's wake table is missing") :
		link->memory;
	if (monitor.policy->links[index].split && !link_file_take(index))
		keep_cold("the file of a link's memory was removed");
	for (i = 0; i < monitor.policy->vm_count; i++)
		link->bell[i] = monitor.policy->links[index].readers >> i & 1 ?
				bell_of(r->bell[i]) : -1;
	return true;
}

/* Of a VM or link that is not what it was, nothing fits. */
static bool has_devices(const struct device *dev)
{
	const struct kept *k = find(KEEP_DOMAIN, dev->domain->vm->index);

	if (dev->link >= 0)
		return link_record((uint32_t)dev->link);
	return k && !strncmp(((const struct keep_domain *)k->fixed)->name, dev->domain->name,
			     SIVP_VM_LEN);
}

static int socket_of(uint64_t number, bool listens)
{
	int fd = handover_take(number);

	if (number && (fd < 0 || !keep_is_socket(fd, listens)))
		keep_cold("a socket is missing");
	return fd;
}

void keep_take_device(struct device *dev)
{
	const struct kept *k = find(KEEP_DEVICE, keep_device_key(dev));
	const struct keep_device *r = k ? k->fixed : NULL;

	dev->conn.fd = dev->listener.fd = -1;
	if (!r || !has_devices(dev))
		return;
	dev->conn.fd = socket_of(r->conn, false);
	dev->listener.fd = socket_of(r->listener, true);
	dev->sent = (uint32_t)r->sent;
}

int keep_take_socket(const char *name)
{
	const struct kept *k = find(KEEP_SOCKET, keep_name(name));

	return k ? socket_of(((const struct keep_socket *)k->fixed)->fd, true) : -1;
}

/* --- objects and who has them --- */

static void *by_id;			/* tsearch: struct object, struct session */

static int compare_objects(const void *a, const void *b)
{
	const struct object *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int compare_sessions(const void *a, const void *b)
{
	const struct session *x = a, *y = b;

	return x->host_id < y->host_id ? -1 : x->host_id > y->host_id;
}

/* Of a channel that the policy has no more: nobody may have them while guests may. */
static void leave_pages(const struct kept *k)
{
	const struct sivring_extent *e = k->tail;
	uint32_t link = ((const struct keep_object *)k->fixed)->link, i;

	for (i = 0; link_record(link) && i < k->count; i++)
		store_adopt_lost(link, &e[i]);
}

static void load_object(const struct kept *k)
{
	const struct keep_object *r = k->fixed;
	const struct policy_channel *c = policy_find_channel(monitor.policy, r->channel);
	struct object was = {
		.channel = c, .id = k->key, .generation = r->generation, .size = r->size,
		.change = r->change, .pages = r->pages, .mode = r->mode, .uid = r->uid,
		.gid = r->gid, .unlinked = r->unlinked, .lock_wanted = r->lock_wanted,
		.memfd = -1, .extent_count = k->count,
	};
	struct object *o;
	struct stat st;

	if (!c || c->link != r->link) {
		leave_pages(k);
		return;
	}
	if ((c->link == POLICY_ON_HOST) != (r->memfd != 0) ||
	    (c->link != POLICY_ON_HOST && !link_record(c->link)))
		return;		/* its memory is gone */
	if (r->memfd) {
		was.memfd = handover_take(r->memfd);
		if (fstat(was.memfd, &st) || !S_ISREG(st.st_mode)) {
			warnx("object %s of %s is lost: its memory was not kept", r->name, c->name);
			return;
		}
		resize_look(&was);
	}
	if (was.id > store_ids.object || was.generation > store_ids.generation)
		keep_cold("an object is newer than all that were made");
	strlcpy(was.name, r->name, sizeof(was.name));
	strlcpy(was.creator, r->creator, sizeof(was.creator));
	o = store_adopt(&was, k->tail);
	if (!o || !roster_adopt(o, (uint32_t)r->members))
		keep_cold("two objects have the same memory");
	if (!tsearch(o, &by_id, compare_objects))
		err(3, "objects");
}

static void load_session(const struct kept *k, void **sessions)
{
	const struct keep_session *r = k->fixed;
	const struct kept *of = find(KEEP_DOMAIN, r->domain);
	struct domain *d = r->domain < monitor.policy->vm_count ?
			   &monitor.domains[r->domain] : NULL;
	const struct policy_service *service;
	struct session *s;

	if (!d || !of || strncmp(((const struct keep_domain *)of->fixed)->name, d->name,
				 SIVP_VM_LEN))
		return;
	s = session_create(d, r->id, &r->who, -1);
	if (!s) {
		keep_cold("too many sessions");
		return;
	}
	s->host_id = k->key;
	if (s->host_id > monitor.next_session)
		keep_cold("a session is newer than all that were made");
	service = r->authenticated ? policy_find_service(monitor.policy, r->service) : NULL;
	/* it has to prove again that it is, before it may do more than have its grants */
	if (service && service->vm == r->domain &&
	    (service->any_uid || service->uid == r->who.uid))
		s->holder = service;
	s->chain = r->chain;
	s->revoked = r->revoked;
	s->serial = r->serial;
	s->not_after = r->not_after;
	s->since = r->since;
	if (!tsearch(s, sessions, compare_sessions))
		err(3, "sessions");
}

static void load_grant(const struct kept *k, void *const *sessions)
{
	const struct keep_grant *r = k->fixed;
	const struct session s = { .host_id = r->session };
	const struct object o = { .id = r->object };
	struct session *const *of = tfind(&s, sessions, compare_sessions);
	struct object *const *to = tfind(&o, &by_id, compare_objects);

	if (k->key > store_ids.grant)
		keep_cold("a grant is newer than all that were made");
	if (of && !to)
		(*of)->revoked = true;
	if (of && (*of)->grant_count >= MONITOR_GRANTS_MAX)
		keep_cold("a session has too many grants");
	if (of && to && !store_adopt_grant(k->key, r->rights, *of, *to))
		err(3, "grants");
}

static void load_locks(const struct kept *k)
{
	const struct sivring_lock *l = k->tail;
	struct grant *g = store_grant(k->key);
	struct sivring_lock in_way;
	uint32_t i;

	/* who may have nothing of it any more holds nobody up either */
	for (i = 0; g && !g->session->revoked && i < k->count; i++)
		lock_set(g, &l[i], &in_way);
}

static void load_writers(const struct kept *k)
{
	const struct object o = { .id = k->key };
	struct object *const *of = tfind(&o, &by_id, compare_objects);

	if (of && writers_adopt(*of, k->tail, k->count))
		err(3, "writers");
}

static void nothing(void *node)
{
	(void)node;
}

void keep_load(void)
{
	void *sessions = NULL;
	uint64_t next = monitor.next_session;
	size_t i;

	keep_pause(true);		/* it is all there already */
	for (i = 0; i < all_count; i++) {
		const struct kept *k = &all[i];
		const struct keep_lost *lost = k->fixed;

		if (k->kind == KEEP_LOST && link_record((uint32_t)(k->key >> 48)))
			store_adopt_lost((uint32_t)(k->key >> 48), &lost->extent);
		else if (k->kind == KEEP_OBJECT)
			load_object(k);
		else if (k->kind == KEEP_SESSION)
			load_session(k, &sessions);
		else if (k->kind == KEEP_GRANT)
			load_grant(k, &sessions);
		else if (k->kind == KEEP_LOCKS)
			load_locks(k);
		else if (k->kind == KEEP_WRITERS)
			load_writers(k);
	}
	monitor.next_session = next;
	tdestroy(by_id, nothing);
	tdestroy(sessions, nothing);
	if (taken_over)
		store_adopted();
	for (i = 0; i < all_count; i++)
		free(all[i].fixed);
	free(all);
	all = NULL;
	all_count = 0;
	keep_pause(false);
	keep_whole();
	handover_finish();
	if (!taken_over)
		return;
	audit_write(&(struct audit){ .event = "taken-over" });
	revoke_sessions(true);
}
