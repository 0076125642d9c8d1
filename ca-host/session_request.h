/* SPDX-License-Identifier: MIT */
/* An opened request, validated and put to the monitor. */
#ifndef SIVSHMEM_CA_SESSION_REQUEST_H
#define SIVSHMEM_CA_SESSION_REQUEST_H

#include "worker_priv.h"

/*
 * Fills result, errors included, and *length of it, which has a tail for some
 * ops. -EPROTO: bytes that no version 1 request has.
 */
int wrequest_run(struct worker *worker, struct wsession *session,
	const struct sivp_long_request *request, struct sivp_long_result *result,
	size_t *length);

/* NUL-terminated and zero from there on */
bool wrequest_padded(const char *name, size_t size);
/* Not empty, no '/', no control character, neither "." nor "..". */
bool wrequest_object_valid(const char *name);

#endif
