/* SPDX-License-Identifier: MIT */
#include "close_large.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE	(16 << 20)	/* bytes that take a while */
#define BLOCK	512		/* of st_blocks: what it holds, however long it is */

static void *close_it(void *fd)
{
	close((int)(intptr_t)fd);
	return NULL;
}

void close_large(int fd)
{
	pthread_attr_t detached;
	pthread_t thread;
	struct stat st;
	int r = -1;

	if (!fstat(fd, &st) && st.st_blocks >= LARGE / BLOCK && !pthread_attr_init(&detached)) {
		pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
		r = pthread_create(&thread, &detached, close_it, (void *)(intptr_t)fd);
		pthread_attr_destroy(&detached);
	}
	if (r)
		close(fd);
}
