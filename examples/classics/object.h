/* SPDX-License-Identifier: MIT */
/*
 * How the ends meet: one makes the shared object, fills it and says that it
 * is ready; the others look for it until then.
 */
#ifndef CLASSICS_OBJECT_H
#define CLASSICS_OBJECT_H

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S	60
#define STEP_US		2000

/* the first member of each object; all else is for those who see READY */
typedef _Atomic unsigned int ready_t;
#define READY		0x52454459u

static inline void *object_map(int fd, const char *name, size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		err(1, "mmap of %s", name);
	close(fd);
	return memory;
}

/* NULL: somebody else made it */
static inline void *object_make(const char *name, size_t size)
{
	int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd < 0 && errno == EEXIST)
		return NULL;
	if (fd < 0)
		err(1, "cannot make %s", name);
	if (ftruncate(fd, (off_t)size))
		err(1, "ftruncate of %s", name);
	return object_map(fd, name, size);
}

static inline void object_publish(void *object)
{
	atomic_store((ready_t *)object, READY);
}

static inline void object_patience(const char *name, const struct timespec *since)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now))
		err(1, "clock_gettime");
	if (now.tv_sec - since->tv_sec >= PATIENCE_S)
		errx(1, "nobody made %s ready for %d s", name, PATIENCE_S);
	usleep(STEP_US);
}

static inline void *object_find(const char *name, size_t size)
{
	struct timespec since;
	struct stat st;
	void *object;
	int fd;

	if (clock_gettime(CLOCK_MONOTONIC, &since))
		err(1, "clock_gettime");
	while ((fd = shm_open(name, O_RDWR, 0)) < 0) {
		if (errno != ENOENT)
			err(1, "cannot open %s", name);
		object_patience(name, &since);
	}
	for (;;) {
		if (fstat(fd, &st))
			err(1, "fstat of %s", name);
		if (st.st_size)
			break;
		object_patience(name, &since);
	}
	if (st.st_size < (off_t)size)
		errx(1, "%s is too small: another program's?", name);
	object = object_map(fd, name, size);
	while (atomic_load((ready_t *)object) != READY)
		object_patience(name, &since);
	return object;
}

static inline void object_remove(const char *name)
{
	if (shm_unlink(name))
		err(1, "shm_unlink of %s", name);
}

/* for functions that return an errno */
static inline void must(int error, const char *what)
{
	if (error) {
		errno = error;
		err(1, "%s", what);
	}
}

static inline unsigned int number(const char *text, unsigned int most)
{
	char *rest;
	unsigned long n = strtoul(text, &rest, 10);

	if (*rest || *text < '0' || *text > '9' || !n || n > most)
		errx(2, "'%s': not a number from 1 to %u", text, most);
	return (unsigned int)n;
}

#endif
