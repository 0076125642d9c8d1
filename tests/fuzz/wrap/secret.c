/* SPDX-License-Identifier: MIT */
/*
 * Memory for secrets, of malloc(3): a guarded allocation is six system calls, and
 * what they guard AddressSanitizer does as well; linked in by --wrap.
 */
#include <stdlib.h>

#include "../../../shim/lib/secret.h"

void *__wrap_sodium_malloc(size_t size);
void __wrap_sodium_free(void *secret);
void *__wrap_secret_pages(size_t size);
void __wrap_secret_pages_free(void *secret, size_t size);

void *__wrap_sodium_malloc(size_t size)
{
	return malloc(size);
}

void __wrap_sodium_free(void *secret)
{
	free(secret);
}

void *__wrap_secret_pages(size_t size)
{
	return calloc(1, size);
}

void __wrap_secret_pages_free(void *secret, size_t size)
{
	(void)size;
	free(secret);
}
