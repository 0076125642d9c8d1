/* SPDX-License-Identifier: MIT */
/*
 * semtool COMMAND ARGS , ...: a script of POSIX named semaphores in one
 * process, with one current semaphore. As shmtool, it knows of nothing else.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static sem_t *sem = SEM_FAILED, *before = SEM_FAILED;

/* open NAME c|cx|- [VALUE [MODE]] */
static int do_open(char **a)
{
	int oflag = (strchr(a[1], 'c') ? O_CREAT : 0) | (strchr(a[1], 'x') ? O_EXCL : 0);
	unsigned int value = a[2] ? (unsigned int)strtoul(a[2], NULL, 0) : 0;
	sem_t *got = oflag & O_CREAT ? sem_open(a[0], oflag, 0600, value) :
				       sem_open(a[0], oflag);

	if (got == SEM_FAILED)
		return -1;
	before = sem;
	sem = got;
	printf("open %s\n", a[0]);
	return 0;
}

static int do_same(char **a)
{
	(void)a;
	puts(sem == before ? "same" : "other");
	return 0;
}

static int do_post(char **a)
{
	(void)a;
	return sem_post(sem);
}

/* wait SECONDS */
static int do_wait(char **a)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += atoi(a[0]);
	return sem_timedwait(sem, &end);
}

static int do_trywait(char **a)
{
	(void)a;
	return sem_trywait(sem);
}

static int do_value(char **a)
{
	int value;

	(void)a;
	if (sem_getvalue(sem, &value))
		return -1;
	printf("value %d\n", value);
	return 0;
}

static int do_close(char **a)
{
	(void)a;
	return sem_close(sem);
}

static int do_unlink(char **a)
{
	return sem_unlink(a[0]);
}

static int do_sleep(char **a)
{
	return usleep((useconds_t)(atof(a[0]) * 1e6));
}

/* fork: the rest runs in a child; the parent ends as the child does */
static int do_fork(char **a)
{
	pid_t pid = (fflush(stdout), fork());
	int status;

	(void)a;
	if (pid <= 0)
		return pid;
	if (waitpid(pid, &status, 0) < 0)
		return -1;
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static const struct command {
	const char *name;
	int (*run)(char **args);
} commands[] = {
	{ "open", do_open },	{ "same", do_same },	{ "post", do_post },
	{ "wait", do_wait },	{ "trywait", do_trywait }, { "value", do_value },
	{ "close", do_close },	{ "unlink", do_unlink }, { "sleep", do_sleep },
	{ "fork", do_fork },
};

static int run(char **words)
{
	const char *wanted = NULL;
	size_t i;

	if (!strcmp(words[0], "fails")) {
		wanted = words[1];
		words += 2;
	}
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(commands[i].name, words[0]))
			break;
	if (i == sizeof(commands) / sizeof(*commands))
		errx(2, "unknown command: %s", words[0]);
	if (!commands[i].run(words + 1)) {
		fflush(stdout);
		return wanted != NULL;
	}
	printf("%s: %s\n", words[0], strerrorname_np(errno));
	return !wanted || strcmp(strerrorname_np(errno), wanted);
}

int main(int argc, char **argv)
{
	char *words[8] = { NULL };
	int n = 0, i;

	for (i = 1; i <= argc; i++) {
		if (i < argc && strcmp(argv[i], ",") && n < 7) {
			words[n++] = argv[i];
			continue;
		}
		words[n] = NULL;
		if (n && run(words))
			return 1;
		n = 0;
		memset(words, 0, sizeof(words));
	}
	return 0;
}
