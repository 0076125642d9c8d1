/* SPDX-License-Identifier: MIT */
/*
 * shmtool COMMAND ARGS , COMMAND ARGS , ...: a script of POSIX shared-memory
 * calls in one process, with one current fd and one current mapping. It knows
 * nothing of sivshmem: the tests run it in two VMs, in local mode, and
 * without the shim, and the output must be the same.
 *
 * Each command prints one line. The first that fails prints
 * `COMMAND: ERRNONAME` and ends the script with status 1. `fails ERRNONAME
 * COMMAND ...` wants that failure.
 */
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int fd = -1;
static volatile char *map;
static size_t mapped;

static size_t number(const char *s)
{
	char *end;
	unsigned long long n = strtoull(s, &end, 0);

	switch (*end) {
	case 'G': n <<= 10;	/* fall through */
	case 'M': n <<= 10;	/* fall through */
	case 'K': n <<= 10; end++;
	}
	if (*end || end == s)
		errx(2, "not a number: %s", s);
	return (size_t)n;
}

static int flags_of(const char *s)
{
	int flags = strstr(s, "rw") ? O_RDWR : O_RDONLY;

	flags |= strchr(s, 'c') ? O_CREAT : 0;
	flags |= strchr(s, 'x') ? O_EXCL : 0;
	flags |= strchr(s, 't') ? O_TRUNC : 0;
	return flags;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* open NAME FLAGS [MODE]: FLAGS of r rw c(reat) x(excl) t(runc) */
static int do_open(char **a)
{
	mode_t mode = a[2] ? (mode_t)strtoul(a[2], NULL, 8) : 0600;
	int got = shm_open(a[0], flags_of(a[1]), mode);

	if (got < 0)
		return -1;
	if (fd >= 0)
		close(fd);
	fd = got;
	printf("open %s\n", a[0]);
	return 0;
}

/* waitopen NAME FLAGS SECONDS: until it exists and has a size */
static int do_waitopen(char **a)
{
	double end = seconds() + atof(a[2]);
	struct stat st;

	do {
		fd = shm_open(a[0], flags_of(a[1]), 0600);
		if (fd >= 0 && !fstat(fd, &st) && st.st_size > 0) {
			printf("open %s\n", a[0]);
			return 0;
		}
		if (fd < 0 && errno != ENOENT)
			return -1;
		if (fd >= 0)
			close(fd);
		nap();
	} while (seconds() < end);
	errno = ETIMEDOUT;
	return -1;
}

static int do_unlink(char **a)
{
	if (shm_unlink(a[0]))
		return -1;
	printf("unlink %s\n", a[0]);
	return 0;
}

static int do_truncate(char **a)
{
	if (ftruncate(fd, (off_t)number(a[0])))
		return -1;
	printf("truncate %s\n", a[0]);
	return 0;
}

static int do_fallocate(char **a)
{
	int rc = posix_fallocate(fd, 0, (off_t)number(a[0]));

	if (rc) {
		errno = rc;
		return -1;
	}
	printf("fallocate %s\n", a[0]);
	return 0;
}

static int do_stat(char **a)
{
	struct stat st;

	(void)a;
	if (fstat(fd, &st))
		return -1;
	printf("size %lld %s\n", (long long)st.st_size,
	       S_ISREG(st.st_mode) ? "regular" : "other");
	return 0;
}

static int do_waitsize(char **a)
{
	double end = seconds() + atof(a[1]);
	struct stat st;

	do {
		if (fstat(fd, &st))
			return -1;
		if (st.st_size == (off_t)number(a[0])) {
			printf("size %s\n", a[0]);
			return 0;
		}
		nap();
	} while (seconds() < end);
	errno = ETIMEDOUT;
	return -1;
}

/* map r|rw|private [SIZE] */
static int do_map(char **a)
{
	int prot = a[0][0] == 'r' && !a[0][1] ? PROT_READ : PROT_READ | PROT_WRITE;
	int kind = a[0][0] == 'p' ? MAP_PRIVATE : MAP_SHARED;
	struct stat st;
	void *p;

	if (a[1])
		mapped = number(a[1]);
	else if (fstat(fd, &st))
		return -1;
	else
		mapped = (size_t)st.st_size;
	p = mmap(NULL, mapped, prot, kind, fd, 0);
	if (p == MAP_FAILED)
		return -1;
	map = p;
	printf("map %zu\n", mapped);
	return 0;
}

static int do_unmap(char **a)
{
	(void)a;
	if (munmap((void *)(uintptr_t)map, mapped))
		return -1;
	map = NULL;
	puts("unmap");
	return 0;
}

static int do_mprotect(char **a)
{
	(void)a;
	if (mprotect((void *)(uintptr_t)map, mapped, PROT_READ | PROT_WRITE))
		return -1;
	puts("mprotect");
	return 0;
}

/* reopen FLAGS: through /proc/self/fd */
static int do_reopen(char **a)
{
	char path[64];
	int got;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	got = open(path, flags_of(a[0]));
	if (got < 0)
		return -1;
	close(fd);
	fd = got;
	puts("reopen");
	return 0;
}

static int do_close(char **a)
{
	(void)a;
	if (close(fd))
		return -1;
	fd = -1;
	puts("close");
	return 0;
}

static int do_write(char **a)
{
	size_t i, off = number(a[0]);

	for (i = 0; a[1][i]; i++)
		map[off + i] = a[1][i];
	printf("write %zu\n", i);
	return 0;
}

static void print_bytes(volatile const char *p, size_t n)
{
	fputs("read ", stdout);
	for (; n; n--, p++)
		putchar(isprint((unsigned char)*p) ? *p : '.');
	putchar('\n');
}

static int do_read(char **a)
{
	print_bytes(map + number(a[0]), number(a[1]));
	return 0;
}

static int do_pwrite(char **a)
{
	ssize_t n = pwrite(fd, a[1], strlen(a[1]), (off_t)number(a[0]));

	if (n < 0)
		return -1;
	printf("pwrite %zd\n", n);
	return 0;
}

static int do_pread(char **a)
{
	char buffer[256];
	size_t want = number(a[1]);
	ssize_t n;

	n = pread(fd, buffer, want < sizeof(buffer) ? want : sizeof(buffer),
		  (off_t)number(a[0]));
	if (n < 0)
		return -1;
	print_bytes(buffer, (size_t)n);
	return 0;
}

static int do_seekend(char **a)
{
	off_t off = lseek(fd, 0, SEEK_END);

	(void)a;
	if (off < 0)
		return -1;
	printf("end %lld\n", (long long)off);
	return 0;
}

/* wait OFFSET TEXT SECONDS: until the mapping holds TEXT there */
static int do_wait(char **a)
{
	double end = seconds() + atof(a[2]);
	size_t i, off = number(a[0]);

	do {
		for (i = 0; a[1][i] && map[off + i] == a[1][i]; i++)
			;
		if (!a[1][i]) {
			printf("saw %s\n", a[1]);
			return 0;
		}
		nap();
	} while (seconds() < end);
	errno = ETIMEDOUT;
	return -1;
}

/* fill CHAR, check CHAR|zero: the whole mapping */
static int do_fill(char **a)
{
	size_t i;

	for (i = 0; i < mapped; i++)
		map[i] = a[0][0];
	printf("fill %c\n", a[0][0]);
	return 0;
}

static int do_check(char **a)
{
	char want = strcmp(a[0], "zero") ? a[0][0] : 0;
	size_t i;

	for (i = 0; i < mapped; i++) {
		if (map[i] != want) {
			printf("check %s: byte %zu is %#x\n", a[0], i,
			       (unsigned int)(unsigned char)map[i]);
			errno = EBADMSG;
			return -1;
		}
	}
	printf("check %s\n", a[0]);
	return 0;
}

static sigjmp_buf fault;
static void on_fault(int sig)
{
	siglongjmp(fault, sig);
}

/* fault r|w OFFSET: print what touching it raises, or "none" */
static int do_fault(char **a)
{
	volatile char *p = map + number(a[1]);
	int sig;

	signal(SIGBUS, on_fault);
	signal(SIGSEGV, on_fault);
	sig = sigsetjmp(fault, 1);
	if (!sig) {
		if (a[0][0] == 'w')
			*p = 1;
		else
			(void)*p;
	}
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
	printf("fault %s\n", !sig ? "none" : sig == SIGBUS ? "SIGBUS" : "SIGSEGV");
	return 0;
}

/* waitfault OFFSET SECONDS: until reading it raises SIGBUS */
static int do_waitfault(char **a)
{
	double end = seconds() + atof(a[1]);
	volatile char *p = map + number(a[0]);

	signal(SIGBUS, on_fault);
	while (!sigsetjmp(fault, 1)) {
		(void)*p;
		if (seconds() > end) {
			errno = ETIMEDOUT;
			return -1;
		}
		nap();
	}
	signal(SIGBUS, SIG_DFL);
	puts("fault SIGBUS");
	return 0;
}

static int do_sleep(char **a)
{
	double s = atof(a[0]);

	nanosleep(&(struct timespec){ .tv_sec = (time_t)s,
		.tv_nsec = (long)((s - (double)(time_t)s) * 1e9) }, NULL);
	return 0;
}

static int do_say(char **a)
{
	puts(a[0]);
	return 0;
}

/* fork: the rest runs in a child; the parent ends as the child does */
static int do_fork(char **a)
{
	int status;
	pid_t pid;

	(void)a;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return -1;
	if (!pid) {
		puts("fork");
		return 0;
	}
	if (waitpid(pid, &status, 0) < 0)
		return -1;
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static int do_die(char **a)
{
	(void)a;
	fflush(stdout);
	return raise(SIGKILL);
}

static const struct command {
	const char *name;
	int min, max;
	int (*run)(char **args);
} commands[] = {
	{ "open", 2, 3, do_open },	{ "waitopen", 3, 3, do_waitopen },
	{ "unlink", 1, 1, do_unlink },	{ "truncate", 1, 1, do_truncate },
	{ "fallocate", 1, 1, do_fallocate }, { "stat", 0, 0, do_stat },
	{ "waitsize", 2, 2, do_waitsize }, { "map", 1, 2, do_map },
	{ "unmap", 0, 0, do_unmap },	{ "mprotect", 0, 0, do_mprotect },
	{ "reopen", 1, 1, do_reopen },	{ "close", 0, 0, do_close },
	{ "write", 2, 2, do_write },	{ "read", 2, 2, do_read },
	{ "pwrite", 2, 2, do_pwrite },	{ "pread", 2, 2, do_pread },
	{ "seekend", 0, 0, do_seekend },{ "wait", 3, 3, do_wait },
	{ "fill", 1, 1, do_fill },	{ "check", 1, 1, do_check },
	{ "fault", 2, 2, do_fault },	{ "waitfault", 2, 2, do_waitfault },
	{ "sleep", 1, 1, do_sleep },	{ "say", 1, 1, do_say },
	{ "fork", 0, 0, do_fork },	{ "die", 0, 0, do_die },
};

static int run(int n, char **words)
{
	const char *wanted = NULL;
	const struct command *c;
	char *args[5] = { NULL };
	int rc;

	if (n > 2 && !strcmp(words[0], "fails")) {
		wanted = words[1];
		words += 2;
		n -= 2;
	}
	for (c = commands; c < commands + sizeof(commands) / sizeof(*c); c++)
		if (!strcmp(c->name, words[0]))
			break;
	if (c == commands + sizeof(commands) / sizeof(*c) || n - 1 < c->min ||
	    n - 1 > c->max)
		errx(2, "unknown command or wrong arguments: %s", words[0]);
	memcpy(args, words + 1, (size_t)(n - 1) * sizeof(*args));
	errno = 0;
	rc = c->run(args);
	if (rc)
		printf("%s: %s\n", words[0], strerrorname_np(errno));
	fflush(stdout);
	if (!wanted)
		return rc ? 1 : 0;
	if (rc && !strcmp(strerrorname_np(errno), wanted))
		return 0;
	printf("%s: wanted %s\n", words[0], wanted);
	return 1;
}

int main(int argc, char **argv)
{
	int start = 1, i;

	if (argc < 2)
		errx(2, "usage: shmtool COMMAND ARGS , COMMAND ARGS , ...");
	for (i = 1; i <= argc; i++) {
		if (i < argc && strcmp(argv[i], ","))
			continue;
		if (i > start && run(i - start, argv + start))
			return 1;
		start = i + 1;
	}
	return 0;
}
