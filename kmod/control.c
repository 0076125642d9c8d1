// SPDX-License-Identifier: GPL-2.0
/* The control device: epochs, frames in and out, requests of the kernel's own. */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "ring.h"
#include "sivshmem.h"

#define RETRY		(HZ / 10)	/* while the host has not answered */
#define LOOK		HZ		/* a doorbell may be lost */
#define BATCH		256		/* frames before others get a turn */

struct call {
	struct list_head node;
	u64 sequence;
	u16 type;
	u32 length;
	u8 payload[40];
	struct sivring_done answer;
	struct completion done;
};

static struct {
	struct pci_dev *pdev;
	void __iomem *regs;
	struct sivring_page *page;
	struct mutex tx;		/* g2h, and the pair (epoch, up) for writers */
	struct siv_ring g2h, h2g;	/* h2g: by the drain work alone */
	u64 nonce, epoch;
	bool up;			/* WELCOME came in this epoch */
	bool suspect;			/* a writer found g2h broken */
	bool broken;			/* nothing counts until begin_anew() is done */
	bool going;			/* the device is, and no WELCOME counts */
	u32 links;			/* as many as there should be */
	unsigned long patience;		/* jiffies: until then they are waited for */
	char vm[SIVSHMEM_VM_LEN];
	u8 *payload;
	spinlock_t calls_lock;
	struct list_head calls;
	u64 sequence;
	struct workqueue_struct *queue;
	struct delayed_work work;
	wait_queue_head_t changed;	/* up, or a link more */
} ctl = {
	.tx = __MUTEX_INITIALIZER(ctl.tx),
	.calls_lock = __SPIN_LOCK_UNLOCKED(ctl.calls_lock),
	.calls = LIST_HEAD_INIT(ctl.calls),
	.changed = __WAIT_QUEUE_HEAD_INITIALIZER(ctl.changed),
};

static void doorbell(void)
{
	siv_ring_peer(ctl.regs, SIVRING_ID_DAEMON);
}

bool siv_control_up(void)
{
	return READ_ONCE(ctl.up);
}

static bool all_links(void)
{
	return siv_link_count() >= READ_ONCE(ctl.links);
}

/* A link that does not come does not keep the others from being used. */
int siv_control_wait_up(void)
{
	long left = wait_event_killable_timeout(ctl.changed, siv_control_up(), SIV_TIMEOUT);
	long patience = READ_ONCE(ctl.patience) - jiffies;

	if (left > 0 && patience > 0)
		left = wait_event_killable_timeout(ctl.changed, all_links(), patience);
	if (left < 0)
		return -EINTR;
	return siv_control_up() ? 0 : -EHOSTDOWN;
}

void siv_control_link_came(void)
{
	wake_up_all(&ctl.changed);
}

void siv_control_vm(char vm[SIVSHMEM_VM_LEN])
{
	mutex_lock(&ctl.tx);
	memcpy(vm, ctl.vm, SIVSHMEM_VM_LEN);
	mutex_unlock(&ctl.tx);
}

/* Ask for a new epoch: the host's or our own state can't be trusted on. */
static void start_over(const char *why)
{
	if (why)
		dev_err_ratelimited(&ctl.pdev->dev, "%s; starting over\n", why);
	WRITE_ONCE(ctl.up, false);
	ctl.epoch = 0;
	do
		ctl.nonce = get_random_u64();
	while (!ctl.nonce);
	WRITE_ONCE(ctl.page->guest_epoch, 0);
	smp_store_release(&ctl.page->guest_nonce, ctl.nonce);
	doorbell();
}

/* tx held */
static int put_frame(const struct sivring_frame *frame, const void *payload)
{
	int err;

	if (!ctl.page || !ctl.epoch)
		return -EHOSTDOWN;
	err = siv_ring_put(&ctl.g2h, frame, payload);
	if (!err)
		doorbell();
	return err;
}

static int send_frame(const struct sivring_frame *frame, const void *payload)
{
	unsigned long end = jiffies + SIV_TIMEOUT;
	int err;

	for (;;) {
		mutex_lock(&ctl.tx);
		err = ctl.up ? put_frame(frame, payload) : -EHOSTDOWN;
		if (err == -EBADMSG) {
			ctl.suspect = true;
			WRITE_ONCE(ctl.up, false);
			mod_delayed_work(ctl.queue, &ctl.work, 0);
			err = -EHOSTDOWN;
		}
		mutex_unlock(&ctl.tx);
		if (err != -EAGAIN)
			return err;
		if (time_after(jiffies, end))
			return -EHOSTDOWN;
		/* the host does not ring when it has read: look again soon */
		if (schedule_timeout_killable(1) && fatal_signal_pending(current))
			return -EINTR;
	}
}

int siv_control_send(u16 type, u16 flags, u64 session, const void *payload,
		     u32 length)
{
	struct sivring_frame frame = {
		.length = length, .type = type, .flags = flags, .session = session,
	};

	return send_frame(&frame, payload);
}

static int send_call(const struct call *call)
{
	struct sivring_frame frame = {
		.length = call->length, .type = call->type,
		.sequence = call->sequence,
	};

	return send_frame(&frame, call->payload);
}

int siv_control_ask(u16 type, const void *payload, u32 length, struct sivring_done *answer)
{
	struct call call = { .type = type, .length = length };
	long left;
	int err;

	if (WARN_ON_ONCE(length > sizeof(call.payload)))
		return -EINVAL;
	memcpy(call.payload, payload, length);
	init_completion(&call.done);
	spin_lock(&ctl.calls_lock);
	call.sequence = ++ctl.sequence;
	list_add_tail(&call.node, &ctl.calls);
	spin_unlock(&ctl.calls_lock);

	/* while the host restarts, the call waits in the list and is sent then */
	err = send_call(&call);
	if (err == -EHOSTDOWN && !READ_ONCE(ctl.page))
		left = 0;
	else if (err && err != -EHOSTDOWN)
		left = err;
	else
		left = wait_for_completion_killable_timeout(&call.done, SIV_TIMEOUT);

	spin_lock(&ctl.calls_lock);
	if (!list_empty(&call.node))
		list_del_init(&call.node);
	spin_unlock(&ctl.calls_lock);
	if (left < 0)
		return -EINTR;
	if (answer && left)
		*answer = call.answer;
	return left ? -call.answer.error : -EHOSTDOWN;
}

int siv_control_call(u16 type, const void *payload, u32 length)
{
	return siv_control_ask(type, payload, length, NULL);
}

u64 siv_control_epoch(void)
{
	u64 epoch;

	mutex_lock(&ctl.tx);
	epoch = ctl.up ? ctl.epoch : 0;
	mutex_unlock(&ctl.tx);
	return epoch;
}

/* It takes one after the other, so an answer comes after all before the question. */
bool siv_control_all_read(u64 epoch)
{
	struct sivring_release nothing = { };
	int err = siv_control_call(SIVRING_STAT, &nothing, sizeof(nothing));

	return epoch && err != -EHOSTDOWN && err != -EINTR && siv_control_epoch() == epoch;
}

static void finish_call(u64 sequence, const struct sivring_done *answer)
{
	struct call *call;

	spin_lock(&ctl.calls_lock);
	list_for_each_entry(call, &ctl.calls, node) {
		if (call->sequence == sequence) {
			list_del_init(&call->node);
			call->answer = *answer;
			complete(&call->done);
			break;
		}
	}
	spin_unlock(&ctl.calls_lock);
}

/* RESIZE and STAT may be repeated without harm, so nothing in flight is lost. */
static void resend_calls(void)
{
	struct call *call;

	mutex_lock(&ctl.tx);
	spin_lock(&ctl.calls_lock);
	list_for_each_entry(call, &ctl.calls, node) {
		struct sivring_frame frame = {
			.length = call->length, .type = call->type,
			.sequence = call->sequence,
		};

		if (put_frame(&frame, call->payload))
			break;		/* it times out */
	}
	spin_unlock(&ctl.calls_lock);
	mutex_unlock(&ctl.tx);
}

static int take_done(const struct sivring_frame *frame)
{
	struct sivring_done *done = (void *)ctl.payload;
	int err = 0;

	if (frame->length < sizeof(*done))
		return -EBADMSG;
	if (done->error < 0 || done->error >= ERESTARTSYS)	/* above are the kernel's own */
		return -EBADMSG;
	if (done->object.object)
		err = siv_object_apply(&done->object, (const void *)(done + 1),
				       frame->length - sizeof(*done), false);
	if (err == -EBADMSG)
		return err;
	if (err)
		done->error = -err;
	finish_call(frame->sequence, done);
	return 0;
}

static int take_welcome(const struct sivring_frame *frame)
{
	const struct sivring_welcome *w = (const void *)ctl.payload;

	if (frame->length != sizeof(*w) || w->version != SIVRING_VERSION ||
	    strnlen(w->vm, sizeof(w->vm)) == sizeof(w->vm))
		return -EBADMSG;
	mutex_lock(&ctl.tx);
	memcpy(ctl.vm, w->vm, sizeof(ctl.vm));
	WRITE_ONCE(ctl.links, w->links);
	WRITE_ONCE(ctl.patience, jiffies + SIV_TIMEOUT);
	WRITE_ONCE(ctl.up, !ctl.going);
	mutex_unlock(&ctl.tx);
	siv_wake_republish();
	siv_sessions_reset();
	resend_calls();
	siv_outbox_kick();
	wake_up_all(&ctl.changed);
	return 0;
}

static int take_frame(const struct sivring_frame *frame)
{
	const struct sivring_release *release = (const void *)ctl.payload;
	const struct sivring_end *end = (const void *)ctl.payload;
	const struct sivring_object *object = (const void *)ctl.payload;
	struct siv_session *session;

	switch (frame->type) {
	case SIVRING_WELCOME:
		return take_welcome(frame);
	case SIVRING_RELAY:
		if (!frame->length || frame->length > SIVSHMEM_MSG_MAX)
			return -EBADMSG;
		siv_session_deliver(frame->session, ctl.payload, frame->length);
		return 0;
	case SIVRING_GRANT:
		return siv_grant_take(frame->session, ctl.payload, frame->length);
	case SIVRING_OBJECT:
		if (frame->length < sizeof(*object))
			return -EBADMSG;
		return siv_object_apply(object, (const void *)(object + 1),
					frame->length - sizeof(*object), true);
	case SIVRING_REVOKE:
		if (frame->length != sizeof(*release))
			return -EBADMSG;
		siv_grant_revoke_id(release->grant);
		return 0;
	case SIVRING_SESSION_END:
		if (frame->length != sizeof(*end) || !end->reason ||
		    end->reason >= ERESTARTSYS)
			return -EBADMSG;
		mutex_lock(&siv_lock);
		session = siv_session_find(frame->session);
		if (session)
			siv_session_end(session, -(int)end->reason, true);
		mutex_unlock(&siv_lock);
		return 0;
	case SIVRING_DONE:
		return take_done(frame);
	}
	return -EBADMSG;
}

/* Follow the host into its epoch. True when frames may be read. */
static bool in_epoch(void)
{
	u64 nonce = READ_ONCE(ctl.page->host_nonce);
	u64 epoch = smp_load_acquire(&ctl.page->host_epoch);
	struct sivring_hello hello = {
		.version_min = SIVRING_VERSION, .version_max = SIVRING_VERSION,
		.page_size = PAGE_SIZE,
	};
	struct sivring_frame frame = {
		.length = sizeof(hello), .type = SIVRING_HELLO,
	};

	if (nonce != ctl.nonce || !epoch) {
		doorbell();
		return false;
	}
	if (epoch == ctl.epoch)
		return true;
	mutex_lock(&ctl.tx);
	WRITE_ONCE(ctl.up, false);
	ctl.suspect = false;
	siv_ring_reset(&ctl.g2h);
	siv_ring_reset(&ctl.h2g);
	ctl.epoch = epoch;
	smp_store_release(&ctl.page->guest_epoch, epoch);
	put_frame(&frame, &hello);
	mutex_unlock(&ctl.tx);
	return true;
}

/*
 * The host will forget every grant and give the pages to others, so none may
 * stay mapped or pinned: only then it is asked for a new beginning.
 */
static void begin_anew(void)
{
	mutex_lock(&ctl.tx);
	WRITE_ONCE(ctl.up, false);
	ctl.broken = true;
	mutex_unlock(&ctl.tx);
	siv_sessions_forget_all();
	if (!siv_objects_close_all()) {
		dev_warn_ratelimited(&ctl.pdev->dev,
				     "a process has pinned shared pages; waiting for its end\n");
		return;
	}
	mutex_lock(&ctl.tx);
	ctl.broken = ctl.suspect = false;
	start_over("the host's control ring makes no sense");
	mutex_unlock(&ctl.tx);
	siv_outbox_forget();
}

static bool suspect(void)
{
	bool yes;

	mutex_lock(&ctl.tx);
	yes = ctl.suspect;
	mutex_unlock(&ctl.tx);
	return yes;
}

static void drain(struct work_struct *work)
{
	struct sivring_frame frame;
	int got = 0, n;

	if (ctl.broken) {
		begin_anew();
		goto again;
	}
	if (!in_epoch())
		goto again;
	if (suspect())
		got = -EBADMSG;
	for (n = 0; got >= 0 && n < BATCH; n++) {
		got = siv_ring_get(&ctl.h2g, &frame, ctl.payload);
		if (got > 0)
			got = take_frame(&frame) == -EBADMSG ? -EBADMSG : 1;
		if (got <= 0)
			break;
	}
	/* a host that restarts takes its epoch back before it resets its indices */
	if (got < 0 && smp_load_acquire(&ctl.page->host_epoch) != ctl.epoch)
		got = 1;
	if (got < 0)
		begin_anew();
again:
	queue_delayed_work(ctl.queue, &ctl.work,
			   got > 0 ? 0 : siv_control_up() ? LOOK : RETRY);
}

void siv_control_interrupt(void)
{
	mod_delayed_work(ctl.queue, &ctl.work, 0);
}

int siv_control_bind(struct pci_dev *pdev, void __iomem *regs, void *memory)
{
	struct sivring_page *page = memory;

	if (ctl.page) {
		dev_err(&pdev->dev, "a second control device; ignored\n");
		return -EBUSY;
	}
	ctl.payload = kvmalloc(SIVRING_PAYLOAD_MAX, GFP_KERNEL);
	ctl.queue = alloc_ordered_workqueue("sivshmem", WQ_MEM_RECLAIM);
	if (!ctl.payload || !ctl.queue) {
		kvfree(ctl.payload);
		if (ctl.queue)
			destroy_workqueue(ctl.queue);
		return -ENOMEM;
	}
	ctl.pdev = pdev;
	ctl.regs = regs;
	siv_ring_init(&ctl.g2h, memory + SIVRING_G2H_OFF, &page->g2h_tail,
		      &page->g2h_head);
	siv_ring_init(&ctl.h2g, memory + SIVRING_H2G_OFF, &page->h2g_head,
		      &page->h2g_tail);
	INIT_DELAYED_WORK(&ctl.work, drain);
	mutex_lock(&ctl.tx);
	ctl.page = page;
	ctl.going = false;
	start_over(NULL);
	mutex_unlock(&ctl.tx);
	queue_delayed_work(ctl.queue, &ctl.work, 0);
	return 0;
}

void siv_control_unbind(struct pci_dev *pdev)
{
	mutex_lock(&ctl.tx);
	ctl.going = true;
	WRITE_ONCE(ctl.up, false);
	WRITE_ONCE(ctl.page->guest_epoch, 0);
	mutex_unlock(&ctl.tx);
	cancel_delayed_work_sync(&ctl.work);
	siv_sessions_forget_all();
	while (!siv_objects_close_all()) {
		dev_warn_ratelimited(&pdev->dev,
				     "a process has pinned shared pages; waiting for its end\n");
		msleep(50);
	}
	mutex_lock(&ctl.tx);
	ctl.broken = ctl.suspect = false;
	ctl.epoch = 0;
	mutex_unlock(&ctl.tx);
	destroy_workqueue(ctl.queue);
	kvfree(ctl.payload);
	siv_outbox_forget();
	/* last: the next device may be bound from here on, and have all of it anew */
	mutex_lock(&ctl.tx);
	ctl.page = NULL;
	mutex_unlock(&ctl.tx);
}
