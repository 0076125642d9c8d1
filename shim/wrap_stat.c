/* SPDX-License-Identifier: MIT */
/* Paths: stat(2), access(2) and their kin, with those of glibc before 2.33. */
#include <fcntl.h>
#include <unistd.h>

#include "object.h"
#include "real.h"

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "one layout");

int __xstat(int version, const char *path, struct stat *st);
int __lxstat(int version, const char *path, struct stat *st);
int __fxstatat(int version, int dirfd, const char *path, struct stat *st, int flags);
int __xstat64(int version, const char *path, struct stat64 *st);
int __lxstat64(int version, const char *path, struct stat64 *st);
int __fxstatat64(int version, int dirfd, const char *path, struct stat64 *st, int flags);

static int object_stat64(const struct shim_name *name, struct stat64 *st)
{
	return object_stat(name, (struct stat *)(void *)st);
}

SHIM_EXPORT int stat(const char *path, struct stat *st)
{
	struct shim_name name;

	if (!shim_route_path("stat", AT_FDCWD, path, &name))
		return real_stat(path, st);
	return object_stat(&name, st);
}

SHIM_EXPORT int stat64(const char *path, struct stat64 *st)
{
	struct shim_name name;

	if (!shim_route_path("stat", AT_FDCWD, path, &name))
		return real_stat64(path, st);
	return object_stat64(&name, st);
}

SHIM_EXPORT int lstat(const char *path, struct stat *st)
{
	struct shim_name name;

	if (!shim_route_path("lstat", AT_FDCWD, path, &name))
		return real_lstat(path, st);
	return object_stat(&name, st);
}

SHIM_EXPORT int lstat64(const char *path, struct stat64 *st)
{
	struct shim_name name;

	if (!shim_route_path("lstat", AT_FDCWD, path, &name))
		return real_lstat64(path, st);
	return object_stat64(&name, st);
}

SHIM_EXPORT int fstatat(int dirfd, const char *path, struct stat *st, int flags)
{
	struct shim_name name;

	if (!shim_route_path("fstatat", dirfd, path, &name))
		return real_fstatat(dirfd, path, st, flags);
	return object_stat(&name, st);
}

SHIM_EXPORT int fstatat64(int dirfd, const char *path, struct stat64 *st, int flags)
{
	struct shim_name name;

	if (!shim_route_path("fstatat", dirfd, path, &name))
		return real_fstatat64(dirfd, path, st, flags);
	return object_stat64(&name, st);
}

SHIM_EXPORT int statx(int dirfd, const char *path, int flags, unsigned int mask,
		      struct statx *stx)
{
	struct shim_name name;

	if (!shim_route_path("statx", dirfd, path, &name))
		return real_statx(dirfd, path, flags, mask, stx);
	return object_statx(&name, flags, mask, stx);
}

/* --- before glibc 2.33; on x86-64 every version means the same struct --- */

SHIM_EXPORT int __xstat(int version, const char *path, struct stat *st)
{
	struct shim_name name;

	if (!shim_route_path("stat", AT_FDCWD, path, &name))
		return real___xstat(version, path, st);
	return object_stat(&name, st);
}

SHIM_EXPORT int __xstat64(int version, const char *path, struct stat64 *st)
{
	struct shim_name name;

	if (!shim_route_path("stat", AT_FDCWD, path, &name))
		return real___xstat64(version, path, st);
	return object_stat64(&name, st);
}

SHIM_EXPORT int __lxstat(int version, const char *path, struct stat *st)
{
	struct shim_name name;

	if (!shim_route_path("lstat", AT_FDCWD, path, &name))
		return real___lxstat(version, path, st);
	return object_stat(&name, st);
}

SHIM_EXPORT int __lxstat64(int version, const char *path, struct stat64 *st)
{
	struct shim_name name;

	if (!shim_route_path("lstat", AT_FDCWD, path, &name))
		return real___lxstat64(version, path, st);
	return object_stat64(&name, st);
}

SHIM_EXPORT int __fxstatat(int version, int dirfd, const char *path, struct stat *st,
			   int flags)
{
	struct shim_name name;

	if (!shim_route_path("fstatat", dirfd, path, &name))
		return real___fxstatat(version, dirfd, path, st, flags);
	return object_stat(&name, st);
}

SHIM_EXPORT int __fxstatat64(int version, int dirfd, const char *path, struct stat64 *st,
			     int flags)
{
	struct shim_name name;

	if (!shim_route_path("fstatat", dirfd, path, &name))
		return real___fxstatat64(version, dirfd, path, st, flags);
	return object_stat64(&name, st);
}

/* --- may this process? --- */

SHIM_EXPORT int access(const char *path, int mode)
{
	struct shim_name name;

	if (!shim_route_path("access", AT_FDCWD, path, &name))
		return real_access(path, mode);
	return object_access(&name, mode);
}

SHIM_EXPORT int euidaccess(const char *path, int mode)
{
	struct shim_name name;

	if (!shim_route_path("euidaccess", AT_FDCWD, path, &name))
		return real_euidaccess(path, mode);
	return object_access(&name, mode);
}

SHIM_EXPORT int eaccess(const char *path, int mode)
{
	struct shim_name name;

	if (!shim_route_path("eaccess", AT_FDCWD, path, &name))
		return real_eaccess(path, mode);
	return object_access(&name, mode);
}

SHIM_EXPORT int faccessat(int dirfd, const char *path, int mode, int flags)
{
	struct shim_name name;

	if (!shim_route_path("faccessat", dirfd, path, &name))
		return real_faccessat(dirfd, path, mode, flags);
	return object_access(&name, mode);
}
