/* SPDX-License-Identifier: MIT */
/* Paths: removing, renaming, sizing, and the mode of what is there. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "object.h"
#include "real.h"

static int unlink_at(const struct shim_name *name, int flags)
{
	if (!(flags & AT_REMOVEDIR))
		return shim_unlink(name);
	errno = ENOTDIR;
	return -1;
}

SERVE_PATH(int, unlink, (const char *path), (path),
	   "unlink", AT_FDCWD, path, shim_unlink(&routed))
SERVE_PATH(int, unlinkat, (int dirfd, const char *path, int flags), (dirfd, path, flags),
	   "unlinkat", dirfd, path, unlink_at(&routed, flags))
SERVE_PATH(int, remove, (const char *path), (path),
	   "remove", AT_FDCWD, path, shim_unlink(&routed))

/* true: one of both is ours; *rc is what came of it */
static bool rename_ours(const char *function, int from_fd, const char *from,
			int to_fd, const char *to, unsigned int flags, int *rc)
{
	struct shim_name old, new;
	bool old_ours = shim_route_path(function, from_fd, from, &old);
	bool new_ours = shim_route_path(function, to_fd, to, &new);

	if (!old_ours && !new_ours)
		return false;
	if (flags & ~(unsigned int)RENAME_NOREPLACE) {
		errno = EINVAL;
		*rc = -1;
		return true;
	}
	*rc = object_rename(old_ours ? &old : NULL, new_ours ? &new : NULL, flags);
	return true;
}

SHIM_EXPORT int rename(const char *from, const char *to)
{
	int rc;

	if (!rename_ours("rename", AT_FDCWD, from, AT_FDCWD, to, 0, &rc))
		return real_rename(from, to);
	return rc;
}

SHIM_EXPORT int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	int rc;

	if (!rename_ours("renameat", from_fd, from, to_fd, to, 0, &rc))
		return real_renameat(from_fd, from, to_fd, to);
	return rc;
}

SHIM_EXPORT int renameat2(int from_fd, const char *from, int to_fd, const char *to,
			  unsigned int flags)
{
	int rc;

	if (!rename_ours("renameat2", from_fd, from, to_fd, to, flags, &rc))
		return real_renameat2(from_fd, from, to_fd, to, flags);
	return rc;
}

SERVE_PATH(int, truncate, (const char *path, off_t length), (path, length),
	   "truncate", AT_FDCWD, path, object_truncate(&routed, length))
SERVE_PATH(int, truncate64, (const char *path, off64_t length), (path, length),
	   "truncate", AT_FDCWD, path, object_truncate(&routed, length))
SERVE_PATH(int, chmod, (const char *path, mode_t mode), (path, mode),
	   "chmod", AT_FDCWD, path, object_chmod(&routed, mode))
SERVE_PATH(int, fchmodat, (int dirfd, const char *path, mode_t mode, int flags),
	   (dirfd, path, mode, flags), "fchmodat", dirfd, path, object_chmod(&routed, mode))
