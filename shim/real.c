/* SPDX-License-Identifier: MIT */
#include "real.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "shim.h"

#define REAL_SLOT(type, name, parameters, arguments) _Atomic(void *) real_slot_##name;
REAL_FUNCTIONS(REAL_SLOT)
#define REAL_SLOTS(type, name, parameters, arguments) \
	_Atomic(void *) real_slot_new_##name, real_slot_old_##name;
REAL_VERSIONED(REAL_SLOTS)
#undef REAL_SLOTS
#undef REAL_SLOT

/* Two copies of the shim, or a strange linker: calling it would never end. */
static int is_own(void *f)
{
	Dl_info there, here;

	return dladdr(f, &there) && dladdr((void *)(size_t)real_bind, &here) &&
	       there.dli_fbase == here.dli_fbase;
}

void *real_bind(_Atomic(void *) *slot, const char *name, const char *version)
{
	int saved = errno;
	void *f = version ? dlvsym(RTLD_NEXT, name, version) : dlsym(RTLD_NEXT, name);
	void *librt;

	/* before glibc 2.34 they are librt's, which a plugin may have to itself */
	if (!f) {
		librt = dlopen("librt.so.1", RTLD_LAZY);
		f = librt ? dlsym(librt, name) : NULL;
	}
	if (!f || is_own(f)) {
		shim_say("%s: the C library has none; cannot go on", name);
		abort();
	}
	atomic_store_explicit(slot, f, memory_order_release);
	errno = saved;
	return f;
}

/* The first to call one may be a signal handler, where dlsym(3) may not be used. */
static __attribute__((constructor)) void bind_early(void)
{
	/* two copies of the shim: whoever calls one is told */
	if (is_own(dlsym(RTLD_NEXT, "open")))
		return;
#define REAL_BIND(type, name, parameters, arguments) \
	atomic_store_explicit(&real_slot_##name, dlsym(RTLD_NEXT, #name), memory_order_release);
	REAL_PATHS(REAL_BIND)
	REAL_PATHS64(REAL_BIND)
	REAL_BIND(int, sem_post, , )
	REAL_BIND(long, syscall, , )
	/* with the lock of the regions held */
	REAL_BIND(int, munmap, , )
	REAL_BIND(void *, mremap, , )
#undef REAL_BIND
}
