/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

#define VALUE_MAX	4096

static pthread_once_t environment_once = PTHREAD_ONCE_INIT;
static pthread_once_t map_once = PTHREAD_ONCE_INIT;
static atomic_bool loaded;
static enum shim_config_state state;
static struct sivshmem_map *map;
static unsigned int debug_mask;

/* Copies: the program may change its environment. */
static struct value {
	bool set, too_long;
	char text[VALUE_MAX];
} map_value, identity_value, transport_value;

static void read_value(struct value *v, const char *name)
{
	/* NULL in a program that has more rights than its caller */
	const char *text = secure_getenv(name);

	v->set = text != NULL;
	if (!text)
		return;
	v->too_long = strlen(text) >= sizeof(v->text);
	strncpy(v->text, text, sizeof(v->text) - 1);
}

static void read_debug(void)
{
	static const struct {
		const char *name;
		unsigned int bits;
	} names[] = {
		{ "map", SHIM_DEBUG_MAP }, { "open", SHIM_DEBUG_OPEN },
		{ "unlink", SHIM_DEBUG_UNLINK }, { "size", SHIM_DEBUG_SIZE },
		{ "all", ~0u },
	};
	const char *at = secure_getenv("SIVSHMEM_DEBUG");
	size_t length, i;

	for (; at && *at; at += length + (at[length] == ',')) {
		length = strcspn(at, ",");
		for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
			if (strlen(names[i].name) == length &&
			    !strncmp(at, names[i].name, length))
				debug_mask |= names[i].bits;
		}
	}
}

static void read_environment(void)
{
	read_value(&map_value, "SIVSHMEM_MAP");
	read_value(&identity_value, "SIVSHMEM_IDENTITY");
	read_value(&transport_value, "SIVSHMEM_TRANSPORT");
	read_debug();
}

static __attribute__((constructor)) void start(void)
{
	pthread_once(&environment_once, read_environment);
}

const char *shim_config_path(void)
{
	return map_value.set ? map_value.text : SIVSHMEM_MAP_FILE;
}

static void load_map(void)
{
	struct sivshmem_error err;
	int rc;

	pthread_once(&environment_once, read_environment);
	if (map_value.too_long || identity_value.too_long || transport_value.too_long) {
		state = SHIM_CONFIG_BROKEN;
		shim_say("SIVSHMEM_MAP, _IDENTITY or _TRANSPORT is too long; "
			 "all shared memory is refused");
		return;
	}
	rc = sivshmem_map_load(&map, shim_config_path(), &err);
	if (!rc) {
		state = SHIM_CONFIG_MAP;
	} else if (rc == -ENOENT && !map_value.set) {
		state = SHIM_CONFIG_NONE;
		shim_say("no map file (" SIVSHMEM_MAP_FILE " is not there, SIVSHMEM_MAP not set): "
			 "shared memory stays local");
	} else {
		state = SHIM_CONFIG_BROKEN;
		shim_say("%s; all shared memory is refused until the map is mended", err.text);
	}
}

enum shim_config_state shim_config(const struct sivshmem_map **out)
{
	pthread_once(&map_once, load_map);
	atomic_store_explicit(&loaded, true, memory_order_release);
	*out = map;
	return state;
}

bool shim_config_loaded(void)
{
	return atomic_load_explicit(&loaded, memory_order_acquire);
}

void shim_config_options(struct sivshmem_options *options)
{
	options->identity = identity_value.set ? identity_value.text : map->identity;
	options->transport = transport_value.set ? transport_value.text : map->transport;
	options->host = map->host;
}

unsigned int shim_config_debug(void)
{
	return debug_mask;
}
