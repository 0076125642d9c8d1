/* SPDX-License-Identifier: MIT */
/*
 * What happens right after a lock was taken or given back, or the map was read.
 * Prints "calm".
 * gaptool signal NAME: opens NAME, and has a signal arrive each time whose handler
 *     opens it too
 * gaptool map NAME: a path's first use, with a signal while the map is read, whose
 *     handler uses the path too
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
#include <sys/syscall.h>
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

/* --- the map --- */

static char path[256];
static volatile sig_atomic_t reading;

/* what reads the map, before main() reads anything itself */
ssize_t read(int fd, void *buffer, size_t size)
{
	if (reading) {
		reading = 0;
		raise(SIGUSR1);
	}
	return syscall(SYS_read, fd, buffer, size);
}

static int refused(int rc)
{
	return rc == -1 && errno == EDEADLK;
}

static void on_reading(int sig)
{
	int fd = open("/dev/null", O_RDONLY);

	(void)sig;
	handled++;
	wrong |= fd < 0 || close(fd);
	wrong |= !refused(open(path, O_RDWR | O_CREAT, 0600)) || !refused(unlink(path)) ||
		 !refused(rename(path, "/tmp/gap-elsewhere")) || !refused(access(path, F_OK)) ||
		 !refused(shm_open(name, O_RDWR | O_CREAT, 0600));
}

static void first_use(void)
{
	int fd;

	snprintf(path, sizeof(path), "/dev/shm%s", name);
	signal(SIGUSR1, on_reading);
	reading = 1;
	fd = open(path, O_RDWR | O_CREAT, 0600);
	wrong |= fd < 0 || close(fd) || handled != 1 || unlink(path);
}

/* --- semaphores --- */

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
	else if (!strcmp(argv[1], "map"))
		first_use();
	else
		pauses();
	puts(wrong ? "wrong" : "calm");
	return wrong;
}
