/* SPDX-License-Identifier: MIT */
/* The worker of one VM: its ring, what waits for room in it, its frames. */
#ifndef SIVSHMEM_CA_WORKER_VM_H
#define SIVSHMEM_CA_WORKER_VM_H

#include "ring.h"
#include "session.h"

#define WVM_BACKLOG_MAX		(1u << 20)	/* bytes of frames that wait for room */
#define WVM_FRAMES_PER_WAKE	256

struct wvm_waiting {
	struct wvm_waiting *next;
	struct sivring_frame header;
	uint8_t payload[];
};

struct wvm {
	struct worker worker;		/* first: carriers get it back */
	struct wring ring;
	struct wvm_waiting *first, **last;
	size_t waiting;			/* bytes */
	bool greeted;			/* HELLO taken in this epoch */
	bool renew;			/* a new epoch is due */
	bool published;			/* the guest must be rung */
	struct bucket epochs;
	uint32_t idle_wakes;
	int64_t deaf_until;		/* ms: the doorbell is not listened to */
};

/* Queue a frame for the guest, in order; never blocks. */
void wvm_send(struct wvm *vm, enum sivring_type type, uint64_t session,
	uint64_t sequence, const void *payload, size_t length);
/* The same for a fixed part and extents. */
void wvm_send_extents(struct wvm *vm, enum sivring_type type, uint64_t session,
	uint64_t sequence, const void *fixed, size_t length,
	const struct sivring_extent *extents, uint32_t count);
/* Move what waits into the ring. */
void wvm_flush(struct wvm *vm);
/* Forget what waits; with `answers_only`, keep what the monitor announced. */
void wvm_drop(struct wvm *vm, bool answers_only);

/* A frame of the guest. -EPROTO: no version 1 guest kernel sends that. */
int wvm_frame(struct wvm *vm, const struct wring_frame *frame);
extern const struct wcarrier wvm_carrier;

#endif
