/* SPDX-License-Identifier: MIT */
/* Paths: removing, renaming, sizing, and the mode of what is there. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "object.h"
#include "real.h"

SHIM_EXPORT int unlink(const char *path)
{
	struct shim_name name;

	if (!shim_route_path("unlink", AT_FDCWD, path, &name))
		return real_unlink(path);
	return shim_unlink(&name);
}

SHIM_EXPORT int unlinkat(int dirfd, const char *path, int flags)
{
	struct shim_name name;

	if (!shim_route_path("unlinkat", dirfd, path, &name))
		return real_unlinkat(dirfd, path, flags);
	if (!(flags & AT_REMOVEDIR))
		return shim_unlink(&name);
	errno = ENOTDIR;
	return -1;
}

SHIM_EXPORT int remove(const char *path)
{
	struct shim_name name;

	if (!shim_route_path("remove", AT_FDCWD, path, &name))
		return real_remove(path);
	return shim_unlink(&name);
}

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

SHIM_EXPORT int truncate(const char *path, off_t length)
{
	struct shim_name name;

	if (!shim_route_path("truncate", AT_FDCWD, path, &name))
		return real_truncate(path, length);
	return object_truncate(&name, length);
}

SHIM_EXPORT int truncate64(const char *path, off64_t length)
{
	struct shim_name name;

	if (!shim_route_path("truncate", AT_FDCWD, path, &name))
		return real_truncate64(path, length);
	return object_truncate(&name, length);
}

SHIM_EXPORT int chmod(const char *path, mode_t mode)
{
	struct shim_name name;

	if (!shim_route_path("chmod", AT_FDCWD, path, &name))
		return real_chmod(path, mode);
	return object_chmod(&name, mode);
}

SHIM_EXPORT int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	struct shim_name name;

	if (!shim_route_path("fchmodat", dirfd, path, &name))
		return real_fchmodat(dirfd, path, mode, flags);
	return object_chmod(&name, mode);
}
