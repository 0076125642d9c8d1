/* SPDX-License-Identifier: MIT */
/*
 * What synctool can do to the object: one small function for each call. a[0] is
 * an offset in the object (of semaphores also a /name); what a function returns
 * is shown as its `kind` says.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>

enum kind {
	RC,	/* pthread: 0 or an error number */
	ERRNO,	/* 0 or more, or -1 and errno */
	C11,	/* thrd_success... */
};

static char *base;		/* the mapped object */
static size_t mapped;
static thread_local long asked_ms;	/* a timed operation must not end before */

#define AT(type, s)	((type *)(void *)at(s, sizeof(type)))
#define IS(word)	(a[1] && strstr(a[1], word))

static long number(const char *s)
{
	char *end;
	long n = s ? strtol(s, &end, 0) : 0;

	if (!s || *end || end == s)
		errx(2, "not a number: %s", s ? s : "nothing");
	return n;
}

static char *at(const char *s, size_t size)
{
	size_t off = (size_t)number(s);

	if (off + size > mapped)
		errx(2, "%s is outside of the object", s);
	return base + off;
}

/* MS from now by that clock */
static struct timespec *later(clockid_t clock, const char *ms)
{
	static thread_local struct timespec t;

	asked_ms = number(ms);
	clock_gettime(clock, &t);
	t.tv_sec += asked_ms / 1000;
	t.tv_nsec += asked_ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return &t;
}

#define REAL(ms)	later(CLOCK_REALTIME, ms)
#define MONO(ms)	later(CLOCK_MONOTONIC, ms)

#define OP(name)	static long op_##name(char **a)

/* mutex-init OFF normal|recursive|errorcheck[+robust][+pi][+private] */
OP(mutex_init)
{
	pthread_mutexattr_t attr;
	long rc;

	pthread_mutexattr_init(&attr);
	if (!IS("private"))
		pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (IS("robust"))
		pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (IS("pi"))
		pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	pthread_mutexattr_settype(&attr, IS("recursive") ? PTHREAD_MUTEX_RECURSIVE :
				  IS("errorcheck") ? PTHREAD_MUTEX_ERRORCHECK :
				  PTHREAD_MUTEX_NORMAL);
	rc = pthread_mutex_init(AT(pthread_mutex_t, a[0]), &attr);
	pthread_mutexattr_destroy(&attr);
	return rc;
}

#define MUTEX	AT(pthread_mutex_t, a[0])
OP(mutex_lock)		{ return pthread_mutex_lock(MUTEX); }
OP(mutex_trylock)	{ return pthread_mutex_trylock(MUTEX); }
OP(mutex_timedlock)	{ return pthread_mutex_timedlock(MUTEX, REAL(a[1])); }
OP(mutex_clocklock)	{ return pthread_mutex_clocklock(MUTEX, CLOCK_MONOTONIC, MONO(a[1])); }
OP(mutex_unlock)	{ return pthread_mutex_unlock(MUTEX); }

/* In a child that no handler of pthread_atfork(3) hears of */
OP(mutex_unlock_forked)
{
	pid_t child = _Fork();
	int status;

	if (!child)
		_exit(pthread_mutex_unlock(MUTEX));
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		err(3, "fork");
	return WEXITSTATUS(status);
}
OP(mutex_consistent)	{ return pthread_mutex_consistent(MUTEX); }
OP(mutex_destroy)	{ return pthread_mutex_destroy(MUTEX); }

/* cond-init OFF shared|monotonic|private; waits: COND MUTEX [MS] */
OP(cond_init)
{
	pthread_condattr_t attr;
	long rc;

	pthread_condattr_init(&attr);
	if (!IS("private"))
		pthread_condattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (IS("monotonic"))
		pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	rc = pthread_cond_init(AT(pthread_cond_t, a[0]), &attr);
	pthread_condattr_destroy(&attr);
	return rc;
}

#define COND	AT(pthread_cond_t, a[0])
#define WITH	AT(pthread_mutex_t, a[1])
OP(cond_wait)		{ return pthread_cond_wait(COND, WITH); }
OP(cond_timedwait)	{ return pthread_cond_timedwait(COND, WITH, REAL(a[2])); }
OP(cond_monowait)	{ return pthread_cond_timedwait(COND, WITH, MONO(a[2])); }
OP(cond_clockwait)
{
	return pthread_cond_clockwait(COND, WITH, CLOCK_MONOTONIC, MONO(a[2]));
}
OP(cond_signal)		{ return pthread_cond_signal(COND); }
OP(cond_broadcast)	{ return pthread_cond_broadcast(COND); }
OP(cond_destroy)	{ return pthread_cond_destroy(COND); }

/* cond-until COND MUTEX WORD VALUE: as programs do, whatever wakes it */
OP(cond_until)
{
	volatile uint32_t *word = AT(uint32_t, a[2]);
	long rc = 0;

	while (!rc && *word != (uint32_t)number(a[3]))
		rc = pthread_cond_wait(COND, WITH);
	return rc;
}

/* The named semaphores that are open, by slot */
static struct { char *name; sem_t *sem; } named[16];

static sem_t *sem_at(const char *s)
{
	int i;

	if (s[0] != '/')
		return AT(sem_t, s);
	for (i = 0; i < 16; i++)
		if (named[i].name && !strcmp(named[i].name, s))
			return named[i].sem;
	errx(2, "%s is not open", s);
}

/* sem-open /NAME r|c|cx [MODE VALUE] */
OP(sem_open)
{
	int i, flags = (strchr(a[1], 'c') ? O_CREAT : 0) | (strchr(a[1], 'x') ? O_EXCL : 0);
	sem_t *s = sem_open(a[0], flags, a[2] ? strtoul(a[2], NULL, 8) : 0600,
			    a[2] ? (unsigned int)number(a[3]) : 0);

	if (s == SEM_FAILED)
		return -1;
	for (i = 0; i < 15 && named[i].name; i++)
		;
	named[i].name = a[0];
	named[i].sem = s;
	return 0;
}

OP(sem_close)
{
	sem_t *s = sem_at(a[0]);
	int i;

	for (i = 0; !named[i].name || strcmp(named[i].name, a[0]); i++)
		;
	named[i].name = NULL;
	return sem_close(s);
}

OP(sem_getvalue)
{
	int value;

	return sem_getvalue(sem_at(a[0]), &value) ? -1 : value;
}

OP(sem_unlink)		{ return sem_unlink(a[0]); }
OP(sem_init)		{ return sem_init(sem_at(a[0]), 1, (unsigned int)number(a[1])); }
OP(sem_wait)		{ return sem_wait(sem_at(a[0])); }
OP(sem_trywait)		{ return sem_trywait(sem_at(a[0])); }
OP(sem_timedwait)	{ return sem_timedwait(sem_at(a[0]), REAL(a[1])); }
OP(sem_clockwait)	{ return sem_clockwait(sem_at(a[0]), CLOCK_MONOTONIC, MONO(a[1])); }
OP(sem_post)		{ return sem_post(sem_at(a[0])); }
OP(sem_destroy)		{ return sem_destroy(sem_at(a[0])); }

/* rwlock-init OFF [writers]: writers first, as glibc names it */
OP(rwlock_init)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (IS("writers"))
		pthread_rwlockattr_setkind_np(&attr,
				PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	return pthread_rwlock_init(AT(pthread_rwlock_t, a[0]), &attr);
}

#define RW	AT(pthread_rwlock_t, a[0])
OP(rwlock_rdlock)	{ return pthread_rwlock_rdlock(RW); }
OP(rwlock_wrlock)	{ return pthread_rwlock_wrlock(RW); }
OP(rwlock_tryrdlock)	{ return pthread_rwlock_tryrdlock(RW); }
OP(rwlock_trywrlock)	{ return pthread_rwlock_trywrlock(RW); }
OP(rwlock_timedrdlock)	{ return pthread_rwlock_timedrdlock(RW, REAL(a[1])); }
OP(rwlock_timedwrlock)	{ return pthread_rwlock_timedwrlock(RW, REAL(a[1])); }
OP(rwlock_clockrdlock)	{ return pthread_rwlock_clockrdlock(RW, CLOCK_MONOTONIC, MONO(a[1])); }
OP(rwlock_clockwrlock)	{ return pthread_rwlock_clockwrlock(RW, CLOCK_MONOTONIC, MONO(a[1])); }
OP(rwlock_unlock)	{ return pthread_rwlock_unlock(RW); }
OP(rwlock_destroy)	{ return pthread_rwlock_destroy(RW); }

OP(barrier_init)
{
	pthread_barrierattr_t attr;

	pthread_barrierattr_init(&attr);
	pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	return pthread_barrier_init(AT(pthread_barrier_t, a[0]), &attr,
				    (unsigned int)number(a[1]));
}
OP(barrier_wait)	{ return pthread_barrier_wait(AT(pthread_barrier_t, a[0])); }
OP(barrier_destroy)	{ return pthread_barrier_destroy(AT(pthread_barrier_t, a[0])); }

#define SPIN	AT(pthread_spinlock_t, a[0])
OP(spin_init)		{ return pthread_spin_init(SPIN, PTHREAD_PROCESS_SHARED); }
OP(spin_lock)		{ return pthread_spin_lock(SPIN); }
OP(spin_trylock)	{ return pthread_spin_trylock(SPIN); }
OP(spin_unlock)		{ return pthread_spin_unlock(SPIN); }

/* mtx-init OFF plain|timed|recursive; waits of cnd: CND MTX [MS] */
#define MTX	AT(mtx_t, a[0])
OP(mtx_init)
{
	return mtx_init(MTX, (IS("timed") ? mtx_timed : mtx_plain) |
			(IS("recursive") ? mtx_recursive : 0));
}
OP(mtx_lock)		{ return mtx_lock(MTX); }
OP(mtx_trylock)		{ return mtx_trylock(MTX); }
OP(mtx_timedlock)	{ return mtx_timedlock(MTX, REAL(a[1])); }
OP(mtx_unlock)		{ return mtx_unlock(MTX); }
OP(mtx_destroy)		{ mtx_destroy(MTX); return 0; }
OP(cnd_init)		{ return cnd_init(AT(cnd_t, a[0])); }
OP(cnd_wait)		{ return cnd_wait(AT(cnd_t, a[0]), AT(mtx_t, a[1])); }
OP(cnd_timedwait)	{ return cnd_timedwait(AT(cnd_t, a[0]), AT(mtx_t, a[1]), REAL(a[2])); }
OP(cnd_signal)		{ return cnd_signal(AT(cnd_t, a[0])); }
OP(cnd_broadcast)	{ return cnd_broadcast(AT(cnd_t, a[0])); }
OP(cnd_destroy)		{ cnd_destroy(AT(cnd_t, a[0])); return 0; }

/* The last argument but a time: shared|private */
static long futex(const char *word, int op, const char *kind, long n, const void *time,
		  const char *other, const char *bits)
{
	if (!strcmp(kind, "private"))
		op |= FUTEX_PRIVATE_FLAG;
	return syscall(SYS_futex, at(word, 4), op, n, time, other ? at(other, 4) : NULL,
		       bits ? number(bits) : 0);
}

/* futex-wait OFF VALUE KIND [MS] */
OP(futex_wait)
{
	struct timespec t;

	asked_ms = a[3] ? number(a[3]) : 0;
	t.tv_sec = asked_ms / 1000;
	t.tv_nsec = asked_ms % 1000 * 1000000;
	return futex(a[0], FUTEX_WAIT, a[2], number(a[1]), a[3] ? &t : NULL, NULL, NULL);
}

/* futex-wake OFF N KIND */
OP(futex_wake)
{
	return futex(a[0], FUTEX_WAKE, a[2], number(a[1]), NULL, NULL, NULL);
}

/* futex-wait-bitset OFF VALUE BITS KIND [MS], futex-wake-bitset OFF N BITS KIND */
OP(futex_wait_bitset)
{
	return futex(a[0], FUTEX_WAIT_BITSET, a[3], number(a[1]), a[4] ? MONO(a[4]) : NULL,
		     NULL, a[2]);
}

OP(futex_wake_bitset)
{
	return futex(a[0], FUTEX_WAKE_BITSET, a[3], number(a[1]), NULL, NULL, a[2]);
}

/* futex-requeue OFF WAKE MOVE OFF2 KIND, futex-cmp-requeue OFF WAKE MOVE OFF2 VALUE KIND */
OP(futex_requeue)
{
	return futex(a[0], FUTEX_REQUEUE, a[4], number(a[1]),
		     (const void *)(uintptr_t)number(a[2]), a[3], NULL);
}

OP(futex_cmp_requeue)
{
	return futex(a[0], FUTEX_CMP_REQUEUE, a[5], number(a[1]),
		     (const void *)(uintptr_t)number(a[2]), a[3], a[4]);
}
