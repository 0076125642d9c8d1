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

struct letter {
	struct list_head node;
	u16 type;			/* RELEASE or SESSION_CLOSE */
	u64 session, id;
	struct siv_grant *grant;	/* to free, or NULL */
	bool left;			/* the grant's object counts it no more */
	bool sent;			/* into the ring, in this round */
};

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

static int deliver(struct letter *l)
{
	struct sivring_release release = { .grant = l->id };
	int err;

	l->sent = false;
	if (l->grant && !leave(l))
		return -EBUSY;
	if (l->grant && l->grant->stale)
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
		leave(l);
		iput(&l->grant->object->inode);
		siv_session_put(l->grant->session);
		kfree(l->grant);
		siv_channel_unpin();
	} else {
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

static void work_fn(struct work_struct *unused)
{
	u64 epoch = siv_control_epoch();
	struct letter *l;
	LIST_HEAD(busy);
	LIST_HEAD(sent);
	int err = 0;

	while (err != -EHOSTDOWN && (l = first())) {
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
	if (list_empty(&busy))
		return;
	spin_lock(&letters_lock);
	list_splice(&busy, &letters);
	spin_unlock(&letters_lock);
	/* else siv_outbox_kick() goes on, when the host is there */
	if (err != -EHOSTDOWN || siv_control_up())
		queue_delayed_work(queue, &work, RETRY);
}

void siv_outbox_kick(void)
{
	mod_delayed_work(queue, &work, 0);
}

static void post(u16 type, u64 session, u64 id, struct siv_grant *grant)
{
	struct letter *l = kzalloc(sizeof(*l), GFP_KERNEL | __GFP_NOFAIL);

	/* the letter keeps the module: its code runs after the last file is gone */
	if (!grant)
		__module_get(THIS_MODULE);
	l->type = type;
	l->session = session;
	l->id = id;
	l->grant = grant;
	spin_lock(&letters_lock);
	list_add_tail(&l->node, &letters);
	spin_unlock(&letters_lock);
	siv_outbox_kick();
}

void siv_outbox_session_close(u64 id)
{
	post(SIVRING_SESSION_CLOSE, id, 0, NULL);
}

void siv_outbox_release(u64 session, u64 grant)
{
	post(SIVRING_RELEASE, session, grant, NULL);
}

void siv_outbox_grant_free(struct siv_grant *grant)
{
	post(SIVRING_RELEASE, grant->session->id, grant->id, grant);
}

/* The host knows nothing any more, so there is nothing to tell it. */
static void forget_fn(struct work_struct *unused)
{
	struct letter *l, *next;
	LIST_HEAD(all);

	spin_lock(&letters_lock);
	list_splice_init(&letters, &all);
	spin_unlock(&letters_lock);
	list_for_each_entry_safe(l, next, &all, node)
		discard(l);
}
static DECLARE_WORK(forget_work, forget_fn);

void siv_outbox_forget(void)
{
	queue_work(queue, &forget_work);
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
