/* SPDX-License-Identifier: MIT */
/* The peer= of a map line: who else must prove to have the object. */
#ifndef SIVSHMEM_SHIM_PEER_H
#define SIVSHMEM_SHIM_PEER_H

#include "inside.h"

/*
 * Inside, after an open: join the object, so that peers can verify this
 * process, and answer them from now on by a thread. 0 or -errno.
 */
int peer_join(const struct shim_name *name, const struct shim_section *s,
	const struct sivp_result *opened);
/*
 * Outside, thereafter: wait for the expected one. 0, or an errno, and fd was given
 * back and the user told.
 */
int peer_await(const struct shim_name *name, const struct sivp_result *opened, int fd);
/* In a forked child, which is no member of anything yet. */
void peer_after_fork(void);

#endif
