/* SPDX-License-Identifier: MIT */
/* Taking part in an object: sivshmem_join() and its like, for the shim too. */
#ifndef SIVSHMEM_LIB_GROUP_H
#define SIVSHMEM_LIB_GROUP_H

#include "session.h"

/* Join the object that was just opened, by what the host answered. */
int sivshmem_group_join(struct sivshmem_session *s, const char *channel,
	const char *object, const struct sivp_result *opened,
	struct sivshmem_group **group);
/*
 * Ask once what is new, and answer it. -ESTALE: this process takes no part any
 * more; leave, and join anew.
 */
int sivshmem_group_refresh(struct sivshmem_group *group);
/* The connection that this process joined by is lost, and the object may still be there. */
bool sivshmem_group_lost(const struct sivshmem_group *group);
/*
 * Open it and join in the place of such a group, which goes if that is done. Some
 * -errno of opening and joining; -ENOENT: that object has lost its name.
 */
int sivshmem_group_rejoin(struct sivshmem_group *group);
/* Of this session and generation, and still valid; NULL: none. */
struct sivshmem_group *sivshmem_group_find(const struct sivshmem_session *s,
	uint64_t generation);
/* The best that is known of a service: NULL, nobody of that name is listed. */
const struct sivshmem_member *sivshmem_group_best(const struct sivshmem_group *group,
	const char *service);
void sivshmem_groups_close(struct sivshmem_session *s);

#endif
