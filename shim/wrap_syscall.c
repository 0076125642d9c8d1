/* SPDX-License-Identifier: MIT */
/*
 * syscall(SYS_futex): what libraries of other languages and C++20's
 * std::atomic<>::wait() sleep with. FUTEX_PRIVATE_FLAG, which they set for
 * objects that may be shared after all, makes no difference in a channel.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <sivshmem/sivshmem.h>

#include "lib/word.h"
#include "real.h"
#include "region.h"
#include "shim.h"

struct call {
	const _Atomic uint32_t *word;
	int operation;
	uint32_t value;
	const struct timespec *timeout;
	uint32_t value3;
};

static int wait_bitset(const struct call *c)
{
	return sivshmem_word_wait(c->word, c->value, 0, c->value3,
				  c->operation & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME :
									CLOCK_MONOTONIC,
				  c->timeout);
}

/* All wake and look again: sleepers cannot be moved to a word of another VM's. */
static int requeue(const struct call *c, bool compare)
{
	if (compare && *c->word != c->value3)
		return -EAGAIN;
	return sivshmem_word_wake(c->word, INT_MAX, 0, ~0u);
}

static int futex(const struct call *c)
{
	switch (c->operation & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
		return sivshmem_wait((const uint32_t *)(uintptr_t)c->word, c->value,
				     SIVSHMEM_FOR, c->timeout);
	case FUTEX_WAKE:
		return sivshmem_word_wake(c->word, c->value, 0, ~0u);
	case FUTEX_WAIT_BITSET:
		return wait_bitset(c);
	case FUTEX_WAKE_BITSET:
		return sivshmem_word_wake(c->word, c->value, 0, c->value3);
	case FUTEX_REQUEUE:
		return requeue(c, false);
	case FUTEX_CMP_REQUEUE:
		return requeue(c, true);
	}
	return -ENOSYS;
}

SHIM_EXPORT long syscall(long number, ...)
{
	long a[6];
	va_list args;
	int i, r;

	va_start(args, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number != SYS_futex || !shim_in_channel((const void *)a[0]))
		return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	r = futex(&(const struct call){
		.word = (const _Atomic uint32_t *)a[0], .operation = (int)a[1],
		.value = (uint32_t)a[2], .timeout = (const struct timespec *)a[3],
		.value3 = (uint32_t)a[5],
	});
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}
