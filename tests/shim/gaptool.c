/* SPDX-License-Identifier: MIT */
/*
 * What happens right after a lock was taken or given back. Prints "calm".
 * gaptool signal NAME: opens NAME, and has a signal arrive each time whose handler
 *     opens it too
 * gaptool pause NAME: two threads open the semaphore NAME, with a pause each time
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *name;
static volatile sig_atomic_t armed, pausing, handled, wrong;

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

static int then_gap(const char *function, pthread_mutex_t *mutex)
{
	int (*next)(pthread_mutex_t *) = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, function);
	int r = next(mutex);

	if (armed) {
		armed = 0;
		raise(SIGUSR1);
		armed = 1;
	}
	if (pausing)
		usleep(50000);
	return r;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	return then_gap("pthread_mutex_lock", mutex);
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	return then_gap("pthread_mutex_unlock", mutex);
}

static void signals(void)
{
	int fd;

	signal(SIGUSR1, on_signal);
	close(shm_open(name, O_RDWR | O_CREAT, 0600));
	armed = 1;
	fd = shm_open(name, O_RDWR, 0600);
	armed = 0;
	wrong |= fd < 0 || handled < 2 || shm_unlink(name);
}

static void *open_semaphore(void *unused)
{
	(void)unused;
	return sem_open(name, O_CREAT, 0600, 1);
}

static void pauses(void)
{
	pthread_t thread;
	void *one, *other;

	pausing = 1;
	wrong |= pthread_create(&thread, NULL, open_semaphore, NULL);
	one = open_semaphore(NULL);
	pthread_join(thread, &other);
	pausing = 0;
	wrong |= one == SEM_FAILED || one != other || sem_unlink(name);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	name = argv[2];
	alarm(15);
	if (!strcmp(argv[1], "signal"))
		signals();
	else
		pauses();
	puts(wrong ? "wrong" : "calm");
	return wrong;
}
