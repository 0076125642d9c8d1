/* SPDX-License-Identifier: MIT */
/* The environment and the map file, read once. */
#ifndef SIVSHMEM_SHIM_CONFIG_H
#define SIVSHMEM_SHIM_CONFIG_H

#include <stdbool.h>

#include <sivshmem/sivshmem.h>
#include "lib/mapfile.h"

enum shim_config_state {
	SHIM_CONFIG_NONE,		/* no map: everything passes */
	SHIM_CONFIG_BROKEN,		/* a map that can't be used: nothing does */
	SHIM_CONFIG_MAP,
};

/* NULL map unless the state is MAP. Says once what is wrong. */
enum shim_config_state shim_config(const struct sivshmem_map **map);
/* The map has been looked for: shim_config() takes no lock any more. */
bool shim_config_loaded(void);
/* Only when the state is MAP. */
void shim_config_options(struct sivshmem_options *options);
unsigned int shim_config_debug(void);
const char *shim_config_path(void);

#endif
