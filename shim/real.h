/* SPDX-License-Identifier: MIT */
/*
 * The functions that the shim takes over, as the next library has them.
 * real_NAME() calls it; it is bound at the first call.
 */
#ifndef SIVSHMEM_SHIM_REAL_H
#define SIVSHMEM_SHIM_REAL_H

#include <stdatomic.h>
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
	X(int, posix_fallocate64, (int fd, off64_t offset, off64_t length), (fd, offset, length))

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
