/* SPDX-License-Identifier: MIT */
/*
 * The functions that the shim takes over, as the next library has them.
 * real_NAME() calls it; it is bound at the first call.
 */
#ifndef SIVSHMEM_SHIM_REAL_H
#define SIVSHMEM_SHIM_REAL_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

#define REAL_FUNCTIONS(X) \
	X(int, shm_open, (const char *name, int oflag, mode_t mode), (name, oflag, mode)) \
	X(int, shm_unlink, (const char *name), (name)) \
	X(int, ftruncate, (int fd, off_t length), (fd, length)) \
	X(int, ftruncate64, (int fd, off64_t length), (fd, length)) \
	X(int, fallocate, (int fd, int mode, off_t offset, off_t length), \
	  (fd, mode, offset, length)) \
	X(int, fallocate64, (int fd, int mode, off64_t offset, off64_t length), \
	  (fd, mode, offset, length)) \
	X(int, posix_fallocate, (int fd, off_t offset, off_t length), (fd, offset, length)) \
	X(int, posix_fallocate64, (int fd, off64_t offset, off64_t length), (fd, offset, length)) \
	REAL_PATHS(X) REAL_PATHS64(X) REAL_SEMAPHORES(X)

/* paths; on x86-64 a variadic function takes its arguments as others do */
#define REAL_PATHS(X) \
	X(int, open, (const char *path, int oflag, mode_t mode), (path, oflag, mode)) \
	X(int, openat, (int dirfd, const char *path, int oflag, mode_t mode), \
	  (dirfd, path, oflag, mode)) \
	X(int, creat, (const char *path, mode_t mode), (path, mode)) \
	X(int, __open_2, (const char *path, int oflag), (path, oflag)) \
	X(int, __openat_2, (int dirfd, const char *path, int oflag), (dirfd, path, oflag)) \
	X(FILE *, fopen, (const char *path, const char *mode), (path, mode)) \
	X(int, stat, (const char *path, struct stat *st), (path, st)) \
	X(int, lstat, (const char *path, struct stat *st), (path, st)) \
	X(int, fstatat, (int dirfd, const char *path, struct stat *st, int flags), \
	  (dirfd, path, st, flags)) \
	X(int, statx, (int dirfd, const char *path, int flags, unsigned int mask, \
		       struct statx *stx), (dirfd, path, flags, mask, stx)) \
	X(int, __xstat, (int version, const char *path, struct stat *st), (version, path, st)) \
	X(int, __lxstat, (int version, const char *path, struct stat *st), (version, path, st)) \
	X(int, __fxstatat, (int version, int dirfd, const char *path, struct stat *st, int flags), \
	  (version, dirfd, path, st, flags)) \
	X(int, access, (const char *path, int mode), (path, mode)) \
	X(int, euidaccess, (const char *path, int mode), (path, mode)) \
	X(int, eaccess, (const char *path, int mode), (path, mode)) \
	X(int, faccessat, (int dirfd, const char *path, int mode, int flags), \
	  (dirfd, path, mode, flags)) \
	X(int, unlink, (const char *path), (path)) \
	X(int, unlinkat, (int dirfd, const char *path, int flags), (dirfd, path, flags)) \
	X(int, remove, (const char *path), (path)) \
	X(int, rename, (const char *from, const char *to), (from, to)) \
	X(int, renameat, (int from_fd, const char *from, int to_fd, const char *to), \
	  (from_fd, from, to_fd, to)) \
	X(int, renameat2, (int from_fd, const char *from, int to_fd, const char *to, \
			   unsigned int flags), (from_fd, from, to_fd, to, flags)) \
	X(int, truncate, (const char *path, off_t length), (path, length)) \
	X(int, chmod, (const char *path, mode_t mode), (path, mode)) \
	X(int, fchmodat, (int dirfd, const char *path, mode_t mode, int flags), \
	  (dirfd, path, mode, flags))

/* the same, for programs built for large files */
#define REAL_PATHS64(X) \
	X(int, open64, (const char *path, int oflag, mode_t mode), (path, oflag, mode)) \
	X(int, openat64, (int dirfd, const char *path, int oflag, mode_t mode), \
	  (dirfd, path, oflag, mode)) \
	X(int, creat64, (const char *path, mode_t mode), (path, mode)) \
	X(int, __open64_2, (const char *path, int oflag), (path, oflag)) \
	X(int, __openat64_2, (int dirfd, const char *path, int oflag), (dirfd, path, oflag)) \
	X(FILE *, fopen64, (const char *path, const char *mode), (path, mode)) \
	X(int, stat64, (const char *path, struct stat64 *st), (path, st)) \
	X(int, lstat64, (const char *path, struct stat64 *st), (path, st)) \
	X(int, fstatat64, (int dirfd, const char *path, struct stat64 *st, int flags), \
	  (dirfd, path, st, flags)) \
	X(int, __xstat64, (int version, const char *path, struct stat64 *st), \
	  (version, path, st)) \
	X(int, __lxstat64, (int version, const char *path, struct stat64 *st), \
	  (version, path, st)) \
	X(int, __fxstatat64, (int version, int dirfd, const char *path, struct stat64 *st, \
			      int flags), (version, dirfd, path, st, flags)) \
	X(int, truncate64, (const char *path, off64_t length), (path, length))

/* sem_open is variadic too */
#define REAL_SEMAPHORES(X) \
	X(sem_t *, sem_open, (const char *name, int oflag, mode_t mode, unsigned int value), \
	  (name, oflag, mode, value)) \
	X(int, sem_close, (sem_t *sem), (sem)) \
	X(int, sem_unlink, (const char *name), (name))

/* Finds name, stores and returns it. Aborts when there is none but the shim's. */
void *real_bind(_Atomic(void *) *slot, const char *name);

#define REAL_DECLARE(type, name, parameters, arguments) \
	extern _Atomic(void *) real_slot_##name; \
	static inline type real_##name parameters \
	{ \
		void *f = atomic_load_explicit(&real_slot_##name, memory_order_acquire); \
		if (__builtin_expect(!f, 0)) \
			f = real_bind(&real_slot_##name, #name); \
		return ((type (*) parameters)f) arguments; \
	}
REAL_FUNCTIONS(REAL_DECLARE)
#undef REAL_DECLARE

#endif
