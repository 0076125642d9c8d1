/* SPDX-License-Identifier: MIT */
/* What the wrappers decide by, and what they delegate to. */
#ifndef SIVSHMEM_SHIM_H
#define SIVSHMEM_SHIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <sivshmem/proto.h>

#include "lib/mapfile.h"

#define SHIM_EXPORT	__attribute__((visibility("default")))

/* Chosen by SIVSHMEM_DEBUG=map,open,unlink,size or all. */
enum shim_debug {
	SHIM_DEBUG_MAP = 1, SHIM_DEBUG_OPEN = 2, SHIM_DEBUG_UNLINK = 4,
	SHIM_DEBUG_SIZE = 8,
};

/* A name that the map file has a word on. */
struct shim_name {
	const char *function;		/* which the program called */
	const char *given;		/* as the program said it */
	const struct sivshmem_map_rule *rule;
	int denied;			/* not 0: an errno, and nothing else is set */
	char object[SIVP_NAME_LEN];	/* in the channel */
};

/* One line to stderr by write(2), "sivshmem: ..." */
void shim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum shim_kind { SHIM_MEMORY, SHIM_SEMAPHORE };

/*
 * false: not ours, call the real function. A path counts if it is
 * /dev/shm/NAME; it may be NULL, which the real function knows.
 */
bool shim_route(const char *function, const char *given, enum shim_kind kind,
		struct shim_name *name);
bool shim_route_path(const char *function, int dirfd, const char *path,
		     struct shim_name *name);

/*
 * As shm_open and shm_unlink, for a name that is routed: -1 with errno, and a
 * line where it helps. *created, if not NULL: no one else has seen it yet.
 */
int shim_open(const struct shim_name *name, int oflag, mode_t mode, bool *created);
int shim_unlink(const struct shim_name *name);

/* Non-zero once this process has opened an object in local mode. */
extern atomic_uint shim_locals;

/*
 * fd is a local object: resize it, put 0 or an errno into *error and return
 * true. false: not ours.
 */
bool shim_resize(int fd, uint64_t size, bool grow_only, int *error);

#endif
