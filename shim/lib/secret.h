/* SPDX-License-Identifier: MIT */
/* Memory for keys: pages of their own, locked, in no core dump and in no child. */
#ifndef SIVSHMEM_SECRET_H
#define SIVSHMEM_SECRET_H

#include <stddef.h>

/*
 * size bytes of zeros, for secret_pages_free(). NULL, with errno: ENOMEM, or ENOSYS
 * where the kernel would give them to a forked child. mmap'ed, since a child that
 * went on with its parent's keys would use a nonce twice or speak in its name.
 */
void *secret_pages(size_t size);
/* Wipes them; NULL is fine. */
void secret_pages_free(void *secret, size_t size);

#endif
