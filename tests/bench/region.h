/* SPDX-License-Identifier: MIT */
/* What the benchmark programs share: they know POSIX and sysfs only. */
#ifndef BENCH_REGION_H
#define BENCH_REGION_H

#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * Sorts v. Prints `"NAME":{"median":..,"p25":..,"p75":..,"lo":..,"hi":..,"n":..}`;
 * lo..hi holds the true median with 95 % confidence (order statistics).
 */
static inline void print_spread(const char *name, double *v, size_t n)
{
	size_t half = (size_t)(0.98 * __builtin_sqrt((double)n)) + 1;
	size_t mid = n / 2, lo = mid > half ? mid - half : 0;
	size_t hi = mid + half < n ? mid + half : n - 1;

	qsort(v, n, sizeof(*v), compare_doubles);
	printf("\"%s\":{\"median\":%.5g,\"p25\":%.5g,\"p75\":%.5g,"
	       "\"lo\":%.5g,\"hi\":%.5g,\"n\":%zu}",
	       name, v[mid], v[n / 4], v[n * 3 / 4], v[lo], v[hi], n);
}

/* Ours, the baseline, and their ratios batch by batch: three members of an object. */
static inline void print_compared(double *secure, double *raw, double *ratio, size_t n)
{
	print_spread("secure", secure, n);
	printf(",");
	print_spread("raw", raw, n);
	printf(",");
	print_spread("paired_ratio", ratio, n);
}

/*
 * "shm:/NAME" by shm_open, or "raw:PATH" (a sysfs resource2). create makes
 * the shm object anew; without it, wait until it is there and has its size.
 */
static inline void *region_map(const char *spec, size_t size, int create)
{
	const char *name = strchr(spec, ':') + 1;
	int shm = !strncmp(spec, "shm:", 4), fd, tries;
	struct stat st;
	void *p;

	if (!shm) {
		fd = open(name, O_RDWR | O_CLOEXEC);
	} else if (create) {
		shm_unlink(name);
		fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
		if (fd >= 0 && ftruncate(fd, (off_t)size))
			err(3, "ftruncate %s", spec);
	} else {
		for (tries = 0; tries < 6000; tries++, usleep(10000)) {
			fd = shm_open(name, O_RDWR, 0);
			if (fd >= 0 && !fstat(fd, &st) && st.st_size == (off_t)size)
				break;
			if (fd >= 0)
				close(fd);
			fd = -1;
		}
	}
	if (fd < 0)
		err(3, "open %s", spec);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		err(3, "mmap %s", spec);
	close(fd);
	return p;
}

#endif
