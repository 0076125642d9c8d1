/* SPDX-License-Identifier: MIT */
#include "semaphore.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "real.h"
#include "region.h"
#include "sync.h"

#define POLL_MS		5
#define TAKE_OVER_MS	1000		/* a creator that takes longer is dead */
#define PATIENCE_MS	5000

/*
 * An object is there before it has a size, and has a size before it is a
 * semaphore. The last word, which sem_init() has no use for, says when it is
 * one. Until then it holds a random number of whoever is at work on it.
 */
struct shared {
	union {
		sem_t sem;
		struct {
			char used[28];
			_Atomic(uint32_t) state;
		};
	};
};
_Static_assert(sizeof(sem_t) == 32 && sizeof(struct shared) == 32, "the sem_t of glibc");

#define STATE_NONE	0u
#define STATE_READY	0x454d4553u	/* "SEME" */

/* POSIX: the same semaphore is at the same address. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct opened {
	struct opened *next;
	struct shared *shared;
	dev_t dev;
	ino_t ino;
	unsigned int count;
} *all;

/* --- what is open in this process --- */

static void fork_prepare(void)
{
	pthread_mutex_lock(&lock);
}

static void fork_done(void)
{
	pthread_mutex_unlock(&lock);
}

static __attribute__((constructor)) void start(void)
{
	pthread_atfork(fork_prepare, fork_done, fork_done);
}

/* The lock is held. */
static struct shared *use_known(const struct stat *st)
{
	struct opened *o;

	for (o = all; o; o = o->next)
		if (o->dev == st->st_dev && o->ino == st->st_ino)
			break;
	if (!o)
		return NULL;
	o->count++;
	return o->shared;
}

static struct shared *opened_again(const struct stat *st)
{
	struct shared *shared;

	pthread_mutex_lock(&lock);
	shared = use_known(st);
	pthread_mutex_unlock(&lock);
	return shared;
}

/* Enter it; the address is another one if another thread was faster. */
static struct shared *opened_first(const struct stat *st, struct shared *shared)
{
	struct opened *o = calloc(1, sizeof(*o));
	struct shared *known;

	pthread_mutex_lock(&lock);
	known = use_known(st);
	if (!known && o) {
		*o = (struct opened){ .next = all, .shared = shared, .dev = st->st_dev,
				      .ino = st->st_ino, .count = 1 };
		all = o;
		o = NULL;
		known = shared;
	}
	pthread_mutex_unlock(&lock);
	free(o);
	if (known != shared)
		munmap(shared, sizeof(*shared));
	return known;
}

bool semaphore_close(sem_t *sem)
{
	struct opened **at, *o;

	pthread_mutex_lock(&lock);
	for (at = &all; *at && &(*at)->shared->sem != sem; at = &(*at)->next)
		;
	o = *at;
	if (o && !--o->count) {
		*at = o->next;
		munmap(o->shared, sizeof(*o->shared));
		free(o);
	}
	pthread_mutex_unlock(&lock);
	return o != NULL;
}

/* --- becoming ready --- */

static int grow(int fd)
{
	int error;

	if (!shim_resize(fd, sizeof(struct shared), true, &error))
		error = real_fallocate64(fd, 0, 0, sizeof(struct shared)) ? errno : 0;
	return error;
}

static uint32_t random_state(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	/* bit 31, which READY has not: another than READY and NONE */
	return ((uint32_t)t.tv_nsec * 2654435761u ^ (uint32_t)getpid() << 8) | 1u << 31;
}

/* Wait for a size, or give it one: 0, an errno. */
static int wait_size(int fd, bool creator, bool may_create, struct stat *st)
{
	int64_t begin = sivshmem_now_ms(), waited;
	int error;

	for (;;) {
		if (fstat(fd, st))
			return errno;
		if (st->st_size >= (off_t)sizeof(struct shared))
			return 0;
		waited = sivshmem_now_ms() - begin;
		if (creator || (may_create && waited >= TAKE_OVER_MS)) {
			error = grow(fd);
			if (error)
				return error;
		}
		if (waited >= PATIENCE_MS)
			return ENOENT;
		if (!creator)
			sivshmem_sleep_ms(POLL_MS);
	}
}

/* Not by the public name: a sanitizer's sem_init() wipes the last word, too. */
static void init(sem_t *sem, unsigned int value)
{
	if (shim_in_channel(sem))
		shim_sem_init(sem, value);
	else
		real_sem_init(sem, 1, value);
}

/* true: it is ready by us */
static bool make(struct shared *shared, uint32_t seen, unsigned int value)
{
	uint32_t own = random_state();

	if (!atomic_compare_exchange_strong(&shared->state, &seen, own))
		return false;
	/* unless we slept so long that somebody took over: it may be in use */
	if (shared->state != own)
		return false;
	init(&shared->sem, value);
	return atomic_compare_exchange_strong(&shared->state, &own, STATE_READY);
}

static int wait_ready(struct shared *shared, bool creator, bool may_create,
		      unsigned int value)
{
	int64_t begin = sivshmem_now_ms(), since = begin, now;
	uint32_t state, before = STATE_NONE;

	for (;;) {
		state = atomic_load_explicit(&shared->state, memory_order_acquire);
		if (state == STATE_READY)
			return 0;
		now = sivshmem_now_ms();
		if (state != before)
			since = now;
		before = state;
		if (((creator && state == STATE_NONE) ||
		     (may_create && now - since >= TAKE_OVER_MS)) &&
		    make(shared, state, value))
			return 0;
		if (now - begin >= PATIENCE_MS)
			return ENOENT;
		sivshmem_sleep_ms(POLL_MS);
	}
}

static struct shared *attach(int fd, bool creator, bool may_create, unsigned int value)
{
	struct shared *shared;
	struct stat st;
	int error = fstat(fd, &st) ? errno : 0;

	shared = error ? NULL : opened_again(&st);
	if (shared)
		return shared;
	if (!error)
		error = wait_size(fd, creator, may_create, &st);
	if (error) {
		errno = error;
		return NULL;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		return NULL;
	error = wait_ready(shared, creator, may_create, value);
	if (!error)
		return opened_first(&st, shared);
	munmap(shared, sizeof(*shared));
	errno = error;
	return NULL;
}

static struct shared *open_shared(const struct shim_name *name, int oflag, mode_t mode,
				  unsigned int value)
{
	struct shared *shared;
	bool created = false;
	int e, fd = shim_open(name, O_RDWR | (oflag & (O_CREAT | O_EXCL)), mode, &created);

	if (fd < 0)
		return NULL;
	shared = attach(fd, created, oflag & O_CREAT, value);
	e = errno;
	close(fd);
	if (!shared && created)
		shim_unlink(name);
	if (!shared && e == ENOENT)
		shim_say("%s(\"%.80s\"): who created it did not finish", name->function, name->given);
	errno = e;
	return shared;
}

sem_t *semaphore_open(const struct shim_name *name, int oflag, mode_t mode,
		      unsigned int value)
{
	struct shared *shared;
	int saved = errno, cancel;

	if ((oflag & O_CREAT) && value > SEM_VALUE_MAX) {
		errno = EINVAL;
		return SEM_FAILED;
	}
	/* no cancellation point; it sleeps in between, with an fd in its hands */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	shared = open_shared(name, oflag, mode, value);
	pthread_setcancelstate(cancel, NULL);
	if (!shared)
		return SEM_FAILED;
	errno = saved;
	return &shared->sem;
}
