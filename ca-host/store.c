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
#include <bsd/string.h>

#include "alloc.h"

#define GRANT_BUCKETS	4096

static struct object_list *objects;		/* per channel */
static struct grant_list grants[GRANT_BUCKETS];
static uint64_t last_object, last_grant, last_generation;

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

/* Zero on shmem, and give the host its pages back. */
static int punch(int memory, uint64_t offset, uint64_t length)
{
	return fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)offset, (off_t)length) ? errno : 0;
}

/* Zero the object's bytes from..to, wherever they lie in the link. */
static int zero_bytes(const struct object *o, uint64_t from, uint64_t to)
{
	int memory = monitor.links[o->channel->link].memory;
	uint64_t at = 0;
	uint32_t i;
	int r;

	for (i = 0; i < o->extent_count && at < to; i++) {
		const struct sivring_extent *e = &o->extents[i];
		uint64_t start = from > at ? from - at : 0;
		uint64_t end = to - at < e->length ? to - at : e->length;

		if (start < end) {
			r = punch(memory, e->offset + start, end - start);
			if (r)
				return r;
		}
		at += e->length;
	}
	return 0;
}

static void give_back(const struct object *o, const struct sivring_extent *e, uint32_t count)
{
	struct link *link = &monitor.links[o->channel->link];
	uint32_t i;

	/* memory that can't be zeroed is never given to anybody again */
	for (i = 0; i < count; i++)
		if (!punch(link->memory, e[i].offset, e[i].length))
			pages_give(link->pages, &e[i]);
}

/* Join what touches, so that huge mappings and the extent limit profit. */
static uint32_t append(struct sivring_extent *all, uint32_t have,
		       const struct sivring_extent *more, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		struct sivring_extent *last = have ? &all[have - 1] : NULL;

		if (last && last->offset + last->length == more[i].offset)
			last->length += more[i].length;
		else
			all[have++] = more[i];
	}
	return have;
}

static int take_memory(struct object *o, uint64_t pages)
{
	struct link *link = &monitor.links[o->channel->link];
	struct sivring_extent more[SIVRING_EXTENTS_MAX], *all;
	uint32_t count, i;

	if (pages_take(link->pages, pages * ALLOC_PAGE, more,
		       SIVRING_EXTENTS_MAX - o->extent_count, &count))
		return ENOSPC;
	all = reallocarray(o->extents, o->extent_count + count, sizeof(*all));
	if (all)
		o->extents = all;
	for (i = 0; i < count && all; i++)
		if (punch(link->memory, more[i].offset, more[i].length))
			all = NULL;
	if (!all) {
		give_back(o, more, count);
		return ENOMEM;
	}
	o->extent_count = append(o->extents, o->extent_count, more, count);
	return 0;
}

static int resize_link(struct object *o, uint64_t size, uint64_t pages)
{
	uint64_t old = o->size, had = o->pages * ALLOC_PAGE;
	int r;

	if (pages > o->pages) {
		r = take_memory(o, pages - o->pages);
		if (r)
			return r;
		o->pages = pages;
	}
	/* peers may have written past the end in the meantime: zero both ways */
	r = size < old ? zero_bytes(o, size, old) :
			 zero_bytes(o, old, size < had ? size : had);
	if (!r)
		o->size = size;
	return r;
}

static int resize_local(struct object *o, uint64_t size, uint64_t pages)
{
	if (ftruncate(o->memfd, (off_t)size))
		return errno;
	o->size = size;
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

/* A write past the end of a local object makes it longer, and nobody is asked. */
static void look_at_size(struct object *o)
{
	struct stat st;

	if (!is_local(o->channel) || fstat(o->memfd, &st))
		return;
	o->size = (uint64_t)st.st_size;
	o->pages = pages_of(o->size);
}

static int resize(struct object *o, uint64_t size, const struct domain *by,
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
	r = is_local(o->channel) ? resize_local(o, size, pages) :
				   resize_link(o, size, pages);
	if (r) {
		*reason = "the host has no memory for it";
		return r;
	}
	o->change++;
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
	o->memfd = is_local(channel) ? make_memfd(o) : -1;
	if (is_local(channel) && o->memfd < 0) {
		free(o);
		return NULL;
	}
	o->id = ++last_object;
	o->generation = ++last_generation;
	o->mode = mode & 0777;
	o->uid = s->who.uid;
	o->gid = s->who.gid;
	LIST_INSERT_HEAD(&objects[index_of(channel)], o, node);
	return o;
}

static void drop_if_unused(struct object *o)
{
	if (!o->unlinked || o->grant_count)
		return;
	LIST_REMOVE(o, node);
	if (o->memfd >= 0)
		close(o->memfd);
	else
		give_back(o, o->extents, o->extent_count);
	free(o->extents);
	free(o);
}

int store_unlink(struct session *session, const struct policy_channel *channel,
		 const char *name, const char **reason)
{
	uint32_t rights = policy_rights(monitor.policy, channel, session->service);
	struct object *o;

	if (!(rights & SIVSHMEM_RIGHT_CREATE)) {
		*reason = rights ? "no right to create and unlink" : "not a member of the channel";
		return EACCES;
	}
	o = find(channel, name);
	if (!o)
		return ENOENT;
	o->unlinked = true;
	drop_if_unused(o);
	return 0;
}

int store_rename(struct session *session, const struct policy_channel *channel,
		 const char *from, const char *to, bool exclusive, const char **reason)
{
	uint32_t rights = policy_rights(monitor.policy, channel, session->service);
	struct object *o, *old;

	if (!(rights & SIVSHMEM_RIGHT_CREATE)) {
		*reason = rights ? "no right to create and unlink" : "not a member of the channel";
		return EACCES;
	}
	o = find(channel, from);
	old = find(channel, to);
	if (!o)
		return ENOENT;
	if (old && exclusive)
		return EEXIST;
	if (old && old != o) {
		old->unlinked = true;
		drop_if_unused(old);
	}
	strlcpy(o->name, to, sizeof(o->name));
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
	g->id = ++last_grant;
	g->rights = rights;
	g->session = s;
	g->object = o;
	LIST_INSERT_HEAD(&grants[g->id % GRANT_BUCKETS], g, by_id);
	LIST_INSERT_HEAD(&s->grants, g, of_session);
	LIST_INSERT_HEAD(&o->grants, g, of_object);
	s->grant_count++;
	o->grant_count++;
	return g;
}

void store_release(struct grant *g)
{
	struct object *o = g->object;

	lock_drop(g);
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

static int empty(struct object *o, const struct domain *by, const char **reason)
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
	if (!o && too_many(channel)) {
		*reason = "over the channel's number of objects";
		return ENOSPC;
	}
	if (!o)
		o = create(session, channel, name, mode);
	else if (oflag & SIVP_O_TRUNC)
		r = empty(o, session->domain, reason);
	if (r || !o)
		return r ? r : ENOMEM;
	*grant = make_grant(session, o, effective(policy, rights));
	if (!*grant && *created) {
		o->unlinked = true;
		drop_if_unused(o);
	}
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
