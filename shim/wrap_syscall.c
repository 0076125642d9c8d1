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

/* The relative one of FUTEX_WAIT, as a time of CLOCK_MONOTONIC. */
static int from_now(const struct timespec *for_, struct timespec *at)
{
	if (for_->tv_sec < 0 || for_->tv_nsec < 0 || for_->tv_nsec >= 1000000000)
		return -EINVAL;
	clock_gettime(CLOCK_MONOTONIC, at);
	at->tv_nsec += for_->tv_nsec;
	if (__builtin_add_overflow(at->tv_sec, for_->tv_sec + at->tv_nsec / 1000000000,
				   &at->tv_sec))
		at->tv_sec = LONG_MAX;
	at->tv_nsec %= 1000000000;
	return 0;
}

static int wait_for(const struct call *c)
{
	struct timespec at;
	int r;

	if (!c->timeout)
		return sivshmem_word_wait(c->word, c->value, 0, ~0u, CLOCK_MONOTONIC, NULL);
	r = from_now(c->timeout, &at);
	if (r)
		return r;
	return sivshmem_word_wait(c->word, c->value, 0, ~0u, CLOCK_MONOTONIC, &at);
}

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
		return wait_for(c);
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
