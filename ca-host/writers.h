/* SPDX-License-Identifier: MIT */
#ifndef SIVSHMEM_CA_WRITERS_H
#define SIVSHMEM_CA_WRITERS_H

#include "monitor.h"

/* The serials of the chain, its intermediate's too. ENOMEM. */
int writers_add(struct object *object, const struct sivp_chain *chain);
/* As another monitor has noted them. */
int writers_adopt(struct object *object, const uint64_t *serials, uint32_t count);
/* The first serial that is; 0: none. */
uint64_t writers_find(const struct object *object, bool (*is_bad)(uint64_t serial));

#endif
