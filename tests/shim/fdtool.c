/* SPDX-License-Identifier: MIT */
/*
 * fdtool VERB NAME [COUNT]: what programs do around shm_open to their own
 * descriptors, threads, children and signals. POSIX only, as shmtool is. Each
 * verb prints one line and removes what it made.
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *name;
static int count;

static void need(int ok, const char *what)
{
	if (!ok)
		err(1, "%s", what);
}

static int make(const char *n, off_t size)
{
	int fd = shm_open(n, O_RDWR | O_CREAT, 0600);

	need(fd >= 0, "shm_open");
	need(!ftruncate(fd, size), "ftruncate");
	return fd;
}

static off_t size_of(int fd)
{
	struct stat st;

	need(!fstat(fd, &st), "fstat");
	return st.st_size;
}

/* The lowest free number, close-on-exec, at position 0. */
static int do_lowest(void)
{
	int lowest = dup(0), fd;

	close(lowest);
	fd = make(name, 100);
	need(fd == lowest, "not the lowest number");
	need(fcntl(fd, F_GETFD) == FD_CLOEXEC, "no FD_CLOEXEC");
	need(lseek(fd, 0, SEEK_CUR) == 0, "not at position 0");
	need((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR, "not O_RDWR");
	close(fd);
	fd = shm_open(name, O_RDONLY, 0);
	need(fd == lowest, "not the lowest number");
	need((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY, "not O_RDONLY");
	need(ftruncate(fd, 1) < 0 && errno == EINVAL, "ftruncate of O_RDONLY");
	return 0;
}

static int do_closeall(void)
{
	int i;

	for (i = 0; i < count; i++) {
		close(make(name, 4096 + i));
		need(!close_range(3, ~0u, 0), "close_range");
	}
	need(size_of(make(name, 777)) == 777, "size");
	return 0;
}

/* Other files under every number that is open: none of them may be used. */
static int do_cover(void)
{
	int covered[64], n = 0, i, pipes[2];
	struct dirent *e;
	DIR *d;

	close(make(name, 4096));
	need(!pipe(pipes), "pipe");
	d = opendir("/proc/self/fd");
	need(d != NULL, "/proc/self/fd");
	while ((e = readdir(d)) && n < 64) {
		int fd = atoi(e->d_name);

		if (fd <= pipes[1] || fd == dirfd(d))
			continue;
		need(dup2(pipes[1], fd) == fd, "dup2");
		covered[n++] = fd;
	}
	closedir(d);
	need(fcntl(pipes[0], F_SETFL, O_NONBLOCK) == 0, "fcntl");
	need(size_of(make(name, 555)) == 555, "size");
	for (i = 0; i < n; i++)
		need(fcntl(covered[i], F_GETFD) >= 0, "a covered number was closed");
	need(read(pipes[0], &i, 1) < 0 && errno == EAGAIN, "something was written");
	return 0;
}

static void *one_thread(void *arg)
{
	char n[300];
	volatile char *p;
	int fd, i;

	for (i = 0; i < 5; i++) {
		snprintf(n, sizeof(n), "%s-%d-%d", name, (int)(size_t)arg, i);
		fd = make(n, 5000);
		p = mmap(NULL, 5000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		need(p != MAP_FAILED, "mmap");
		need(p[4999] == 0, "not zero");
		p[4999] = 1;
		munmap((void *)(size_t)p, 5000);
		close(fd);
		need(!shm_unlink(n), "shm_unlink");
	}
	return NULL;
}

static int do_threads(void)
{
	pthread_t *t = calloc((size_t)count, sizeof(*t));
	int i;

	need(t != NULL, "calloc");
	for (i = 0; i < count; i++)
		need(!pthread_create(&t[i], NULL, one_thread, (void *)(size_t)i), "thread");
	for (i = 0; i < count; i++)
		pthread_join(t[i], NULL);
	free(t);
	make(name, 1);
	return 0;
}

static void wait_well(pid_t pid)
{
	int status = 0;

	need(waitpid(pid, &status, 0) == pid, "waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		errx(1, "a child ended with %#x", (unsigned int)status);
}

/* Children with a session of their own; the parent's goes on. */
static int do_fork(void)
{
	int fd = make(name, 1000), i;
	char n[300];

	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		need(pid >= 0, "fork");
		if (!pid) {
			need(!ftruncate(fd, 2000 + i), "ftruncate of an inherited fd");
			snprintf(n, sizeof(n), "%s-%d", name, i);
			need(size_of(make(n, 30 + i)) == 30 + i, "size");
			need(!shm_unlink(n), "shm_unlink");
			_exit(0);
		}
		wait_well(pid);
		need(size_of(fd) == 2000 + i, "the child's size");
		need(!ftruncate(fd, 100), "ftruncate");
	}
	return 0;
}

/* fork while other threads are in shm_open: the children do not hang. */
static _Atomic int stop;
static void *spin(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop))
		close(make(name, 4096));
	return NULL;
}

static int do_forkthreads(void)
{
	pthread_t t[3];
	int i;

	for (i = 0; i < 3; i++)
		need(!pthread_create(&t[i], NULL, spin, NULL), "thread");
	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		need(pid >= 0, "fork");
		if (!pid) {
			alarm(20);
			close(make(name, 4096));
			_exit(0);
		}
		wait_well(pid);
	}
	atomic_store(&stop, 1);
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	return 0;
}

static int do_vfork(void)
{
	int status, fd = make(name, 1000);
	pid_t pid = vfork();

	if (!pid)
		_exit(shm_open(name, O_RDWR, 0) < 0 ? 0 : 5);
	need(pid > 0 && waitpid(pid, &status, 0) == pid, "vfork");
	need(WIFEXITED(status), "the child died");
	need(!ftruncate(fd, 10), "ftruncate after vfork");
	close(fd);
	need(size_of(make(name, 20)) == 20, "size after vfork");
	return 0;
}

/* Hold COUNT objects at a time. */
static int do_many(void)
{
	volatile int *p;
	char n[300];
	int i, *fds = calloc((size_t)count, sizeof(int));

	need(fds != NULL, "calloc");
	for (i = 0; i < count; i++) {
		snprintf(n, sizeof(n), "%s-%d", name, i);
		fds[i] = make(n, 4096);
		p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[i], 0);
		need(p != MAP_FAILED, "mmap");
		*p = i;
	}
	for (i = 0; i < count; i++) {
		snprintf(n, sizeof(n), "%s-%d", name, i);
		p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fds[i], 0);
		need(p != MAP_FAILED && *p == i, "another's memory");
		need(!ftruncate(fds[i], 8192), "ftruncate");
		need(!shm_unlink(n), "shm_unlink");
	}
	make(name, 1);
	return 0;
}

static int do_loop(void)
{
	int i;

	for (i = 0; i < count; i++)
		close(make(name, 4096));
	return 0;
}

static volatile sig_atomic_t alarms;
static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* A timer that interrupts all the time: no EINTR comes out. */
static int do_signals(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval often = { { 0, 300 }, { 0, 300 } };
	struct itimerval never = { { 0, 0 }, { 0, 0 } };
	int i;

	need(!sigaction(SIGALRM, &sa, NULL), "sigaction");
	need(!setitimer(ITIMER_REAL, &often, NULL), "setitimer");
	for (i = 0; i < count || alarms < count; i++)
		close(make(name, 4096));
	need(!setitimer(ITIMER_REAL, &never, NULL), "setitimer");
	return 0;
}

/* Threads that are cancelled while they open leave nothing locked. */
static int do_cancel(void)
{
	pthread_t t;
	int i;

	for (i = 0; i < count; i++) {
		need(!pthread_create(&t, NULL, spin, NULL), "thread");
		usleep((useconds_t)(i * 100));
		pthread_cancel(t);
		pthread_join(t, NULL);
	}
	alarm(20);
	close(make(name, 4096));
	return 0;
}

/* No room for one more fd: EMFILE, and room again later. */
static int do_emfile(void)
{
	struct rlimit limit = { 64, 64 };
	int last = 0, fd, i;

	need(!setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	close(make(name, 4096));
	while ((fd = dup(0)) >= 0)
		last = fd;
	for (i = 0; i < 3; i++)
		need(shm_open(name, O_RDWR, 0) < 0 && errno == EMFILE, "EMFILE expected");
	for (i = last - 12; i <= last; i++)
		close(i);
	need(size_of(make(name, 4097)) == 4097, "size");
	return 0;
}

static const struct {
	const char *verb;
	int (*run)(void);
} verbs[] = {
	{ "lowest", do_lowest }, { "closeall", do_closeall }, { "cover", do_cover },
	{ "threads", do_threads }, { "fork", do_fork }, { "forkthreads", do_forkthreads },
	{ "vfork", do_vfork }, { "many", do_many }, { "loop", do_loop },
	{ "signals", do_signals }, { "cancel", do_cancel }, { "emfile", do_emfile },
};

int main(int argc, char **argv)
{
	size_t i;

	if (argc < 3)
		errx(2, "usage: fdtool VERB NAME [COUNT]");
	name = argv[2];
	count = argc > 3 ? atoi(argv[3]) : 8;
	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (strcmp(verbs[i].verb, argv[1]))
			continue;
		verbs[i].run();
		need(!shm_unlink(name), "shm_unlink");
		printf("%s: good\n", argv[1]);
		return 0;
	}
	errx(2, "unknown verb %s", argv[1]);
}
