/* SPDX-License-Identifier: MIT */
/* POSIX and C11 synchronisation: the shim's for objects in a channel. */
#include <errno.h>
#include <stdarg.h>
#include <threads.h>

#include "real.h"
#include "region.h"
#include "shim.h"
#include "sync.h"

#define AT(clock, time)	(&(const struct shim_deadline){ (clock), (time) })

static int thrd(int error)
{
	switch (error) {
	case 0:
		return thrd_success;
	case EBUSY:
		return thrd_busy;
	case ETIMEDOUT:
		return thrd_timedout;
	case ENOMEM:
		return thrd_nomem;
	}
	return thrd_error;
}

/* SERVE(result type, name, (parameters), (arguments), object, what to do in a channel) */
#define SERVE(type, name, parameters, arguments, object, own) \
	SHIM_EXPORT type name parameters; \
	SHIM_EXPORT type name parameters \
	{ \
		return shim_in_channel(object) ? (own) : real_##name arguments; \
	}

/* --- mutexes --- */

SERVE(int, pthread_mutex_init, (pthread_mutex_t *m, const pthread_mutexattr_t *a), (m, a),
      m, shim_mutex_init(m, a))
SERVE(int, pthread_mutex_destroy, (pthread_mutex_t *m), (m), m, shim_mutex_destroy(m))
SERVE(int, pthread_mutex_lock, (pthread_mutex_t *m), (m), m, shim_mutex_lock(m, NULL))
SERVE(int, pthread_mutex_trylock, (pthread_mutex_t *m), (m), m, shim_mutex_trylock(m))
SERVE(int, pthread_mutex_timedlock, (pthread_mutex_t *m, const struct timespec *t), (m, t),
      m, shim_mutex_lock(m, AT(CLOCK_REALTIME, t)))
SERVE(int, pthread_mutex_clocklock, (pthread_mutex_t *m, clockid_t c, const struct timespec *t),
      (m, c, t), m, shim_mutex_lock(m, AT(c, t)))
SERVE(int, pthread_mutex_unlock, (pthread_mutex_t *m), (m), m, shim_mutex_unlock(m))
SERVE(int, pthread_mutex_consistent, (pthread_mutex_t *m), (m), m, shim_mutex_consistent(m))
SERVE(int, pthread_mutex_getprioceiling, (const pthread_mutex_t *m, int *p), (m, p), m, EINVAL)
SERVE(int, pthread_mutex_setprioceiling, (pthread_mutex_t *m, int p, int *old), (m, p, old),
      m, EINVAL)

/* --- condition variables; a private one cannot let go of a channel's mutex --- */

#define SERVE_WAIT(type, name, parameters, arguments, cond, deadline) \
	SHIM_EXPORT type name parameters; \
	SHIM_EXPORT type name parameters \
	{ \
		if (shim_in_channel(cond)) \
			return shim_cond_wait(cond, m, deadline); \
		if (shim_in_channel(m)) \
			return EINVAL; \
		return real_##name arguments; \
	}

/* The two layouts that glibc has had, each by its version. */
#define SERVE_VERSIONS(serve, name, parameters, arguments, own) \
	serve(int, new_##name, parameters, arguments, c, own) \
	serve(int, old_##name, parameters, arguments, c, own) \
	__asm__(".symver new_" #name "," #name "@@GLIBC_2.3.2"); \
	__asm__(".symver old_" #name "," #name "@GLIBC_2.2.5");

SERVE_VERSIONS(SERVE, pthread_cond_init, (pthread_cond_t *c, const pthread_condattr_t *a), (c, a),
	       shim_cond_init(c, a))
SERVE_VERSIONS(SERVE, pthread_cond_destroy, (pthread_cond_t *c), (c), shim_cond_destroy(c))
SERVE_VERSIONS(SERVE, pthread_cond_signal, (pthread_cond_t *c), (c), shim_cond_signal(c))
SERVE_VERSIONS(SERVE, pthread_cond_broadcast, (pthread_cond_t *c), (c), shim_cond_broadcast(c))
SERVE_VERSIONS(SERVE_WAIT, pthread_cond_wait, (pthread_cond_t *c, pthread_mutex_t *m), (c, m), NULL)
SERVE_VERSIONS(SERVE_WAIT, pthread_cond_timedwait,
	       (pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *t), (c, m, t),
	       AT(-1, t))
SERVE_WAIT(int, pthread_cond_clockwait,
	   (pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock, const struct timespec *t),
	   (c, m, clock, t), c, AT(clock, t))

/* --- semaphores --- */

SHIM_EXPORT int pthread_cancel(pthread_t thread)
{
	shim_cancelling = true;
	return real_pthread_cancel(thread);
}

SERVE(int, sem_init, (sem_t *s, int shared, unsigned int value), (s, shared, value),
      s, shim_sem_init(s, value))
SERVE(int, sem_destroy, (sem_t *s), (s), s, 0)
SERVE(int, sem_wait, (sem_t *s), (s), s, shim_sem_wait(s, NULL))
SERVE(int, sem_trywait, (sem_t *s), (s), s, shim_sem_trywait(s))
SERVE(int, sem_timedwait, (sem_t *s, const struct timespec *t), (s, t),
      s, shim_sem_wait(s, AT(CLOCK_REALTIME, t)))
SERVE(int, sem_clockwait, (sem_t *s, clockid_t c, const struct timespec *t), (s, c, t),
      s, shim_sem_wait(s, AT(c, t)))
SERVE(int, sem_post, (sem_t *s), (s), s, shim_sem_post(s))
SERVE(int, sem_getvalue, (sem_t *s, int *value), (s, value),
      s, shim_sem_getvalue(s, value))

/* --- read-write locks --- */

SERVE(int, pthread_rwlock_init, (pthread_rwlock_t *l, const pthread_rwlockattr_t *a), (l, a),
      l, shim_rwlock_init(l, a))
SERVE(int, pthread_rwlock_destroy, (pthread_rwlock_t *l), (l), l, shim_rwlock_destroy(l))
SERVE(int, pthread_rwlock_rdlock, (pthread_rwlock_t *l), (l),
      l, shim_rwlock_read(l, false, NULL))
SERVE(int, pthread_rwlock_tryrdlock, (pthread_rwlock_t *l), (l),
      l, shim_rwlock_read(l, true, NULL))
SERVE(int, pthread_rwlock_timedrdlock, (pthread_rwlock_t *l, const struct timespec *t), (l, t),
      l, shim_rwlock_read(l, false, AT(CLOCK_REALTIME, t)))
SERVE(int, pthread_rwlock_clockrdlock,
      (pthread_rwlock_t *l, clockid_t c, const struct timespec *t), (l, c, t),
      l, shim_rwlock_read(l, false, AT(c, t)))
SERVE(int, pthread_rwlock_wrlock, (pthread_rwlock_t *l), (l),
      l, shim_rwlock_write(l, false, NULL))
SERVE(int, pthread_rwlock_trywrlock, (pthread_rwlock_t *l), (l),
      l, shim_rwlock_write(l, true, NULL))
SERVE(int, pthread_rwlock_timedwrlock, (pthread_rwlock_t *l, const struct timespec *t), (l, t),
      l, shim_rwlock_write(l, false, AT(CLOCK_REALTIME, t)))
SERVE(int, pthread_rwlock_clockwrlock,
      (pthread_rwlock_t *l, clockid_t c, const struct timespec *t), (l, c, t),
      l, shim_rwlock_write(l, false, AT(c, t)))
SERVE(int, pthread_rwlock_unlock, (pthread_rwlock_t *l), (l), l, shim_rwlock_unlock(l))

/* --- barriers --- */

SERVE(int, pthread_barrier_init,
      (pthread_barrier_t *b, const pthread_barrierattr_t *a, unsigned int count), (b, a, count),
      b, shim_barrier_init(b, count))
SERVE(int, pthread_barrier_destroy, (pthread_barrier_t *b), (b), b, shim_barrier_destroy(b))
SERVE(int, pthread_barrier_wait, (pthread_barrier_t *b), (b), b, shim_barrier_wait(b))

/* --- C11: in glibc the same objects under other names --- */

static int c11_kind(int type)
{
	return type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL;
}

#define MUTEX(m)	((pthread_mutex_t *)(m))
#define COND(c)		((pthread_cond_t *)(c))

SERVE(int, mtx_init, (mtx_t *m, int type), (m, type),
      m, thrd(shim_mutex_init_kind(MUTEX(m), c11_kind(type))))
SERVE(int, mtx_lock, (mtx_t *m), (m), m, thrd(shim_mutex_lock(MUTEX(m), NULL)))
SERVE(int, mtx_trylock, (mtx_t *m), (m), m, thrd(shim_mutex_trylock(MUTEX(m))))
SERVE(int, mtx_timedlock, (mtx_t *m, const struct timespec *t), (m, t),
      m, thrd(shim_mutex_lock(MUTEX(m), AT(CLOCK_REALTIME, t))))
SERVE(int, mtx_unlock, (mtx_t *m), (m), m, thrd(shim_mutex_unlock(MUTEX(m))))
SERVE(int, cnd_init, (cnd_t *c), (c), c, thrd(shim_cond_init(COND(c), NULL)))
SERVE(int, cnd_signal, (cnd_t *c), (c), c, thrd(shim_cond_signal(COND(c))))
SERVE(int, cnd_broadcast, (cnd_t *c), (c), c, thrd(shim_cond_broadcast(COND(c))))

SHIM_EXPORT void mtx_destroy(mtx_t *m)
{
	if (shim_in_channel(m))
		shim_mutex_destroy(MUTEX(m));
	else
		real_mtx_destroy(m);
}

SHIM_EXPORT void cnd_destroy(cnd_t *c)
{
	if (shim_in_channel(c))
		shim_cond_destroy(COND(c));
	else
		real_cnd_destroy(c);
}

SHIM_EXPORT int cnd_wait(cnd_t *c, mtx_t *m)
{
	if (shim_in_channel(c))
		return thrd(shim_cond_wait(COND(c), MUTEX(m), NULL));
	return shim_in_channel(m) ? thrd_error : real_cnd_wait(c, m);
}

SHIM_EXPORT int cnd_timedwait(cnd_t *c, mtx_t *m, const struct timespec *t)
{
	if (shim_in_channel(c))
		return thrd(shim_cond_wait(COND(c), MUTEX(m), AT(CLOCK_REALTIME, t)));
	return shim_in_channel(m) ? thrd_error : real_cnd_timedwait(c, m, t);
}
