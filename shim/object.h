/* SPDX-License-Identifier: MIT */
/*
 * What programs do with an object by its path: each as the function of that
 * name, -1 with errno.
 */
#ifndef SIVSHMEM_SHIM_OBJECT_H
#define SIVSHMEM_SHIM_OBJECT_H

#include <stdio.h>
#include <sys/stat.h>

#include "shim.h"

/*
 * A function of the C library that takes a path, relative to dirfd: what `own`
 * says for an object, called `routed` there; the real one for all else. It is
 * `function` to the user.
 */
#define SERVE_PATH(type, name, parameters, arguments, function, dirfd, path, own) \
	SHIM_EXPORT type name parameters \
	{ \
		struct shim_name routed; \
\
		return shim_route_path(function, dirfd, path, &routed) ? \
			(own) : real_##name arguments; \
	}

int object_open(const struct shim_name *name, int oflag, mode_t mode);
FILE *object_fopen(const struct shim_name *name, const char *mode);
int object_stat(const struct shim_name *name, struct stat *st);
int object_statx(const struct shim_name *name, int flags, unsigned int mask,
		 struct statx *stx);
int object_access(const struct shim_name *name, int mode);
int object_truncate(const struct shim_name *name, off64_t length);
int object_chmod(const struct shim_name *name, mode_t mode);
/* NULL: that side is no object. exclusive: not over another one. */
int object_rename(const struct shim_name *from, const struct shim_name *to, bool exclusive);

#endif
