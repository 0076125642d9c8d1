/* SPDX-License-Identifier: MIT */
/*
 * gaptool NAME: opens NAME, and has a signal arrive right after each lock that
 * this takes or gives back, whose handler opens it too. Prints "calm".
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *name;
static volatile sig_atomic_t armed, handled, wrong;

static void on_signal(int sig)
{
	int saved = errno, fd;

	(void)sig;
	handled++;
	fd = shm_open(name, O_RDWR, 0600);
	wrong |= fd < 0 && errno != EDEADLK;
	if (fd >= 0)
		close(fd);
	errno = saved;
}

static int then_signal(const char *function, pthread_mutex_t *mutex)
{
	int (*next)(pthread_mutex_t *) = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, function);
	int r = next(mutex);

	if (armed) {
		armed = 0;
		raise(SIGUSR1);
		armed = 1;
	}
	return r;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	return then_signal("pthread_mutex_lock", mutex);
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	return then_signal("pthread_mutex_unlock", mutex);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc != 2)
		return 2;
	name = argv[1];
	signal(SIGUSR1, on_signal);
	alarm(15);
	close(shm_open(name, O_RDWR | O_CREAT, 0600));
	armed = 1;
	fd = shm_open(name, O_RDWR, 0600);
	armed = 0;
	if (fd >= 0 && handled >= 2 && !wrong && !shm_unlink(name))
		puts("calm");
	else
		printf("fd %d, %d signals, wrong %d\n", fd, handled, wrong);
	return 0;
}
