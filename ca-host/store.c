/* SPDX-License-Identifier: MIT */
/* The metadata server: objects, and grants to them. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bsd/string.h>

#include "alloc.h"
#include "keep.h"
#include "limits.h"
#include "resize.h"
#include "wipe.h"
#include "writers.h"

#define GRANT_BUCKETS	4096

static struct object_list *objects;		/* per channel */
static struct grant_list grants[GRANT_BUCKETS];
struct store_ids store_ids;

int store_start(void)
{
	objects = calloc(monitor.policy->channel_count + 1, sizeof(*objects));
	return objects ? 0 : -ENOMEM;
}

static size_t index_of(const struct policy_channel *channel)
{
	return (size_t)(channel - monitor.policy->channels);
}

struct object *store_first(const struct policy_channel *channel)
{
	return LIST_FIRST(&objects[index_of(channel)]);
}

static bool is_local(const struct policy_channel *channel)
{
	return channel->link == POLICY_ON_HOST;
}

uint64_t store_used(const struct policy_channel *channel)
{
	const struct object *o;
	uint64_t pages = 0;

	LIST_FOREACH(o, &objects[index_of(channel)], node)
		pages += o->pages;
	return pages * ALLOC_PAGE;
}

void store_announce(const struct object *o, const struct domain *except)
{
	static struct {
		struct priv_event event;
		struct sivring_extent extents[SIVRING_EXTENTS_MAX];
	} message;
	const struct grant *g, *first[POLICY_MAX_VMS] = { NULL };
	uint32_t i;

	/* nobody hears of memory that another monitor would give to somebody else */
	keep_commit();
	LIST_FOREACH(g, &o->grants, of_object)
		if (g->session->domain->vm)
			first[g->session->domain->vm->index] = g;
	for (i = 0; i < monitor.policy->vm_count; i++) {
		struct domain *d = &monitor.domains[i];

		g = first[i];
		if (!g || d == except)
			continue;
		memset(&message.event, 0, sizeof(message.event));
		message.event.type = PRIV_EVENT_OBJECT;
		store_describe(g, &message.event.object);
		if (o->extent_count)
			memcpy(message.extents, o->extents,
			       o->extent_count * sizeof(*o->extents));
		/* a hint: one that is lost costs its kernel a question later */
		domain_send(d, &message.event, o->extent_count, -1);
	}
}

/* --- objects --- */

static struct object *find(const struct policy_channel *channel, const char *name)
{
	struct object *o;

	LIST_FOREACH(o, &objects[index_of(channel)], node)
		if (!o->unlinked && !strcmp(o->name, name))
			return o;
	return NULL;
}

/* The daemon's own uid keeps it: 0600, or a read-only fd could be re-opened. */
static int make_memfd(const struct object *o)
{
	char name[2 * SIVP_NAME_LEN + 16];
	int fd;

	snprintf(name, sizeof(name), "sivshmem:%s/%s", o->channel->name, o->name);
	fd = memfd_create(name, MFD_CLOEXEC);	/* and nobody may seal it */
	if (fd >= 0 && (fd >= monitor.fd_end || fchmod(fd, 0600))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool too_many(const struct policy_channel *channel)
{
	const struct object *o;
	uint32_t n = 0;

	LIST_FOREACH(o, &objects[index_of(channel)], node)
		n++;
	return n >= channel->objects;
}

static struct object *create(const struct session *s, const struct policy_channel *channel,
			     const char *name, uint32_t mode)
{
	struct object *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->channel = channel;
	strlcpy(o->name, name, sizeof(o->name));
	strlcpy(o->creator, s->service->name, sizeof(o->creator));
	o->maker = s->service;
	o->memfd = is_local(channel) ? make_memfd(o) : -1;
	if (is_local(channel) && o->memfd < 0) {
		free(o);
		return NULL;
	}
	o->id = ++store_ids.object;
	o->generation = ++store_ids.generation;
	o->mode = mode & 0777;
	o->uid = s->who.uid;
	o->gid = s->who.gid;
	LIST_INSERT_HEAD(&objects[index_of(channel)], o, node);
	keep_object(o);
	return o;
}

static void drop_if_unused(struct object *o)
{
	if (!o->unlinked || o->grant_count)
		return;
	LIST_REMOVE(o, node);
	keep_object_gone(o);
	keep_commit();		/* before its bytes are */
	if (o->resizer)
		store_forget_resize(o->resizer);
	resize_free(o);
	roster_free(o);
	free(o->extents);
	free(o->writers);
	free(o);
}

void store_unlink_object(struct object *o)
{
	o->unlinked = true;
	keep_object(o);
	drop_if_unused(o);
}

/* 0, or why this session may not change the channel's names. */
static int may_name(const struct session *s, const struct policy_channel *channel,
		    const char **reason)
{
	uint32_t rights = policy_rights(monitor.policy, channel, s->service);

	if (rights & SIVSHMEM_RIGHT_CREATE)
		return 0;
	*reason = rights ? "no right to create and unlink" : "not a member of the channel";
	return EACCES;
}

int store_unlink(struct session *session, const struct policy_channel *channel,
		 const char *name, const char **reason)
{
	struct object *o = find(channel, name);
	int r = may_name(session, channel, reason);

	if (r)
		return r;
	if (!o)
		return ENOENT;
	store_unlink_object(o);
	return 0;
}

int store_rename(struct session *session, const struct policy_channel *channel,
		 const char *from, const char *to, bool exclusive, const char **reason)
{
	struct object *o = find(channel, from), *old = find(channel, to);
	int r = may_name(session, channel, reason);

	if (r)
		return r;
	if (!o)
		return ENOENT;
	if (old && exclusive)
		return EEXIST;
	/* first, so that at no time there is neither: see keep.h */
	strlcpy(o->name, to, sizeof(o->name));
	keep_object(o);
	if (old && old != o)
		store_unlink_object(old);
	return 0;
}

/* --- grants --- */

struct grant *store_grant(uint64_t id)
{
	struct grant *g;

	LIST_FOREACH(g, &grants[id % GRANT_BUCKETS], by_id)
		if (g->id == id)
			return g;
	return NULL;
}

static struct grant *make_grant(struct session *s, struct object *o, uint32_t rights)
{
	struct grant *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->id = ++store_ids.grant;
	g->rights = rights;
	g->session = s;
	g->object = o;
	LIST_INSERT_HEAD(&grants[g->id % GRANT_BUCKETS], g, by_id);
	LIST_INSERT_HEAD(&s->grants, g, of_session);
	LIST_INSERT_HEAD(&o->grants, g, of_object);
	s->grant_count++;
	o->grant_count++;
	keep_grant(g);
	return g;
}

void store_release(struct grant *g)
{
	struct object *o = g->object;

	lock_drop(g);
	roster_leave(g, SIVP_MEMBER_DIED);
	keep_grant_gone(g);
	LIST_REMOVE(g, by_id);
	LIST_REMOVE(g, of_session);
	LIST_REMOVE(g, of_object);
	g->session->grant_count--;
	o->grant_count--;
	free(g);
	drop_if_unused(o);
}

void store_describe(const struct grant *g, struct sivring_object *out)
{
	const struct object *o = g->object;
	const struct policy_vm *vm = g->session->domain->vm;

	memset(out, 0, sizeof(*out));
	out->object = o->id;
	out->generation = o->generation;
	out->size = o->size;
	out->change = o->change;
	if (vm)
		out->link = monitor.policy->links[o->channel->link].position[vm->index];
	out->extents_count = o->extent_count;
}

/* What of the policy's rights a grant carries, for what was asked. */
static uint32_t effective(uint32_t policy, uint32_t wanted)
{
	uint32_t rights = wanted & (SIVSHMEM_RIGHT_READ | SIVSHMEM_RIGHT_WRITE);

	if (!(wanted & SIVSHMEM_RIGHT_WRITE))
		return rights;
	if (policy & (SIVSHMEM_RIGHT_CREATE | SIVSHMEM_RIGHT_RESIZE))
		rights |= SIVSHMEM_RIGHT_RESIZE;
	return rights | (policy & SIVSHMEM_RIGHT_CREATE);
}

static int may_open(uint32_t policy, uint32_t rights, uint32_t oflag,
		    const struct object *o, const char **reason)
{
	if (!(policy & SIVSHMEM_RIGHT_READ)) {
		*reason = "not a member of the channel";
		return EACCES;
	}
	if (rights & ~policy & SIVSHMEM_RIGHT_WRITE) {
		*reason = "a read-only member asked to write";
		return EACCES;
	}
	if (o && (oflag & SIVP_O_CREAT) && (oflag & SIVP_O_EXCL))
		return EEXIST;
	if (!o && !(oflag & SIVP_O_CREAT))
		return ENOENT;
	if (!o && !(policy & SIVSHMEM_RIGHT_CREATE)) {
		*reason = "no right to create";
		return EACCES;
	}
	if (o && (oflag & SIVP_O_TRUNC) &&
	    !(effective(policy, rights) & SIVSHMEM_RIGHT_RESIZE)) {
		*reason = "no right to resize";
		return EACCES;
	}
	return 0;
}

static int empty(struct object *o, struct domain *by, const char **reason)
{
	resize_look(o);
	return o->size ? resize_object(o, 0, by, reason) : 0;
}

int store_open(struct session *session, const struct policy_channel *channel,
	       const char *name, uint32_t oflag, uint32_t rights, uint32_t mode,
	       struct grant **grant, bool *created, const char **reason)
{
	uint32_t policy = policy_rights(monitor.policy, channel, session->service);
	struct object *o = find(channel, name);
	int r = may_open(policy, rights, oflag, o, reason);

	if (r)
		return r;
	if (session->grant_count >= MONITOR_GRANTS_MAX) {
		*reason = "too many grants in one session";
		return EMFILE;
	}
	*created = !o;
	if (!o) {
		*reason = too_many(channel) ? "over the channel's number of objects" :
					      limits_object(session->service);
		if (*reason)
			return ENOSPC;
	}
	if (!o)
		o = create(session, channel, name, mode);
	else if (oflag & SIVP_O_TRUNC)
		r = empty(o, session->domain, reason);
	if (r || !o)
		return r ? r : ENOMEM;
	/* first, so that there is no moment in which he has it and is not noted */
	if (is_local(channel) && (rights & SIVSHMEM_RIGHT_WRITE))
		r = writers_add(o, &session->chain);
	*grant = r ? NULL : make_grant(session, o, effective(policy, rights));
	if (!*grant && *created)
		store_unlink_object(o);
	return *grant ? 0 : ENOMEM;
}

int store_resize(struct grant *grant, uint64_t size, bool grow_only, const char **reason)
{
	struct object *o = grant->object;

	if (!(grant->rights & SIVSHMEM_RIGHT_RESIZE)) {
		*reason = "no right to resize";
		return EACCES;
	}
	resize_look(o);
	if (size == o->size || (grow_only && size < o->size))
		return 0;
	return resize_object(o, size, grant->session->domain, reason);
}

/* --- after a restart --- */

struct object *store_adopt(const struct object *was, const struct sivring_extent *extents)
{
	struct object *o = malloc(sizeof(*o));
	uint64_t pages = 0;
	uint32_t i;

	if (!o)
		return NULL;
	*o = *was;
	o->maker = policy_find_service(monitor.policy, o->creator);
	LIST_INIT(&o->grants);
	LIST_INIT(&o->locks);
	o->extents = calloc(was->extent_count + 1, sizeof(*extents));
	for (i = 0; o->extents && i < was->extent_count; i++) {
		if (pages_reserve(monitor.links[o->channel->link].pages, &extents[i]))
			break;
		o->extents[i] = extents[i];
		pages += extents[i].length / ALLOC_PAGE;
	}
	if (i < was->extent_count || !o->extents || (!is_local(o->channel) &&
	    (pages != o->pages || resize_pages(o->size) > pages))) {
		free(o->extents);
		free(o);
		return NULL;
	}
	LIST_INSERT_HEAD(&objects[index_of(o->channel)], o, node);
	return o;
}

bool store_adopt_grant(uint64_t id, uint32_t rights, struct session *session,
		       struct object *object)
{
	uint32_t policy = session->holder ?
		policy_rights(monitor.policy, object->channel, session->holder) : 0;
	uint64_t last = store_ids.grant;
	struct grant *g;

	store_ids.grant = id - 1;
	g = make_grant(session, object, rights);
	store_ids.grant = last;
	/* another policy: the guest is told to cut it, and has the pages until it says so */
	if (!(policy & SIVSHMEM_RIGHT_READ) || rights & ~effective(policy, rights) ||
	    rights & ~policy & SIVSHMEM_RIGHT_WRITE)
		session->revoked = true;
	return g;
}

void store_adopt_lost(uint32_t link, const struct sivring_extent *extent)
{
	if (!pages_reserve(monitor.links[link].pages, extent))
		keep_lost(link, extent);
}

struct runs {
	struct sivring_extent *run;
	size_t count;
};

static void note_run(const struct sivring_extent *run, void *runs)
{
	struct runs *r = runs;

	if (r->run)
		r->run[r->count] = *run;
	r->count++;
}

/* All that is free in the link. Without memory for that it is zeroed when it is taken. */
static void wipe_free(uint32_t link)
{
	struct pages *pages = monitor.links[link].pages;
	struct runs all = { 0 };
	size_t i;

	pages_each(pages, note_run, &all);
	all.run = calloc(all.count + 1, sizeof(*all.run));
	all.count = 0;
	if (!all.run)
		return;
	pages_each(pages, note_run, &all);
	for (i = 0; i < all.count; i++)
		if (!pages_reserve(pages, &all.run[i]))
			wipe_later(link, &all.run[i]);
	free(all.run);
}

/* All are there: what the last monitor was about to drop goes, and its bytes. */
void store_adopted(void)
{
	struct object *o, *next;
	uint32_t i;

	for (i = 0; i < monitor.policy->channel_count; i++)
		for (o = LIST_FIRST(&objects[i]); o; o = next) {
			next = LIST_NEXT(o, node);
			drop_if_unused(o);
		}
	for (i = 0; i < monitor.policy->link_count; i++)
		wipe_free(i);
}
