/* SPDX-License-Identifier: MIT */
/*
 * Synchronisation objects in a channel. Each lies where the C library's would,
 * zeroed memory is a valid one, and its words mean the same in every VM; but
 * they are the shim's own, since the C library's sleep in one kernel. All that
 * is read from one can be hostile: nothing follows but a wrong answer or a wait.
 *
 * Functions return as those of POSIX that they stand for. deadline NULL: for ever.
 */
#ifndef SIVSHMEM_SHIM_SYNC_H
#define SIVSHMEM_SHIM_SYNC_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <time.h>

#include "lib/word.h"

struct shim_deadline {
	clockid_t clock;
	const struct timespec *at;
};

/* EINVAL unless it is a time, and of a clock that one can wait by. */
int shim_deadline_check(const struct shim_deadline *deadline);

/*
 * sivshmem_word_wait() for everybody: positive errno; 0 also for a signal. After
 * ETIMEDOUT the word may have changed: try once more.
 */
int shim_sleep(const _Atomic uint32_t *word, uint32_t expected, unsigned int flags,
	       const struct shim_deadline *deadline);
/* The same, cancelled if the thread is; EINTR is said. */
int shim_sleep_cancelable(const _Atomic uint32_t *word, uint32_t expected,
			  const struct shim_deadline *deadline);
/* For who need not sleep, as the word is another: 0, or ETIMEDOUT. */
int shim_changed(const struct shim_deadline *deadline);
/* What is long keeps its registers and its stack to itself: the short way stays short. */
#define SHIM_SLOW	__attribute__((noinline))

#define SHIM_EVERYBODY	0x7fffffffu
void shim_wake(const _Atomic uint32_t *word, unsigned int count);
void shim_wake_stale(const _Atomic uint32_t *word, unsigned int count);

/*
 * Destroying what others may not have left yet: *inside counts them, and is the
 * last of the object that each touches.
 */
#define SHIM_DRAINING	0x80000000u
void shim_object_leave(_Atomic uint32_t *inside);
void shim_object_drain(_Atomic uint32_t *inside);

/* Take one of *units, if there is any. */
static inline bool shim_take(_Atomic uint32_t *units)
{
	uint32_t have = *units;

	while (have)
		if (atomic_compare_exchange_weak(units, &have, have - 1))
			return true;
	return false;
}

/* Some thread of this process has been cancelled: each may be. */
extern atomic_bool shim_cancelling;

/* The calling thread, as an owner of locks in the channel at p. */
int shim_self(const void *p, uint32_t *id);

int shim_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int shim_mutex_init_kind(pthread_mutex_t *mutex, int kind);
int shim_mutex_destroy(pthread_mutex_t *mutex);
int shim_mutex_lock(pthread_mutex_t *mutex, const struct shim_deadline *deadline);
int shim_mutex_trylock(pthread_mutex_t *mutex);
int shim_mutex_unlock(pthread_mutex_t *mutex);
int shim_mutex_consistent(pthread_mutex_t *mutex);

int shim_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attributes);
int shim_cond_destroy(pthread_cond_t *cond);
/* deadline->clock -1: the condition variable's own */
int shim_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex,
		   const struct shim_deadline *deadline);
int shim_cond_signal(pthread_cond_t *cond);
int shim_cond_broadcast(pthread_cond_t *cond);

int shim_sem_init(sem_t *sem, unsigned int value);
int shim_sem_trywait(sem_t *sem);
int shim_sem_wait(sem_t *sem, const struct shim_deadline *deadline);
int shim_sem_post(sem_t *sem);
int shim_sem_getvalue(sem_t *sem, int *value);

int shim_rwlock_init(pthread_rwlock_t *lock, const pthread_rwlockattr_t *attributes);
int shim_rwlock_destroy(pthread_rwlock_t *lock);
int shim_rwlock_read(pthread_rwlock_t *lock, bool try, const struct shim_deadline *deadline);
int shim_rwlock_write(pthread_rwlock_t *lock, bool try, const struct shim_deadline *deadline);
int shim_rwlock_unlock(pthread_rwlock_t *lock);

int shim_barrier_init(pthread_barrier_t *barrier, unsigned int count);
int shim_barrier_destroy(pthread_barrier_t *barrier);
int shim_barrier_wait(pthread_barrier_t *barrier);

#endif
