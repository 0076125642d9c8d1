/* SPDX-License-Identifier: MIT */
/*
 * The functions that the shim takes over, as the next library has them.
 * real_NAME() calls it; it is bound at the first call.
 */
#ifndef SIVSHMEM_SHIM_REAL_H
#define SIVSHMEM_SHIM_REAL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <threads.h>

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
	REAL_PATHS(X) REAL_PATHS64(X) REAL_SEMAPHORES(X) REAL_MAPPINGS(X) REAL_SYNC(X) REAL_C11(X)

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

#define REAL_MAPPINGS(X) \
	X(void *, mmap, (void *address, size_t length, int protection, int flags, int fd, \
			 off_t offset), (address, length, protection, flags, fd, offset)) \
	X(void *, mmap64, (void *address, size_t length, int protection, int flags, int fd, \
			   off64_t offset), (address, length, protection, flags, fd, offset)) \
	X(int, munmap, (void *address, size_t length), (address, length)) \
	X(void *, mremap, (void *old, size_t old_length, size_t new_length, int flags, \
			   void *wanted), (old, old_length, new_length, flags, wanted)) \
	X(long, syscall, (long number, long a, long b, long c, long d, long e, long f), \
	  (number, a, b, c, d, e, f))

#define REAL_SYNC(X) \
	X(int, pthread_mutex_init, (pthread_mutex_t *m, const pthread_mutexattr_t *a), (m, a)) \
	X(int, pthread_mutex_destroy, (pthread_mutex_t *m), (m)) \
	X(int, pthread_mutex_lock, (pthread_mutex_t *m), (m)) \
	X(int, pthread_mutex_trylock, (pthread_mutex_t *m), (m)) \
	X(int, pthread_mutex_timedlock, (pthread_mutex_t *m, const struct timespec *t), (m, t)) \
	X(int, pthread_mutex_clocklock, (pthread_mutex_t *m, clockid_t c, \
					 const struct timespec *t), (m, c, t)) \
	X(int, pthread_mutex_unlock, (pthread_mutex_t *m), (m)) \
	X(int, pthread_mutex_consistent, (pthread_mutex_t *m), (m)) \
	X(int, pthread_mutex_getprioceiling, (const pthread_mutex_t *m, int *p), (m, p)) \
	X(int, pthread_mutex_setprioceiling, (pthread_mutex_t *m, int p, int *old), (m, p, old)) \
	X(int, pthread_cond_clockwait, (pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock, \
					const struct timespec *t), (c, m, clock, t)) \
	X(int, sem_init, (sem_t *s, int shared, unsigned int value), (s, shared, value)) \
	X(int, sem_destroy, (sem_t *s), (s)) \
	X(int, pthread_cancel, (pthread_t thread), (thread)) \
	X(int, sem_wait, (sem_t *s), (s)) \
	X(int, sem_trywait, (sem_t *s), (s)) \
	X(int, sem_timedwait, (sem_t *s, const struct timespec *t), (s, t)) \
	X(int, sem_clockwait, (sem_t *s, clockid_t c, const struct timespec *t), (s, c, t)) \
	X(int, sem_post, (sem_t *s), (s)) \
	X(int, sem_getvalue, (sem_t *s, int *value), (s, value)) \
	X(int, pthread_rwlock_init, (pthread_rwlock_t *l, const pthread_rwlockattr_t *a), (l, a)) \
	X(int, pthread_rwlock_destroy, (pthread_rwlock_t *l), (l)) \
	X(int, pthread_rwlock_rdlock, (pthread_rwlock_t *l), (l)) \
	X(int, pthread_rwlock_tryrdlock, (pthread_rwlock_t *l), (l)) \
	X(int, pthread_rwlock_timedrdlock, (pthread_rwlock_t *l, const struct timespec *t), \
	  (l, t)) \
	X(int, pthread_rwlock_clockrdlock, (pthread_rwlock_t *l, clockid_t c, \
					    const struct timespec *t), (l, c, t)) \
	X(int, pthread_rwlock_wrlock, (pthread_rwlock_t *l), (l)) \
	X(int, pthread_rwlock_trywrlock, (pthread_rwlock_t *l), (l)) \
	X(int, pthread_rwlock_timedwrlock, (pthread_rwlock_t *l, const struct timespec *t), \
	  (l, t)) \
	X(int, pthread_rwlock_clockwrlock, (pthread_rwlock_t *l, clockid_t c, \
					    const struct timespec *t), (l, c, t)) \
	X(int, pthread_rwlock_unlock, (pthread_rwlock_t *l), (l)) \
	X(int, pthread_barrier_init, (pthread_barrier_t *b, const pthread_barrierattr_t *a, \
				      unsigned int count), (b, a, count)) \
	X(int, pthread_barrier_destroy, (pthread_barrier_t *b), (b)) \
	X(int, pthread_barrier_wait, (pthread_barrier_t *b), (b))

#define REAL_C11(X) \
	X(int, mtx_init, (mtx_t *m, int type), (m, type)) \
	X(int, mtx_lock, (mtx_t *m), (m)) \
	X(int, mtx_trylock, (mtx_t *m), (m)) \
	X(int, mtx_timedlock, (mtx_t *m, const struct timespec *t), (m, t)) \
	X(int, mtx_unlock, (mtx_t *m), (m)) \
	X(void, mtx_destroy, (mtx_t *m), (m)) \
	X(int, cnd_init, (cnd_t *c), (c)) \
	X(int, cnd_signal, (cnd_t *c), (c)) \
	X(int, cnd_broadcast, (cnd_t *c), (c)) \
	X(int, cnd_wait, (cnd_t *c, mtx_t *m), (c, m)) \
	X(int, cnd_timedwait, (cnd_t *c, mtx_t *m, const struct timespec *t), (c, m, t)) \
	X(void, cnd_destroy, (cnd_t *c), (c))

/* of two versions each, with a layout for each: new_NAME and old_NAME */
#define REAL_VERSIONED(X) \
	X(int, pthread_cond_init, (pthread_cond_t *c, const pthread_condattr_t *a), (c, a)) \
	X(int, pthread_cond_destroy, (pthread_cond_t *c), (c)) \
	X(int, pthread_cond_signal, (pthread_cond_t *c), (c)) \
	X(int, pthread_cond_broadcast, (pthread_cond_t *c), (c)) \
	X(int, pthread_cond_wait, (pthread_cond_t *c, pthread_mutex_t *m), (c, m)) \
	X(int, pthread_cond_timedwait, (pthread_cond_t *c, pthread_mutex_t *m, \
					const struct timespec *t), (c, m, t))
#define REAL_NEW	"GLIBC_2.3.2"
#define REAL_OLD	"GLIBC_2.2.5"

/* Finds name, stores and returns it. Aborts when there is none but the shim's. */
void *real_bind(_Atomic(void *) *slot, const char *name, const char *version);

#define REAL_CALL(type, slot, name, version, parameters, arguments) \
	extern _Atomic(void *) real_slot_##slot; \
	static inline type real_##slot parameters \
	{ \
		void *real_ = atomic_load_explicit(&real_slot_##slot, memory_order_acquire); \
		if (__builtin_expect(!real_, 0)) \
			real_ = real_bind(&real_slot_##slot, #name, version); \
		return ((type (*) parameters)real_) arguments; \
	}
#define REAL_DECLARE(type, name, parameters, arguments) \
	REAL_CALL(type, name, name, NULL, parameters, arguments)
#define REAL_DECLARE_VERSIONS(type, name, parameters, arguments) \
	REAL_CALL(type, new_##name, name, REAL_NEW, parameters, arguments) \
	REAL_CALL(type, old_##name, name, REAL_OLD, parameters, arguments)
REAL_FUNCTIONS(REAL_DECLARE)
REAL_VERSIONED(REAL_DECLARE_VERSIONS)
#undef REAL_DECLARE
#undef REAL_DECLARE_VERSIONS
#undef REAL_CALL

#endif
