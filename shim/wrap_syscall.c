/* SPDX-License-Identifier: MIT */
/*
 * syscall(SYS_futex): what libraries of other languages and C++20's
 * std::atomic<>::wait() sleep with. FUTEX_PRIVATE_FLAG, which they set for
 * objects that may be shared after all, makes no difference in a channel.
 *
 * The newer calls are refused there, as a kernel without them does: all who use
 * them have to fall back to SYS_futex. In the kernel none would hear another VM.
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

/* Headers of before Linux 6.7 have but the first. */
#define NR_FUTEX_WAITV		449
#define NR_FUTEX_WAKE		454
#define NR_FUTEX_WAIT		455
#define NR_FUTEX_REQUEUE	456

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

static bool any_in_channel(const struct futex_waitv *words, unsigned int count)
{
	unsigned int i;

	/* the kernel says what is wrong with those */
	if (!words || count > FUTEX_WAITV_MAX)
		return false;
	for (i = 0; i < count; i++)
		if (shim_in_channel((const void *)(uintptr_t)words[i].uaddr))
			return true;
	return false;
}

static bool is_newer(long number, const long a[6])
{
	if (!shim_region_span)
		return false;
	switch (number) {
	case NR_FUTEX_WAITV:
		return any_in_channel((const struct futex_waitv *)a[0], (unsigned int)a[1]);
	case NR_FUTEX_WAKE:
	case NR_FUTEX_WAIT:
		return shim_in_channel((const void *)a[0]);
	case NR_FUTEX_REQUEUE:
		return any_in_channel((const struct futex_waitv *)a[0], 2);
	}
	return false;
}

/* It takes six whatever was given, as the C library's does: the last lies on the caller's stack. */
__attribute__((no_sanitize("address"))) SHIM_EXPORT long syscall(long number, ...)
{
	long a[6];
	va_list args;
	int i, r;

	va_start(args, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (is_newer(number, a)) {
		errno = ENOSYS;
		return -1;
	}
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
