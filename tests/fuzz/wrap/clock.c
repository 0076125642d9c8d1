/* SPDX-License-Identifier: MIT */
/* Who would sleep does not: the clock is put forward instead. Linked in by --wrap. */
#include <stdint.h>

int64_t __real_sivshmem_now_ms(void);
int64_t __wrap_sivshmem_now_ms(void);
void __wrap_sivshmem_sleep_ms(unsigned int ms);

static int64_t slept;

int64_t __wrap_sivshmem_now_ms(void)
{
	return __real_sivshmem_now_ms() + slept;
}

void __wrap_sivshmem_sleep_ms(unsigned int ms)
{
	slept += ms;
}
