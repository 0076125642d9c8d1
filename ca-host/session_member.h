/* SPDX-License-Identifier: MIT */
/* Requests of the members of an object, whose proofs follow the request. */
#ifndef SIVSHMEM_CA_SESSION_MEMBER_H
#define SIVSHMEM_CA_SESSION_MEMBER_H

#include "worker_priv.h"

/* Bytes that follow a request of this op, and the most that any has. */
size_t wmember_tail(uint32_t op);
#define WMEMBER_TAIL_MAX	sizeof(struct sivp_join)

bool wmember_is(uint32_t op);
/* Well-formed but for its tail. Fills result; *length: its bytes in all. */
void wmember_run(uint64_t session, const struct sivp_long_request *request,
	struct sivp_long_result *result, size_t *length);

#endif
