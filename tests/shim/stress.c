/* SPDX-License-Identifier: MIT */
/*
 * A mixed load on one shared object from several places, every operation
 * checked: stress NAME PLACE PLACES PROCESSES SECONDS [kill]. Place 0 creates
 * the object. Each place's process 0 is steady: it takes part in barriers and
 * in a ring of futexes; with `kill` the others are killed at random, and keep to
 * the robust mutex then. A process that does nothing for HANG_S fails the run.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS_MAX	64
#define HANG_S		60
#define PATIENCE_S	60
#define ROOM		8
#define UNITS		5
#define PER_ROUND	25

enum { NORMAL, RECURSIVE, ERRORCHECK, ROBUST, MUTEXES };
enum operation { IDLE, MUTEX, QUEUE, SEMAPHORE, RWLOCK, BARRIER, RING, OPERATIONS };
static const char *const names[] = {
	"idle", "mutex", "queue", "semaphore", "rwlock", "barrier", "ring",
};

struct worker {
	_Atomic uint32_t operation;
	_Atomic uint64_t done[OPERATIONS];
	uint64_t counted[MUTEXES], put, got;
} __attribute__((aligned(64)));

struct shared {
	_Atomic uint32_t ready, arrived, finished, failed, stop_at;
	struct {
		pthread_mutex_t mutex;
		volatile uint64_t count;
	} m[MUTEXES] __attribute__((aligned(64)));
	pthread_mutex_t queue __attribute__((aligned(64)));
	pthread_cond_t filled, emptied;
	uint64_t item[ROOM];
	uint32_t items, first;
	sem_t units __attribute__((aligned(64)));
	_Atomic uint32_t held;
	pthread_rwlock_t rwlock __attribute__((aligned(64)));
	volatile uint64_t left, right;
	pthread_barrier_t barrier __attribute__((aligned(64)));
	_Atomic uint32_t token;
	struct worker worker[WORKERS_MAX];
};

static struct shared *s;
static struct worker *me;
static uint32_t place, places, processes;
static bool killing;
static unsigned int seed;

static uint32_t any(uint32_t n)
{
	return (uint32_t)rand_r(&seed) % n;
}

__attribute__((format(printf, 1, 2), noreturn))
static void wrong(const char *format, ...)
{
	va_list args;

	s->failed = 1;
	fprintf(stderr, "place %u process %ld: ", place, (long)(me - s->worker) % processes);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void must(int r, const char *what)
{
	if (r)
		wrong("%s: %s", what, strerrorname_np(r));
}

static const struct timespec *soon(clockid_t clock)
{
	static struct timespec t;

	clock_gettime(clock, &t);
	t.tv_nsec += 50000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return &t;
}

/* --- operations --- */

static void repair(void)
{
	uint64_t sum = 0;

	/* the dead one was between two of its steps, not further */
	for (uint32_t i = 0; i < places * processes; i++)
		sum += s->worker[i].counted[ROBUST];
	if (sum + 1 < s->m[ROBUST].count || s->m[ROBUST].count + 1 < sum)
		wrong("robust: %llu counted, %llu by their makers",
		      (unsigned long long)s->m[ROBUST].count, (unsigned long long)sum);
	s->m[ROBUST].count = sum;
	must(pthread_mutex_consistent(&s->m[ROBUST].mutex), "consistent");
}

/* false: not got, as a try or a time may end */
static bool get_mutex(int kind)
{
	pthread_mutex_t *m = &s->m[kind].mutex;
	int r;

	switch (any(4)) {
	case 0:
		r = pthread_mutex_trylock(m);
		break;
	case 1:
		r = pthread_mutex_timedlock(m, soon(CLOCK_REALTIME));
		break;
	default:
		r = pthread_mutex_lock(m);
	}
	if (r == EBUSY || r == ETIMEDOUT)
		return false;
	if (r == EOWNERDEAD && kind == ROBUST)
		repair();
	else
		must(r, "mutex");
	return true;
}

static void mutex(void)
{
	int kind = killing ? ROBUST : (int)any(MUTEXES);
	uint64_t count;

	if (!get_mutex(kind))
		return;
	if (kind == RECURSIVE)
		must(pthread_mutex_lock(&s->m[kind].mutex), "again");
	if (kind == ERRORCHECK && pthread_mutex_lock(&s->m[kind].mutex) != EDEADLK)
		wrong("errorcheck: locked twice");
	count = s->m[kind].count;
	if (!any(4))
		sched_yield();
	s->m[kind].count = count + 1;
	me->counted[kind]++;
	if (kind == RECURSIVE)
		must(pthread_mutex_unlock(&s->m[kind].mutex), "unlock once");
	must(pthread_mutex_unlock(&s->m[kind].mutex), "unlock");
}

static void put(void)
{
	must(pthread_mutex_lock(&s->queue), "queue");
	if (s->items == ROOM)
		pthread_cond_timedwait(&s->emptied, &s->queue, soon(CLOCK_MONOTONIC));
	if (s->items < ROOM) {
		s->item[(s->first + s->items++) % ROOM] = 1 + any(100);
		me->put += s->item[(s->first + s->items - 1) % ROOM];
		must(any(8) ? pthread_cond_signal(&s->filled) :
			      pthread_cond_broadcast(&s->filled), "signal");
	}
	must(pthread_mutex_unlock(&s->queue), "queue");
}

static void get(void)
{
	must(pthread_mutex_lock(&s->queue), "queue");
	if (!s->items)
		pthread_cond_timedwait(&s->filled, &s->queue, soon(CLOCK_MONOTONIC));
	if (s->items) {
		me->got += s->item[s->first];
		s->first = (s->first + 1) % ROOM;
		s->items--;
		must(pthread_cond_signal(&s->emptied), "signal");
	}
	must(pthread_mutex_unlock(&s->queue), "queue");
}

static void queue(void)
{
	if (any(2))
		put();
	else
		get();
}

static void semaphore(void)
{
	int r = any(3) ? sem_wait(&s->units) : sem_timedwait(&s->units, soon(CLOCK_REALTIME));

	if (r && errno == ETIMEDOUT)
		return;
	if (r)
		wrong("sem_wait: %s", strerrorname_np(errno));
	if (++s->held > UNITS)
		wrong("more than %d units", UNITS);
	if (!any(4))
		sched_yield();
	s->held--;
	if (sem_post(&s->units))
		wrong("sem_post: %s", strerrorname_np(errno));
}

static void rwlock(void)
{
	bool write = !any(4);

	must(write ? pthread_rwlock_wrlock(&s->rwlock) : pthread_rwlock_rdlock(&s->rwlock),
	     "rwlock");
	if (s->left != s->right)
		wrong("rwlock: %llu and %llu", (unsigned long long)s->left,
		      (unsigned long long)s->right);
	if (write) {
		s->left++;
		if (!any(4))
			sched_yield();
		s->right++;
	}
	must(pthread_rwlock_unlock(&s->rwlock), "rwlock");
}

static void barrier(void)
{
	int r = pthread_barrier_wait(&s->barrier);

	must(r == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : r, "barrier");
}

/* The token goes round the places once. */
static void ring(void)
{
	uint32_t token;

	while ((token = s->token) % places != place)
		syscall(SYS_futex, &s->token, FUTEX_WAIT, token, NULL, NULL, 0);
	s->token++;
	syscall(SYS_futex, &s->token, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void operate(enum operation operation)
{
	static void (*const run[])(void) = {
		[MUTEX] = mutex, [QUEUE] = queue, [SEMAPHORE] = semaphore,
		[RWLOCK] = rwlock, [BARRIER] = barrier, [RING] = ring,
	};

	me->operation = operation;
	run[operation]();
	me->operation = IDLE;
	me->done[operation]++;
}

/* --- processes --- */

static void steady(void)
{
	for (uint32_t round = 0; !s->stop_at || round < s->stop_at; round++) {
		for (int i = 0; i < PER_ROUND; i++)
			operate(MUTEX + any(RWLOCK - MUTEX + 1));
		operate(BARRIER);
		operate(RING);
	}
}

static void loose(void)
{
	while (!s->stop_at)
		operate(killing ? MUTEX : MUTEX + any(RWLOCK - MUTEX + 1));
}

static pid_t start_worker(uint32_t i)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	me = &s->worker[place * processes + i];
	seed ^= (unsigned int)getpid() * 2654435761u;
	if (i)
		loose();
	else
		steady();
	_exit(0);
}

static void report_hang(void)
{
	for (uint32_t i = 0; i < processes; i++) {
		const struct worker *w = &s->worker[place * processes + i];

		fprintf(stderr, "place %u process %u: in %s for %d s\n", place, i,
			names[w->operation % OPERATIONS], HANG_S);
	}
}

static uint64_t progress(uint32_t i)
{
	uint64_t sum = 0;

	for (int k = 0; k < OPERATIONS; k++)
		sum += s->worker[place * processes + i].done[k];
	return sum;
}

/* Ends the load from place 0: at a round that no steady one has passed. */
static void stop(void)
{
	const struct worker *w = &s->worker[0];

	s->stop_at = (uint32_t)w->done[BARRIER] + 3;
}

static bool watch(pid_t *pid, int seconds)
{
	uint64_t before[WORKERS_MAX] = { 0 };
	time_t moved[WORKERS_MAX], end = time(NULL) + seconds;
	uint32_t left = processes;

	for (uint32_t i = 0; i < processes; i++)
		moved[i] = time(NULL);
	while (left) {
		usleep(killing ? 20000 + any(100000) : 200000);
		if (!place && !s->stop_at && time(NULL) >= end)
			stop();
		for (uint32_t i = 0; i < processes; i++) {
			int status;

			if (!pid[i])
				continue;
			if (waitpid(pid[i], &status, WNOHANG) == pid[i]) {
				if (!WIFEXITED(status) || WEXITSTATUS(status))
					return false;
				pid[i] = 0;
				left--;
				continue;
			}
			if (progress(i) != before[i]) {
				before[i] = progress(i);
				moved[i] = time(NULL);
			} else if (time(NULL) - moved[i] > HANG_S) {
				report_hang();
				return false;
			}
		}
		if (killing && processes > 1 && !s->stop_at) {
			uint32_t i = 1 + any(processes - 1);

			kill(pid[i], SIGKILL);
			waitpid(pid[i], NULL, 0);
			pid[i] = start_worker(i);
		}
		if (s->failed)
			return false;
	}
	return true;
}

/* --- the object --- */

static void fill(void)
{
	pthread_mutexattr_t m;
	pthread_condattr_t c;
	pthread_rwlockattr_t r;
	pthread_barrierattr_t b;
	static const int types[] = {
		PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_ERRORCHECK,
		PTHREAD_MUTEX_NORMAL,
	};

	pthread_mutexattr_init(&m);
	pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&s->queue, &m);
	for (int i = 0; i < MUTEXES; i++) {
		pthread_mutexattr_settype(&m, types[i]);
		pthread_mutexattr_setrobust(&m, i == ROBUST ? PTHREAD_MUTEX_ROBUST :
							      PTHREAD_MUTEX_STALLED);
		pthread_mutex_init(&s->m[i].mutex, &m);
	}
	pthread_condattr_init(&c);
	pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED);
	pthread_condattr_setclock(&c, CLOCK_MONOTONIC);
	pthread_cond_init(&s->filled, &c);
	pthread_cond_init(&s->emptied, &c);
	sem_init(&s->units, 1, UNITS);
	pthread_rwlockattr_init(&r);
	pthread_rwlockattr_setpshared(&r, PTHREAD_PROCESS_SHARED);
	pthread_rwlock_init(&s->rwlock, &r);
	pthread_barrierattr_init(&b);
	pthread_barrierattr_setpshared(&b, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&s->barrier, &b, places);
	s->ready = 1;
}

static void await(const _Atomic uint32_t *word, uint32_t value, const char *what)
{
	time_t end = time(NULL) + PATIENCE_S;

	while (*word != value) {
		if (time(NULL) > end)
			errx(1, "place %u: %s: %u of %u", place, what, *word, value);
		usleep(10000);
	}
}

static void map(const char *name)
{
	time_t end = time(NULL) + PATIENCE_S;
	struct stat st = { 0 };
	int fd;

	while ((fd = shm_open(name, O_RDWR | (place ? 0 : O_CREAT | O_EXCL), 0600)) < 0) {
		if (!place || errno != ENOENT || time(NULL) > end)
			err(1, "%s", name);
		usleep(10000);
	}
	if (!place && ftruncate(fd, sizeof(*s)))
		err(1, "ftruncate");
	while (!st.st_size)
		if (fstat(fd, &st))
			err(1, "fstat");
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s == MAP_FAILED)
		err(1, "mmap");
	close(fd);
}

static bool same(const char *what, uint64_t a, uint64_t b)
{
	if (a != b)
		fprintf(stderr, "%s: %llu, but %llu\n", what, (unsigned long long)a,
			(unsigned long long)b);
	return a == b;
}

static bool exact(void)
{
	uint64_t counted[MUTEXES] = { 0 }, in = 0, out = 0;
	bool good = true;
	int value;

	/* the last to die may have left it between two steps */
	if (killing && get_mutex(ROBUST))
		pthread_mutex_unlock(&s->m[ROBUST].mutex);
	for (uint32_t i = 0; i < places * processes; i++) {
		in += s->worker[i].put;
		out += s->worker[i].got;
		for (int k = 0; k < MUTEXES; k++)
			counted[k] += s->worker[i].counted[k];
	}
	for (uint32_t i = 0; i < s->items; i++)
		out += s->item[(s->first + i) % ROOM];
	for (int k = 0; k < MUTEXES; k++)
		good &= same("mutex", s->m[k].count, counted[k]);
	good &= same("queue", out, in) & same("rwlock", s->left, s->right);
	sem_getvalue(&s->units, &value);
	return good & same("semaphore", (uint64_t)value, UNITS);
}

static void report(void)
{
	char line[512];
	size_t n = 0;

	for (int k = MUTEX; k < OPERATIONS; k++) {
		uint64_t sum = 0;

		for (uint32_t i = 0; i < processes; i++)
			sum += s->worker[place * processes + i].done[k];
		n += (size_t)snprintf(line + n, sizeof(line) - n, "%s%s %llu", n ? ", " : "",
				      names[k], (unsigned long long)sum);
	}
	puts(line);
}

int main(int argc, char **argv)
{
	pid_t pid[WORKERS_MAX];
	bool good;

	if (argc < 6)
		errx(2, "usage: stress NAME PLACE PLACES PROCESSES SECONDS [kill]");
	place = (uint32_t)atoi(argv[2]);
	places = (uint32_t)atoi(argv[3]);
	processes = (uint32_t)atoi(argv[4]);
	killing = argv[6] && !strcmp(argv[6], "kill");
	if (places * processes > WORKERS_MAX || !processes || place >= places)
		errx(2, "at most %d processes in all", WORKERS_MAX);
	seed = (unsigned int)time(NULL) ^ place << 16;
	map(argv[1]);
	if (!place)
		fill();
	await(&s->ready, 1, "the object");
	s->arrived++;
	await(&s->arrived, places, "places that came");
	for (uint32_t i = 0; i < processes; i++)
		pid[i] = start_worker(i);
	good = watch(pid, atoi(argv[5]));
	if (!good) {
		s->failed = 1;
		for (uint32_t i = 0; i < processes; i++)
			if (pid[i])
				kill(pid[i], SIGKILL);
		errx(1, "place %u failed", place);
	}
	s->finished++;
	await(&s->finished, places, "places that finished");
	report();
	if (!exact())
		return 1;
	puts("exact");
	return 0;
}
