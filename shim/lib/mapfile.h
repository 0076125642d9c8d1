/* SPDX-License-Identifier: MIT */
/* The map of names to channels, sivshmem-shim.conf(5). */
#ifndef SIVSHMEM_LIB_MAPFILE_H
#define SIVSHMEM_LIB_MAPFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sivshmem/proto.h>
#include "keyfile.h"

#define SIVSHMEM_MAP_FILE	"/etc/sivshmem/shim.conf"
#define SIVSHMEM_MAP_RULES	1024

/* Whose unlink removes the name; that of others succeeds and does nothing. */
enum sivshmem_map_unlink {
	SIVSHMEM_UNLINK_YES,
	SIVSHMEM_UNLINK_NO,
	SIVSHMEM_UNLINK_CREATOR,
};

struct sivshmem_map_rule {
	const char *pattern;		/* fnmatch(3), on "/name" */
	const char *channel;
	const char *identity;		/* NULL: that of the map */
	const char *name;		/* the object's; NULL: as the program says */
	const char *peer;		/* the service that must be confirmed; "*": any, NULL: none */
	unsigned int literal;		/* bytes before the first special one */
	unsigned int line;
	unsigned int wait;		/* seconds, for somebody to create it */
	unsigned int given;		/* the options, a bit each */
	enum sivshmem_map_unlink unlink;
	bool readonly;
};

/* Strings are inside text, or NULL where the file does not say. */
struct sivshmem_map {
	const char *identity, *transport, *host;
	size_t count;
	struct sivshmem_map_rule rules[SIVSHMEM_MAP_RULES];
	char text[];
};

/*
 * -ENOENT when there is no such file; else -errno with err->text as
 * "file:line: what, got 'value'; what to do". The caller frees *map.
 */
int sivshmem_map_load(struct sivshmem_map **map, const char *path,
	struct sivshmem_error *err);

/* name has exactly one leading slash. The first rule that matches, or NULL. */
const struct sivshmem_map_rule *sivshmem_map_find(
	const struct sivshmem_map *map, const char *name);

#endif
