/* SPDX-License-Identifier: MIT */
/* Names: shm_open(3) and shm_unlink(3). */
#include <fcntl.h>
#include <sys/mman.h>

#include "real.h"
#include "shim.h"

SHIM_EXPORT int shm_open(const char *given, int oflag, mode_t mode)
{
	struct shim_name name;

	if (!shim_route("shm_open", given, SHIM_MEMORY, &name))
		return real_shm_open(given, oflag, mode);
	return shim_open(&name, oflag, mode, NULL);
}

SHIM_EXPORT int shm_unlink(const char *given)
{
	struct shim_name name;

	if (!shim_route("shm_unlink", given, SHIM_MEMORY, &name))
		return real_shm_unlink(given);
	return shim_unlink(&name);
}
