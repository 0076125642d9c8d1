/* SPDX-License-Identifier: MIT */
/* Paths: open(2), fopen(3) and what else gives a descriptor. */
#undef _FORTIFY_SOURCE			/* it defines some of these itself */
#include <fcntl.h>
#include <stdarg.h>

#include "object.h"
#include "real.h"

/* mode is there only if a flag says so, and then means something */
#define TAKES_MODE(oflag)	((oflag) & O_CREAT || ((oflag) & O_TMPFILE) == O_TMPFILE)

int __open_2(const char *path, int oflag);
int __open64_2(const char *path, int oflag);
int __openat_2(int dirfd, const char *path, int oflag);
int __openat64_2(int dirfd, const char *path, int oflag);

static mode_t mode_of(int oflag, va_list args)
{
	return TAKES_MODE(oflag) ? va_arg(args, mode_t) : 0;
}

SHIM_EXPORT int open(const char *path, int oflag, ...)
{
	struct shim_name name;
	va_list args;
	mode_t mode;

	va_start(args, oflag);
	mode = mode_of(oflag, args);
	va_end(args);
	if (!shim_route_path("open", AT_FDCWD, path, &name))
		return real_open(path, oflag, mode);
	return object_open(&name, oflag, mode);
}

SHIM_EXPORT int open64(const char *path, int oflag, ...)
{
	struct shim_name name;
	va_list args;
	mode_t mode;

	va_start(args, oflag);
	mode = mode_of(oflag, args);
	va_end(args);
	if (!shim_route_path("open", AT_FDCWD, path, &name))
		return real_open64(path, oflag, mode);
	return object_open(&name, oflag, mode);
}

SHIM_EXPORT int openat(int dirfd, const char *path, int oflag, ...)
{
	struct shim_name name;
	va_list args;
	mode_t mode;

	va_start(args, oflag);
	mode = mode_of(oflag, args);
	va_end(args);
	if (!shim_route_path("openat", dirfd, path, &name))
		return real_openat(dirfd, path, oflag, mode);
	return object_open(&name, oflag, mode);
}

SHIM_EXPORT int openat64(int dirfd, const char *path, int oflag, ...)
{
	struct shim_name name;
	va_list args;
	mode_t mode;

	va_start(args, oflag);
	mode = mode_of(oflag, args);
	va_end(args);
	if (!shim_route_path("openat", dirfd, path, &name))
		return real_openat64(dirfd, path, oflag, mode);
	return object_open(&name, oflag, mode);
}

SHIM_EXPORT int creat(const char *path, mode_t mode)
{
	struct shim_name name;

	if (!shim_route_path("creat", AT_FDCWD, path, &name))
		return real_creat(path, mode);
	return object_open(&name, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

SHIM_EXPORT int creat64(const char *path, mode_t mode)
{
	struct shim_name name;

	if (!shim_route_path("creat", AT_FDCWD, path, &name))
		return real_creat64(path, mode);
	return object_open(&name, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

/* --- what _FORTIFY_SOURCE makes of them where no mode is given --- */

SHIM_EXPORT int __open_2(const char *path, int oflag)
{
	struct shim_name name;

	/* which aborts if the mode is missing */
	if (TAKES_MODE(oflag) || !shim_route_path("open", AT_FDCWD, path, &name))
		return real___open_2(path, oflag);
	return object_open(&name, oflag, 0);
}

SHIM_EXPORT int __open64_2(const char *path, int oflag)
{
	struct shim_name name;

	if (TAKES_MODE(oflag) || !shim_route_path("open", AT_FDCWD, path, &name))
		return real___open64_2(path, oflag);
	return object_open(&name, oflag, 0);
}

SHIM_EXPORT int __openat_2(int dirfd, const char *path, int oflag)
{
	struct shim_name name;

	if (TAKES_MODE(oflag) || !shim_route_path("openat", dirfd, path, &name))
		return real___openat_2(dirfd, path, oflag);
	return object_open(&name, oflag, 0);
}

SHIM_EXPORT int __openat64_2(int dirfd, const char *path, int oflag)
{
	struct shim_name name;

	if (TAKES_MODE(oflag) || !shim_route_path("openat", dirfd, path, &name))
		return real___openat64_2(dirfd, path, oflag);
	return object_open(&name, oflag, 0);
}

/* --- streams --- */

SHIM_EXPORT FILE *fopen(const char *path, const char *mode)
{
	struct shim_name name;

	if (!shim_route_path("fopen", AT_FDCWD, path, &name))
		return real_fopen(path, mode);
	return object_fopen(&name, mode);
}

SHIM_EXPORT FILE *fopen64(const char *path, const char *mode)
{
	struct shim_name name;

	if (!shim_route_path("fopen", AT_FDCWD, path, &name))
		return real_fopen64(path, mode);
	return object_fopen(&name, mode);
}
