/* SPDX-License-Identifier: MIT */
#include "worker_vm.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <bsd/err.h>

#define TICK		1000	/* ms: look at the ring anyway, doorbells get lost */
#define LOOK		10	/* ms: while frames wait for room */
#define EPOCHS_RATE	1	/* a second: a guest that breaks its ring again and again */
#define EPOCHS_BURST	10
#define EVENTS_PER_WAKE	64
/* a doorbell rung this often for nothing is not listened to for a while */
#define IDLE_WAKES	64
#define DEAF		10	/* ms */

static void ring_guest(void)
{
	const uint64_t one = 1;

	/* EAGAIN: rung 2^64 times and not heard, so one more adds nothing */
	if (write(PRIV_FD_RING, &one, sizeof(one)) < 0 && errno != EAGAIN)
		err(3, "cannot ring the guest");
}

static void begin(struct wvm *vm, uint64_t nonce, uint64_t epoch)
{
	vm->greeted = vm->renew = false;
	wring_begin(&vm->ring, nonce, epoch);
	ring_guest();
}

/* `reset`: the guest kernel is another one, nothing of the old one counts */
static void new_epoch(struct wvm *vm, bool reset)
{
	struct priv_request request = { .op = PRIV_NEW_EPOCH };
	uint64_t nonce = wring_guest_nonce(&vm->ring);
	const struct priv_reply *reply;

	vm->renew = true;
	if (!nonce || !bucket_take(&vm->epochs))
		return;
	wsessions_forget(&vm->worker);
	wvm_drop(vm, !reset);
	if (reset)
		worker_tell(PRIV_RESET, 0);
	reply = worker_call(&request);
	if (reply->error)
		errc(3, reply->error, "the monitor gives no ring epoch");
	begin(vm, nonce, reply->start.ring_epoch);
}

/* Unless the guest began anew meanwhile: then nothing is broken. */
static void broken(struct wvm *vm)
{
	if (wring_state(&vm->ring) != WRING_UP)
		return;
	worker_refused(&vm->worker, 0, PRIV_WHY_RING);
	new_epoch(vm, false);
}

/* true: there may be more */
static bool take_frames(struct wvm *vm)
{
	static struct wring_frame frame;
	bool crowded = wring_crowded(&vm->ring);
	int r = 1, n;

	for (n = 0; n < WVM_FRAMES_PER_WAKE && !vm->renew; n++) {
		r = wring_receive(&vm->ring, &frame);
		if (r > 0)
			r = wvm_frame(vm, &frame) ?: 1;
		if (r <= 0)
			break;
	}
	if (n > 0)
		vm->idle_wakes = 0;
	if (crowded && n > 0)
		vm->published = true;	/* its writers may wait for room */
	if (r < 0)
		broken(vm);
	return r > 0 && !vm->renew;
}

static bool serve_ring(struct wvm *vm)
{
	bool more = false;

	switch (wring_state(&vm->ring)) {
	case WRING_NO_GUEST:
		return false;
	case WRING_NEW_GUEST:
		new_epoch(vm, true);
		return false;
	case WRING_WAITING:
		if (vm->renew)
			new_epoch(vm, false);
		return false;
	case WRING_UP:
		wvm_flush(vm);
		if (!vm->renew)
			more = take_frames(vm);
		wvm_flush(vm);
		if (vm->renew)
			new_epoch(vm, false);
		break;
	}
	if (vm->published)
		ring_guest();
	vm->published = false;
	return more;
}

static void take_event(struct wvm *vm, const struct worker_event *e)
{
	const struct sivring_release revoked = { .grant = e->event.grant };
	const struct sivring_end end = {
		.reason = e->event.reason ? e->event.reason : ECONNRESET,
	};
	struct wsession *session;

	switch (e->event.type) {
	case PRIV_EVENT_OBJECT:
		wvm_send_extents(vm, SIVRING_OBJECT, e->event.session, 0,
				 &e->event.object, sizeof(e->event.object), e->extents,
				 e->event.object.extents_count);
		break;
	case PRIV_EVENT_REVOKE:
		wvm_send(vm, SIVRING_REVOKE, e->event.session, 0, &revoked,
			 sizeof(revoked));
		break;
	case PRIV_EVENT_END:
		session = wsession_find(&vm->worker, e->event.session);
		if (session)
			wsession_remove(&vm->worker, session);
		wvm_send(vm, SIVRING_SESSION_END, e->event.session, 0, &end, sizeof(end));
		break;
	default:
		errx(3, "the monitor sent an event of unknown type %u", e->event.type);
	}
}

static void take_events(struct wvm *vm)
{
	static struct worker_event event;
	int fd;

	for (int n = 0; n < EVENTS_PER_WAKE && worker_next_event(&event, &fd); n++) {
		if (fd >= 0)
			close(fd);
		take_event(vm, &event);
	}
}

static void hear_doorbell(struct wvm *vm)
{
	uint64_t count;

	if (read(PRIV_FD_WAKE, &count, sizeof(count)) < 0 && errno != EAGAIN &&
	    errno != EINTR)
		err(3, "doorbell");
	if (++vm->idle_wakes < IDLE_WAKES)
		return;
	vm->idle_wakes = 0;
	vm->deaf_until = sivshmem_now_ms() + DEAF;
}

static int wait_time(const struct wvm *vm, bool more, int64_t now)
{
	if (more)
		return 0;
	if (now < vm->deaf_until)
		return (int)(vm->deaf_until - now);
	/* a guest does not say when it has read */
	return vm->first && vm->greeted && !vm->renew ? LOOK : TICK;
}

static void serve(struct wvm *vm)
{
	struct pollfd fds[] = {
		{ .fd = PRIV_FD_RPC },		/* for its end only */
		{ .fd = PRIV_FD_EVENT, .events = POLLIN },
		{ .events = POLLIN },
	};
	int64_t ticked = 0;
	bool more = false;

	for (;;) {
		int64_t now = sivshmem_now_ms();

		fds[2].fd = now < vm->deaf_until ? -1 : PRIV_FD_WAKE;
		if (poll(fds, 3, wait_time(vm, more, now)) < 0 && errno != EINTR)
			err(3, "poll");
		if (fds[0].revents)
			return;
		if (fds[2].fd >= 0 && fds[2].revents)
			hear_doorbell(vm);
		if (fds[1].revents)
			take_events(vm);
		more = serve_ring(vm);
		now = sivshmem_now_ms();
		if (now - ticked < TICK)
			continue;
		ticked = now;
		wsessions_expire(&vm->worker);
		/* it may have slept through the doorbell of this epoch */
		if (wring_state(&vm->ring) == WRING_WAITING)
			ring_guest();
	}
}

void worker_vm(struct worker *worker, void *memory)
{
	static struct wvm vm;

	vm.worker = *worker;
	vm.worker.carrier = &wvm_carrier;
	vm.last = &vm.first;
	vm.epochs = (struct bucket){ .rate = EPOCHS_RATE, .burst = EPOCHS_BURST };
	wring_init(&vm.ring, memory);
	if (vm.ring.nonce)
		begin(&vm, vm.ring.nonce, worker->ring_epoch);
	serve(&vm);
	_exit(0);
}
