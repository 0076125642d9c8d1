/* SPDX-License-Identifier: MIT */
/* What the commands of sivshmem share. */
#ifndef SIVSHMEM_CLI_H
#define SIVSHMEM_CLI_H

#include <limits.h>
#include <jansson.h>

enum { EXIT_OK, EXIT_REFUSED, EXIT_USAGE, EXIT_SYSTEM };

/* argv[0] is the command's name; the exit code comes back. */
int cmd_run(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_doctor(int argc, char **argv);

/* Say what is wrong and where to read on; returns EXIT_USAGE. */
int cli_usage(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The objects that the guest kernel or the daemon's status socket tells of. */
int status_guest(int json);
int status_host(const char *run_dir, int json);

#endif
