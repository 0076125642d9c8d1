/* SPDX-License-Identifier: MIT */
/* Mappings: of interest for which addresses they make a channel's. */
#include <errno.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <sivshmem/uapi.h>

#include "lib/word.h"
#include "real.h"
#include "region.h"
#include "shim.h"

/* As the kernel says of it, so that it does not matter where the fd is from. */
static long file_system(int fd)
{
	int saved = errno;
	struct statfs fs;
	long type = fstatfs(fd, &fs) ? 0 : fs.f_type;

	errno = saved;
	return type;
}

/*
 * In local mode the object is the daemon's memfd, which would be in a core; in
 * a VM the kernel sees to it.
 */
static void keep_out_of_cores(void *p, size_t length, int fd)
{
	static const char ours[] = "/memfd:sivshmem:";
	char path[32], target[sizeof(ours) - 1];
	int saved = errno;
	struct stat st;

	/* a memfd is in no directory; to look at most files costs no path */
	if (!fstat(fd, &st) && st.st_nlink)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, target, sizeof(target)) == (ssize_t)sizeof(target) &&
	    !memcmp(target, ours, sizeof(target)))
		madvise(p, length, MADV_DONTDUMP);
	errno = saved;
}

static void *mapped(void *p, size_t length, int flags, int fd)
{
	bool file = !(flags & MAP_ANONYMOUS), private = (flags & MAP_TYPE) == MAP_PRIVATE;
	long type;
	int error;

	if (p == MAP_FAILED)
		return p;
	type = file && !private ? file_system(fd) : 0;
	/* private ones are many, and hardly ever of what another process passed on */
	if (type == TMPFS_MAGIC || (file && private &&
	    atomic_load_explicit(&shim_locals, memory_order_relaxed)))
		keep_out_of_cores(p, length, fd);
	if (type != SIVSHMEM_FS_MAGIC) {
		shim_region_remove((uintptr_t)p, length);
		return p;
	}
	error = -sivshmem_word_open();
	if (!error && shim_region_add((uintptr_t)p, length))
		return p;
	/* not a channel whose locks would be those of this VM alone */
	real_munmap(p, length);
	if (error)
		shim_say("mmap: %s: %s", SIVSHMEM_WAIT_DEVICE, strerrordesc_np(error));
	errno = error ? error : ENOMEM;
	return MAP_FAILED;
}

SHIM_EXPORT void *mmap(void *address, size_t length, int protection, int flags, int fd,
		       off_t offset)
{
	return mapped(real_mmap(address, length, protection, flags, fd, offset),
		      length, flags, fd);
}

SHIM_EXPORT void *mmap64(void *address, size_t length, int protection, int flags, int fd,
			 off64_t offset)
{
	return mapped(real_mmap64(address, length, protection, flags, fd, offset),
		      length, flags, fd);
}

SHIM_EXPORT int munmap(void *address, size_t length)
{
	struct shim_region_leaving leaving;
	int rc;

	if (!shim_region_any((uintptr_t)address, length))
		return real_munmap(address, length);
	if (!shim_region_leave(&leaving, (uintptr_t)address, length))
		return -1;
	rc = real_munmap(address, length);
	if (rc)
		shim_region_stay(&leaving);
	else
		shim_region_left(&leaving, 0, 0);
	return rc;
}

/* What of [old, old + old_length) will be free: a channel's mapping never grows. */
static uintptr_t given_up(uintptr_t old, size_t old_length, size_t new_length, int flags)
{
	uintptr_t end = old + shim_page_up(old_length), rest = old + shim_page_up(new_length);

	return flags & MREMAP_FIXED ? old : rest < end ? rest : end;
}

static void *move_channel(void *old, size_t old_length, size_t new_length, int flags, void *wanted)
{
	uintptr_t from = (uintptr_t)old, end = from + shim_page_up(old_length);
	uintptr_t free_from = given_up(from, old_length, new_length, flags);
	struct shim_region_leaving leaving;
	void *p;

	if (!shim_region_leave(&leaving, free_from, end - free_from))
		return MAP_FAILED;
	p = real_mremap(old, old_length, new_length, flags, wanted);
	if (p == MAP_FAILED)
		shim_region_stay(&leaving);
	else
		shim_region_left(&leaving, (uintptr_t)p, p == old ? 0 : new_length);
	return p;
}

SHIM_EXPORT void *mremap(void *old, size_t old_length, size_t new_length, int flags, ...)
{
	uintptr_t last = (uintptr_t)old + shim_page_up(old_length) - 1;
	void *wanted = NULL, *p;
	va_list args;

	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		va_start(args, flags);
		wanted = va_arg(args, void *);
		va_end(args);
	}
	if (old_length && shim_in_channel(old) && shim_in_channel((void *)last))
		return move_channel(old, old_length, new_length, flags, wanted);
	p = real_mremap(old, old_length, new_length, flags, wanted);
	if (p != MAP_FAILED)
		shim_region_remove((uintptr_t)p, new_length);
	return p;
}
