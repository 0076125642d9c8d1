/* SPDX-License-Identifier: MIT */
/* CLOCK_MONOTONIC in ms: deadlines, of the library and the daemon. */
#ifndef SIVSHMEM_LIB_CLOCK_H
#define SIVSHMEM_LIB_CLOCK_H

#include <stdint.h>

int64_t sivshmem_now_ms(void);
void sivshmem_sleep_ms(unsigned int ms);

#endif
