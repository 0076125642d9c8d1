/* SPDX-License-Identifier: MIT */
/* What the wrappers decide by, and what they delegate to. */
#ifndef SIVSHMEM_SHIM_H
#define SIVSHMEM_SHIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SHIM_EXPORT	__attribute__((visibility("default")))

/* Chosen by SIVSHMEM_DEBUG=map,open,unlink,size or all. */
enum shim_debug {
	SHIM_DEBUG_MAP = 1, SHIM_DEBUG_OPEN = 2, SHIM_DEBUG_UNLINK = 4,
	SHIM_DEBUG_SIZE = 8,
};

enum shim_route {
	SHIM_PASS,			/* not ours: the real function */
	SHIM_DENY,			/* errno is set */
	SHIM_CHANNEL,
};

struct shim_name {
	const char *given;		/* as the program said it */
	const char *object;		/* without leading slashes */
	const char *channel;
};

/* One line to stderr by write(2), "sivshmem: ..." */
void shim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum shim_route shim_route(const char *given, struct shim_name *name);

/* As shm_open and shm_unlink: -1 with errno, and a line where it helps. */
int shim_open(const struct shim_name *name, int oflag, mode_t mode);
int shim_unlink(const struct shim_name *name);

/* Non-zero once this process has opened an object in local mode. */
extern atomic_uint shim_locals;

/*
 * fd is a local object: resize it, put 0 or an errno into *error and return
 * true. false: not ours.
 */
bool shim_resize(int fd, uint64_t size, bool grow_only, int *error);

#endif
