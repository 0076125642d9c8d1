/* SPDX-License-Identifier: MIT */
#include "keep_check.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../shim/lib/cert.h"
#include "alloc.h"

#define GREETING_MAX	(4 + POLICY_MAX_VMS)

static bool ended(const char *text, size_t length)
{
	return text[0] && memchr(text, 0, length);
}

static const char *domain(uint64_t key, const struct keep_domain *r)
{
	if (key >= POLICY_MAX_VMS || !ended(r->name, sizeof(r->name)) || r->up > 1)
		return "a VM makes no sense";
	return NULL;
}

/* No more than the monitor itself sees to: no worker may make a state that is refused. */
static const char *object(uint64_t key, const struct keep_object *r, uint32_t count)
{
	if (!key || !r->generation || r->size > INT64_MAX ||
	    r->pages > INT64_MAX / ALLOC_PAGE || r->mode > 0777 || r->unlinked > 1 ||
	    r->lock_wanted > 1 || r->pad || (r->memfd && count))
		return "an object makes no sense";
	if (!sivshmem_name_valid(r->channel, sizeof(r->channel)) ||
	    !sivshmem_name_valid(r->creator, sizeof(r->creator)) ||
	    !ended(r->name, sizeof(r->name)))
		return "an object's name is none";
	return NULL;
}

static const char *session(uint64_t key, const struct keep_session *r)
{
	const struct sivp_cert *cert = &r->chain.cert[0];

	if (!key || r->domain >= POLICY_MAX_VMS || r->authenticated > 1 || r->revoked > 1 ||
	    r->pad)
		return "a session makes no sense";
	if (!r->authenticated)
		return NULL;
	if (r->chain.count < 1 || r->chain.count > 2 || cert->serial != r->serial ||
	    !sivshmem_name_valid(r->service, sizeof(r->service)) ||
	    memcmp(r->service, cert->subject, sizeof(r->service)))
		return "a session's certificate is another service's";
	return NULL;
}

static const char *grant(uint64_t key, const struct keep_grant *r)
{
	if (!key || !(r->rights & SIVSHMEM_RIGHT_READ) || r->rights & ~SIVSHMEM_RIGHTS_ALL ||
	    r->pad)
		return "a grant makes no sense";
	return NULL;
}

static const char *locks(uint64_t key, const struct sivring_lock *l, uint32_t count)
{
	for (; count; count--, l++)
		if (l->type == SIVRING_LOCK_NONE || l->type > SIVRING_LOCK_WRITE ||
		    l->start > l->end || l->grant != key)
			return "a lock makes no sense";
	return NULL;
}

static const char *lost(uint64_t key, const struct keep_lost *r)
{
	return key >> 48 >= POLICY_MAX_LINKS || r->extent.offset % ALLOC_PAGE ||
	       r->extent.length % ALLOC_PAGE ? "lost memory makes no sense" : NULL;
}

const char *keep_check(uint32_t kind, uint64_t key, const void *fixed, const void *tail,
		       uint32_t count)
{
	switch (kind) {
	case KEEP_META:
		return key ? "it has two beginnings" : NULL;
	case KEEP_DOMAIN:
		return domain(key, fixed);
	case KEEP_DEVICE:
		return ((const struct keep_device *)fixed)->sent > GREETING_MAX ?
			"a device makes no sense" : NULL;
	case KEEP_LOST:
		return lost(key, fixed);
	case KEEP_OBJECT:
		return object(key, fixed, count);
	case KEEP_SESSION:
		return session(key, fixed);
	case KEEP_GRANT:
		return grant(key, fixed);
	case KEEP_LOCKS:
		return locks(key, tail, count);
	}
	return NULL;		/* sockets, and links, which must be the policy's byte for byte */
}

/* --- files --- */

bool keep_is_memory(int fd, uint64_t bytes)
{
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size == bytes;
}

bool keep_is_bell(int fd)
{
	char self[64], what[64];
	ssize_t n;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, what, sizeof(what) - 1);
	if (n < 0)
		return false;
	what[n] = '\0';
	return !strcmp(what, "anon_inode:[eventfd]");
}

bool keep_is_socket(int fd, bool listens)
{
	int domain = -1, on = -1;
	socklen_t size = sizeof(int);

	return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) && domain == AF_UNIX &&
	       !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &size) && on == listens;
}
