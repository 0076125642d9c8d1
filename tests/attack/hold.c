/* SPDX-License-Identifier: MIT */
/*
 * hold pin NAME SECONDS     keep a page of the object in a pipe, and let go of
 *                           everything else; then print what the page holds
 * hold watch NAME SECONDS   keep an inotify watch on the object, and let go
 * hold race NAME SECONDS    fault the same 2 MiB from two threads while a third
 *                           drops them; then count bytes that are not zero
 * Knows POSIX and Linux only.
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE	4096
#define HUGE	(2u << 20)

static const char *name;
static unsigned int seconds;
static size_t size;
static volatile unsigned char *map;
static atomic_bool over;

static int open_it(int oflag)
{
	int fd = shm_open(name, oflag, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		err(3, "%s", name);
	size = (size_t)st.st_size;
	return fd;
}

static void *map_it(int fd, int prot)
{
	void *at = mmap(NULL, size, prot, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		err(3, "mmap");
	return at;
}

static void said(const char *what)
{
	puts(what);
	fflush(stdout);
}

static int pin(void)
{
	int fd = open_it(O_RDWR), p[2];
	char *at = map_it(fd, PROT_READ | PROT_WRITE), now[PAGE + 1] = "";
	struct iovec page = { .iov_base = at, .iov_len = PAGE };

	if (pipe(p) || vmsplice(p[1], &page, 1, 0) != PAGE)
		err(3, "vmsplice");
	munmap(at, size);
	close(fd);
	said("pinned");
	sleep(seconds);
	if (read(p[0], now, PAGE) != PAGE)
		err(3, "read");
	printf("pipe %s\n", now);
	return 0;
}

static int watch(void)
{
	int fd = open_it(O_RDWR), in = inotify_init();
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (inotify_add_watch(in, path, IN_ALL_EVENTS) < 0)
		err(3, "inotify_add_watch");
	close(fd);
	said("watching");
	sleep(seconds);
	return 0;
}

static void *touch(void *arg)
{
	size_t at = *(size_t *)arg;
	unsigned int sum = 0;

	while (!over) {
		at = (at + 7 * PAGE) % HUGE;
		sum += map[at];
	}
	return (void *)(uintptr_t)sum;
}

static void *drop(void *arg)
{
	while (!over)
		madvise(arg, HUGE, MADV_DONTNEED);
	return NULL;
}

static int race(void)
{
	unsigned char *at = map_it(open_it(O_RDONLY), PROT_READ);
	size_t from[2] = { 0, HUGE / 2 }, i, dirty = 0;
	pthread_t t[3];

	map = at;
	pthread_create(&t[0], NULL, touch, &from[0]);
	pthread_create(&t[1], NULL, touch, &from[1]);
	pthread_create(&t[2], NULL, drop, at);
	sleep(seconds);
	over = true;
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	for (i = 0; i < size; i++)
		dirty += at[i] != 0;
	printf("dirty %zu of %zu\n", dirty, size);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		errx(2, "usage: hold pin|watch|race NAME SECONDS");
	name = argv[2];
	seconds = (unsigned int)atoi(argv[3]);
	if (!strcmp(argv[1], "pin"))
		return pin();
	if (!strcmp(argv[1], "watch"))
		return watch();
	return race();
}
