/* SPDX-License-Identifier: MIT */
/* sivshmem: run programs under the shim, see what is open, check a set-up. */
#include "cli.h"

#include <err.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct command {
	const char *name, *usage, *summary;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "run", "run [--map FILE] [--identity DIR] [--transport T] [--] PROG [ARG...]",
	  "run a program under the shim", cmd_run },
	{ "status", "status [--run-dir DIR] [--json]",
	  "what is open, in this VM or on this host", cmd_status },
	{ "check", "check [--map FILE] [--identity DIR] [--transport T] [--connect] [NAME...]",
	  "read map and identity, show what maps where", cmd_check },
	{ "doctor", "doctor PROG", "can the shim serve a program? look before you run it",
	  cmd_doctor },
};
#define COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static void help(FILE *out)
{
	fprintf(out, "usage: sivshmem COMMAND\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n`sivshmem COMMAND --help` says more; so does sivshmem(1).\n");
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	return NULL;
}

int cli_usage(const char *command, const char *format, ...)
{
	va_list args;

	if (format) {
		va_start(args, format);
		vwarnx(format, args);
		va_end(args);
	}
	fprintf(stderr, "usage: sivshmem %s\n", find(command)->usage);
	return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
	const struct command *command = find(argv[0]);

	if (!command) {
		warnx("unknown command '%s'", argv[0]);
		help(stderr);
		return EXIT_USAGE;
	}
	if (argc > 1 && !strcmp(argv[1], "--help")) {
		printf("usage: sivshmem %s\n%s\n", command->usage, command->summary);
		return EXIT_OK;
	}
	optind = 0;
	return command->run(argc, argv);
}

int main(int argc, char **argv)
{
	int rc;

	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("sivshmem " SIVSHMEM_VERSION);
		return EXIT_OK;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		help(stdout);
		return EXIT_OK;
	}
	rc = run(argc - 1, argv + 1);
	if (fflush(stdout) || ferror(stdout))
		err(EXIT_SYSTEM, "standard output");
	return rc;
}
