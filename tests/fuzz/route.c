/* SPDX-License-Identifier: MIT */
/*
 * Which names are the shim's, with a map of each kind of rule: first byte says
 * how to ask, the rest is the name or the path.
 */
#include "fuzz.h"

#include "../../shim/config.h"
#include "../../shim/inside.h"

static const char text[] =
	"identity /etc/sivshmem/id\nmap /m-* main\nmap /one two name=three\n"
	"map /[ab]?c camera readonly unlink=no\nmap /sem-* sems wait=3\nmap *x star\n";
static int shm = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	atexit(drop_file);
	setenv("SIVSHMEM_MAP", file_with(text, strlen(text)), 1);
	shm = open("/dev/shm", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	return shm < 0;
}

static void check(const struct shim_name *n)
{
	if (n->denied)
		return;
	ALWAYS(n->rule && n->object[0] && memchr(n->object, 0, sizeof(n->object)) &&
	       !strchr(n->object, '/') && strcmp(n->object, ".") && strcmp(n->object, ".."));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shim_name name = { 0 };
	char *given;
	uint8_t how;

	if (!size)
		return 0;
	how = data[0];
	given = malloc(size);
	ALWAYS(given);
	memcpy(given, data + 1, size - 1);
	given[size - 1] = 0;
	shim_depth = how >> 4 & 1;
	if (how % 4 < 2 && shim_route("shm_open", given, how % 4 ? SHIM_SEMAPHORE : SHIM_MEMORY, &name))
		check(&name);
	if (how % 4 >= 2 && shim_route_path("open", how % 4 == 2 ? AT_FDCWD : shm, given, &name))
		check(&name);
	free(given);
	return 0;
}
