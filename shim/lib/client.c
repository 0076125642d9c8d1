/* SPDX-License-Identifier: MIT */
/* The calls of sivshmem/sivshmem.h. */
#include "group.h"
#include "secret.h"
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sivshmem/uapi.h>

static int copy_text(char **to, const char *from)
{
	if (!from)
		return 0;
	*to = strdup(from);
	return *to ? 0 : -ENOMEM;
}

static int session_create(struct sivshmem_session **session,
			  const struct sivshmem_options *options)
{
	const char *identity = options->identity ? options->identity :
						   SIVSHMEM_DEFAULT_IDENTITY;
	struct sivshmem_session *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->transport.fd = s->transport.pending_fd = -1;
	s->secret = secret_pages(sizeof(*s->secret));
	rc = s->secret ? copy_text(&s->identity, identity) : -errno;
	if (!rc)
		rc = copy_text(&s->where, options->transport ? options->transport : "auto");
	if (!rc)
		rc = copy_text(&s->host, options->host);
	*session = s;
	return rc;
}

int sivshmem_connect(struct sivshmem_session **session,
		     const struct sivshmem_options *options, char *error,
		     size_t size)
{
	static const struct sivshmem_options none;
	struct sivshmem_session *s = NULL;
	int rc;

	*session = NULL;
	rc = session_create(&s, options ? options : &none);
	if (!rc)
		rc = sivshmem_session_ensure(s);
	if (!rc) {
		*session = s;
		return 0;
	}
	if (error && size)
		snprintf(error, size, "%s", s && s->err.text[0] ? s->err.text :
						strerrordesc_np(-rc));
	sivshmem_close(s);
	return rc;
}

void sivshmem_close(struct sivshmem_session *s)
{
	if (!s)
		return;
	sivshmem_groups_close(s);
	if (s->secret)
		sivshmem_session_drop(s);
	secret_pages_free(s->secret, sizeof(*s->secret));
	free(s->identity);
	free(s->where);
	free(s->host);
	free(s->locals);
	free(s);
}

void sivshmem_after_fork(struct sivshmem_session *s)
{
	if (s && !s->secret->owner)
		sivshmem_session_drop(s);
}

const char *sivshmem_error_text(const struct sivshmem_session *s)
{
	return s->err.text;
}

int sivshmem_session_get(const struct sivshmem_session *s,
			 struct sivshmem_session_info *info)
{
	*info = s->info;
	return 0;
}

/* What the host said, in words; the ordinary outcomes of POSIX need few. */
static int host_error(struct sivshmem_session *s, const struct sivp_request *r,
		      int e)
{
	const char *what;

	switch (e) {
	case EACCES:
	case EPERM:
		return sivshmem_error_set(&s->err, -e,
			"channel '%.64s': refused to service '%s'; the host's audit log has the "
			"reason (session %" PRIu64 "), its policy the rights", r->channel,
			s->info.service, s->info.id);
	case ENOSPC:
		what = "its quota is used up, or the limits of who created the object; unlink objects, or raise "
		       "them in the policy";
		break;
	case EMFILE:
		what = "this process holds too many objects of it";
		break;
	default:
		what = strerrordesc_np(e);
	}
	return sivshmem_error_set(&s->err, -e, "channel '%.64s': %s", r->channel,
				  what ? what : "an unknown error");
}

/* Send `request`; a lost connection is made anew, not without end. */
static int call_once(struct sivshmem_session *s, const struct sivp_request *request,
		     struct sivp_result *result)
{
	int rc = 0, i;

	s->err.text[0] = '\0';
	for (i = 0; i < SIVSHMEM_LOSSES; i++) {
		rc = sivshmem_session_ensure(s);
		if (rc)
			return rc;
		rc = sivshmem_session_exchange(s, request, result);
		if (!sivshmem_session_lost(rc))
			break;
	}
	if (rc)
		return sivshmem_session_down(s, rc);
	if (result->error == EAGAIN)
		return -EBUSY;
	/* the host died after it had done it: the answer was lost, not the name's end */
	if (i && request->op == SIVP_OP_UNLINK && result->error == ENOENT)
		result->error = 0;
	return result->error ? host_error(s, request, (int)result->error) : 0;
}

/* The same, until the host has done as much in this second as the policy lets it. */
static int call(struct sivshmem_session *s, const struct sivp_request *request,
		struct sivp_result *result)
{
	int64_t deadline = sivshmem_now_ms() + SIVSHMEM_TIMEOUT_MS;
	unsigned int pause = 0;
	int rc;

	do
		rc = call_once(s, request, result);
	while (rc == -EBUSY && sivshmem_session_pause(&pause, deadline));
	return rc == -EBUSY ? sivshmem_session_down(s, rc) : rc;
}

static int set_names(struct sivshmem_session *s, struct sivp_request *r,
		     const char *channel, const char *object)
{
	size_t c = strlen(channel), o = strlen(object);

	if (!c || !o || c >= sizeof(r->channel) || o >= sizeof(r->object))
		return sivshmem_error_set(&s->err, o >= sizeof(r->object) ?
			-ENAMETOOLONG : -EINVAL,
			"the names of a channel and an object have 1 to %zu bytes, "
			"got '%.80s' and '%.80s'", sizeof(r->channel) - 1, channel, object);
	memcpy(r->channel, channel, c);
	memcpy(r->object, object, o);
	return 0;
}

static int release(struct sivshmem_session *s, uint64_t grant)
{
	struct sivp_request r = { .op = SIVP_OP_RELEASE, .grant = grant };
	struct sivp_result result;

	return sivshmem_session_exchange(s, &r, &result);
}

/* OPEN, and the grant's fd. */
static int open_object(struct sivshmem_session *s, const struct sivp_request *r,
		       struct sivp_result *result)
{
	int64_t deadline;
	int rc, fd;

	rc = call(s, r, result);
	/* a session has room for so many grants: another one has as many */
	if (rc == -EMFILE && result->error == EMFILE) {
		sivshmem_session_drop(s);
		rc = call(s, r, result);
	}
	if (rc)
		return rc;
	if ((result->rights & r->rights) != r->rights)
		return sivshmem_error_set(&s->err, -EACCES,
			"channel '%.64s': the host granted less than was asked", r->channel);
	deadline = sivshmem_now_ms() + SIVSHMEM_TIMEOUT_MS;
	fd = s->transport.carrier->grant_fd(&s->transport, result->grant,
			r->rights & SIVSHMEM_RIGHT_WRITE, deadline, &s->err);
	if (fd >= 0)
		return fd;
	if (s->transport.carrier->local && (fd == -EMFILE || fd == -EPROTO))
		release(s, result->grant);
	else
		sivshmem_session_drop(s);
	return fd;
}

int sivshmem_open(struct sivshmem_session *s, const char *channel,
		  const char *object, int oflag, mode_t mode, uint32_t *rights)
{
	struct sivp_result result = { 0 };
	int fd = sivshmem_open_result(s, channel, object, oflag, mode, &result);

	if (fd >= 0 && rights)
		*rights = result.rights;
	return fd;
}

int sivshmem_open_result(struct sivshmem_session *s, const char *channel,
			 const char *object, int oflag, mode_t mode,
			 struct sivp_result *result)
{
	const int known = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC;
	struct sivp_request r = { .op = SIVP_OP_OPEN, .mode = mode & 0777 };
	struct sivshmem_local entry = { 0 };
	int access = oflag & O_ACCMODE, rc, fd;

	if ((oflag & ~known) || (access != O_RDONLY && access != O_RDWR))
		return sivshmem_error_set(&s->err, -EINVAL,
			"flags %#x: O_RDONLY or O_RDWR with O_CREAT, O_EXCL, O_TRUNC are known",
			(unsigned int)oflag);
	r.oflag = (oflag & O_CREAT ? SIVP_O_CREAT : 0) |
		  (oflag & O_EXCL ? SIVP_O_EXCL : 0) |
		  (oflag & O_TRUNC ? SIVP_O_TRUNC : 0);
	r.rights = SIVSHMEM_RIGHT_READ |
		   (access == O_RDWR ? SIVSHMEM_RIGHT_WRITE : 0);
	rc = set_names(s, &r, channel, object);
	if (rc)
		return rc;
	memset(result, 0, sizeof(*result));
	fd = open_object(s, &r, result);
	if (fd < 0)
		return fd;
	/* as with sivshmem_resize(): the host has said that we may */
	if (s->info.local && (oflag & O_TRUNC) && syscall(SYS_ftruncate, fd, (off_t)0)) {
		rc = -errno;
		close(fd);
		release(s, result->grant);
		return sivshmem_error_set(&s->err, rc, "object '%.64s': cannot empty it: %s",
					  r.object, strerror(-rc));
	}
	if (s->info.local) {
		entry.grant = result->grant;
		entry.rights = r.rights;
		memcpy(entry.channel, r.channel, sizeof(entry.channel));
		memcpy(entry.object, r.object, sizeof(entry.object));
		rc = sivshmem_local_add(s, fd, &entry);
		if (rc) {
			close(fd);
			return rc;
		}
	}
	return fd;
}

int sivshmem_borrow(struct sivshmem_session *s, const char *channel,
		    const char *object, bool write, uint64_t *grant)
{
	struct sivp_request r = { .op = SIVP_OP_OPEN };
	struct sivp_result result = { 0 };
	int rc = set_names(s, &r, channel, object), fd;

	if (rc)
		return rc;
	r.rights = SIVSHMEM_RIGHT_READ | (write ? SIVSHMEM_RIGHT_WRITE : 0);
	fd = open_object(s, &r, &result);
	*grant = result.grant;
	return fd;
}

void sivshmem_give_back(struct sivshmem_session *s, int fd, uint64_t grant)
{
	close(fd);
	/* in a VM the kernel does it, and a lost connection has it already */
	if (s->info.local && sivshmem_transport_alive(&s->transport))
		release(s, grant);
}

int sivshmem_unlink(struct sivshmem_session *s, const char *channel,
		    const char *object)
{
	struct sivp_request r = { .op = SIVP_OP_UNLINK };
	struct sivp_result result;
	int rc = set_names(s, &r, channel, object);

	return rc ? rc : call(s, &r, &result);
}

int sivshmem_rename(struct sivshmem_session *s, const char *channel,
		    const char *object, const char *to, bool exclusive)
{
	struct sivp_request r = {
		.op = SIVP_OP_RENAME, .oflag = exclusive ? SIVP_O_EXCL : 0,
	};
	struct sivp_result result;
	struct sivp_request new = { 0 };
	int rc = set_names(s, &r, channel, object) ?: set_names(s, &new, channel, to);

	if (rc)
		return rc;
	memcpy(r.to, new.object, sizeof(r.to));
	return call(s, &r, &result);
}

/* --- sizes in local mode --- */

/* The connection that gave the grant is gone: ask for the same object again. */
static int grant_again(struct sivshmem_session *s, struct sivshmem_local *e)
{
	struct sivp_request r = { .op = SIVP_OP_OPEN, .rights = e->rights };
	struct sivp_result result = { 0 };
	struct stat st;
	bool same;
	int fd;

	memcpy(r.channel, e->channel, sizeof(r.channel));
	memcpy(r.object, e->object, sizeof(r.object));
	fd = open_object(s, &r, &result);
	if (fd < 0)
		return fd;
	same = !fstat(fd, &st) && st.st_dev == e->dev && st.st_ino == e->ino;
	close(fd);
	if (!same) {
		release(s, result.grant);
		return sivshmem_error_set(&s->err, -ENOENT,
			"object '%.64s' was unlinked since; it keeps its size", e->object);
	}
	e->grant = result.grant;
	e->serial = s->serial;
	return 0;
}

static int resize_local(struct sivshmem_session *s, struct sivshmem_local *e,
			uint64_t size, int grow_only)
{
	struct sivp_request r = { .op = SIVP_OP_RESIZE, .size = size,
				  .grow_only = grow_only ? 1 : 0 };
	struct sivp_result result;
	int rc = 0, i;

	memcpy(r.channel, e->channel, sizeof(r.channel));
	memcpy(r.object, e->object, sizeof(r.object));
	for (i = 0; i < SIVSHMEM_LOSSES; i++) {
		rc = sivshmem_session_ensure(s);
		if (!rc && e->serial != s->serial)
			rc = grant_again(s, e);
		if (rc)
			return rc;
		r.grant = e->grant;
		rc = sivshmem_session_exchange(s, &r, &result);
		if (!sivshmem_session_lost(rc))
			break;
	}
	if (rc)
		return sivshmem_session_down(s, rc);
	return result.error ? host_error(s, &r, (int)result.error) : 0;
}

static int set_size(struct sivshmem_session *s, int fd, uint64_t size, int grow_only)
{
	struct sivshmem_local *e;
	struct stat st;
	int rc;

	if (fstat(fd, &st))
		return -errno;
	if (size > INT64_MAX)
		return -EFBIG;
	e = sivshmem_local_find(s, &st);
	if (!e && s->info.local)
		return -EBADF;
	if (e && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR)
		return -EBADF;
	rc = e ? resize_local(s, e, size, grow_only) : 0;
	if (rc || (grow_only && (uint64_t)st.st_size >= size && e))
		return rc;
	/* by syscall: the shim, which holds this code too, wraps the functions */
	if (grow_only)
		rc = (int)syscall(SYS_fallocate, fd, 0, (off_t)0, (off_t)size);
	else
		rc = (int)syscall(SYS_ftruncate, fd, (off_t)size);
	return rc ? -errno : 0;
}

int sivshmem_resize(struct sivshmem_session *s, int fd, uint64_t size,
		    int grow_only)
{
	int rc;

	s->err.text[0] = '\0';
	rc = set_size(s, fd, size, grow_only);
	if (rc && !s->err.text[0])
		sivshmem_error_set(&s->err, rc, "descriptor %d: cannot make it %" PRIu64 " bytes: %s",
				   fd, size, strerror(-rc));
	return rc;
}

int sivshmem_is_local(const struct sivshmem_session *s, int fd)
{
	struct stat st;

	return s->local_count && !fstat(fd, &st) && sivshmem_local_find(s, &st);
}

struct sivshmem_local *sivshmem_local_find(const struct sivshmem_session *s,
					   const struct stat *st)
{
	size_t i;

	for (i = 0; i < s->local_count; i++) {
		if (s->locals[i].ino == st->st_ino && s->locals[i].dev == st->st_dev)
			return &s->locals[i];
	}
	return NULL;
}

static struct sivshmem_local *local_slot(struct sivshmem_session *s)
{
	size_t room = s->local_room ? 2 * s->local_room : 16;
	struct sivshmem_local *more;

	if (s->local_count == SIVSHMEM_LOCAL_MAX) {
		s->local_next = (s->local_next + 1) % SIVSHMEM_LOCAL_MAX;
		return &s->locals[s->local_next];
	}
	if (s->local_count == s->local_room) {
		more = reallocarray(s->locals, room, sizeof(*more));
		if (!more)
			return NULL;
		s->locals = more;
		s->local_room = room;
	}
	return &s->locals[s->local_count++];
}

int sivshmem_local_add(struct sivshmem_session *s, int fd,
		       const struct sivshmem_local *entry)
{
	struct sivshmem_local *e;
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	e = sivshmem_local_find(s, &st);
	/* a grant to write is not given up for one to read */
	if (e && e->serial == s->serial && (e->rights & ~entry->rights))
		return 0;
	if (!e)
		e = local_slot(s);
	if (!e)
		return -ENOMEM;
	*e = *entry;
	e->dev = st.st_dev;
	e->ino = st.st_ino;
	e->serial = s->serial;
	return 0;
}
