/* SPDX-License-Identifier: MIT */
/* So many in a second, and so many at once: a token bucket. */
#ifndef SIVSHMEM_CA_BUCKET_H
#define SIVSHMEM_CA_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
	uint32_t rate;			/* a second; 0: no limit */
	uint32_t burst;
	int64_t full_at;		/* ns */
};

bool bucket_has(const struct bucket *bucket);
/* False: there is none, and none is taken. */
bool bucket_take(struct bucket *bucket);
/* One that can not be refused: whoever comes next waits for it. */
void bucket_owe(struct bucket *bucket);

#endif
