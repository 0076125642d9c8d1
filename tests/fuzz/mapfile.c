/* SPDX-License-Identifier: MIT */
/* The map file: a first line is the name to look for, the rest the map. */
#include "fuzz.h"

#include "../../shim/lib/mapfile.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	atexit(drop_file);
	return 0;
}

static bool within(const struct sivshmem_map *map, size_t size, const char *text)
{
	return !text || (text >= map->text && text < map->text + size + 1);
}

static void check_rule(const struct sivshmem_map *map, size_t size,
		       const struct sivshmem_map_rule *r)
{
	ALWAYS(r->pattern && r->channel && within(map, size, r->pattern) &&
	       within(map, size, r->channel) && within(map, size, r->identity) &&
	       within(map, size, r->name) && within(map, size, r->peer));
	ALWAYS(strlen(r->channel) < SIVP_NAME_LEN && r->literal <= strlen(r->pattern) &&
	       r->wait <= 3600 && r->unlink <= SIVSHMEM_UNLINK_CREATOR);
	ALWAYS(!r->name || (strlen(r->name) < SIVP_NAME_LEN && !strchr(r->name, '/')));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);
	size_t first = end ? (size_t)(end - data) : size;
	char name[256] = "/";
	struct sivshmem_error err;
	struct sivshmem_map *map;

	if (first < sizeof(name) - 1)
		memcpy(name + 1, data, first);
	data += end ? first + 1 : size;
	size -= end ? first + 1 : size;
	if (sivshmem_map_load(&map, file_with(data, size), &err)) {
		ALWAYS(!map && err.text[0]);
		return 0;
	}
	ALWAYS(map->count <= SIVSHMEM_MAP_RULES);
	for (size_t i = 0; i < map->count; i++)
		check_rule(map, size, &map->rules[i]);
	sivshmem_map_find(map, name);
	free(map);
	return 0;
}
