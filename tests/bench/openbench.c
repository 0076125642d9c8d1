/* SPDX-License-Identifier: MIT */
/*
 * openbench make|time NAME COUNT: `make` creates NAME.0 .. NAME.COUNT-1 of one
 * page and leaves them; `time` opens, maps and reads each, and prints the ns
 * of each in one JSON array; the first includes whatever a process does once.
 * openbench drop NAME COUNT unlinks them.
 */
#include "region.h"

static void path(char *s, size_t size, const char *name, long i)
{
	snprintf(s, size, "%s.%ld", name, i);
}

static double open_one(const char *name)
{
	uint64_t start = now_ns();
	int fd = shm_open(name, O_RDWR, 0);
	volatile char *p;

	if (fd < 0)
		err(3, "shm_open %s", name);
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		err(3, "mmap %s", name);
	if (*p)
		errx(3, "%s is not zero", name);
	close(fd);
	return (double)(now_ns() - start);
}

int main(int argc, char **argv)
{
	char name[256];
	long count, i;

	if (argc != 4)
		errx(2, "usage: openbench make|time|drop NAME COUNT");
	count = atol(argv[3]);
	for (i = 0; i < count; i++) {
		path(name, sizeof(name), argv[2], i);
		if (argv[1][0] == 'd') {
			shm_unlink(name);
		} else if (argv[1][0] == 'm') {
			int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);

			if (fd < 0 || ftruncate(fd, 4096))
				err(3, "create %s", name);
			close(fd);
		} else {
			printf("%s%.0f", i ? "," : "[", open_one(name));
		}
	}
	if (argv[1][0] == 't')
		printf("]\n");
	return 0;
}
