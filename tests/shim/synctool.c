/* SPDX-License-Identifier: MIT */
/*
 * synctool OP ARGS , OP ARGS , ...: a script of POSIX synchronisation on one
 * shared object. It knows nothing of sivshmem: the tests run it in two VMs and
 * without the shim, and the output must be the same.
 *
 * Each operation prints one line, `op offset -> result (name of the error)`,
 * and the script goes on: whoever runs it compares the lines. What waits for a
 * word or expects one ends the script with status 1 if that fails.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include "synctool_ops.h"

#define MOST	8

struct call {
	char *args[MOST];
	const struct op *op;
	pthread_t thread;
	char line[200];
	int cancelled, held;
};

static const struct op {
	const char *name;
	enum kind kind;
	int min, max;
	long (*run)(char **a);
} ops[] = {
#define O(name, fn, kind, min, max) { name, kind, min, max, op_##fn }
	O("mutex-init", mutex_init, RC, 1, 2), O("mutex-lock", mutex_lock, RC, 1, 1),
	O("mutex-trylock", mutex_trylock, RC, 1, 1),
	O("mutex-timedlock", mutex_timedlock, RC, 2, 2),
	O("mutex-clocklock", mutex_clocklock, RC, 2, 2),
	O("mutex-unlock", mutex_unlock, RC, 1, 1),
	O("mutex-unlock-forked", mutex_unlock_forked, RC, 1, 1),
	O("mutex-consistent", mutex_consistent, RC, 1, 1),
	O("mutex-destroy", mutex_destroy, RC, 1, 1),
	O("cond-init", cond_init, RC, 1, 2), O("cond-wait", cond_wait, RC, 2, 2),
	O("cond-timedwait", cond_timedwait, RC, 3, 3),
	O("cond-monowait", cond_monowait, RC, 3, 3),
	O("cond-clockwait", cond_clockwait, RC, 3, 3),
	O("cond-until", cond_until, RC, 4, 4), O("cond-signal", cond_signal, RC, 1, 1),
	O("cond-broadcast", cond_broadcast, RC, 1, 1),
	O("cond-destroy", cond_destroy, RC, 1, 1),
	O("sem-open", sem_open, ERRNO, 2, 4), O("sem-close", sem_close, ERRNO, 1, 1),
	O("sem-unlink", sem_unlink, ERRNO, 1, 1), O("sem-init", sem_init, ERRNO, 2, 2),
	O("sem-wait", sem_wait, ERRNO, 1, 1), O("sem-trywait", sem_trywait, ERRNO, 1, 1),
	O("sem-timedwait", sem_timedwait, ERRNO, 2, 2),
	O("sem-clockwait", sem_clockwait, ERRNO, 2, 2),
	O("sem-post", sem_post, ERRNO, 1, 1), O("sem-getvalue", sem_getvalue, ERRNO, 1, 1),
	O("sem-destroy", sem_destroy, ERRNO, 1, 1),
	O("rwlock-init", rwlock_init, RC, 1, 2), O("rwlock-rdlock", rwlock_rdlock, RC, 1, 1),
	O("rwlock-wrlock", rwlock_wrlock, RC, 1, 1),
	O("rwlock-tryrdlock", rwlock_tryrdlock, RC, 1, 1),
	O("rwlock-trywrlock", rwlock_trywrlock, RC, 1, 1),
	O("rwlock-timedrdlock", rwlock_timedrdlock, RC, 2, 2),
	O("rwlock-timedwrlock", rwlock_timedwrlock, RC, 2, 2),
	O("rwlock-clockrdlock", rwlock_clockrdlock, RC, 2, 2),
	O("rwlock-clockwrlock", rwlock_clockwrlock, RC, 2, 2),
	O("rwlock-unlock", rwlock_unlock, RC, 1, 1),
	O("rwlock-destroy", rwlock_destroy, RC, 1, 1),
	O("barrier-init", barrier_init, RC, 2, 2), O("barrier-wait", barrier_wait, RC, 1, 1),
	O("barrier-destroy", barrier_destroy, RC, 1, 1),
	O("spin-init", spin_init, RC, 1, 1), O("spin-lock", spin_lock, RC, 1, 1),
	O("spin-trylock", spin_trylock, RC, 1, 1), O("spin-unlock", spin_unlock, RC, 1, 1),
	O("mtx-init", mtx_init, C11, 2, 2), O("mtx-lock", mtx_lock, C11, 1, 1),
	O("mtx-trylock", mtx_trylock, C11, 1, 1), O("mtx-timedlock", mtx_timedlock, C11, 2, 2),
	O("mtx-unlock", mtx_unlock, C11, 1, 1), O("mtx-destroy", mtx_destroy, C11, 1, 1),
	O("cnd-init", cnd_init, C11, 1, 1), O("cnd-wait", cnd_wait, C11, 2, 2),
	O("cnd-timedwait", cnd_timedwait, C11, 3, 3), O("cnd-signal", cnd_signal, C11, 1, 1),
	O("cnd-broadcast", cnd_broadcast, C11, 1, 1), O("cnd-destroy", cnd_destroy, C11, 1, 1),
	O("futex-wait", futex_wait, ERRNO, 3, 4), O("futex-wake", futex_wake, ERRNO, 3, 3),
	O("futex-wait-bitset", futex_wait_bitset, ERRNO, 4, 5),
	O("futex-wake-bitset", futex_wake_bitset, ERRNO, 4, 4),
	O("futex-requeue", futex_requeue, ERRNO, 5, 5),
	O("futex-cmp-requeue", futex_cmp_requeue, ERRNO, 6, 6),
};

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* How long to wait for the other end: JOIN_SECONDS, or a minute. */
static double patience(void)
{
	const char *s = getenv("JOIN_SECONDS");

	return seconds() + (s ? atof(s) : 60);
}

static void nap(double end, const char *what)
{
	if (seconds() > end)
		errx(1, "waited in vain for %s", what);
	usleep(2000);
}

static const char *error_name(enum kind kind, long rc, int error)
{
	if (kind == C11)
		return rc == thrd_success ? NULL : rc == thrd_busy ? "busy" :
			rc == thrd_timedout ? "timedout" : rc == thrd_nomem ? "nomem" : "error";
	if (kind == ERRNO)
		return rc < 0 ? strerrorname_np(error) : NULL;
	return rc == PTHREAD_BARRIER_SERIAL_THREAD ? "serial" :
		rc ? strerrorname_np((int)rc) : NULL;
}

static void perform(struct call *c)
{
	const char *name;
	double start = seconds();
	long rc, ms;

	asked_ms = 0;
	errno = 0;
	rc = c->op->run(c->args);
	name = error_name(c->op->kind, rc, errno);
	ms = (long)(1e3 * (seconds() - start)) + 1;
	snprintf(c->line, sizeof(c->line), "%s %s -> %ld%s%s%s%s", c->op->name, c->args[0],
		 rc, name ? " (" : "", name ? name : "", name ? ")" : "",
		 name && strcasestr(name, "timedout") && ms < asked_ms ? " too early" : "");
}

static void parse(struct call *c, int n, char **words)
{
	const struct op *o = ops, *end = ops + sizeof(ops) / sizeof(*ops);

	memset(c, 0, sizeof(*c));
	while (o < end && (!n || strcmp(o->name, words[0])))
		o++;
	if (o == end || n - 1 < o->min || n - 1 > o->max)
		errx(2, "unknown operation or wrong arguments: %s", n ? words[0] : "none");
	memcpy(c->args, words + 1, (size_t)(n - 1) * sizeof(*words));
	c->op = o;
}

/* make /NAME SIZE, join /NAME: this end makes the object, or waits for it */
static void map(int fd, size_t size)
{
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		err(1, "mmap");
	mapped = size;
	close(fd);
}

static void do_make(char **a)
{
	int fd = shm_open(a[0], O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd < 0 || ftruncate(fd, number(a[1])))
		err(1, "make %s", a[0]);
	map(fd, (size_t)number(a[1]));
}

static void do_join(char **a)
{
	double end = patience();
	struct stat st;
	int fd;

	for (;; nap(end, a[0])) {
		fd = shm_open(a[0], O_RDWR, 0);
		if (fd < 0 && errno != ENOENT)
			err(1, "join %s", a[0]);
		if (fd >= 0 && !fstat(fd, &st) && st.st_size)
			break;
		if (fd >= 0)
			close(fd);
	}
	map(fd, (size_t)st.st_size);
}

static void do_unlink(char **a)
{
	if (shm_unlink(a[0]))
		err(1, "unlink %s", a[0]);
}

/* word OFF VALUE, add OFF VALUE, expect OFF VALUE, spinuntil OFF VALUE */
#define WORD(s)	AT(_Atomic uint32_t, s)
static void do_word(char **a) { atomic_store(WORD(a[0]), (uint32_t)number(a[1])); }
static void do_add(char **a) { atomic_fetch_add(WORD(a[0]), (uint32_t)number(a[1])); }

static void do_expect(char **a)
{
	uint32_t is = atomic_load(WORD(a[0]));

	if (is != (uint32_t)number(a[1]))
		errx(1, "expect %s %s: it is %u", a[0], a[1], is);
}

static void do_spinuntil(char **a)
{
	double end = patience();

	while (atomic_load(WORD(a[0])) != (uint32_t)number(a[1]))
		nap(end, "a word");
}

/* zero OFF LENGTH, fill OFF LENGTH: bytes of 0, of 0xa5 */
static void set(char **a, int byte)
{
	size_t n = (size_t)number(a[1]);

	memset(at(a[0], n), byte, n);
}
static void do_zero(char **a) { set(a, 0); }
static void do_fill(char **a) { set(a, 0xa5); }

static void do_sleep(char **a) { usleep((useconds_t)number(a[0]) * 1000); }
static void do_print(char **a) { puts(a[0]); }

static void do_die(char **a)
{
	(void)a;
	fflush(stdout);
	raise(SIGKILL);
}

static volatile sig_atomic_t handled;
static sem_t *volatile to_post;

static void on_alarm(int sig)
{
	(void)sig;
	handled = handled + 1;
	if (to_post && sem_post(to_post))
		_exit(3);
}

static void alarm_in(const char *ms, int flags)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = flags };
	long n = number(ms);

	handled = 0;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &(struct itimerval){
		.it_value = { n / 1000, n % 1000 * 1000 } }, NULL);
}

/* signal MS eintr|restart: a signal comes then, and its handler does nothing */
static void do_signal(char **a)
{
	to_post = NULL;
	alarm_in(a[0], a[1][0] == 'r' ? SA_RESTART : 0);
}

static void do_handled(char **a)
{
	(void)a;
	printf("handled %d\n", (int)handled);
}

/* post-in-handler SEM MS */
static void do_post_in_handler(char **a)
{
	to_post = sem_at(a[0]);
	alarm_in(a[1], SA_RESTART);
}

static const struct command {
	const char *name;
	int args;
	void (*run)(char **a);
} commands[] = {
	{ "make", 2, do_make },		{ "join", 1, do_join },
	{ "unlink", 1, do_unlink },	{ "word", 2, do_word },
	{ "add", 2, do_add },		{ "expect", 2, do_expect },
	{ "spinuntil", 2, do_spinuntil }, { "zero", 2, do_zero },
	{ "fill", 2, do_fill },		{ "sleep", 1, do_sleep },
	{ "print", 1, do_print },	{ "die", 0, do_die },
	{ "signal", 2, do_signal },	{ "handled", 0, do_handled },
	{ "post-in-handler", 2, do_post_in_handler },
};

static void block_alarm(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(how, &set, NULL);
}

static void launch(struct call *c, void *(*fn)(void *))
{
	block_alarm(SIG_BLOCK);
	if (pthread_create(&c->thread, NULL, fn, c))
		errx(1, "pthread_create");
	block_alarm(SIG_UNBLOCK);
}

/* start OP: in a thread of its own; finish: wait for all, print what they did */
static struct call started[MOST];
static int n_started;

static void *thread_main(void *arg)
{
	perform(arg);
	return NULL;
}

static void start(int n, char **words)
{
	if (n_started == MOST)
		errx(2, "at most %d threads", MOST);
	parse(&started[n_started], n, words);
	launch(&started[n_started++], thread_main);
}

static void finish(void)
{
	int i;

	for (i = 0; i < n_started; i++) {
		pthread_join(started[i].thread, NULL);
		puts(started[i].line);
	}
	n_started = 0;
}

/* A cancelled cond-wait has its mutex again when the cleanup runs. */
static void cleanup(void *arg)
{
	struct call *c = arg;
	pthread_mutex_t *m = AT(pthread_mutex_t, c->args[1]);

	c->held = pthread_mutex_trylock(m) == EBUSY && !pthread_mutex_unlock(m);
}

static void *cancelled_main(void *arg)
{
	struct call *c = arg;

	if (strncmp(c->op->name, "cond-", 5)) {
		perform(c);
		return NULL;
	}
	pthread_mutex_lock(AT(pthread_mutex_t, c->args[1]));
	pthread_cleanup_push(cleanup, c);
	perform(c);
	pthread_cleanup_pop(1);
	return NULL;
}

/* cancel MS OP: in a thread, which is cancelled then; a cond-* locks its mutex */
static void cancel(int n, char **words)
{
	struct call c;
	void *end;

	parse(&c, n - 1, words + 1);
	launch(&c, cancelled_main);
	usleep((useconds_t)number(words[0]) * 1000);
	pthread_cancel(c.thread);
	pthread_join(c.thread, &end);
	printf("cancel %s %s -> %s%s\n", c.op->name, c.args[0],
	       end == PTHREAD_CANCELED ? "cancelled" : c.line,
	       strncmp(c.op->name, "cond-", 5) ? "" : c.held ? ", mutex held" :
	       ", mutex not held");
}

static int command(int n, char **words)
{
	const struct command *c = commands, *end = c + sizeof(commands) / sizeof(*c);

	while (c < end && (strcmp(c->name, words[0]) || c->args != n - 1))
		c++;
	if (c == end)
		return 0;
	c->run(words + 1);
	return 1;
}

static void run(int n, char **words)
{
	struct call c;

	if (!strcmp(words[0], "start")) {
		start(n - 1, words + 1);
	} else if (!strcmp(words[0], "finish")) {
		finish();
	} else if (!strcmp(words[0], "cancel") && n > 2) {
		cancel(n - 1, words + 1);
	} else if (!command(n, words)) {
		parse(&c, n, words);
		perform(&c);
		puts(c.line);
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int first = 1, i;

	if (argc < 2)
		errx(2, "usage: synctool OP ARGS , OP ARGS , ...");
	for (i = 1; i <= argc; i++) {
		if (i < argc && strcmp(argv[i], ","))
			continue;
		/* a script's words live in argv: NULL ends each call's arguments */
		if (i > first)
			run(i - first, argv + first);
		first = i + 1;
	}
	return 0;
}
