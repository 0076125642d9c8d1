/* SPDX-License-Identifier: MIT */
/* What a monitor reads back may have been written by anybody: is it such a record, such a file? */
#ifndef SIVSHMEM_CA_KEEP_CHECK_H
#define SIVSHMEM_CA_KEEP_CHECK_H

#include "keep_records.h"

/* `fixed` has the full length of its kind, the tail `count` of what it has. NULL: it is well formed. */
const char *keep_check(uint32_t kind, uint64_t key, const void *fixed, const void *tail,
	uint32_t count);
bool keep_is_memory(int fd, uint64_t bytes);
bool keep_is_bell(int fd);
bool keep_is_socket(int fd, bool listens);

#endif
