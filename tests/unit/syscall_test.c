/* SPDX-License-Identifier: MIT */
/* syscall(2): which futexes are the shim's, and which the kernel's. */
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../shim/region.h"
#include "real.h"
#include "test.h"

#define NR_WAITV	449
#define NR_WAKE		454
#define NR_WAIT		455
#define NR_REQUEUE	456
#define SHARED		FUTEX_32

REAL_SLOT(mmap);
REAL_SLOT(syscall);

static uint32_t *channel, *other;	/* zeros */

static int errno_of(long rc)
{
	return rc == -1 ? errno : rc ? -1 : 0;
}

/* Nobody waits for them, and none is 1, so that the kernel says so at once. */
static int wait_for(uint32_t *word)
{
	return errno_of(syscall(NR_WAIT, word, 1ul, 0xfffffffful, SHARED, NULL, 0));
}

static int wake(uint32_t *word)
{
	return errno_of(syscall(NR_WAKE, word, 0xfffffffful, 1, SHARED));
}

static int wait_for_any(uint32_t *one, uint32_t *two)
{
	struct futex_waitv words[] = {
		{ .val = 1, .uaddr = (uintptr_t)one, .flags = SHARED },
		{ .val = 1, .uaddr = (uintptr_t)two, .flags = SHARED },
	};

	return errno_of(syscall(NR_WAITV, words, 2, 0, NULL, 0));
}

static int requeue(uint32_t *from, uint32_t *to)
{
	struct futex_waitv words[] = {
		{ .val = 1, .uaddr = (uintptr_t)from, .flags = SHARED },
		{ .val = 1, .uaddr = (uintptr_t)to, .flags = SHARED },
	};

	return errno_of(syscall(NR_REQUEUE, words, 0, 1, 1));
}

static int old_wake(uint32_t *word)
{
	return errno_of(syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0));
}

/* what this kernel says without a channel */
static int said_waitv, said_wait, said_wake, said_requeue;

static void without_a_channel(void)
{
	said_wait = wait_for(channel);
	said_wake = wake(channel);
	said_waitv = wait_for_any(other, channel);
	said_requeue = requeue(other, channel);
	CHECK(said_wait == EAGAIN || said_wait == ENOSYS);
	CHECK(said_wake == 0 || said_wake == ENOSYS);
	CHECK(said_waitv == EAGAIN || said_waitv == ENOSYS);
	CHECK(said_requeue == EAGAIN || said_requeue == ENOSYS);
}

static void the_newer_calls_are_refused_in_a_channel(void)
{
	CHECK(shim_region_add((uintptr_t)channel, 4096));
	CHECK(wait_for(channel) == ENOSYS && wake(channel + 1023) == ENOSYS);
	CHECK(wait_for_any(channel, other) == ENOSYS);
	CHECK(wait_for_any(other, channel) == ENOSYS);
	CHECK(requeue(channel, other) == ENOSYS && requeue(other, channel) == ENOSYS);
}

static void other_memory_is_the_kernels(void)
{
	CHECK(wait_for(other) == said_wait && wake(other) == said_wake);
	CHECK(wait_for_any(other, other + 1) == said_waitv);
	CHECK(requeue(other, other + 1) == said_requeue);
	CHECK(old_wake(other) == 0);
	/* no words to look at */
	CHECK(errno_of(syscall(NR_WAITV, NULL, 1, 0, NULL, 0)) != 0);
	CHECK(errno_of(syscall(NR_WAITV, (void *)8, FUTEX_WAITV_MAX + 1, 0, NULL, 0)) != 0);
	CHECK(syscall(SYS_getpid) == getpid());
}

int main(void)
{
	channel = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (channel == MAP_FAILED)
		return 1;
	other = channel + 1024;
	RUN(without_a_channel);
	RUN(the_newer_calls_are_refused_in_a_channel);
	RUN(other_memory_is_the_kernels);
	return test_failures != 0;
}
