/* SPDX-License-Identifier: MIT */
/* Of the shim's real.h, as far as unit tests want it: the functions are the C library's. */
#ifndef SIVSHMEM_TESTS_UNIT_REAL_H
#define SIVSHMEM_TESTS_UNIT_REAL_H

#include <dlfcn.h>

#define REAL_SLOT(name)					\
	extern _Atomic(void *) real_slot_##name;	\
	_Atomic(void *) real_slot_##name

void *real_bind(_Atomic(void *) *slot, const char *name, const char *version);

void *real_bind(_Atomic(void *) *slot, const char *name, const char *version)
{
	(void)version;
	return *slot = dlsym(RTLD_NEXT, name);
}

#endif
