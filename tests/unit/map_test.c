/* SPDX-License-Identifier: MIT */
/*
 * munmap(2) and mremap(2) of a channel, and above all those that fail: what is
 * mapped still is a channel's still. Any memory is one here.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../shim/region.h"
#include "../../shim/shim.h"
#include "real.h"
#include "test.h"

#define PAGE	4096ul

REAL_SLOT(mmap);
REAL_SLOT(mmap64);
REAL_SLOT(munmap);
REAL_SLOT(mremap);

/* of shim.c */
atomic_uint shim_locals;

void shim_say(const char *format, ...)
{
	(void)format;
}

static char *memory(size_t pages, int protection)
{
	return mmap(NULL, pages * PAGE, protection,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* pages of memory, the given ones of them a channel's */
static char *channel(size_t pages, size_t first, size_t count)
{
	char *p = memory(pages, PROT_READ | PROT_WRITE);

	if (p == MAP_FAILED || !shim_region_add((uintptr_t)p + first * PAGE, count * PAGE))
		return NULL;
	return p;
}

static bool is(const char *p, size_t page)
{
	return shim_in_channel(p + page * PAGE);
}

static void forgotten_with_the_mapping(void)
{
	char *p = channel(4, 0, 4);

	CHECK(p && !munmap(p + PAGE, PAGE));
	CHECK(is(p, 0) && !is(p, 1) && is(p, 2) && is(p, 3));
	CHECK(!munmap(p, 4 * PAGE) && !shim_region_span);
}

static bool signals_are_open(void)
{
	sigset_t now;

	return !sigprocmask(SIG_SETMASK, NULL, &now) && !sigismember(&now, SIGUSR1);
}

static void kept_when_munmap_fails(void)
{
	char *p = channel(8, 0, 2);

	CHECK(p && shim_region_add((uintptr_t)p + 4 * PAGE, PAGE));
	CHECK(munmap(p, SIZE_MAX / 4) && errno == EINVAL);
	CHECK(is(p, 0) && is(p, 1) && !is(p, 2) && is(p, 4) && !is(p, 5));
	CHECK(munmap(p + 1, PAGE) && errno == EINVAL && is(p, 0) && is(p, 1));
	CHECK(munmap(p, 0) && errno == EINVAL && is(p, 0));
	CHECK(signals_are_open());
	CHECK(!munmap(p, 8 * PAGE) && !shim_region_span);
}

/* Cut into as many mappings as the kernel lets a process have; false: it lets it have more. */
static bool cut_up(char *p, size_t pages)
{
	size_t i;

	for (i = 1; i < pages; i += 2)
		if (mprotect(p + i * PAGE, PAGE, PROT_READ))
			return errno == ENOMEM;
	return false;
}

static void kept_when_there_are_too_many_mappings(void)
{
	static const size_t many = 1 << 21;
	char *p = channel(3, 0, 3), *filler;
	int rc, e;

	CHECK(p);
	filler = memory(many, PROT_NONE);
	CHECK(filler != MAP_FAILED && cut_up(filler, many));
	rc = munmap(p + PAGE, PAGE);
	e = errno;
	munmap(filler, many * PAGE);
	CHECK(rc && e == ENOMEM && is(p, 0) && is(p, 1) && is(p, 2));
	CHECK(!munmap(p, 3 * PAGE) && !shim_region_span);
}

static void mremap_moves_it(void)
{
	char *p = channel(4, 0, 4), *to = memory(4, PROT_NONE);

	CHECK(p && to != MAP_FAILED);
	CHECK(mremap(p, 4 * PAGE, 3 * PAGE, 0) == p && is(p, 2) && !is(p, 3));
	CHECK(mremap(p, 3 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	CHECK(!is(p, 0) && !is(p, 2) && is(to, 0) && is(to, 1) && !is(to, 2));
	/* not page aligned, and over itself */
	CHECK(mremap(to, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 1) == MAP_FAILED);
	CHECK(mremap(to, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE) == MAP_FAILED);
	CHECK(is(to, 0) && is(to, 1) && !is(to, 2) && !is(p, 0) && signals_are_open());
	CHECK(!munmap(to, 4 * PAGE) && !shim_region_span);
}

static void *no_memory(void *address, size_t length, int protection, int flags, int fd, off_t at)
{
	(void)address, (void)length, (void)protection, (void)flags, (void)fd, (void)at;
	errno = ENOMEM;
	return MAP_FAILED;
}

/* A channel whose place could not be noted would have locks of this VM alone. */
static void moves_only_what_can_be_noted(void)
{
	const size_t pages = 4096;
	char *p = channel(pages, 0, 1), *to = memory(1, PROT_NONE);
	void *real = real_slot_mmap;
	size_t i = 0;

	CHECK(p && to != MAP_FAILED);
	p[0] = 'c';
	real_slot_mmap = (void *)(size_t)no_memory;
	while (i + 2 < pages && shim_region_add((uintptr_t)p + (i + 2) * PAGE, PAGE))
		i += 2;
	errno = 0;
	CHECK(i && i + 2 < pages);
	CHECK(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED);
	CHECK(errno == ENOMEM && p[0] == 'c' && is(p, 0) && !is(to, 0));
	CHECK(munmap(p, PAGE) && errno == ENOMEM && p[0] == 'c' && is(p, 0));
	real_slot_mmap = real;
	CHECK(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	CHECK(to[0] == 'c' && is(to, 0) && !is(p, 0) && is(p, i) && !munmap(to, PAGE));
	CHECK(!munmap(p, pages * PAGE) && !shim_region_span);
}

int main(void)
{
	RUN(forgotten_with_the_mapping);
	RUN(kept_when_munmap_fails);
	RUN(kept_when_there_are_too_many_mappings);
	RUN(mremap_moves_it);
	RUN(moves_only_what_can_be_noted);
	return test_failures != 0;
}
