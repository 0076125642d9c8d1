/* SPDX-License-Identifier: MIT */
#include "secret.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>
#include <sodium.h>

static size_t whole_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

void *secret_pages(size_t size)
{
	size_t length = whole_pages(size);
	void *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (madvise(p, length, MADV_WIPEONFORK)) {
		munmap(p, length);
		errno = ENOSYS;
		return NULL;
	}
	madvise(p, length, MADV_DONTDUMP);
	mlock(p, length);
	return p;
}

void secret_pages_free(void *secret, size_t size)
{
	if (!secret)
		return;
	sodium_memzero(secret, size);
	munmap(secret, whole_pages(size));
}
