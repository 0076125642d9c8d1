/* SPDX-License-Identifier: MIT */
/* Which names are ours: what the program said, against the map file. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "config.h"
#include "inside.h"
#include "real.h"

#define SHM_DIRECTORY	"/dev/shm"

/* As glibc takes them: any number of slashes first, none after. */
static const char *strip(const char *name)
{
	while (*name == '/')
		name++;
	return *name && !strchr(name, '/') ? name : NULL;
}

static bool deny(struct shim_name *name, int e)
{
	name->denied = e;
	return true;
}

static bool find(const struct sivshmem_map *map, const char *object,
		 const char *prefix, struct shim_name *name)
{
	const struct sivshmem_map_rule *rule;
	char path[NAME_MAX + 2];
	int saved = errno;

	path[0] = '/';
	memcpy(path + 1, object, strlen(object) + 1);
	rule = sivshmem_map_find(map, path);
	shim_debug(SHIM_DEBUG_MAP, rule ? "%s: channel %s by %s:%u" : "%s: not mapped", path,
		   rule ? rule->channel : "", shim_config_path(), rule ? rule->line : 0);
	errno = saved;
	if (!rule)
		return false;
	/* a signal handler, in the midst of another call */
	if (shim_depth)
		return deny(name, EDEADLK);
	if (rule->name)
		object = rule->name;
	if (!*prefix && (!strcmp(object, ".") || !strcmp(object, "..")))
		return deny(name, EINVAL);
	if (strlen(prefix) + strlen(object) >= sizeof(name->object))
		return deny(name, ENAMETOOLONG);
	name->rule = rule;
	stpcpy(stpcpy(name->object, prefix), object);
	return true;
}

/* The map. false: *ours is the answer already. */
static bool get_map(const struct sivshmem_map **map, struct shim_name *name, bool *ours)
{
	enum shim_config_state state;
	int saved = errno;

	shim_depth++;
	state = shim_config(map);
	shim_depth--;
	errno = saved;
	*ours = state == SHIM_CONFIG_BROKEN;
	if (*ours)
		deny(name, EACCES);
	return state == SHIM_CONFIG_MAP;
}

bool shim_route(const char *function, const char *given, enum shim_kind kind,
		struct shim_name *name)
{
	const struct sivshmem_map *map;
	const char *object;
	bool ours;

	name->function = function;
	name->given = given;
	name->denied = 0;
	if (shim_depth && !shim_config_loaded())
		return deny(name, EDEADLK);
	if (!get_map(&map, name, &ours))
		return ours;
	object = strip(given);
	/* no name for glibc either, which knows the errno */
	if (!object || strlen(object) > NAME_MAX)
		return false;
	return find(map, object, kind == SHIM_SEMAPHORE ? "sem." : "", name);
}

/* --- paths --- */

static const char *skip(const char *p)
{
	for (;;) {
		if (*p == '/')
			p++;
		else if (p[0] == '.' && p[1] == '/')
			p += 2;
		else
			return p;
	}
}

/* NAME of /dev/shm/NAME, NULL: another path */
static const char *under_shm(const char *path)
{
	path = skip(path);
	if (strncmp(path, "dev/", 4))
		return NULL;
	path = skip(path + 4);
	return strncmp(path, "shm/", 4) ? NULL : skip(path + 4);
}

/* Costs two system calls. */
static bool is_shm(int dirfd)
{
	struct stat shm, st;
	int saved = errno;
	bool is;

	is = !fstat(dirfd, &st) && S_ISDIR(st.st_mode) && !real_stat(SHM_DIRECTORY, &shm) &&
	     st.st_dev == shm.st_dev && st.st_ino == shm.st_ino;
	errno = saved;
	return is;
}

static const char *object_of(int dirfd, const char *path)
{
	const char *object = path[0] == '/' ? under_shm(path) :
			     dirfd != AT_FDCWD && path[0] ? skip(path) : NULL;
	size_t length = object ? strlen(object) : 0;

	if (!length || length > NAME_MAX || strchr(object, '/') ||
	    !strcmp(object, ".") || !strcmp(object, "..") ||
	    (path[0] != '/' && !is_shm(dirfd)))
		return NULL;
	return object;
}

bool shim_route_path(const char *function, int dirfd, const char *path,
		     struct shim_name *name)
{
	const char *object = path ? object_of(dirfd, path) : NULL;
	const struct sivshmem_map *map;
	bool ours;

	if (!object)
		return false;
	name->function = function;
	name->given = path;
	name->denied = 0;
	/* a signal handler that interrupts the reading of the map; or that reading itself */
	if (shim_depth && !shim_config_loaded())
		return strcmp(path, shim_config_path()) && deny(name, EDEADLK);
	if (!get_map(&map, name, &ours))
		return ours;
	/* where glibc keeps a named semaphore */
	if (!strncmp(object, "sem.", 4) && object[4] && find(map, object + 4, "sem.", name))
		return true;
	return find(map, object, "", name);
}
