/* SPDX-License-Identifier: MIT */
/*
 * passthrough NAME: what calls on memory that is nobody's business cost.
 * Prints {"shm_open":ns,"mmap":ns,"ftruncate":ns}, medians of 41 batches. Run
 * it with and without a preloaded library and compare.
 */
#include "region.h"

#define BATCHES	41
#define CALLS	2000

static double bench_shm_open(const char *name)
{
	uint64_t start = now_ns();
	int i;

	for (i = 0; i < CALLS; i++)
		close(shm_open(name, O_RDWR, 0));
	return (double)(now_ns() - start) / CALLS;
}

static double bench_mmap(int fd)
{
	uint64_t start = now_ns();
	int i;

	for (i = 0; i < CALLS; i++)
		munmap(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), 4096);
	return (double)(now_ns() - start) / CALLS;
}

static double bench_ftruncate(int fd)
{
	uint64_t start = now_ns();
	int i;

	for (i = 0; i < CALLS; i++)
		if (ftruncate(fd, 4096))
			err(3, "ftruncate");
	return (double)(now_ns() - start) / CALLS;
}

int main(int argc, char **argv)
{
	double v[3][BATCHES];
	int fd, i;

	if (argc != 2)
		errx(2, "usage: passthrough NAME");
	fd = shm_open(argv[1], O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, 4096))
		err(3, "shm_open %s", argv[1]);
	for (i = 0; i < BATCHES; i++) {
		v[0][i] = bench_shm_open(argv[1]);
		v[1][i] = bench_mmap(fd);
		v[2][i] = bench_ftruncate(fd);
	}
	shm_unlink(argv[1]);
	printf("{");
	print_spread("shm_open", v[0], BATCHES);
	printf(",");
	print_spread("mmap", v[1], BATCHES);
	printf(",");
	print_spread("ftruncate", v[2], BATCHES);
	printf("}\n");
	return 0;
}
