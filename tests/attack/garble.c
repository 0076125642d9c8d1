/* SPDX-License-Identifier: MIT */
/*
 * garble check NAME SEED COUNT     over and over: fill a synchronisation object of
 *                                  the segment with garbage, then call each function
 *                                  that takes it, in a child of a bounded time
 * garble scribble NAME SECONDS     write garbage over the whole segment all the time
 * garble use NAME SECONDS          call functions with short times on it all the time
 *
 * A call may fail, succeed or sleep; it may neither crash, nor burn the processor,
 * nor stay much longer than its time. Knows POSIX only.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE		4096
#define PATIENCE_MS	400	/* then a child is ended */
#define SPIN_MS		200	/* of the processor's time: that is no sleep */
#define LATE_MS		3000	/* beyond a call's own time */
#define AT_ONCE		6

static uint8_t *segment;

/* Objects far enough from each other; all of them in one page. */
static pthread_mutex_t *mutex(void) { return (void *)(segment + 0); }
static pthread_cond_t *cond(void) { return (void *)(segment + 128); }
static pthread_rwlock_t *rwlock(void) { return (void *)(segment + 256); }
static sem_t *sem(void) { return (void *)(segment + 384); }
static pthread_barrier_t *barrier(void) { return (void *)(segment + 512); }

static struct timespec soon(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += ms * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

#define TIMED(name, call) \
	static void name(void) { struct timespec t = soon(50); call; }
#define PLAIN(name, call) \
	static void name(void) { call; }

TIMED(mutex_timedlock, pthread_mutex_timedlock(mutex(), &t))
PLAIN(mutex_trylock, pthread_mutex_trylock(mutex()))
PLAIN(mutex_unlock, pthread_mutex_unlock(mutex()))
PLAIN(mutex_consistent, pthread_mutex_consistent(mutex()))
PLAIN(mutex_destroy, pthread_mutex_destroy(mutex()))
TIMED(cond_timedwait, pthread_cond_timedwait(cond(), mutex(), &t))
PLAIN(cond_signal, pthread_cond_signal(cond()))
PLAIN(cond_broadcast, pthread_cond_broadcast(cond()))
TIMED(rw_timedread, pthread_rwlock_timedrdlock(rwlock(), &t))
TIMED(rw_timedwrite, pthread_rwlock_timedwrlock(rwlock(), &t))
PLAIN(rw_tryread, pthread_rwlock_tryrdlock(rwlock()))
PLAIN(rw_trywrite, pthread_rwlock_trywrlock(rwlock()))
PLAIN(rw_unlock, pthread_rwlock_unlock(rwlock()))
TIMED(sem_timed, sem_timedwait(sem(), &t))
PLAIN(sem_try, sem_trywait(sem()))
PLAIN(sem_posted, sem_post(sem()))
PLAIN(sem_value, sem_getvalue(sem(), &(int){ 0 }))
/* these have no time, or take a mutex again without one: they may sleep until they are ended */
PLAIN(mutex_lock, pthread_mutex_lock(mutex()))
PLAIN(cond_wait, pthread_cond_wait(cond(), mutex()))
PLAIN(cond_destroy, pthread_cond_destroy(cond()))
PLAIN(rw_read, pthread_rwlock_rdlock(rwlock()))
PLAIN(rw_write, pthread_rwlock_wrlock(rwlock()))
PLAIN(sem_waited, sem_wait(sem()))
PLAIN(barrier_wait, pthread_barrier_wait(barrier()))
PLAIN(barrier_destroy, pthread_barrier_destroy(barrier()))

static const struct call {
	const char *name;
	void (*run)(void);
	bool returns;
} calls[] = {
#define C(name, returns) { #name, name, returns }
	C(mutex_timedlock, true), C(mutex_trylock, true), C(mutex_unlock, true),
	C(mutex_consistent, true), C(mutex_destroy, true),
	C(cond_signal, true), C(cond_broadcast, true), C(rw_timedread, true),
	C(rw_timedwrite, true), C(rw_tryread, true), C(rw_trywrite, true),
	C(rw_unlock, true), C(sem_timed, true), C(sem_try, true), C(sem_posted, true),
	C(sem_value, true), C(mutex_lock, false), C(cond_wait, false), C(cond_timedwait, false),
	C(cond_destroy, false), C(rw_read, false), C(rw_write, false),
	C(sem_waited, false), C(barrier_wait, false), C(barrier_destroy, false),
};
#define CALLS	(sizeof(calls) / sizeof(*calls))

/* --- garbage --- */

static uint32_t word(void)
{
	static const uint32_t odd[] = {
		0, 1, 2, 3, 0x7fffffff, 0x80000000, 0x80000001, 0xffffffff, 0xfffffffe,
		0x3fffffff, 0x40000000, 0x00400001, 0x7ffffffe,
	};

	return rand() % 3 ? odd[(size_t)rand() % (sizeof(odd) / sizeof(*odd))] :
			    (uint32_t)rand() ^ (uint32_t)rand() << 16;
}

static void init_all(void)
{
	pthread_mutexattr_t ma;

	memset(segment, 0, 1024);
	pthread_mutexattr_init(&ma);
	pthread_mutexattr_settype(&ma, rand() % 3);
	pthread_mutexattr_setrobust(&ma, rand() % 2);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(mutex(), &ma);
	sem_init(sem(), 1, (unsigned int)rand() % 3);
	pthread_barrier_init(barrier(), NULL, 1 + (unsigned int)rand() % 3);
}

/* All words, or one word of objects that are else as they should be. */
static void garble(volatile uint32_t *at, size_t words)
{
	size_t i;

	if (rand() % 2) {
		for (i = 0; i < words; i++)
			at[i] = word();
		return;
	}
	init_all();
	for (i = 0; i < words; i += 32)
		at[i + (size_t)rand() % 12] = word();
}

/* --- check --- */

static long ms_of(const struct rusage *u)
{
	return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000 +
	       (u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1000;
}

static pid_t start(const struct call *c)
{
	const struct itimerval bound = { .it_value.tv_usec = PATIENCE_MS * 1000 };
	pid_t pid = fork();

	if (pid)
		return pid;
	setitimer(ITIMER_REAL, &bound, NULL);
	c->run();
	_exit(0);
}

static unsigned int crashed, spun, stayed, slept;

static void judge(const struct call *c, int status, const struct rusage *u)
{
	bool ended = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;

	slept += ended && !c->returns;
	if (ended && ms_of(u) > SPIN_MS) {
		spun++;
		printf("%s: %ld ms of the processor\n", c->name, ms_of(u));
	} else if (ended && c->returns) {
		stayed++;
		printf("%s: does not return\n", c->name);
	} else if (!ended && status) {
		crashed++;
		printf("%s: status %#x\n", c->name, (unsigned int)status);
	}
}

static int check(int count)
{
	int i;
	size_t k;

	for (i = 0; i < count; i++) {
		for (k = 0; k < CALLS; k++) {
			struct rusage u;
			int status;
			pid_t pid;

			garble((void *)segment, 256);
			pid = start(&calls[k]);
			if (wait4(pid, &status, 0, &u) != pid)
				err(3, "wait4");
			judge(&calls[k], status, &u);
		}
	}
	printf("check: %d calls, %u slept, %u crashed, %u spun, %u stayed\n",
	       count * (int)CALLS, slept, crashed, spun, stayed);
	return crashed || spun || stayed;
}

static int check_all(int seed, int count)
{
	int i, status, bad = 0;

	/* pages of their own: children of one garble nobody else's objects */
	for (i = 0; i < AT_ONCE; i++) {
		fflush(stdout);
		if (fork())
			continue;
		segment += i * SIZE;
		srand((unsigned int)(seed + i));
		status = check(count);
		fflush(stdout);
		_exit(status);
	}
	while (wait(&status) > 0)
		bad |= status;
	return bad != 0;
}

/* --- scribble and use --- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int scribble(double seconds)
{
	double end = now() + seconds;
	unsigned long n = 0;

	while (now() < end) {
		volatile uint32_t *at = (void *)segment;
		size_t i;

		for (i = 0; i < 256; i++, n++)
			at[i] = word();
	}
	printf("scribbled %lu words\n", n);
	return 0;
}

static int use(double seconds)
{
	double end = now() + seconds, before, worst = 0;
	unsigned long n = 0;
	size_t k;

	while (now() < end) {
		for (k = 0; k < CALLS; k++) {
			if (!calls[k].returns)
				continue;
			before = now();
			calls[k].run();
			n++;
			if (now() - before > worst)
				worst = now() - before;
		}
	}
	printf("used: %lu calls, the longest %.0f ms, %s\n", n, worst * 1e3,
	       worst * 1e3 < LATE_MS ? "in time" : "TOO LONG");
	return worst * 1e3 >= LATE_MS;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc < 4)
		errx(2, "usage: garble check NAME SEED COUNT | scribble|use NAME SECONDS");
	fd = shm_open(argv[2], O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, AT_ONCE * SIZE))
		err(3, "%s", argv[2]);
	segment = mmap(NULL, AT_ONCE * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (segment == MAP_FAILED)
		err(3, "mmap");
	if (!strcmp(argv[1], "check"))
		return check_all(atoi(argv[3]), atoi(argv[4]));
	return strcmp(argv[1], "use") ? scribble(atof(argv[3])) : use(atof(argv[3]));
}
