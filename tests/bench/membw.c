/* SPDX-License-Identifier: MIT */
/*
 * membw BATCHES REGION REGION: memcpy into and out of two mappings, block
 * sizes 64 B to 16 MiB, in alternating batches. Prints one JSON object a
 * size: MB/s (10^6 bytes) of each, and the paired ratio first / second.
 */
#include "region.h"

#define SIZE	(16u << 20)

static char *buffer;

/* one write and one read of every block of about `bytes` in sum */
static double copy(char *map, size_t block, size_t bytes)
{
	size_t steps = bytes / block, i, slots = SIZE / block;
	uint64_t start = now_ns();

	for (i = 0; i < steps; i++) {
		char *p = map + (i % slots) * block;

		memcpy(p, buffer, block);
		__asm__ volatile("" ::: "memory");
		memcpy(buffer, p, block);
		__asm__ volatile("" ::: "memory");
	}
	return 2.0 * (double)(steps * block) * 1e3 / (double)(now_ns() - start);
}

int main(int argc, char **argv)
{
	static const size_t blocks[] = { 64, 256, 1024, 4096, 16384, 65536,
		262144, 1u << 20, 4u << 20, 16u << 20 };
	double *v[2], *ratio;
	size_t batches, b, i;
	char *map[2];
	int r;

	if (argc != 4)
		errx(2, "usage: membw BATCHES REGION REGION");
	batches = (size_t)atol(argv[1]);
	buffer = malloc(SIZE);
	ratio = calloc(batches, sizeof(*ratio));
	for (r = 0; r < 2; r++) {
		map[r] = region_map(argv[2 + r], SIZE, 1);
		memset(map[r], 1, SIZE);
		v[r] = calloc(batches, sizeof(**v));
		if (!v[r] || !buffer || !ratio)
			err(3, "calloc");
	}
	memset(buffer, 2, SIZE);
	for (b = 0; b < sizeof(blocks) / sizeof(*blocks); b++) {
		size_t bytes = blocks[b] < 4096 ? 1u << 20 : SIZE;

		for (r = 0; r < 2; r++)
			copy(map[r], blocks[b], bytes);
		for (i = 0; i < batches; i++) {
			/* who goes first changes, so that neither gains by it */
			int first = (int)(i & 1);

			v[first][i] = copy(map[first], blocks[b], bytes);
			v[!first][i] = copy(map[!first], blocks[b], bytes);
			ratio[i] = v[0][i] / v[1][i];
		}
		printf("{\"block\":%zu,", blocks[b]);
		print_compared(v[0], v[1], ratio, batches);
		printf("}\n");
	}
	if (!strncmp(argv[2], "shm:", 4))
		shm_unlink(argv[2] + 4);
	return 0;
}
