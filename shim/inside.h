/* SPDX-License-Identifier: MIT */
/* For what talks to the host: one thread of the process at a time. */
#ifndef SIVSHMEM_SHIM_INSIDE_H
#define SIVSHMEM_SHIM_INSIDE_H

#include "lib/session.h"
#include "shim.h"

/* Not 0: this thread is inside, or reads the map, and runs the shim's own code. */
extern __thread int shim_depth __attribute__((tls_model("initial-exec")));

/* If SIVSHMEM_DEBUG asks for it. */
void shim_debug(enum shim_debug what, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

struct shim_section {
	int saved_errno, cancel;
	struct sivshmem_session *session;
};

/*
 * Enter, with a session that may do what name wants. 0, or the errno to fail
 * with; then nothing is entered, and the user was told.
 */
int shim_enter(const struct shim_name *name, struct shim_section *s);
/* rc: 0 or a negative errno of the library; becomes errno, if it is one. */
void shim_leave(const struct shim_name *name, struct shim_section *s, int rc);

/* As shim_leave(), with an errno of the shim's own, which it returns, and why. */
int shim_leave_failed(const struct shim_name *name, struct shim_section *s, int e,
	const char *text);

/* For no name: false if this thread is inside already. */
bool shim_enter_core(struct shim_section *s);
void shim_leave_core(const struct shim_section *s);
/* Inside. */
void shim_each_session(void (*call)(struct sivshmem_session *session, void *data), void *data);

/* Bundles of the map's lines, NULL: the map's own. */
bool shim_same_identity(const char *a, const char *b);

/* Its line of the map says readonly: errno is set, and the user told. */
bool shim_forbidden(const struct shim_name *name);

#endif
