/* SPDX-License-Identifier: MIT */
#include "word.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sivshmem/sivshmem.h>
#include <sivshmem/uapi.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not syscall(3), which the shim takes over, and serves with what is in this file. */
static long system_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long r;

	__asm__ volatile("syscall" : "=a"(r)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}

/* --- the module --- */

/* High, so that the program finds the numbers that it expects. */
#define FD_MIN	512
#define LOOK_MS	5

static atomic_int device = -1;
static _Atomic(dev_t) device_number;

static int call(long number, long a, long b, long c, long d)
{
	return (int)system_call(number, a, b, c, d, 0, 0);
}

/* An fd of the device, kept for all of the process's life; or -errno. */
static int open_device(void)
{
	int none = -1, high, fd = call(SYS_openat, AT_FDCWD, (long)SIVSHMEM_WAIT_DEVICE,
				       O_RDWR | O_CLOEXEC, 0);
	struct stat st;

	if (fd < 0)
		return fd;
	high = call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, FD_MIN, 0);
	if (high >= 0) {
		call(SYS_close, fd, 0, 0, 0);
		fd = high;
	}
	if (!call(SYS_fstat, fd, (long)&st, 0, 0))
		atomic_store(&device_number, st.st_rdev);
	if (atomic_compare_exchange_strong(&device, &none, fd))
		return fd;
	call(SYS_close, fd, 0, 0, 0);
	return none;
}

/* A program that closed all fds may use the number for another file. */
static int get_device(void)
{
	int fd = atomic_load(&device);
	struct stat st = { 0 };

	if (fd >= 0 && !call(SYS_fstat, fd, (long)&st, 0, 0) && S_ISCHR(st.st_mode) &&
	    st.st_rdev == atomic_load(&device_number))
		return fd;
	if (fd >= 0)
		atomic_compare_exchange_strong(&device, &fd, -1);
	return open_device();
}

int sivshmem_word_open(void)
{
	int fd = get_device();

	return fd < 0 ? fd : 0;
}

/* It was there, so that who slept by futex(2) would hear of this VM alone. */
static bool is_lost(int fd)
{
	return fd < 0 && atomic_load(&device_number);
}

/*
 * >= 0 or -errno; -ENODEV: futex(2) is to serve the address. No cancellation
 * point, so nothing of the C library.
 */
static int ask(int fd, unsigned long request, void *arg)
{
	if (fd < 0)
		return fd == -ENOENT || fd == -ENXIO ? -ENODEV : fd;
	return call(SYS_ioctl, fd, (long)request, (long)arg, 0);
}

/* --- without the module that was there: closed, and not to be opened again --- */

static bool earlier(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

/* Nobody is told of changes: look again in a while. */
static int look_later(const _Atomic uint32_t *word, uint32_t expected, clockid_t clock,
		      const struct timespec *deadline)
{
	const struct timespec pause = { 0, LOOK_MS * 1000000 };
	struct timespec now;

	if (*word != expected)
		return -EAGAIN;
	clock_gettime(clock, &now);
	if (deadline && !earlier(&now, deadline))
		return -ETIMEDOUT;
	return call(SYS_nanosleep, (long)&pause, 0, 0, 0);
}

/* --- futex(2) --- */

static int futex(const _Atomic uint32_t *word, int operation, uint32_t value,
		 const struct timespec *timeout, uint32_t bitset)
{
	return (int)system_call(SYS_futex, (long)word, operation, value, (long)timeout, 0,
				bitset);
}

static int futex_wait(const _Atomic uint32_t *word, uint32_t expected, uint32_t bitset,
		      clockid_t clock, const struct timespec *deadline)
{
	return futex(word, FUTEX_WAIT_BITSET |
		     (clock == CLOCK_REALTIME ? FUTEX_CLOCK_REALTIME : 0),
		     expected, deadline, bitset);
}

/* --- either --- */

int sivshmem_word_wait(const _Atomic uint32_t *word, uint32_t expected,
	unsigned int flags, uint32_t bitset, clockid_t clock,
	const struct timespec *deadline)
{
	struct sivshmem_wait arg = {
		.address = (uintptr_t)word, .expected = expected, .bitset = bitset,
		.flags = flags & SIVSHMEM_WORD_OWNED ? SIVSHMEM_WAIT_OWNED : 0,
		.clock = clock,
	};
	int r, fd = get_device();

	if (is_lost(fd))
		return look_later(word, expected, clock, deadline);
	if (deadline) {
		arg.flags |= SIVSHMEM_WAIT_DEADLINE;
		arg.seconds = deadline->tv_sec;
		arg.nanoseconds = deadline->tv_nsec;
	}
	r = ask(fd, SIVSHMEM_IOC_WAIT, &arg);
	return r == -ENODEV ? futex_wait(word, expected, bitset, clock, deadline) : r;
}

int sivshmem_word_wake(const _Atomic uint32_t *word, unsigned int count,
	unsigned int flags, uint32_t bitset)
{
	struct sivshmem_wake arg = {
		.address = (uintptr_t)word, .count = count, .bitset = bitset,
		.flags = flags & SIVSHMEM_WORD_STALE ? SIVSHMEM_WAKE_STALE : 0,
	};
	int fd = get_device(), r = ask(fd, SIVSHMEM_IOC_WAKE, &arg);

	if (r != -ENODEV && !is_lost(fd))
		return r;
	/* it knows no better than to wake all, if only some have slept too long */
	r = futex(word, FUTEX_WAKE_BITSET,
		  flags & SIVSHMEM_WORD_STALE || count > INT_MAX ? INT_MAX : count,
		  NULL, bitset);
	/* who sleeps in the module looks by itself, once a second */
	return r < 0 && is_lost(fd) ? 0 : r;
}

int sivshmem_word_owner(const void *address, uint32_t *id)
{
	struct sivshmem_owner arg = { .address = (uintptr_t)address };
	int r = ask(get_device(), SIVSHMEM_IOC_OWNER, &arg);

	*id = arg.id;
	return r;
}

/* --- the public face --- */

static bool later(struct timespec *at, const struct timespec *by)
{
	if (by->tv_sec < 0 || by->tv_nsec < 0 || by->tv_nsec >= 1000000000)
		return false;
	clock_gettime(CLOCK_MONOTONIC, at);
	at->tv_nsec += by->tv_nsec;
	if (__builtin_add_overflow(at->tv_sec, by->tv_sec + at->tv_nsec / 1000000000,
				   &at->tv_sec))
		at->tv_sec = LONG_MAX;
	at->tv_nsec %= 1000000000;
	return true;
}

int sivshmem_wait(const uint32_t *word, uint32_t expected, int how,
	const struct timespec *timeout)
{
	const _Atomic uint32_t *at = (const _Atomic uint32_t *)word;
	struct timespec deadline;

	if (!timeout)
		return sivshmem_word_wait(at, expected, 0, ~0u, CLOCK_MONOTONIC, NULL);
	switch (how) {
	case SIVSHMEM_UNTIL_REALTIME:
		return sivshmem_word_wait(at, expected, 0, ~0u, CLOCK_REALTIME, timeout);
	case SIVSHMEM_UNTIL_MONOTONIC:
		return sivshmem_word_wait(at, expected, 0, ~0u, CLOCK_MONOTONIC, timeout);
	case SIVSHMEM_FOR:
		if (!later(&deadline, timeout))
			return -EINVAL;
		return sivshmem_word_wait(at, expected, 0, ~0u, CLOCK_MONOTONIC, &deadline);
	}
	return -EINVAL;
}

int sivshmem_wake(const uint32_t *word, unsigned int count)
{
	return sivshmem_word_wake((const _Atomic uint32_t *)word, count, 0, ~0u);
}
