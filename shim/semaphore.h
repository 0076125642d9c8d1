/* SPDX-License-Identifier: MIT */
/* Named semaphores, each an object of the channel that its name is mapped to. */
#ifndef SIVSHMEM_SHIM_SEMAPHORE_H
#define SIVSHMEM_SHIM_SEMAPHORE_H

#include <semaphore.h>

#include "shim.h"

/* As sem_open(3); mode and value count only with O_CREAT. */
sem_t *semaphore_open(const struct shim_name *name, int oflag, mode_t mode,
		      unsigned int value);
/* false: not one of ours */
bool semaphore_close(sem_t *sem);

#endif
