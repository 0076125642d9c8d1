/* SPDX-License-Identifier: MIT */
/* What the guest kernel's frames mean. */
#include "worker_vm.h"

#include <errno.h>
#include <string.h>

#define PAGE_MIN	4096u
#define PAGE_MAX	(1u << 20)

static void send_welcome(struct wvm *vm, uint64_t sequence, uint32_t version)
{
	struct sivring_welcome welcome = { .version = version };

	if (version) {
		welcome.links = vm->worker.links;
		memcpy(welcome.vm, vm->worker.vm, sizeof(welcome.vm));
	}
	wvm_send(vm, SIVRING_WELCOME, 0, sequence, &welcome, sizeof(welcome));
}

static int take_hello(struct wvm *vm, const struct wring_frame *frame)
{
	struct sivring_hello hello;
	bool known;

	memcpy(&hello, frame->payload, sizeof(hello));
	if (hello.version_min > hello.version_max ||
	    hello.page_size < PAGE_MIN || hello.page_size > PAGE_MAX ||
	    hello.page_size & (hello.page_size - 1))
		return -EPROTO;
	known = hello.version_min <= SIVRING_VERSION &&
		hello.version_max >= SIVRING_VERSION;
	if (!known)
		worker_refused(&vm->worker, 0, PRIV_WHY_VERSION);
	vm->greeted = true;
	send_welcome(vm, frame->header.sequence, known ? SIVRING_VERSION : 0);
	vm->greeted = known;
	return 0;
}

static void end_session(struct wvm *vm, uint64_t id, int reason)
{
	const struct sivring_end end = { .reason = (uint32_t)reason };

	wvm_send(vm, SIVRING_SESSION_END, id, 0, &end, sizeof(end));
}

static int take_session(struct wvm *vm, const struct wring_frame *frame)
{
	bool again = frame->header.flags & SIVRING_F_AGAIN;
	uint64_t id = frame->header.session;
	struct sivring_session who;
	struct wsession *session;
	int error;

	memcpy(&who, frame->payload, sizeof(who));
	if (!id)
		return -EPROTO;
	session = wsession_find(&vm->worker, id);
	if (session) {
		/* opened while its kernel announced all: it is reset there */
		wsession_forget_keys(session);
		return 0;
	}
	error = wsession_open(&vm->worker, id, &who, again, &session);
	if (error)
		end_session(vm, id, error);
	return 0;
}

static void close_session(struct wvm *vm, uint64_t id)
{
	struct wsession *session = wsession_find(&vm->worker, id);

	if (session)
		wsession_remove(&vm->worker, session);
	/* one of an earlier epoch is unknown here, but not to the monitor */
	worker_tell(PRIV_SESSION_CLOSE, id);
}

static void take_relay(struct wvm *vm, const struct wring_frame *frame)
{
	struct wsession *session = wsession_find(&vm->worker, frame->header.session);

	if (!session) {
		end_session(vm, frame->header.session, ECONNRESET);
		return;
	}
	wsession_link(session)->sequence = frame->header.sequence;
	wsession_message(&vm->worker, session, frame->payload, frame->header.length);
}

static void release(const struct wring_frame *frame)
{
	struct priv_request request = { .op = PRIV_RELEASE };
	struct sivring_release what;

	memcpy(&what, frame->payload, sizeof(what));
	request.grant.grant = what.grant;
	worker_call(&request);
}

static void answer_done(struct wvm *vm, const struct sivring_frame *to,
			const struct priv_request *request)
{
	const struct priv_reply *reply = worker_call(request);
	struct sivring_done done = { .error = reply->error };

	if (!reply->error)
		done.object = reply->grant.grant.object;
	wvm_send_extents(vm, SIVRING_DONE, to->session, to->sequence, &done,
			 sizeof(done), reply->extents, done.object.extents_count);
}

static int take_resize(struct wvm *vm, const struct wring_frame *frame)
{
	struct priv_request request = { .op = PRIV_RESIZE };
	struct sivring_resize resize;

	memcpy(&resize, frame->payload, sizeof(resize));
	if (resize.pad || resize.grow_only > 1)
		return -EPROTO;
	request.grant.grant = resize.grant;
	request.grant.size = resize.size;
	request.grant.grow_only = resize.grow_only;
	answer_done(vm, &frame->header, &request);
	return 0;
}

static void stat_grant(struct wvm *vm, const struct wring_frame *frame)
{
	struct priv_request request = { .op = PRIV_STAT };
	struct sivring_release what;

	memcpy(&what, frame->payload, sizeof(what));
	request.grant.grant = what.grant;
	answer_done(vm, &frame->header, &request);
}

static int take_lock(struct wvm *vm, const struct wring_frame *frame)
{
	struct priv_request request = { .op = PRIV_LOCK };
	const struct priv_reply *reply;
	struct sivring_done done;

	memcpy(&request.lock, frame->payload, sizeof(request.lock));
	if (request.lock.type > SIVRING_LOCK_WRITE ||
	    request.lock.flags & ~(SIVRING_LOCK_RECORD | SIVRING_LOCK_TEST) ||
	    request.lock.start > request.lock.end)
		return -EPROTO;
	reply = worker_call(&request);
	done = (struct sivring_done){
		.error = reply->error, .lock_type = reply->lock.type,
		.lock_start = reply->lock.start, .lock_end = reply->lock.end,
	};
	wvm_send(vm, SIVRING_DONE, frame->header.session, frame->header.sequence,
		 &done, sizeof(done));
	return 0;
}

static bool shape_valid(const struct sivring_frame *header)
{
	static const uint32_t lengths[] = {
		[SIVRING_HELLO] = sizeof(struct sivring_hello),
		[SIVRING_SESSION_OPEN] = sizeof(struct sivring_session),
		[SIVRING_SESSION_CLOSE] = 0,
		[SIVRING_RELEASE] = sizeof(struct sivring_release),
		[SIVRING_RESIZE] = sizeof(struct sivring_resize),
		[SIVRING_STAT] = sizeof(struct sivring_release),
		[SIVRING_LOCK] = sizeof(struct sivring_lock),
	};

	if (header->flags &&
	    (header->type != SIVRING_SESSION_OPEN || header->flags != SIVRING_F_AGAIN))
		return false;
	if (header->type == SIVRING_RELAY)
		return header->length > 0 && header->length <= SIVSHMEM_MSG_MAX;
	return header->type >= SIVRING_HELLO && header->type <= SIVRING_LOCK &&
	       header->length == lengths[header->type];
}

int wvm_frame(struct wvm *vm, const struct wring_frame *frame)
{
	if (!shape_valid(&frame->header) ||
	    (!vm->greeted && frame->header.type != SIVRING_HELLO))
		return -EPROTO;
	switch (frame->header.type) {
	case SIVRING_HELLO:
		return take_hello(vm, frame);
	case SIVRING_SESSION_OPEN:
		return take_session(vm, frame);
	case SIVRING_SESSION_CLOSE:
		close_session(vm, frame->header.session);
		return 0;
	case SIVRING_RELAY:
		take_relay(vm, frame);
		return 0;
	case SIVRING_RELEASE:
		release(frame);
		return 0;
	case SIVRING_RESIZE:
		return take_resize(vm, frame);
	case SIVRING_LOCK:
		return take_lock(vm, frame);
	default:
		stat_grant(vm, frame);
		return 0;
	}
}

static void relay_back(struct worker *worker, struct wsession *session,
		       const void *message, size_t length)
{
	struct wvm *vm = (struct wvm *)worker;
	const struct wsession_link *link = wsession_link(session);

	wvm_send(vm, SIVRING_RELAY, link->id, link->sequence, message, length);
}

static void grant_kernel(struct worker *worker, struct wsession *session,
			 const struct sivring_grant *grant,
			 const struct sivring_extent *extents)
{
	wvm_send_extents((struct wvm *)worker, SIVRING_GRANT,
			 wsession_link(session)->id, 0, grant, sizeof(*grant),
			 extents, grant->object.extents_count);
}

const struct wcarrier wvm_carrier = {
	.send = relay_back,
	.granted = grant_kernel,
};
