/* SPDX-License-Identifier: MIT */
/*
 * namestorm NAME: calls on names from where they hurt: before main, in signal
 * handlers in the midst of other calls, in threads that fork, and in a child
 * of vfork. Prints what went wrong, or "calm".
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS	6

static char object[128], handled[128], semaphore[128];
static volatile int wrong, handlers;

#define WANT(what) do { if (!(what)) { wrong++; printf("wrong: %s (%s)\n", #what, \
						 strerrorname_np(errno)); } } while (0)

static __attribute__((constructor(101))) void early(void)
{
	struct stat st;

	WANT(stat("/dev/shm/m-early", &st) && errno == ENOENT);
}

static void on_alarm(int sig)
{
	int saved = errno, fd;
	struct stat st;

	(void)sig;
	handlers++;
	wrong += stat("/dev/null", &st) != 0;
	wrong += !stat("/dev/shm/sivshmem-nobody", &st) || errno != ENOENT;
	/* ours, and never a local file instead */
	fd = open(handled, O_RDWR | O_CREAT, 0600);
	wrong += fd < 0 && errno != EDEADLK;
	if (fd >= 0)
		close(fd);
	errno = saved;
}

static void interrupted(void)
{
	struct itimerval often = { { 0, 700 }, { 0, 700 } }, never = { 0 };
	struct stat st;
	int i;

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &often, NULL);
	for (i = 0; i < 400; i++)
		WANT(!stat(object, &st));
	setitimer(ITIMER_REAL, &never, NULL);
	WANT(handlers > 0);
}

static void use(void)
{
	struct stat st;
	sem_t *sem;
	int fd = open(object, O_RDWR | O_CREAT, 0600);

	WANT(fd >= 0);
	close(fd);
	WANT(!stat(object, &st));
	sem = sem_open(semaphore, O_CREAT, 0600, 1);
	WANT(sem != SEM_FAILED);
	if (sem == SEM_FAILED)
		return;
	sem_wait(sem);
	sem_post(sem);
	WANT(!sem_close(sem));
}

static void *thread(void *unused)
{
	int i;

	for (i = 0; i < 100; i++)
		use();
	return unused;
}

static void forked(void)
{
	pthread_t t[THREADS];
	int i, status;
	pid_t pid;

	for (i = 0; i < THREADS; i++)
		WANT(!pthread_create(&t[i], NULL, thread, NULL));
	for (i = 0; i < 30; i++) {
		pid = fork();
		if (!pid) {
			use();
			_exit(wrong != 0);
		}
		WANT(waitpid(pid, &status, 0) == pid && !status);
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

int main(int argc, char **argv)
{
	struct stat st;
	int status;
	pid_t pid;

	if (argc != 2)
		return 2;
	snprintf(object, sizeof(object), "/dev/shm/%s", argv[1]);
	snprintf(handled, sizeof(handled), "/dev/shm/%s-h", argv[1]);
	snprintf(semaphore, sizeof(semaphore), "/%s", argv[1]);
	pid = vfork();
	if (!pid)
		_exit(stat(object, &st) ? errno : 0);
	WANT(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == EACCES);
	WANT(stat(object, &st) && errno == ENOENT);
	errno = EXDEV;
	status = open(object, O_RDWR | O_CREAT, 0600);
	WANT(status >= 0 && errno == EXDEV);
	interrupted();
	forked();
	unlink(object);
	unlink(handled);
	sem_unlink(semaphore);
	if (!wrong)
		puts("calm");
	return wrong != 0;
}
