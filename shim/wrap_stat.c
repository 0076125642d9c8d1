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

SERVE_PATH(int, stat, (const char *path, struct stat *st), (path, st),
	   "stat", AT_FDCWD, path, object_stat(&routed, st))
SERVE_PATH(int, stat64, (const char *path, struct stat64 *st), (path, st),
	   "stat", AT_FDCWD, path, object_stat64(&routed, st))
SERVE_PATH(int, lstat, (const char *path, struct stat *st), (path, st),
	   "lstat", AT_FDCWD, path, object_stat(&routed, st))
SERVE_PATH(int, lstat64, (const char *path, struct stat64 *st), (path, st),
	   "lstat", AT_FDCWD, path, object_stat64(&routed, st))
SERVE_PATH(int, fstatat, (int dirfd, const char *path, struct stat *st, int flags), (dirfd, path, st, flags),
	   "fstatat", dirfd, path, object_stat(&routed, st))
SERVE_PATH(int, fstatat64, (int dirfd, const char *path, struct stat64 *st, int flags), (dirfd, path, st, flags),
	   "fstatat", dirfd, path, object_stat64(&routed, st))
SERVE_PATH(int, statx, (int dirfd, const char *path, int flags, unsigned int mask,
			struct statx *stx), (dirfd, path, flags, mask, stx),
	   "statx", dirfd, path, object_statx(&routed, flags, mask, stx))

/* --- before glibc 2.33; on x86-64 every version means the same struct --- */

SERVE_PATH(int, __xstat, (int version, const char *path, struct stat *st), (version, path, st),
	   "stat", AT_FDCWD, path, object_stat(&routed, st))
SERVE_PATH(int, __xstat64, (int version, const char *path, struct stat64 *st), (version, path, st),
	   "stat", AT_FDCWD, path, object_stat64(&routed, st))
SERVE_PATH(int, __lxstat, (int version, const char *path, struct stat *st), (version, path, st),
	   "lstat", AT_FDCWD, path, object_stat(&routed, st))
SERVE_PATH(int, __lxstat64, (int version, const char *path, struct stat64 *st), (version, path, st),
	   "lstat", AT_FDCWD, path, object_stat64(&routed, st))
SERVE_PATH(int, __fxstatat, (int version, int dirfd, const char *path, struct stat *st,
	   int flags), (version, dirfd, path, st, flags),
	   "fstatat", dirfd, path, object_stat(&routed, st))
SERVE_PATH(int, __fxstatat64, (int version, int dirfd, const char *path, struct stat64 *st,
	   int flags), (version, dirfd, path, st, flags),
	   "fstatat", dirfd, path, object_stat64(&routed, st))

/* --- may this process? --- */

SERVE_PATH(int, access, (const char *path, int mode), (path, mode),
	   "access", AT_FDCWD, path, object_access(&routed, mode))
SERVE_PATH(int, euidaccess, (const char *path, int mode), (path, mode),
	   "euidaccess", AT_FDCWD, path, object_access(&routed, mode))
SERVE_PATH(int, eaccess, (const char *path, int mode), (path, mode),
	   "eaccess", AT_FDCWD, path, object_access(&routed, mode))
SERVE_PATH(int, faccessat, (int dirfd, const char *path, int mode, int flags), (dirfd, path, mode, flags),
	   "faccessat", dirfd, path, object_access(&routed, mode))
