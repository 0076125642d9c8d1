/* SPDX-License-Identifier: MIT */
/* What all synchronisation objects have in common: sleeping, waking, owners. */
#include "sync.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "real.h"

#define DRAIN_S		3	/* then who is inside was killed there: a sleeper looks each second */

/*
 * Which process this is, of those that fork(2), _Fork(3) or clone(2) made of
 * one: they wipe the number. A child's thread is another owner than the
 * parent's, whose thread-local memory it has.
 */
static _Atomic uint32_t *process;

static __thread struct {
	uint32_t id, process;
} self __attribute__((tls_model("initial-exec")));

static __attribute__((constructor)) void start(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *memory = real_mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	if (memory == MAP_FAILED)
		return;
	if (madvise(memory, page, MADV_WIPEONFORK))
		munmap(memory, page);
	else
		process = memory;
}

/* Never 0; where it is not known, each question is one of a new process. */
static uint32_t this_process(void)
{
	static atomic_uint last;
	uint32_t none = 0, fresh, known = process ? *process : 0;

	if (known)
		return known;
	do
		fresh = atomic_fetch_add(&last, 1) + 1;
	while (!fresh);
	if (!process || atomic_compare_exchange_strong(process, &none, fresh))
		return fresh;
	return none;
}

int shim_self(const void *p, uint32_t *id)
{
	uint32_t now = this_process();
	int r = 0;

	if (self.process != now || !self.id) {
		r = sivshmem_word_owner(p, &self.id);
		self.process = r ? 0 : now;
	}
	*id = self.id;
	return -r;
}

int shim_deadline_check(const struct shim_deadline *deadline)
{
	if (!deadline || !deadline->at)
		return 0;
	if (deadline->clock != CLOCK_REALTIME && deadline->clock != CLOCK_MONOTONIC)
		return EINVAL;
	return deadline->at->tv_nsec < 0 || deadline->at->tv_nsec >= 1000000000 ? EINVAL : 0;
}

/* Who writes the word again and again lets nobody sleep until the time is up. */
int shim_changed(const struct shim_deadline *deadline)
{
	const struct timespec *at = deadline ? deadline->at : NULL;
	struct timespec now;

	if (!at)
		return 0;
	clock_gettime(deadline->clock, &now);
	return now.tv_sec > at->tv_sec || (now.tv_sec == at->tv_sec && now.tv_nsec >= at->tv_nsec) ?
		ETIMEDOUT : 0;
}

static int sleep_on(const _Atomic uint32_t *word, uint32_t expected, unsigned int flags,
		    const struct shim_deadline *deadline)
{
	const struct timespec *at = deadline ? deadline->at : NULL;
	clockid_t clock = at ? deadline->clock : CLOCK_MONOTONIC;
	int r;

	if (at && at->tv_sec < 0)	/* long ago, which the kernel takes for an error */
		return ETIMEDOUT;
	r = -sivshmem_word_wait(word, expected, flags, ~0u, clock, at);
	return r == EAGAIN ? shim_changed(deadline) : r;
}

int shim_sleep(const _Atomic uint32_t *word, uint32_t expected, unsigned int flags,
	       const struct shim_deadline *deadline)
{
	int r = sleep_on(word, expected, flags, deadline);

	return r == EINTR ? 0 : r;
}

int shim_sleep_cancelable(const _Atomic uint32_t *word, uint32_t expected,
			  const struct shim_deadline *deadline)
{
	int r, type, ignored;

	/* around one system call and nothing else: NOLINTNEXTLINE(cert-pos47-c) */
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	r = sleep_on(word, expected, 0, deadline);
	pthread_setcanceltype(type, &ignored);
	return r;
}

void shim_wake(const _Atomic uint32_t *word, unsigned int count)
{
	sivshmem_word_wake(word, count, 0, ~0u);
}

void shim_wake_stale(const _Atomic uint32_t *word, unsigned int count)
{
	sivshmem_word_wake(word, count, SIVSHMEM_WORD_STALE, ~0u);
}

void shim_object_leave(_Atomic uint32_t *inside)
{
	if (atomic_fetch_sub(inside, 1) == (SHIM_DRAINING | 1))
		shim_wake(inside, SHIM_EVERYBODY);
}

void shim_object_drain(_Atomic uint32_t *inside)
{
	struct timespec at;
	const struct shim_deadline end = { CLOCK_MONOTONIC, &at };
	uint32_t left;

	if (!*inside)
		return;
	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += DRAIN_S;
	left = atomic_fetch_or(inside, SHIM_DRAINING) | SHIM_DRAINING;
	while (left != SHIM_DRAINING && !shim_sleep(inside, left, 0, &end))
		left = *inside;
	atomic_fetch_and(inside, ~SHIM_DRAINING);
}
