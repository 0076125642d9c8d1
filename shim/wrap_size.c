/* SPDX-License-Identifier: MIT */
/*
 * Sizes. In a VM the kernel asks the host; in local mode the object is the
 * daemon's memfd, whose size is the daemon's to set, by quota and rights.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "real.h"
#include "shim.h"

static inline bool none_local(void)
{
	return !atomic_load_explicit(&shim_locals, memory_order_relaxed);
}

static int result(int error)
{
	if (!error)
		return 0;
	errno = error;
	return -1;
}

/* Room for [offset, offset + length) of a local object; *error as above. */
static bool grow(int fd, off64_t offset, off64_t length, int *error)
{
	off64_t end;

	if (offset < 0 || length <= 0 || __builtin_add_overflow(offset, length, &end))
		return false;
	return shim_resize(fd, (uint64_t)end, true, error);
}

SHIM_EXPORT int ftruncate(int fd, off_t length)
{
	int error;

	if (none_local() || length < 0 || !shim_resize(fd, (uint64_t)length, false, &error))
		return real_ftruncate(fd, length);
	return result(error);
}

SHIM_EXPORT int ftruncate64(int fd, off64_t length)
{
	int error;

	if (none_local() || length < 0 || !shim_resize(fd, (uint64_t)length, false, &error))
		return real_ftruncate64(fd, length);
	return result(error);
}

/* Other modes than 0 do not change the size. */
SHIM_EXPORT int fallocate(int fd, int mode, off_t offset, off_t length)
{
	int error;

	if (none_local() || mode || !grow(fd, offset, length, &error) || !error)
		return real_fallocate(fd, mode, offset, length);
	return result(error);
}

SHIM_EXPORT int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
	int error;

	if (none_local() || mode || !grow(fd, offset, length, &error) || !error)
		return real_fallocate64(fd, mode, offset, length);
	return result(error);
}

SHIM_EXPORT int posix_fallocate(int fd, off_t offset, off_t length)
{
	int error;

	if (none_local() || !grow(fd, offset, length, &error) || !error)
		return real_posix_fallocate(fd, offset, length);
	return error;
}

SHIM_EXPORT int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
	int error;

	if (none_local() || !grow(fd, offset, length, &error) || !error)
		return real_posix_fallocate64(fd, offset, length);
	return error;
}
