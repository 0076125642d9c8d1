/* SPDX-License-Identifier: MIT */
/*
 * A worker: this same binary, executed again by the monitor with the fds of
 * privsep.h and nothing else open, as
 *
 *	sivshmem-cad --worker UID GID CHROOTDIR
 *
 * UID and GID are the decimal ids to drop to and CHROOTDIR an empty directory
 * to chroot into; "-" leaves that step out (the daemon does not run as root).
 * argv[1] is "--worker", argc is 5. SIGTERM and the end of either socket end it.
 */
#ifndef SIVSHMEM_CA_WORKER_H
#define SIVSHMEM_CA_WORKER_H

#define WORKER_ARG	"--worker"

/* Returns the exit code: 0 the monitor is gone, 2 usage, 3 system error. */
int worker_main(int argc, char **argv);

#endif
