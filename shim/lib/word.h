/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a change of a 32-bit word in a channel's memory, wherever the
 * changer runs. It is futex(2) with the module of sivshmem(4) in the place of
 * the kernel's own, which knows no sleeper in another VM. An address that lies
 * in no channel mapping of a VM is given to futex(2) itself, so that local mode
 * needs nothing else.
 *
 * A process that closed the module's device and cannot open it again goes on: it
 * looks at the word every few milliseconds, and others hear of its wakes only
 * within a second.
 *
 * 0 or a negative errno; errno itself stays as it was. Async-signal-safe.
 */
#ifndef SIVSHMEM_LIB_WORD_H
#define SIVSHMEM_LIB_WORD_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

/* Bits of a word that names its owner: as in a robust futex, see futex(2). */
#define SIVSHMEM_OWNER_MASK	0x3fffffffu	/* 0: nobody */
#define SIVSHMEM_OWNER_DIED	0x40000000u
#define SIVSHMEM_OWNER_WAITERS	0x80000000u

/* Of waiting: the word names its owner; end with -EOWNERDEAD once it is dead. */
#define SIVSHMEM_WORD_OWNED	(1u << 0)
/* Of waking: pass over those who sleep on the value that the word has now. */
#define SIVSHMEM_WORD_STALE	(1u << 0)

/*
 * Sleep while *word == expected, at most until `deadline` (absolute; NULL: for
 * ever) on `clock`, CLOCK_REALTIME or CLOCK_MONOTONIC. A waker of `bitset`
 * wakes it only if they share a bit; ~0 is all. May return 0 without reason.
 * -EAGAIN the word has another value; -ETIMEDOUT; -EINTR a signal's handler
 * ran that was installed without SA_RESTART, or any if there is a deadline, as
 * with futex(2); -EOWNERDEAD; -EKEYREVOKED the channel was taken away; -EFAULT,
 * -EINVAL.
 */
int sivshmem_word_wait(const _Atomic uint32_t *word, uint32_t expected,
	unsigned int flags, uint32_t bitset, clockid_t clock,
	const struct timespec *deadline);

/* Wake up to `count` of those who wait; how many at most, or -errno. */
int sivshmem_word_wake(const _Atomic uint32_t *word, unsigned int count,
	unsigned int flags, uint32_t bitset);

/* Open the module's device, so that it is there when it is needed. -ENOENT: none. */
int sivshmem_word_open(void);

/*
 * The calling thread's id as an owner of words in the channel mapped at
 * `address`: in SIVSHMEM_OWNER_MASK, unique among the VMs of the link, valid
 * until the thread ends or calls execve(2). A forked child has none yet.
 * -EAGAIN the VM has no more ids; -ENODEV.
 */
int sivshmem_word_owner(const void *address, uint32_t *id);

#endif
