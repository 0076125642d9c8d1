/* SPDX-License-Identifier: MIT */
/*
 * Files that outlive the monitor: they are given to whoever started it
 * (systemd's file-descriptor store, or hold.c, which speaks the same), and
 * come back to the next monitor. Each has a number, by which keep.c names it.
 */
#ifndef SIVSHMEM_CA_HANDOVER_H
#define SIVSHMEM_CA_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

#define HANDOVER_FD_VAR	"SIVSHMEM_HOLDER_FD"	/* hold.c's end of a socket pair */

/* Look at what came by the environment, and take it out of it. */
void handover_init(char **argv);
bool handover_on(void);			/* somebody keeps files for us */
int handover_state(void);		/* the last monitor's journal, or -1 */
/* systemd's sd_notify(3): READY=1 and the like; harmless when nobody listens. */
void handover_notify(const char *text);

/* The number under which it is kept, the same for a file that is; 0: it is not. */
uint64_t handover_put(int fd);
void handover_put_state(int fd);
/* The file that the last monitor kept under the number, once; -1: none. */
int handover_take(uint64_t number);
/* It is going to be closed. Takes effect with handover_settle(). */
void handover_forget(int fd);
void handover_settle(void);
/* What nobody took is closed, here and where it was kept. */
void handover_finish(void);
/* Nothing of the last monitor can be used: begin again without it. */
_Noreturn void handover_cold(const char *why);

#endif
