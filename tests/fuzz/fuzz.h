/* SPDX-License-Identifier: MIT */
/*
 * What fuzz targets share: an input that is read as a stream of choices, and
 * patches of it over a real message. Bytes that are not there are zero.
 */
#ifndef SIVSHMEM_FUZZ_H
#define SIVSHMEM_FUZZ_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* What must hold for every input: a finding if it does not. */
#define ALWAYS(condition) do { \
	if (!(condition)) { \
		fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
		abort(); \
	} \
} while (0)

struct input {
	const uint8_t *at;
	size_t left;
};

static inline size_t take(struct input *in, void *to, size_t length)
{
	size_t n = length < in->left ? length : in->left;

	memset(to, 0, length);
	if (n)
		memcpy(to, in->at, n);
	in->at += n;
	in->left -= n;
	return n;
}

#define TAKE_NUMBER(type) \
static inline type##_t take_##type(struct input *in) \
{ \
	type##_t n; \
\
	take(in, &n, sizeof(n)); \
	return n; \
}
TAKE_NUMBER(uint8)
TAKE_NUMBER(uint16)
TAKE_NUMBER(uint32)
TAKE_NUMBER(uint64)

/*
 * Lay bytes of the input over a message: how often, then where, how many and
 * which. So most of it stays real, and the parser is passed through.
 */
static inline void patch(struct input *in, void *message, size_t size)
{
	for (unsigned int n = take_uint8(in) % 8; n > 0; n--) {
		size_t at = take_uint16(in) % size, length = take_uint8(in) % 65;

		if (length > size - at)
			length = size - at;
		take(in, (uint8_t *)message + at, length);
	}
}

/* A file of the fuzzer's own, with these bytes; the parsers want paths. */
static inline const char *file_with(const void *data, size_t size)
{
	static char path[64];
	static int fd = -1;

	if (fd < 0) {
		snprintf(path, sizeof(path), "/dev/shm/sivshmem-fuzz-%d", (int)getpid());
		fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		ALWAYS(fd >= 0);
	}
	ALWAYS(!ftruncate(fd, 0) && pwrite(fd, data, size, 0) == (ssize_t)size);
	return path;
}

static inline void drop_file(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/shm/sivshmem-fuzz-%d", (int)getpid());
	unlink(path);
}

#endif
