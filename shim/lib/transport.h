/* SPDX-License-Identifier: MIT */
/*
 * What carries messages to the host: a session of the guest kernel, or the
 * daemon's socket. One message per call, whole. The fd is non-blocking; every
 * wait ends at a deadline.
 */
#ifndef SIVSHMEM_LIB_TRANSPORT_H
#define SIVSHMEM_LIB_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "clock.h"
#include "keyfile.h"

struct sivshmem_transport;

struct sivshmem_carrier {
	int (*send)(struct sivshmem_transport *t, const void *message,
		    size_t length);
	/* -EAGAIN: nothing yet; -ECONNRESET: the other end is gone */
	ssize_t (*receive)(struct sivshmem_transport *t, void *message,
			   size_t size);
	/* The fd of a grant; it is the caller's. */
	int (*grant_fd)(struct sivshmem_transport *t, uint64_t grant,
			bool writable, int64_t deadline,
			struct sivshmem_error *err);
	/* Is t->fd what we opened? The program may have closed it. */
	bool (*still_ours)(const struct sivshmem_transport *t);
	bool local;
};

struct sivshmem_transport {
	const struct sivshmem_carrier *carrier;	/* NULL: closed */
	int fd;
	dev_t dev;
	ino_t ino;
	uint64_t kernel_session;	/* in a VM: the guest kernel's id */
	char vm[SIVP_VM_LEN + 1];	/* as the guest kernel says, or "" */
	int pending_fd;			/* local: a grant's fd that came along */
	uint64_t pending_grant;
};

/*
 * where: "auto", "dev" or "unix:PATH". -EHOSTDOWN, -EACCES, -EINVAL, -EMFILE,
 * with err->text. Afterwards t must be closed, once; closing again is fine.
 */
int sivshmem_transport_open(struct sivshmem_transport *t, const char *where,
	int64_t deadline, struct sivshmem_error *err);
void sivshmem_transport_close(struct sivshmem_transport *t);
/* false when the program has closed the fd, or put something else there */
bool sivshmem_transport_alive(const struct sivshmem_transport *t);

/* Wait as needed. -ETIMEDOUT, -ECONNRESET, -EPIPE, -EHOSTDOWN, ... */
int sivshmem_transport_send(struct sivshmem_transport *t, const void *message,
	size_t length, int64_t deadline);
ssize_t sivshmem_transport_receive(struct sivshmem_transport *t,
	void *message, size_t size, int64_t deadline);

/* Until `events`, an error (the next call shows it), or -ETIMEDOUT. */
int sivshmem_transport_wait(const struct sivshmem_transport *t, short events,
	int64_t deadline);

/* The two carriers; each fills t with an open fd, or returns -errno. */
int sivshmem_dev_open(struct sivshmem_transport *t, int64_t up_by,
	struct sivshmem_error *err);	/* -EHOSTDOWN: not up by then */
bool sivshmem_dev_there(void);
int sivshmem_unix_open(struct sivshmem_transport *t, const char *path,
	int64_t deadline, struct sivshmem_error *err);

/*
 * Out of the program's way: to a high number, so that the lowest free one
 * stays what the program expects. Remembers its identity.
 */
int sivshmem_transport_adopt(struct sivshmem_transport *t, int fd);

#endif
