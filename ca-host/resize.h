/* SPDX-License-Identifier: MIT */
/* An object's memory: taken, given back, and zero whenever it changes hands. */
#ifndef SIVSHMEM_CA_RESIZE_H
#define SIVSHMEM_CA_RESIZE_H

#include "alloc.h"
#include "monitor.h"

static inline uint64_t resize_pages(uint64_t size)
{
	return size / ALLOC_PAGE + (size % ALLOC_PAGE != 0);
}

/* 0, STORE_LATER or a positive errno, with *reason for the audit log or NULL. */
int resize_object(struct object *object, uint64_t size, struct domain *by, const char **reason);
/* A write past the end of a local object makes it longer, and nobody is asked. */
void resize_look(struct object *object);
void resize_free(struct object *object);

#endif
