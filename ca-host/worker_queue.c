/* SPDX-License-Identifier: MIT */
/* Frames for the guest: into the ring, or into a bounded queue before it. */
#include "worker_vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void put(struct wvm *vm, const struct sivring_frame *header,
		const void *payload, bool *fits)
{
	int r = wring_send(&vm->ring, header, payload);

	*fits = r != -EAGAIN;
	if (!r)
		vm->published = true;
	else if (r != -EAGAIN)
		vm->renew = true;
}

static void wait_for_room(struct wvm *vm, const struct sivring_frame *header,
			  const void *payload)
{
	size_t size = sizeof(struct wvm_waiting) + header->length;
	struct wvm_waiting *frame = NULL;

	if (size <= WVM_BACKLOG_MAX - vm->waiting)
		frame = malloc(size);
	if (!frame) {
		/* a guest that does not read loses its ring, not our memory */
		wvm_drop(vm, false);
		vm->renew = true;
		return;
	}
	frame->next = NULL;
	frame->header = *header;
	memcpy(frame->payload, payload, header->length);
	*vm->last = frame;
	vm->last = &frame->next;
	vm->waiting += size;
}

static void drop_first(struct wvm *vm)
{
	struct wvm_waiting *frame = vm->first;

	vm->first = frame->next;
	if (!vm->first)
		vm->last = &vm->first;
	vm->waiting -= sizeof(*frame) + frame->header.length;
	free(frame);
}

void wvm_flush(struct wvm *vm)
{
	bool fits = true;

	if (vm->renew || !vm->greeted || wring_state(&vm->ring) != WRING_UP)
		return;
	while (fits && vm->first && !vm->renew) {
		put(vm, &vm->first->header, vm->first->payload, &fits);
		if (fits && !vm->renew)
			drop_first(vm);
	}
}

void wvm_send(struct wvm *vm, enum sivring_type type, uint64_t session,
	      uint64_t sequence, const void *payload, size_t length)
{
	const struct sivring_frame header = {
		.length = (uint32_t)length,
		.type = (uint16_t)type,
		.session = session,
		.sequence = sequence,
	};

	if (vm->renew && type != SIVRING_REVOKE && type != SIVRING_SESSION_END &&
	    type != SIVRING_OBJECT)
		return;
	/* hints, which other VMs can cause without end: they must not cost this one its ring */
	if (type == SIVRING_OBJECT && vm->waiting > WVM_BACKLOG_MAX / 4)
		return;
	wait_for_room(vm, &header, payload);
	wvm_flush(vm);
}

void wvm_send_extents(struct wvm *vm, enum sivring_type type, uint64_t session,
		      uint64_t sequence, const void *fixed, size_t length,
		      const struct sivring_extent *extents, uint32_t count)
{
	uint8_t payload[SIVRING_PAYLOAD_MAX];

	memcpy(payload, fixed, length);
	if (count)
		memcpy(payload + length, extents, count * sizeof(*extents));
	wvm_send(vm, type, session, sequence, payload,
		 length + count * sizeof(*extents));
}

static bool is_answer(uint16_t type)
{
	return type == SIVRING_RELAY || type == SIVRING_WELCOME ||
	       type == SIVRING_GRANT || type == SIVRING_DONE;
}

void wvm_drop(struct wvm *vm, bool answers_only)
{
	struct wvm_waiting *frame = vm->first, *next;

	vm->first = NULL;
	vm->last = &vm->first;
	vm->waiting = 0;
	for (; frame; frame = next) {
		next = frame->next;
		if (!answers_only || is_answer(frame->header.type)) {
			free(frame);
			continue;
		}
		frame->next = NULL;
		*vm->last = frame;
		vm->last = &frame->next;
		vm->waiting += sizeof(*frame) + frame->header.length;
	}
}
