/* SPDX-License-Identifier: MIT */
/* Waiting once the device that was there can't be had any more: late, but not for ever. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <sivshmem/uapi.h>

static char device_path[64];
#undef SIVSHMEM_WAIT_DEVICE
#define SIVSHMEM_WAIT_DEVICE	device_path
#include "../../shim/lib/word.c"
#include "test.h"

static _Atomic uint32_t word = 7;

static int wait_for_ever(void)
{
	int r;

	alarm(10);
	r = sivshmem_word_wait(&word, 7, 0, ~0u, CLOCK_MONOTONIC, NULL);
	alarm(0);
	return r;
}

static int wait_until(time_t in)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += in;
	return sivshmem_word_wait(&word, 7, 0, ~0u, CLOCK_REALTIME, &at);
}

static bool waits_and_wakes(void)
{
	return !wait_for_ever() && !wait_until(1) && wait_until(0) == -ETIMEDOUT &&
	       sivshmem_word_wait(&word, 6, 0, ~0u, CLOCK_MONOTONIC, NULL) == -EAGAIN &&
	       !sivshmem_word_wake(&word, 1, 0, ~0u);
}

/* of those who slept by futex(2) from the start */
static void never_there(void)
{
	CHECK(sivshmem_word_open() == -ENOENT);
	CHECK(wait_until(0) == -ETIMEDOUT && !sivshmem_word_wake(&word, 1, 0, ~0u));
}

/* What is there knows nothing of waiting, and says so. */
static bool is_there(void)
{
	return wait_until(1) == -ENOTTY && sivshmem_word_wake(&word, 1, 0, ~0u) == -ENOTTY;
}

static void there(void)
{
	CHECK(!symlink("/dev/null", device_path));
	CHECK(!sivshmem_word_open() && is_there());
	CHECK(!close_range(3, ~0u, 0) && is_there());
}

static void closed_and_out_of_sight(void)
{
	CHECK(!close_range(3, ~0u, 0) && !unlink(device_path));
	CHECK(waits_and_wakes());
	CHECK(!symlink("/dev/null", device_path) && is_there());
}

static void closed_and_no_number_left(void)
{
	struct rlimit limit, none;

	CHECK(!close_range(3, ~0u, 0) && !getrlimit(RLIMIT_NOFILE, &limit));
	none = limit;
	none.rlim_cur = 3;
	CHECK(!setrlimit(RLIMIT_NOFILE, &none));
	CHECK(waits_and_wakes());
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit) && is_there());
}

int main(void)
{
	char directory[] = "/tmp/sivshmem-word.XXXXXX";

	if (!mkdtemp(directory))
		return 1;
	snprintf(device_path, sizeof(device_path), "%s/wait", directory);
	RUN(never_there);
	RUN(there);
	RUN(closed_and_out_of_sight);
	RUN(closed_and_no_number_left);
	unlink(device_path);
	rmdir(directory);
	return test_failures != 0;
}
