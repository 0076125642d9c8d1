// SPDX-License-Identifier: GPL-2.0
/*
 * Taking an object's pages away from those who map them. A process may have so many
 * mappings that it takes minutes: so it is the work of nobody who holds a lock, or
 * whom others wait for. Each object has one of its own, which ends waits and locks
 * of revoked grants first; until it is done the object is in use, see
 * siv_object_close().
 */
#include <linux/mm.h>
#include <linux/workqueue.h>
#include "sivshmem.h"

static struct workqueue_struct *queue;
static DECLARE_WAIT_QUEUE_HEAD(unmapped);

/* The object is held by being in use. */
void siv_unmap_work(struct work_struct *work)
{
	struct siv_object *o = container_of(work, struct siv_object, unmap);
	loff_t from;

	mutex_lock(&siv_lock);
	from = o->unmap_from;
	o->unmap_from = LLONG_MAX;
	mutex_unlock(&siv_lock);

	siv_wake_revoked(o->link->wake);
	siv_lock_revoked(&o->inode);
	wake_up_all(&siv_object_told);
	/* a fault that did not see it yet must be through before the unmapping */
	down_write(&o->sem);
	up_write(&o->sem);
	unmap_mapping_range(o->inode.i_mapping, from, 0, 1);

	mutex_lock(&siv_lock);
	WRITE_ONCE(o->unmapping, o->unmapping - 1);
	mutex_unlock(&siv_lock);
	wake_up_all(&unmapped);
}

/* siv_lock held. Others that hold the object fault their pages in again. */
void siv_unmap(struct siv_object *o, loff_t from)
{
	o->unmap_from = min(o->unmap_from, from);
	if (queue_work(queue, &o->unmap))
		WRITE_ONCE(o->unmapping, o->unmapping + 1);
}

void siv_unmap_wait(const struct siv_object *o, long timeout)
{
	wait_event_killable_timeout(unmapped, !READ_ONCE(o->unmapping), timeout);
}

void siv_unmap_wait_all(void)
{
	flush_workqueue(queue);
}

int siv_unmap_init(void)
{
	/* the control device's work waits for it, and must go on without memory */
	queue = alloc_workqueue("sivshmem-unmap", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return queue ? 0 : -ENOMEM;
}

/* No object is left. */
void siv_unmap_exit(void)
{
	destroy_workqueue(queue);
}
