// SPDX-License-Identifier: GPL-2.0
/*
 * Grants and sessions end where nobody may sleep or fail; what the host must
 * hear of it waits here, in order, until the host is there to hear it.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "sivshmem.h"

struct letter {
	struct list_head node;
	u16 type;			/* RELEASE or SESSION_CLOSE */
	u64 session, id;
	struct siv_grant *grant;	/* to free, or NULL */
};

static LIST_HEAD(letters);
static DEFINE_SPINLOCK(letters_lock);
static struct workqueue_struct *queue;

static int deliver(struct letter *l)
{
	struct sivring_release release = { .grant = l->id };

	/* the inode first: the host may give its pages away after RELEASE */
	if (l->grant)
		siv_grant_release_object(l->grant);
	return siv_control_send(l->type, 0, l->session, &release,
				l->type == SIVRING_RELEASE ? sizeof(release) : 0);
}

static void discard(struct letter *l)
{
	if (l->grant) {
		siv_grant_release_object(l->grant);
		siv_session_put(l->grant->session);
		kfree(l->grant);
	}
	module_put(THIS_MODULE);
	kfree(l);
}

static void work_fn(struct work_struct *work)
{
	struct letter *l;

	for (;;) {
		spin_lock(&letters_lock);
		l = list_first_entry_or_null(&letters, struct letter, node);
		if (l)
			list_del_init(&l->node);
		spin_unlock(&letters_lock);
		if (!l)
			return;
		if (deliver(l) == -EHOSTDOWN) {
			spin_lock(&letters_lock);
			list_add(&l->node, &letters);
			spin_unlock(&letters_lock);
			if (siv_control_up())
				continue;	/* just now: in order, again */
			return;			/* siv_outbox_kick() goes on */
		}
		discard(l);
	}
}
static DECLARE_WORK(work, work_fn);

void siv_outbox_kick(void)
{
	queue_work(queue, &work);
}

/* The letter keeps the module: its code runs after the last file is gone. */
static void post(u16 type, u64 session, u64 id, struct siv_grant *grant)
{
	struct letter *l = kzalloc(sizeof(*l), GFP_KERNEL | __GFP_NOFAIL);

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

void siv_outbox_exit(void)
{
	flush_workqueue(queue);
}
