/* SPDX-License-Identifier: MIT */
#include "object.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "inside.h"
#include "real.h"

/* The object for a moment, inside. -1 with errno, and outside. */
static int borrow(const struct shim_name *name, bool write, struct shim_section *s,
		  uint64_t *grant)
{
	int fd = shim_enter(name, s);

	if (fd) {
		errno = fd;
		return -1;
	}
	fd = sivshmem_borrow(s->session, name->rule->channel, name->object, write, grant);
	if (fd >= 0)
		return fd;
	shim_leave(name, s, fd);
	return -1;
}

/* What became of it: 0, or -1 with errno. */
static int give_back(const struct shim_name *name, struct shim_section *s, int fd,
		     uint64_t grant, int rc)
{
	int e = rc ? errno : 0;

	sivshmem_give_back(s->session, fd, grant);
	shim_leave(name, s, 0);
	if (e)
		errno = e;
	return rc;
}

int object_stat(const struct shim_name *name, struct stat *st)
{
	struct shim_section s;
	uint64_t grant;
	int fd = borrow(name, false, &s, &grant);

	return fd < 0 ? -1 : give_back(name, &s, fd, grant, fstat(fd, st));
}

int object_statx(const struct shim_name *name, int flags, unsigned int mask,
		 struct statx *stx)
{
	struct shim_section s;
	uint64_t grant;
	int fd = borrow(name, false, &s, &grant);

	return fd < 0 ? -1 : give_back(name, &s, fd, grant,
		real_statx(fd, "", flags | AT_EMPTY_PATH, mask, stx));
}

int object_access(const struct shim_name *name, int mode)
{
	struct shim_section s;
	uint64_t grant;
	int fd;

	if (mode & ~(R_OK | W_OK | X_OK)) {
		errno = EINVAL;
		return -1;
	}
	if (!name->denied && name->rule->readonly && (mode & W_OK)) {
		errno = EACCES;
		return -1;
	}
	fd = borrow(name, mode & W_OK, &s, &grant);
	if (fd < 0)
		return -1;
	give_back(name, &s, fd, grant, 0);
	if (!(mode & X_OK))
		return 0;
	errno = EACCES;
	return -1;
}

/* In local mode the file is the daemon's, as with fchmod(2). */
int object_chmod(const struct shim_name *name, mode_t mode)
{
	struct shim_section s;
	struct stat st;
	uint64_t grant;
	int fd, rc;

	if (shim_forbidden(name))
		return -1;
	fd = borrow(name, false, &s, &grant);
	if (fd < 0)
		return -1;
	rc = fstat(fd, &st);
	if (!rc && (st.st_mode & 07777) != mode) {
		errno = EPERM;
		rc = s.session->info.local ? -1 : fchmod(fd, mode);
	}
	return give_back(name, &s, fd, grant, rc);
}

int object_truncate(const struct shim_name *name, off64_t length)
{
	int fd, rc, e;

	if (length < 0) {
		errno = EINVAL;
		return -1;
	}
	fd = shim_open(name, O_RDWR, 0, NULL);
	if (fd < 0)
		return -1;
	if (!shim_resize(fd, (uint64_t)length, false, &e))
		e = real_ftruncate64(fd, length) ? errno : 0;
	rc = e ? -1 : 0;
	close(fd);
	if (e)
		errno = e;
	return rc;
}

/* A regular file is none; ENOENT comes first. */
static int not_directory(const struct shim_name *name)
{
	struct stat st;

	if (!object_stat(name, &st))
		errno = ENOTDIR;
	return -1;
}

int object_open(const struct shim_name *name, int oflag, mode_t mode)
{
	int fd, saved = errno;

	if (oflag & O_DIRECTORY)
		return not_directory(name);
	if (oflag & O_PATH)
		oflag &= O_PATH | O_CLOEXEC;
	/* the host gives to read, or to read and write */
	if ((oflag & O_ACCMODE) == O_WRONLY)
		oflag = (oflag & ~O_ACCMODE) | O_RDWR;
	fd = shim_open(name, oflag, mode, NULL);
	if (fd < 0)
		return -1;
	if (!(oflag & O_CLOEXEC))
		fcntl(fd, F_SETFD, 0);
	if (oflag & (O_APPEND | O_NONBLOCK))
		fcntl(fd, F_SETFL, oflag & (O_APPEND | O_NONBLOCK));
	errno = saved;
	return fd;
}

/* As fopen(3) reads it; -1: not a mode. */
static int flags_of(const char *mode)
{
	const char *at = mode + 1;
	int flags;

	if (*mode == 'r')
		flags = O_RDONLY;
	else if (*mode == 'w')
		flags = O_WRONLY | O_CREAT | O_TRUNC;
	else if (*mode == 'a')
		flags = O_WRONLY | O_CREAT | O_APPEND;
	else
		return -1;
	for (; *at && *at != ','; at++) {
		if (*at == '+')
			flags = (flags & ~O_ACCMODE) | O_RDWR;
		else if (*at == 'x')
			flags |= O_EXCL;
		else if (*at == 'e')
			flags |= O_CLOEXEC;
	}
	return flags;
}

FILE *object_fopen(const struct shim_name *name, const char *mode)
{
	int flags = flags_of(mode), fd;
	FILE *file;

	if (flags < 0) {
		errno = EINVAL;
		return NULL;
	}
	fd = object_open(name, flags, 0666);
	file = fd < 0 ? NULL : fdopen(fd, mode);
	if (!file && fd >= 0)
		close(fd);
	return file;
}

static int elsewhere(const struct shim_name *name)
{
	errno = name->denied;
	if (!name->denied) {
		shim_say("%s(\"%.80s\"): an object keeps to its channel; copy it",
			 name->function, name->given);
		errno = EXDEV;
	}
	return -1;
}

/* Within one channel, by one identity; else mv(1) copies. */
int object_rename(const struct shim_name *from, const struct shim_name *to, bool exclusive)
{
	struct shim_section s;
	int rc;

	if (!from || !to)
		return elsewhere(from ? from : to);
	if (from->denied || to->denied)
		return elsewhere(from->denied ? from : to);
	if (strcmp(from->rule->channel, to->rule->channel) ||
	    !shim_same_identity(from->rule->identity, to->rule->identity))
		return elsewhere(from);
	if (shim_forbidden(from) || shim_forbidden(to))
		return -1;
	rc = shim_enter(from, &s);
	if (rc) {
		errno = rc;
		return -1;
	}
	rc = sivshmem_rename(s.session, from->rule->channel, from->object, to->object, exclusive);
	shim_leave(from, &s, rc);
	return rc ? -1 : 0;
}
