// SPDX-License-Identifier: GPL-2.0
/*
 * Grants and sessions end where nobody may sleep or fail; what the host must
 * hear of it waits here, until the host has heard it: what was only put into
 * the ring is lost with a host that dies before it reads. A session's end comes
 * after that of its grants: they hold it.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "sivshmem.h"

#define RETRY	(HZ / 10)
#define BATCH	256		/* letters before the host is asked what it has read */

struct letter {
	struct list_head node;
	u16 type;			/* RELEASE or SESSION_CLOSE */
	u64 session, id;
	u32 beginning;			/* of the host; those of before another are void */
	struct siv_grant *grant;	/* to free, or NULL */
	struct siv_session *ended;	/* likewise */
	bool left;			/* the grant's object counts it no more */
	bool sent;			/* into the ring, in this round */
};

static u32 beginnings;			/* counted by control.c alone */
static LIST_HEAD(letters);
static DEFINE_SPINLOCK(letters_lock);
static struct workqueue_struct *queue;
static void work_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(work, work_fn);

/* The host may give the pages to others after RELEASE: true when it may. */
static bool leave(struct letter *l)
{
	struct siv_object *o = l->grant->object;
	bool may;

	mutex_lock(&siv_lock);
	if (!l->left)
		o->grants--;
	l->left = true;
	may = o->grants || siv_object_close(o);
	mutex_unlock(&siv_lock);
	return may;
}

/* The host knows nothing of it any more, so there is nothing to tell it. */
static bool is_void(const struct letter *l)
{
	return l->beginning != READ_ONCE(beginnings);
}

static int deliver(struct letter *l)
{
	struct sivring_release release = { .grant = l->id };
	int err;

	l->sent = false;
	if (l->grant && !leave(l))
		return -EBUSY;
	if (is_void(l))
		return 0;
	err = siv_control_send(l->type, 0, l->session, &release,
			       l->type == SIVRING_RELEASE ? sizeof(release) : 0);
	l->sent = !err;
	return err;
}

/* What is the grant's goes last: the filesystem, and with it the module. */
static void discard(struct letter *l)
{
	if (l->grant) {
		iput(&l->grant->object->inode);
		siv_session_put(l->grant->session);
		kfree(l->grant);
		siv_channel_unpin();
	} else {
		if (l->ended)
			siv_session_left(l->ended);
		module_put(THIS_MODULE);
	}
	kfree(l);
}

static struct letter *first(void)
{
	struct letter *l;

	spin_lock(&letters_lock);
	l = list_first_entry_or_null(&letters, struct letter, node);
	if (l)
		list_del_init(&l->node);
	spin_unlock(&letters_lock);
	return l;
}

/*
 * Those that the host has not read are sent again: it hears of some twice then,
 * and makes nothing of it.
 */
static void confirm(struct list_head *sent, u64 epoch, struct list_head *busy)
{
	struct letter *l, *next;

	if (list_empty(sent))
		return;
	if (!siv_control_all_read(epoch)) {
		list_splice_init(sent, busy);
		return;
	}
	list_for_each_entry_safe(l, next, sent, node)
		discard(l);
}

static bool more(void)
{
	bool yes;

	spin_lock(&letters_lock);
	yes = !list_empty(&letters);
	spin_unlock(&letters_lock);
	return yes;
}

static void work_fn(struct work_struct *unused)
{
	u64 epoch = siv_control_epoch();
	struct letter *l;
	LIST_HEAD(busy);
	LIST_HEAD(sent);
	int err = 0, n;

	for (n = 0; n < BATCH && err != -EHOSTDOWN && (l = first()); n++) {
		err = deliver(l);
		if (err == -EBUSY || err == -EHOSTDOWN)
			list_add_tail(&l->node, &busy);
		else if (l->sent)
			list_add_tail(&l->node, &sent);
		else
			discard(l);
		cond_resched();
	}
	confirm(&sent, epoch, &busy);
	if (list_empty(&busy)) {
		if (err != -EHOSTDOWN && more())
			queue_delayed_work(queue, &work, 0);
		return;
	}
	spin_lock(&letters_lock);
	/* behind the others, which may not wait for one that can not be sent yet */
	list_splice_tail(&busy, &letters);
	spin_unlock(&letters_lock);
	/* else siv_outbox_kick() goes on, when the host is there */
	if (err != -EHOSTDOWN || siv_control_up())
		queue_delayed_work(queue, &work, RETRY);
}

void siv_outbox_kick(void)
{
	mod_delayed_work(queue, &work, 0);
}

static void post(const struct letter *what)
{
	struct letter *l = kmalloc(sizeof(*l), GFP_KERNEL | __GFP_NOFAIL);

	*l = *what;
	/* the letter keeps the module: its code runs after the last file is gone */
	if (!l->grant)
		__module_get(THIS_MODULE);
	spin_lock(&letters_lock);
	list_add_tail(&l->node, &letters);
	spin_unlock(&letters_lock);
	siv_outbox_kick();
}

u32 siv_outbox_beginning(void)
{
	return READ_ONCE(beginnings);
}

void siv_outbox_session_close(struct siv_session *session)
{
	post(&(struct letter){ .type = SIVRING_SESSION_CLOSE, .session = session->id,
		.beginning = session->beginning, .ended = session });
}

void siv_outbox_release(u64 session, u64 grant)
{
	post(&(struct letter){ .type = SIVRING_RELEASE, .session = session, .id = grant,
		.beginning = siv_outbox_beginning() });
}

void siv_outbox_grant_free(struct siv_grant *grant)
{
	post(&(struct letter){ .type = SIVRING_RELEASE, .session = grant->session->id,
		.id = grant->id, .beginning = grant->beginning, .grant = grant });
}

void siv_outbox_forget(void)
{
	WRITE_ONCE(beginnings, beginnings + 1);
	siv_outbox_kick();
}

int siv_outbox_init(void)
{
	queue = alloc_ordered_workqueue("sivshmem-out", 0);
	return queue ? 0 : -ENOMEM;
}

/* No letter is left: each holds the module. */
void siv_outbox_exit(void)
{
	cancel_delayed_work_sync(&work);
	destroy_workqueue(queue);
}
