/* SPDX-License-Identifier: MIT */
/*
 * marks NAME SECONDS: mark pages of the object by userfaultfd(2) before anything
 * is mapped there, as every process may, and have the kernel write to one: the
 * call must fail, or at least its process be killed. Then mark and write at the
 * same time, again and again. Prints how that went; "refused": this kernel does
 * not mark such memory. Knows Linux only.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC	(1 << 15)
#endif
#define PAGE	4096ul
#define HUGE	(2ul << 20)

static int fd, zero, marker;
static size_t size;
static char *map;
static pthread_barrier_t turn;
static atomic_bool going = true;

static bool able(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };

	marker = (int)syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY | O_CLOEXEC);
	return marker >= 0 && !ioctl(marker, UFFDIO_API, &api);
}

/* A mapping in which nothing is mapped, registered; false: the kernel will not */
static bool prepare(void)
{
	struct uffdio_register area = { .mode = UFFDIO_REGISTER_MODE_WP };

	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(3, "mmap");
	area.range = (struct uffdio_range){ (uintptr_t)map, size };
	return !ioctl(marker, UFFDIO_REGISTER, &area);
}

static int mark(size_t from, size_t length)
{
	struct uffdio_writeprotect pages = { { (uintptr_t)map + from, length },
					     UFFDIO_WRITEPROTECT_MODE_WP };

	return ioctl(marker, UFFDIO_WRITEPROTECT, &pages);
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* Is it over within 2 s? */
static bool over(pid_t child, int *status)
{
	int i;

	for (i = 0; i < 200; i++) {
		if (waitpid(child, status, WNOHANG) == child)
			return true;
		sleep_ms(10);
	}
	return false;
}

static void write_marked(void)
{
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child) {
		/* what a parent registered is not its children's */
		if (!able() || !prepare())
			_exit(2);
		/* where none is, writes are tracked and go on */
		*(volatile char *)map = 0;
		if (mark(0, size))
			_exit(3);
		_exit(read(zero, map + size / 2, 1) == -1 && errno == EFAULT ? 0 : 1);
	}
	if (over(child, &status)) {
		printf("marked: %s\n", !status ? "EFAULT" : status == 0x100 ? "written" : "not at all");
		return;
	}
	kill(child, SIGKILL);
	puts(over(child, &status) ? "marked: killed" : "marked: can not be killed");
}

static void *mark_each(void *arg)
{
	size_t at;

	(void)arg;
	while (pthread_barrier_wait(&turn), going) {
		for (at = 0; at < size; at += HUGE)
			mark(at, PAGE);
		pthread_barrier_wait(&turn);
	}
	return NULL;
}

/* Page tables for marks come while entries of 2 MiB are made. */
static void race(unsigned int seconds)
{
	time_t end = time(NULL) + (time_t)seconds;
	unsigned int rounds = 0;
	pthread_t t;
	size_t at;

	if (!able() || pthread_barrier_init(&turn, NULL, 2) ||
	    pthread_create(&t, NULL, mark_each, NULL))
		errx(3, "no race");
	for (; time(NULL) < end && prepare(); rounds++) {
		pthread_barrier_wait(&turn);
		for (at = HUGE - PAGE; at < size; at += HUGE)
			if (read(zero, map + at, 1) != 1)
				err(3, "a page without a mark");
		pthread_barrier_wait(&turn);
		munmap(map, size);
	}
	going = false;
	pthread_barrier_wait(&turn);
	pthread_join(t, NULL);
	printf("raced %u rounds\n", rounds);
}

int main(int argc, char **argv)
{
	struct stat st;

	if (argc != 3)
		errx(2, "usage: marks NAME SECONDS");
	fd = shm_open(argv[1], O_RDWR, 0);
	zero = open("/dev/zero", O_RDONLY);
	if (fd < 0 || zero < 0 || fstat(fd, &st))
		err(3, "%s", argv[1]);
	size = (size_t)st.st_size;
	if (!able() || !prepare()) {
		puts("refused");
		return 0;
	}
	munmap(map, size);
	close(marker);
	write_marked();
	race((unsigned int)atoi(argv[2]));
	return 0;
}
