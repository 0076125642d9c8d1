/* SPDX-License-Identifier: MIT */
/* What a process of the daemon that needs little gives up, for good. */
#ifndef SIVSHMEM_CA_SANDBOX_H
#define SIVSHMEM_CA_SANDBOX_H

#include <stddef.h>
#include <stdint.h>

/* ids and directory as in worker.h */
struct sandbox {
	const char *uid, *gid, *dir;
	unsigned int fds;		/* open at once, with those that are */
	size_t memory;			/* bytes of data */
	/* Add the rules of what is allowed to a libseccomp filter; 0 or -errno. */
	int (*allow)(void *filter);
};

/* 0, or -errno with *what naming the step. */
int sandbox_enter(const struct sandbox *sandbox, const char **what);

#endif
