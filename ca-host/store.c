/* SPDX-License-Identifier: MIT */
/* The metadata server: objects, their memory, and grants to them. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bsd/err.h>
#include <bsd/string.h>

#include "alloc.h"
#include "keep.h"
#include "limits.h"
#include "wipe.h"

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

static uint64_t pages_of(uint64_t size)
{
	return size / ALLOC_PAGE + (size % ALLOC_PAGE != 0);
}

uint64_t store_used(const struct policy_channel *channel)
{
	const struct object *o;
	uint64_t pages = 0;

	LIST_FOREACH(o, &objects[index_of(channel)], node)
		pages += o->pages;
	return pages * ALLOC_PAGE;
}

/* --- memory --- */

/* Zero the object's bytes from..to, wherever they lie in the link. */
static int zero_bytes(const struct object *o, uint64_t from, uint64_t to)
{
	uint64_t at = 0;
	int memory, r;
	uint32_t i;

	if (is_local(o->channel))
		return wipe_now(o->memfd, from, to - from);
	memory = monitor.links[o->channel->link].memory;
	for (i = 0; i < o->extent_count && at < to; i++) {
		const struct sivring_extent *e = &o->extents[i];
		uint64_t start = from > at ? from - at : 0;
		uint64_t end = to - at < e->length ? to - at : e->length;

		if (start < end) {
			r = wipe_now(memory, e->offset + start, end - start);
			if (r)
				return r;
		}
		at += e->length;
	}
	return 0;
}

static void give_back(const struct object *o, const struct sivring_extent *e, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		wipe_later(o->channel->link, &e[i]);
}

/* Join what touches, so that huge mappings and the extent limit profit. */
static uint32_t append(struct sivring_extent *all, uint32_t have,
		       const struct sivring_extent *more, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		if (have && all[have - 1].offset + all[have - 1].length == more[i].offset)
			all[have - 1].length += more[i].length;
		else
			all[have++] = more[i];
	return have;
}

/* Their VMs may have written to them while they were free: see zero_slice(). */
static int take_memory(struct object *o, uint64_t pages)
{
	struct link *link = &monitor.links[o->channel->link];
	struct sivring_extent more[SIVRING_EXTENTS_MAX], *all;
	uint32_t count;

	if (pages_take(link->pages, pages * ALLOC_PAGE, more,
		       SIVRING_EXTENTS_MAX - o->extent_count, &count))
		return wipe_pending(o->channel->link) ? STORE_LATER : ENOSPC;
	all = reallocarray(o->extents, o->extent_count + count, sizeof(*all));
	if (!all) {
		give_back(o, more, count);
		return ENOMEM;
	}
	o->extents = all;
	o->extent_count = append(o->extents, o->extent_count, more, count);
	o->pages += pages;
	return 0;
}

void store_forget_resize(struct domain *d)
{
	if (d->resizing)
		d->resizing->resizer = NULL;
	d->resizing = NULL;
}

/*
 * What a resize zeroes: between the old and the new end, both ways, since peers
 * may write past the end at any time.
 */
static int begin_resize(struct object *o, uint64_t size, uint64_t pages, struct domain *by)
{
	uint64_t low = size < o->size ? size : o->size;
	uint64_t high = pages_of(size < o->size ? o->size : size) * ALLOC_PAGE;
	int r = 0;

	if (is_local(o->channel))
		high = o->size;		/* what is beyond is not there */
	else if (pages > o->pages)
		r = take_memory(o, pages - o->pages);
	if (r)
		return r;
	store_forget_resize(by);
	o->resizer = by;
	by->resizing = o;
	o->resize_to = size;
	o->zero_at = low;
	o->zero_end = high;
	return 0;
}

/* Holes are zero already, and those of a local object may have any size. */
static void skip_hole(struct object *o)
{
	off_t data = lseek(o->memfd, (off_t)o->zero_at, SEEK_DATA);

	o->zero_at = data < 0 || (uint64_t)data > o->zero_end ? o->zero_end : (uint64_t)data;
}

/* STORE_LATER until the bytes are zero. */
static int zero_slice(struct object *o)
{
	uint64_t left, now;
	int r;

	if (is_local(o->channel) && o->zero_at < o->zero_end)
		skip_hole(o);
	left = o->zero_at < o->zero_end ? o->zero_end - o->zero_at : 0;
	now = left < WIPE_SLICE ? left : WIPE_SLICE;
	r = now ? zero_bytes(o, o->zero_at, o->zero_at + now) : 0;
	o->zero_at += now;
	return r ? r : now < left ? STORE_LATER : 0;
}

static int resize_memory(struct object *o, uint64_t size, uint64_t pages, struct domain *by)
{
	int r = 0;

	if (o->resizer && o->resizer != by)
		return STORE_LATER;
	if (!o->resizer || o->resize_to != size)
		r = begin_resize(o, size, pages, by);
	if (!r)
		r = zero_slice(o);
	if (r == STORE_LATER)
		return r;
	store_forget_resize(by);
	if (!r && is_local(o->channel))
		r = ftruncate(o->memfd, (off_t)size) ? errno : 0;
	if (r)
		return r;
	o->size = size;
	if (is_local(o->channel))
		o->pages = pages;
	return 0;
}

void store_announce(const struct object *o, const struct domain *except)
{
	static struct {
		struct priv_event event;
		struct sivring_extent extents[SIVRING_EXTENTS_MAX];
	} message;
	const struct grant *g, *first[POLICY_MAX_VMS] = { NULL };
	uint32_t i;

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

/* The record of one that is larger would make no sense: see keep_check.c. */
#define LOCAL_MAX	(INT64_MAX / ALLOC_PAGE * ALLOC_PAGE)

/* A write past the end of a local object makes it longer, and nobody is asked. */
static void look_at_size(struct object *o)
{
	struct stat st;

	if (!is_local(o->channel) || fstat(o->memfd, &st))
		return;
	o->size = (uint64_t)st.st_size < LOCAL_MAX ? (uint64_t)st.st_size : LOCAL_MAX;
	o->pages = pages_of(o->size);
}

static int resize(struct object *o, uint64_t size, struct domain *by,
		  const char **reason)
{
	uint64_t pages = pages_of(size);
	uint64_t used = store_used(o->channel) / ALLOC_PAGE - o->pages;
	int r;

	if (size > INT64_MAX)
		return EFBIG;
	if (pages > o->pages && pages + used > o->channel->quota / ALLOC_PAGE) {
		*reason = "over the channel's quota of bytes";
		return ENOSPC;
	}
	*reason = pages > o->pages ? limits_pages(o, pages - o->pages) : NULL;
	if (*reason)
		return ENOSPC;
	r = resize_memory(o, size, pages, by);
	if (r == STORE_LATER)
		return r;
	if (r) {
		*reason = "the host has no memory for it";
		return r;
	}
	o->change++;
	keep_object(o);
	store_announce(o, by);
	return 0;
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
	look_at_size(o);		/* to free it takes as long as it is large */
	if (o->memfd >= 0)
		wipe_close(o->memfd, o->size);
	else
		give_back(o, o->extents, o->extent_count);
	roster_free(o);
	free(o->extents);
	free(o);
}

static void unlink_object(struct object *o)
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
	unlink_object(o);
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
		unlink_object(old);
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
	look_at_size(o);
	return o->size ? resize(o, 0, by, reason) : 0;
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
	*grant = make_grant(session, o, effective(policy, rights));
	if (!*grant && *created)
		unlink_object(o);
	return *grant ? 0 : ENOMEM;
}

int store_resize(struct grant *grant, uint64_t size, bool grow_only, const char **reason)
{
	struct object *o = grant->object;

	if (!(grant->rights & SIVSHMEM_RIGHT_RESIZE)) {
		*reason = "no right to resize";
		return EACCES;
	}
	look_at_size(o);
	if (size == o->size || (grow_only && size < o->size))
		return 0;
	return resize(o, size, grant->session->domain, reason);
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
	    (pages != o->pages || pages_of(o->size) > pages))) {
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
