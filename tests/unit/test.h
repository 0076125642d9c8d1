/* SPDX-License-Identifier: MIT */
/*
 * A test is a void function: CHECK leaves it at the first failure. main is
 * RUN for each and `return test_failures != 0;`.
 */
#ifndef SIVSHMEM_TEST_H
#define SIVSHMEM_TEST_H

#include <stdio.h>

static int test_failures, test_line;

#define CHECK(condition) do { \
	if (!(condition)) { \
		test_line = __LINE__; \
		return; \
	} \
} while (0)

#define RUN(test) do { \
	test_line = 0; \
	test(); \
	if (test_line) \
		printf("not ok %s: %s:%d\n", #test, __FILE__, test_line); \
	else \
		printf("ok %s\n", #test); \
	test_failures += test_line != 0; \
} while (0)

#endif
