/* SPDX-License-Identifier: MIT */
/* Names: shm_open(3) and shm_unlink(3). */
#include <fcntl.h>
#include <sys/mman.h>

#include "real.h"
#include "shim.h"

SHIM_EXPORT int shm_open(const char *given, int oflag, mode_t mode)
{
	struct shim_name name;

	switch (shim_route(given, &name)) {
	case SHIM_PASS:
		return real_shm_open(given, oflag, mode);
	case SHIM_CHANNEL:
		return shim_open(&name, oflag, mode);
	default:
		return -1;
	}
}

SHIM_EXPORT int shm_unlink(const char *given)
{
	struct shim_name name;

	switch (shim_route(given, &name)) {
	case SHIM_PASS:
		return real_shm_unlink(given);
	case SHIM_CHANNEL:
		return shim_unlink(&name);
	default:
		return -1;
	}
}
