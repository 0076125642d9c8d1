/* SPDX-License-Identifier: MIT */
/*
 * Synchronisation objects in shared memory, from the command line:
 * synctool NAME[:BYTES] OPERATION... BYTES: create it. Each operation prints
 * "operation result", ok or the name of an errno.
 *
 *	mutex-init OFF normal|recursive|errorcheck|robust[-...]|inherit
 *	mutex-lock|try|unlock|consistent|destroy OFF, mutex-timed|clock OFF MS
 *	cond-init OFF, cond-wait|locked (after locking) OFF MUTEX, cond-timed|clock OFF MUTEX MS
 *	cond-signal|broadcast|destroy OFF
 *	sem-init OFF VALUE, sem-wait|try|post|get|destroy OFF, sem-timed|clock OFF MS
 *	rw-init OFF [writers], rw-rd|wr|tryrd|trywr|unlock|destroy OFF, rw-timedrd|timedwr OFF MS
 *	barrier-init OFF COUNT, barrier-wait|destroy OFF
 *	mtx-init OFF plain|recursive, mtx-lock|try|unlock OFF, mtx-timed OFF MS
 *	cnd-wait OFF MUTEX, cnd-timed OFF MUTEX MS, cnd-signal OFF
 *	futex-wait OFF VALUE [MS], futex-wake OFF COUNT, futex-requeue OFF COUNT VALUE
 *	futex-bits OFF VALUE BITS [MS], futex-wakebits OFF COUNT BITS
 *	set OFF VALUE, until OFF VALUE, add OFF VALUE, get OFF, sleep MS, say TEXT
 *	cancel MS OPERATION	run it in a thread that is cancelled after MS
 *	alarm MS [restart]	a signal, whose handler posts the semaphore of `alarm-posts OFF`
 *	fork OPERATION...	go on in a child, and return its status
 *	hold			until killed
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S	40

static uint8_t *memory;
static size_t size;
static char **next;
static sem_t *posts;

static char *word(void)
{
	if (!*next)
		errx(2, "an operation lacks a word");
	return *next++;
}

static long number(void)
{
	char *rest, *text = word();
	long n = strtol(text, &rest, 0);

	if (*rest)
		errx(2, "%s: not a number", text);
	return n;
}

static bool more(void)
{
	return *next && **next >= '0' && **next <= '9';
}

static void *at(void)
{
	size_t offset = (size_t)number();

	if (offset >= size)
		errx(2, "offset %zu is beyond the object", offset);
	return memory + offset;
}

static const struct timespec *in(clockid_t clock)
{
	static __thread struct timespec t;
	long ms = number();

	clock_gettime(clock, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return &t;
}

static int from_errno(long r)
{
	return r < 0 ? errno : 0;
}

static int from_thrd(int r)
{
	static const int map[] = {
		[thrd_success] = 0, [thrd_busy] = EBUSY, [thrd_error] = EINVAL,
		[thrd_nomem] = ENOMEM, [thrd_timedout] = ETIMEDOUT,
	};

	return map[r];
}

/* --- groups; each returns 0 or an errno, or -1 for an operation that is not its --- */

static int mutex_init(pthread_mutex_t *m)
{
	const char *type = word();
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	if (strstr(type, "recursive"))
		pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
	if (strstr(type, "errorcheck"))
		pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ERRORCHECK);
	if (strstr(type, "robust"))
		pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	if (strstr(type, "inherit"))
		pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	return pthread_mutex_init(m, &a);
}

static int mutex(const char *op)
{
	pthread_mutex_t *m = at();

	if (!strcmp(op, "init"))
		return mutex_init(m);
	if (!strcmp(op, "lock"))
		return pthread_mutex_lock(m);
	if (!strcmp(op, "try"))
		return pthread_mutex_trylock(m);
	if (!strcmp(op, "timed"))
		return pthread_mutex_timedlock(m, in(CLOCK_REALTIME));
	if (!strcmp(op, "clock"))
		return pthread_mutex_clocklock(m, CLOCK_MONOTONIC, in(CLOCK_MONOTONIC));
	if (!strcmp(op, "unlock"))
		return pthread_mutex_unlock(m);
	if (!strcmp(op, "consistent"))
		return pthread_mutex_consistent(m);
	if (!strcmp(op, "destroy"))
		return pthread_mutex_destroy(m);
	return -1;
}

static int cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	return pthread_cond_init(c, &a);
}

static void unlock(void *m)
{
	/* it must be held here: an errorcheck mutex knows */
	if (pthread_mutex_unlock(m))
		puts("cleanup without the mutex");
}

static int cond_wait(pthread_cond_t *c, const char *op)
{
	pthread_mutex_t *m = at();
	int r;

	if (!strcmp(op, "locked"))
		pthread_mutex_lock(m);
	pthread_cleanup_push(unlock, m);
	if (!strcmp(op, "wait") || !strcmp(op, "locked"))
		r = pthread_cond_wait(c, m);
	else if (!strcmp(op, "timed"))
		r = pthread_cond_timedwait(c, m, in(CLOCK_MONOTONIC));
	else
		r = pthread_cond_clockwait(c, m, CLOCK_REALTIME, in(CLOCK_REALTIME));
	pthread_cleanup_pop(0);
	return r;
}

static int cond(const char *op)
{
	pthread_cond_t *c = at();

	if (!strcmp(op, "init"))
		return cond_init(c);
	if (!strcmp(op, "signal"))
		return pthread_cond_signal(c);
	if (!strcmp(op, "broadcast"))
		return pthread_cond_broadcast(c);
	if (!strcmp(op, "destroy"))
		return pthread_cond_destroy(c);
	return cond_wait(c, op);
}

static int semaphore(const char *op)
{
	sem_t *s = at();
	int value;

	if (!strcmp(op, "init"))
		return from_errno(sem_init(s, 1, (unsigned int)number()));
	if (!strcmp(op, "wait"))
		return from_errno(sem_wait(s));
	if (!strcmp(op, "try"))
		return from_errno(sem_trywait(s));
	if (!strcmp(op, "timed"))
		return from_errno(sem_timedwait(s, in(CLOCK_REALTIME)));
	if (!strcmp(op, "clock"))
		return from_errno(sem_clockwait(s, CLOCK_MONOTONIC, in(CLOCK_MONOTONIC)));
	if (!strcmp(op, "post"))
		return from_errno(sem_post(s));
	if (!strcmp(op, "destroy"))
		return from_errno(sem_destroy(s));
	if (strcmp(op, "get"))
		return -1;
	sem_getvalue(s, &value);
	printf("%d ", value);
	return 0;
}

static int rw_init(pthread_rwlock_t *l)
{
	pthread_rwlockattr_t a;

	pthread_rwlockattr_init(&a);
	pthread_rwlockattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	if (*next && !strcmp(*next, "writers")) {
		next++;
		pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	}
	return pthread_rwlock_init(l, &a);
}

static int rw(const char *op)
{
	pthread_rwlock_t *l = at();

	if (!strcmp(op, "init"))
		return rw_init(l);
	if (!strcmp(op, "rd"))
		return pthread_rwlock_rdlock(l);
	if (!strcmp(op, "wr"))
		return pthread_rwlock_wrlock(l);
	if (!strcmp(op, "tryrd"))
		return pthread_rwlock_tryrdlock(l);
	if (!strcmp(op, "trywr"))
		return pthread_rwlock_trywrlock(l);
	if (!strcmp(op, "timedrd"))
		return pthread_rwlock_timedrdlock(l, in(CLOCK_REALTIME));
	if (!strcmp(op, "timedwr"))
		return pthread_rwlock_timedwrlock(l, in(CLOCK_REALTIME));
	if (!strcmp(op, "unlock"))
		return pthread_rwlock_unlock(l);
	if (!strcmp(op, "destroy"))
		return pthread_rwlock_destroy(l);
	return -1;
}

static int barrier(const char *op)
{
	pthread_barrier_t *b = at();
	pthread_barrierattr_t a;
	int r;

	if (!strcmp(op, "init")) {
		pthread_barrierattr_init(&a);
		pthread_barrierattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
		return pthread_barrier_init(b, &a, (unsigned int)number());
	}
	if (!strcmp(op, "destroy"))
		return pthread_barrier_destroy(b);
	r = pthread_barrier_wait(b);
	if (r == PTHREAD_BARRIER_SERIAL_THREAD)
		fputs("serial ", stdout);
	return r == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : r;
}

static int c11_mutex(const char *op)
{
	mtx_t *m = at();

	if (!strcmp(op, "init"))
		return from_thrd(mtx_init(m, strcmp(word(), "plain") ? mtx_timed | mtx_recursive :
								       mtx_timed));
	if (!strcmp(op, "lock"))
		return from_thrd(mtx_lock(m));
	if (!strcmp(op, "try"))
		return from_thrd(mtx_trylock(m));
	if (!strcmp(op, "timed"))
		return from_thrd(mtx_timedlock(m, in(CLOCK_REALTIME)));
	return from_thrd(mtx_unlock(m));
}

static int c11_cond(const char *op)
{
	cnd_t *c = at();
	mtx_t *m;

	if (!strcmp(op, "signal"))
		return from_thrd(cnd_signal(c));
	m = at();
	if (!strcmp(op, "wait"))
		return from_thrd(cnd_wait(c, m));
	return from_thrd(cnd_timedwait(c, m, in(CLOCK_REALTIME)));
}

static int woken(long r)
{
	if (r >= 0)
		printf("%ld ", r);
	return from_errno(r);
}

static int futex(const char *op)
{
	uint32_t *w = at(), value = (uint32_t)number();
	struct timespec relative;
	uint32_t bits;
	long ms;

	if (!strcmp(op, "wake"))
		return woken(syscall(SYS_futex, w, FUTEX_WAKE_PRIVATE, value, NULL, NULL, 0));
	if (!strcmp(op, "requeue"))
		return woken(syscall(SYS_futex, w, FUTEX_CMP_REQUEUE, value, (long)INT_MAX, w + 1,
				     (uint32_t)number()));
	if (!strcmp(op, "wakebits"))
		return woken(syscall(SYS_futex, w, FUTEX_WAKE_BITSET, value, NULL, NULL,
				     (uint32_t)number()));
	if (!strcmp(op, "bits")) {
		bits = (uint32_t)number();
		return from_errno(syscall(SYS_futex, w, FUTEX_WAIT_BITSET, value,
					  more() ? in(CLOCK_MONOTONIC) : NULL, NULL, bits));
	}
	if (!more())
		return from_errno(syscall(SYS_futex, w, FUTEX_WAIT, value, NULL, NULL, 0));
	ms = number();
	relative = (struct timespec){ ms / 1000, ms % 1000 * 1000000 };
	return from_errno(syscall(SYS_futex, w, FUTEX_WAIT_PRIVATE, value, &relative, NULL, 0));
}

static int until(const uint32_t *w, uint32_t value)
{
	time_t end = time(NULL) + PATIENCE_S;

	while (__atomic_load_n(w, __ATOMIC_SEQ_CST) != value) {
		if (time(NULL) > end)
			return ETIMEDOUT;
		usleep(2000);
	}
	return 0;
}

static int plain_word(const char *op)
{
	uint32_t *w = at();

	if (!strcmp(op, "get")) {
		printf("%u ", __atomic_load_n(w, __ATOMIC_SEQ_CST));
		return 0;
	}
	if (!strcmp(op, "until"))
		return until(w, (uint32_t)number());
	if (!strcmp(op, "add"))
		__atomic_add_fetch(w, (uint32_t)number(), __ATOMIC_SEQ_CST);
	else
		__atomic_store_n(w, (uint32_t)number(), __ATOMIC_SEQ_CST);
	return 0;
}

/* --- threads, signals, processes --- */

static int operate(void);

static void *in_thread(void *arg)
{
	(void)arg;
	operate();
	return NULL;
}

static int cancel(void)
{
	long ms = number();
	pthread_t t;
	void *result;
	int r;

	r = pthread_create(&t, NULL, in_thread, NULL);
	if (r)
		return r;
	usleep((useconds_t)ms * 1000);
	pthread_cancel(t);
	pthread_join(t, &result);
	return result == PTHREAD_CANCELED ? ECANCELED : 0;
}

static void on_alarm(int number_of)
{
	(void)number_of;
	if (posts)
		sem_post(posts);
}

static int set_alarm(void)
{
	long ms = number();
	struct itimerval when = { .it_value = { ms / 1000, ms % 1000 * 1000 } };
	struct sigaction act = { .sa_handler = on_alarm };

	if (*next && !strcmp(*next, "restart")) {
		next++;
		act.sa_flags = SA_RESTART;
	}
	return from_errno(sigaction(SIGALRM, &act, NULL) | setitimer(ITIMER_REAL, &when, NULL));
}

static int in_child(void)
{
	int status;

	fflush(stdout);
	if (!fork())
		return 0;
	wait(&status);
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static int other(const char *op)
{
	if (!strcmp(op, "cancel"))
		return cancel();
	if (!strcmp(op, "alarm"))
		return set_alarm();
	if (!strcmp(op, "fork"))
		return in_child();
	if (!strcmp(op, "alarm-posts")) {
		posts = at();
		return 0;
	}
	if (!strcmp(op, "sleep")) {
		usleep((useconds_t)number() * 1000);
		return 0;
	}
	if (!strcmp(op, "hold"))
		for (;;)
			pause();
	return -1;
}

static int operate(void)
{
	static const struct {
		const char *prefix;
		int (*run)(const char *op);
	} groups[] = {
		{ "mutex-", mutex }, { "cond-", cond }, { "sem-", semaphore }, { "rw-", rw },
		{ "barrier-", barrier }, { "mtx-", c11_mutex }, { "cnd-", c11_cond },
		{ "futex-", futex },
	};
	const char *op = word();
	int r = -1;

	if (!strcmp(op, "say")) {
		puts(word());
		return 0;
	}
	if (!strcmp(op, "set") || !strcmp(op, "until") || !strcmp(op, "add") ||
	    !strcmp(op, "get"))
		r = plain_word(op);
	else
		r = other(op);
	for (size_t i = 0; r < 0 && i < sizeof(groups) / sizeof(groups[0]); i++) {
		size_t n = strlen(groups[i].prefix);

		if (!strncmp(op, groups[i].prefix, n))
			r = groups[i].run(op + n);
	}
	if (r < 0)
		errx(2, "unknown operation '%s'", op);
	printf("%s %s\n", op, r ? strerrorname_np(r) : "ok");
	return r;
}

static void map(char *name)
{
	char *bytes = strchr(name, ':');
	time_t end = time(NULL) + PATIENCE_S;
	struct stat st = { 0 };
	int fd;

	if (bytes)
		*bytes++ = '\0';
	do {
		fd = shm_open(name, O_RDWR | (bytes ? O_CREAT | O_EXCL : 0), 0600);
		if (fd < 0 && (bytes || errno != ENOENT || time(NULL) > end))
			err(1, "%s", name);
		if (fd < 0)
			usleep(5000);
	} while (fd < 0);
	if (bytes && ftruncate(fd, strtol(bytes, NULL, 0)))
		err(1, "ftruncate");
	while (!st.st_size && time(NULL) <= end)
		if (fstat(fd, &st))
			err(1, "fstat");
	size = (size_t)st.st_size;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	close(fd);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 3)
		errx(2, "usage: synctool NAME[:BYTES] OPERATION...");
	map(argv[1]);
	next = argv + 2;
	while (*next)
		operate();
	return 0;
}
