/* SPDX-License-Identifier: MIT */
/*
 * Objects that this process created, or one that it was forked from: for map
 * lines with unlink=creator. Called by the thread that is inside.
 */
#ifndef SIVSHMEM_SHIM_CREATED_H
#define SIVSHMEM_SHIM_CREATED_H

#include <stdbool.h>

#include <sivshmem/proto.h>

/* The host opened `object`, and said so. */
void created_note(const char *channel, const char *object,
		  const struct sivp_result *result);
bool created_here(const char *channel, const char *object);
void created_forget(const char *channel, const char *object);

#endif
