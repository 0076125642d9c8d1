// SPDX-License-Identifier: GPL-2.0
/* Grants: the right of one session to one object, from the host's word to an fd. */
#include <linux/file.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "sivshmem.h"

static void grant_free(struct kref *ref)
{
	struct siv_grant *g = container_of(ref, struct siv_grant, ref);

	mutex_lock(&siv_lock);
	list_del(&g->node);
	mutex_unlock(&siv_lock);
	siv_outbox_grant_free(g);
}

void siv_grant_put(struct siv_grant *grant)
{
	kref_put(&grant->ref, grant_free);
}

/* siv_lock held */
void siv_grant_revoke(struct siv_grant *grant)
{
	if (grant->revoked)
		return;
	WRITE_ONCE(grant->revoked, true);
	siv_unmap(grant->object, 0);
}

void siv_grants_revoke(const struct siv_session *s)
{
	struct siv_grant *g;

	list_for_each_entry(g, &siv_grants, node)
		if (g->session == s)
			siv_grant_revoke(g);
}

static struct siv_grant *next_unmapping(const struct siv_session *s)
{
	struct siv_grant *g, *found = NULL;

	mutex_lock(&siv_lock);
	list_for_each_entry(g, &siv_grants, node) {
		if (g->session == s && g->object->unmapping && kref_get_unless_zero(&g->ref)) {
			found = g;
			break;
		}
	}
	mutex_unlock(&siv_lock);
	return found;
}

void siv_grants_wait(const struct siv_session *s)
{
	struct siv_grant *g;

	while (!fatal_signal_pending(current) && (g = next_unmapping(s))) {
		siv_unmap_wait(g->object, MAX_SCHEDULE_TIMEOUT);
		siv_grant_put(g);
	}
}

void siv_grant_revoke_id(u64 id)
{
	struct siv_grant *g;

	mutex_lock(&siv_lock);
	list_for_each_entry(g, &siv_grants, node)
		if (g->id == id)
			siv_grant_revoke(g);
	mutex_unlock(&siv_lock);
}

void siv_grant_entry(const struct siv_grant *g, struct sivshmem_entry *e)
{
	const struct siv_session *s = g->session;

	memset(e, 0, sizeof(*e));
	e->session = s->id;
	e->grant = g->id;
	e->object = g->object->id;
	e->generation = g->object->generation;
	e->size = i_size_read(&g->object->inode);
	e->uid = s->who.uid;
	e->gid = s->who.gid;
	e->pid = s->who.pid;
	e->rights = g->rights;
	e->revoked = READ_ONCE(g->revoked);
	memcpy(e->comm, s->who.comm, sizeof(e->comm));
	memcpy(e->channel, g->channel, sizeof(e->channel));
	memcpy(e->name, g->name, sizeof(e->name));
}

/* What is beyond the end that the host told is mapped no more when it returns. */
static int call(const struct siv_grant *g, u16 type, const void *payload, u32 length)
{
	int err = siv_control_call(type, payload, length);

	siv_unmap_wait(g->object, SIV_TIMEOUT);
	return err;
}

int siv_grant_resize(struct siv_grant *grant, u64 size, bool grow_only)
{
	struct sivring_resize resize = {
		.grant = grant->id, .size = size, .grow_only = grow_only,
	};

	if (READ_ONCE(grant->revoked))
		return -EKEYREVOKED;
	if (!(grant->rights & SIVSHMEM_RIGHT_RESIZE))
		return -EACCES;
	return call(grant, SIVRING_RESIZE, &resize, sizeof(resize));
}

/* Bring the cached size up to date; the cache serves while the host is down. */
int siv_grant_stat(struct siv_grant *grant)
{
	struct sivring_release stat = { .grant = grant->id };

	if (READ_ONCE(grant->revoked))
		return -EKEYREVOKED;
	if (!siv_control_up())
		return 0;
	return call(grant, SIVRING_STAT, &stat, sizeof(stat));
}

static bool name_valid(const char name[SIVSHMEM_NAME_LEN])
{
	size_t n = strnlen(name, SIVSHMEM_NAME_LEN);

	return n && n < SIVSHMEM_NAME_LEN;
}

static bool grant_valid(const struct sivring_grant *m, u32 length)
{
	return length >= sizeof(*m) && m->grant && name_valid(m->channel) &&
	       name_valid(m->name) && !(m->rights & ~SIVSHMEM_RIGHTS_ALL) &&
	       (m->rights & SIVSHMEM_RIGHT_READ) &&
	       siv_object_fits(&m->object, length - sizeof(*m));
}

/* siv_lock held */
static struct siv_session *session_for(u64 id)
{
	struct siv_session *s = siv_session_find(id);

	return s && !s->closed && kref_get_unless_zero(&s->ref) ? s : NULL;
}

static void fill(struct siv_grant *g, const struct sivring_grant *m,
		 struct siv_session *s, struct siv_object *o)
{
	kref_init(&g->ref);
	g->id = m->grant;
	g->rights = m->rights;
	g->session = s;
	g->object = o;
	g->revoked = s->ended;
	g->beginning = siv_outbox_beginning();
	memcpy(g->channel, m->channel, sizeof(g->channel));
	memcpy(g->name, m->name, sizeof(g->name));
}

/* 0, or why this VM cannot have what the host granted to session s, or NULL. */
static int take(const struct sivring_grant *m, struct siv_session *s)
{
	struct siv_grant *g = kzalloc(sizeof(*g), GFP_KERNEL);
	struct siv_object *o;
	int err;

	err = g ? siv_channel_pin() : -ENOMEM;
	if (err) {
		kfree(g);
		return err;
	}
	mutex_lock(&siv_lock);
	o = s->closed ? ERR_PTR(-ENOENT) : siv_object_get(m, (const void *)(m + 1));
	if (!IS_ERR(o)) {
		fill(g, m, s, o);
		list_add_tail(&g->node, &siv_grants);
	}
	mutex_unlock(&siv_lock);
	if (IS_ERR(o)) {
		siv_channel_unpin();
		kfree(g);
		return PTR_ERR(o);
	}
	return 0;
}

int siv_grant_take(u64 session, const void *payload, u32 length)
{
	const struct sivring_grant *m = payload;
	struct siv_session *s;
	int err;

	if (!grant_valid(m, length))
		return -EBADMSG;
	mutex_lock(&siv_lock);
	s = session_for(session);
	mutex_unlock(&siv_lock);
	err = s ? take(m, s) : -ENOENT;
	if (!err)
		return 0;
	if (err != -ENOENT)
		pr_err_ratelimited("sivshmem: cannot take a grant of %.64s: error %d\n",
				   m->channel, err);
	siv_outbox_release(session, m->grant);
	if (s)
		siv_session_put(s);
	return err;
}

/* The session's own reference passes to the dentry; a grant is claimed once. */
static struct siv_grant *claim(struct siv_session *s, u64 id)
{
	struct siv_grant *g, *found = NULL;

	mutex_lock(&siv_lock);
	list_for_each_entry(g, &siv_grants, node) {
		if (g->session == s && g->id == id && !g->claimed) {
			g->claimed = true;
			found = g;
			break;
		}
	}
	mutex_unlock(&siv_lock);
	return found;
}

static void unclaim(struct siv_grant *g)
{
	mutex_lock(&siv_lock);
	g->claimed = false;
	mutex_unlock(&siv_lock);
}

int siv_grant_fd(struct siv_session *s, struct sivshmem_grant_fd *arg)
{
	struct siv_grant *g;
	struct file *file;
	int fd;

	if (arg->flags & ~(SIVSHMEM_FD_WRITE | SIVSHMEM_FD_CLOEXEC))
		return -EINVAL;
	g = claim(s, arg->grant);
	if (!g)
		return -ENOENT;
	if ((arg->flags & SIVSHMEM_FD_WRITE) && !(g->rights & SIVSHMEM_RIGHT_WRITE)) {
		unclaim(g);
		return -EACCES;
	}
	fd = get_unused_fd_flags(arg->flags & SIVSHMEM_FD_CLOEXEC ? O_CLOEXEC : 0);
	if (fd < 0) {
		unclaim(g);
		return fd;
	}
	file = siv_channel_file(g, arg->flags);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		unclaim(g);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	arg->fd = fd;
	return 0;
}

/* --- files --- */
