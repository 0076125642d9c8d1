/* SPDX-License-Identifier: MIT */
/* Names: sem_open(3), sem_close(3) and sem_unlink(3). */
#include <fcntl.h>
#include <stdarg.h>

#include "real.h"
#include "semaphore.h"

SHIM_EXPORT sem_t *sem_open(const char *given, int oflag, ...)
{
	struct shim_name name;
	unsigned int value = 0;
	mode_t mode = 0;
	va_list args;

	va_start(args, oflag);
	if (oflag & O_CREAT) {
		mode = va_arg(args, mode_t);
		value = va_arg(args, unsigned int);
	}
	va_end(args);
	if (!shim_route("sem_open", given, SHIM_SEMAPHORE, &name))
		return real_sem_open(given, oflag, mode, value);
	return semaphore_open(&name, oflag, mode, value);
}

SHIM_EXPORT int sem_close(sem_t *sem)
{
	return semaphore_close(sem) ? 0 : real_sem_close(sem);
}

SHIM_EXPORT int sem_unlink(const char *given)
{
	struct shim_name name;

	if (!shim_route("sem_unlink", given, SHIM_SEMAPHORE, &name))
		return real_sem_unlink(given);
	return shim_unlink(&name);
}
