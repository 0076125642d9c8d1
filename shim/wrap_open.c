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

#define SERVE_OPEN(name, parameters, arguments, function, dirfd) \
	SHIM_EXPORT int name parameters \
	{ \
		struct shim_name routed; \
		va_list args; \
		mode_t mode; \
\
		va_start(args, oflag); \
		mode = mode_of(oflag, args); \
		va_end(args); \
		return shim_route_path(function, dirfd, path, &routed) ? \
			object_open(&routed, oflag, mode) : real_##name arguments; \
	}

SERVE_OPEN(open, (const char *path, int oflag, ...), (path, oflag, mode), "open", AT_FDCWD)
SERVE_OPEN(open64, (const char *path, int oflag, ...), (path, oflag, mode), "open", AT_FDCWD)
SERVE_OPEN(openat, (int dirfd, const char *path, int oflag, ...), (dirfd, path, oflag, mode),
	   "openat", dirfd)
SERVE_OPEN(openat64, (int dirfd, const char *path, int oflag, ...), (dirfd, path, oflag, mode),
	   "openat", dirfd)

#define CREAT	(O_WRONLY | O_CREAT | O_TRUNC)
SERVE_PATH(int, creat, (const char *path, mode_t mode), (path, mode),
	   "creat", AT_FDCWD, path, object_open(&routed, CREAT, mode))
SERVE_PATH(int, creat64, (const char *path, mode_t mode), (path, mode),
	   "creat", AT_FDCWD, path, object_open(&routed, CREAT, mode))

/*
 * What _FORTIFY_SOURCE makes of them where no mode is given. The real one aborts
 * if it is missing, for any path.
 */
#define UNLESS_MODE(path)	(TAKES_MODE(oflag) ? NULL : (path))
SERVE_PATH(int, __open_2, (const char *path, int oflag), (path, oflag),
	   "open", AT_FDCWD, UNLESS_MODE(path), object_open(&routed, oflag, 0))
SERVE_PATH(int, __open64_2, (const char *path, int oflag), (path, oflag),
	   "open", AT_FDCWD, UNLESS_MODE(path), object_open(&routed, oflag, 0))
SERVE_PATH(int, __openat_2, (int dirfd, const char *path, int oflag), (dirfd, path, oflag),
	   "openat", dirfd, UNLESS_MODE(path), object_open(&routed, oflag, 0))
SERVE_PATH(int, __openat64_2, (int dirfd, const char *path, int oflag), (dirfd, path, oflag),
	   "openat", dirfd, UNLESS_MODE(path), object_open(&routed, oflag, 0))

SERVE_PATH(FILE *, fopen, (const char *path, const char *mode), (path, mode),
	   "fopen", AT_FDCWD, path, object_fopen(&routed, mode))
SERVE_PATH(FILE *, fopen64, (const char *path, const char *mode), (path, mode),
	   "fopen", AT_FDCWD, path, object_fopen(&routed, mode))
