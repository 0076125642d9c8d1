/* SPDX-License-Identifier: MIT */
/* sivshmem run: set the environment, become the program. */
#include "cli.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHIM	"libsivshmem-shim.so"

static int readable(char path[PATH_MAX], const char *dir, size_t length,
		    const char *rest)
{
	int n = snprintf(path, PATH_MAX, "%.*s%s" SHIM, (int)length, dir, rest);

	return n < PATH_MAX && !access(path, R_OK);
}

/* Beside this program, in a lib beside its bin, or where it was installed. */
static int find_shim(char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *slash;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		if (slash && (readable(path, self, (size_t)(slash - self), "/") ||
			      readable(path, self, (size_t)(slash - self), "/../lib/")))
			return 0;
	}
	if (readable(path, SIVSHMEM_LIBDIR, strlen(SIVSHMEM_LIBDIR), "/"))
		return 0;
	warnx(SHIM " is neither beside this program nor in " SIVSHMEM_LIBDIR "; install it");
	return -1;
}

static void set(const char *name, const char *value)
{
	if (setenv(name, value, 1))
		err(EXIT_SYSTEM, "%s", name);
}

/* The program may change its directory before it opens anything. */
static int set_path(const char *name, const char *value)
{
	char path[PATH_MAX];

	if (!realpath(value, path)) {
		warn("%s", value);
		return -1;
	}
	set(name, path);
	return 0;
}

static int preload(void)
{
	const char *before = getenv("LD_PRELOAD");
	char shim[PATH_MAX], *value;

	if (find_shim(shim))
		return -1;
	if (strpbrk(shim, " :")) {
		warnx("%s: LD_PRELOAD takes no path with a blank or colon; install it elsewhere",
		      shim);
		return -1;
	}
	if (asprintf(&value, "%s%s%s", before ? before : "",
		     before && *before ? ":" : "", shim) < 0)
		err(EXIT_SYSTEM, NULL);
	set("LD_PRELOAD", value);
	free(value);
	return 0;
}

int cmd_run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "map", required_argument, NULL, 'm' },
		{ "identity", required_argument, NULL, 'i' },
		{ "transport", required_argument, NULL, 't' },
		{ 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "+m:i:t:", options, NULL)) != -1) {
		switch (opt) {
		case 'm':
			if (set_path("SIVSHMEM_MAP", optarg))
				return EXIT_SYSTEM;
			break;
		case 'i':
			if (set_path("SIVSHMEM_IDENTITY", optarg))
				return EXIT_SYSTEM;
			break;
		case 't':
			set("SIVSHMEM_TRANSPORT", optarg);
			break;
		default:
			return cli_usage("run", NULL);
		}
	}
	if (optind == argc)
		return cli_usage("run", "no program to run");
	if (preload())
		return EXIT_SYSTEM;
	execvp(argv[optind], argv + optind);
	warn("%s", argv[optind]);
	return EXIT_SYSTEM;
}
