/* SPDX-License-Identifier: MIT */
/* A mutex that may be in a channel or not. */
#ifndef SIVSHMEM_SHIM_ANY_MUTEX_H
#define SIVSHMEM_SHIM_ANY_MUTEX_H

#include "real.h"
#include "region.h"
#include "sync.h"

static inline int any_mutex_lock(pthread_mutex_t *mutex)
{
	return shim_in_channel(mutex) ? shim_mutex_lock(mutex, NULL) :
					real_pthread_mutex_lock(mutex);
}

static inline int any_mutex_unlock(pthread_mutex_t *mutex)
{
	return shim_in_channel(mutex) ? shim_mutex_unlock(mutex) :
					real_pthread_mutex_unlock(mutex);
}

#endif
