/* SPDX-License-Identifier: MIT */
/*
 * `sivshmem-cad --hold OPTIONS`: what systemd does for a service with a
 * file-descriptor store, where there is no systemd. Starts the monitor again
 * when it ends, keeps its files meanwhile, and reads nothing but that
 * monitor's own words about them.
 */
#ifndef SIVSHMEM_CA_HOLD_H
#define SIVSHMEM_CA_HOLD_H

#define HOLD_ARG	"--hold"

/* argv without HOLD_ARG is the monitor's. Returns the exit code. */
int hold_main(char **argv);

#endif
