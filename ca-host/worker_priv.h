/* SPDX-License-Identifier: MIT */
/* What the files of a worker share. One worker per process. */
#ifndef SIVSHMEM_CA_WORKER_PRIV_H
#define SIVSHMEM_CA_WORKER_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../shim/lib/clock.h"
#include "bucket.h"
#include "privsep.h"

struct worker;
struct wsession;
struct wsessions;

/* how a session's bytes reach its process, and its grants the guest kernel */
struct wcarrier {
	void (*send)(struct worker *worker, struct wsession *session,
		     const void *message, size_t length);
	/* called before the process hears of the grant */
	void (*granted)(struct worker *worker, struct wsession *session,
			const struct sivring_grant *grant,
			const struct sivring_extent *extents);
};

struct worker {
	bool local;
	uint32_t links;
	uint64_t ring_epoch;
	uint8_t boot_epoch[16];
	char vm[SIVP_VM_LEN];
	const struct wcarrier *carrier;
	struct wsessions *sessions;
	struct bucket refusals;
};

/*
 * Ask the monitor. The reply is valid until the next call; when its error is 0
 * and the op has a grant, as many extents follow as its object says. Without a
 * monitor there is no worker: on EOF this does not return.
 */
const struct priv_reply *worker_call(const struct priv_request *request);
/* A request that names nothing but a session. The reply's error. */
int worker_tell(enum priv_op op, uint64_t session);
/* Tell the audit log, not more often than it can bear. */
void worker_refused(struct worker *worker, uint64_t session, enum priv_why why);

struct worker_event {
	struct priv_event event;
	struct sivring_extent extents[SIVRING_EXTENTS_MAX];
};
/* The next event, 0 when there is none now. *fd: of CONN, else -1. */
int worker_next_event(struct worker_event *event, int *fd);

/* Never return, but by exit. */
void worker_vm(struct worker *worker, void *memory) __attribute__((noreturn));
void worker_local(struct worker *worker) __attribute__((noreturn));

/*
 * Give up what a worker does not need. ids and directory as in worker.h; 0 or
 * -errno with *what naming the step.
 */
int worker_sandbox(const char *uid, const char *gid, const char *dir,
	unsigned int fds, const char **what);

#endif
