/* SPDX-License-Identifier: MIT */
/* Mappings: of interest for which addresses they make a channel's. */
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <sivshmem/uapi.h>

#include "real.h"
#include "region.h"
#include "shim.h"

/* As the kernel says of it, so that it does not matter where the fd is from. */
static bool is_channel(int fd)
{
	int saved = errno;
	struct statfs fs;
	bool is = !fstatfs(fd, &fs) && fs.f_type == SIVSHMEM_FS_MAGIC;

	errno = saved;
	return is;
}

static void *mapped(void *p, size_t length, int flags, int fd)
{
	if (p == MAP_FAILED)
		return p;
	if (!(flags & MAP_ANONYMOUS) && (flags & MAP_TYPE) != MAP_PRIVATE && is_channel(fd))
		shim_region_add((uintptr_t)p, length);
	else
		shim_region_remove((uintptr_t)p, length);
	return p;
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

/* First forgotten: once it is free, another thread may be given the addresses. */
SHIM_EXPORT int munmap(void *address, size_t length)
{
	if (!((uintptr_t)address % (uintptr_t)sysconf(_SC_PAGESIZE)) && length)
		shim_region_remove((uintptr_t)address, length);
	return real_munmap(address, length);
}

SHIM_EXPORT void *mremap(void *old, size_t old_length, size_t new_length, int flags, ...)
{
	bool channel = shim_in_channel(old);
	void *wanted = NULL, *p;
	va_list args;

	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		va_start(args, flags);
		wanted = va_arg(args, void *);
		va_end(args);
	}
	p = real_mremap(old, old_length, new_length, flags, wanted);
	if (p == MAP_FAILED)
		return p;
	if (old_length && !(flags & MREMAP_DONTUNMAP))
		shim_region_remove((uintptr_t)old, old_length);
	if (channel)
		shim_region_add((uintptr_t)p, new_length);
	else
		shim_region_remove((uintptr_t)p, new_length);
	return p;
}
