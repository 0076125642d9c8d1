// SPDX-License-Identifier: GPL-2.0
/* Objects: which pages of a link they have, as the host says, and their size. */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include "compat.h"
#include "sivshmem.h"

DECLARE_WAIT_QUEUE_HEAD(siv_object_told);

/* siv_lock held */
static struct siv_object *object_find(u64 id)
{
	struct siv_object *o;

	list_for_each_entry(o, &siv_objects, node)
		if (o->id == id)
			return o;
	return NULL;
}

/* Does the list describe whole pages of the link, `pages` or more of them? */
static bool extents_valid(const struct siv_link *link,
			  const struct sivring_extent *e, u32 count, u64 size,
			  u64 *pages)
{
	u64 total = 0;
	u32 i;

	for (i = 0; i < count; i++) {
		if (!e[i].length || !PAGE_ALIGNED(e[i].offset | e[i].length) ||
		    e[i].offset >= link->usable ||
		    e[i].length > link->usable - e[i].offset)
			return false;
		total += e[i].length;
		if (total > link->usable)
			return false;
	}
	*pages = total >> PAGE_SHIFT;
	return size <= total;
}

static void fill_pfns(const struct siv_link *link, const struct sivring_extent *e,
		      u32 count, unsigned long *pfns)
{
	u64 offset;
	u32 i;

	for (i = 0; i < count; i++)
		for (offset = 0; offset < e[i].length; offset += PAGE_SIZE)
			*pfns++ = PHYS_PFN(link->start + e[i].offset + offset);
}

static void disown_pages(unsigned long *pfns, unsigned long from, unsigned long to)
{
	unsigned long i;

	for (i = from; i < to; i++) {
		struct page *page = pfn_to_page(pfns[i]);

		page->mapping = NULL;
		page->index = 0;
	}
}

/* futex(2) and the memory manager ask a page for its file and place. */
static int own_pages(struct siv_object *o, unsigned long *pfns,
		     unsigned long from, unsigned long to)
{
	unsigned long i;

	for (i = from; i < to; i++) {
		struct page *page = pfn_to_page(pfns[i]);

		if (page->mapping) {
			disown_pages(pfns, from, i);
			return -EBADMSG;
		}
		page->mapping = o->inode.i_mapping;
		page->index = i;
	}
	return 0;
}

/*
 * Take the object as the host describes it; siv_lock and sem held for writing. An object
 * never loses pages while it is known here, and never exchanges them.
 */
static int object_update(struct siv_object *o, const struct sivring_object *m,
			 const struct sivring_extent *extents)
{
	unsigned long *pfns, *old = o->pfns;
	u64 count;
	int err;

	if (o->link->dead)
		return -ENODEV;
	if (o->generation && (m->change <= o->change || m->generation != o->generation))
		return m->generation != o->generation ? -EBADMSG : 0;
	if (!extents_valid(o->link, extents, m->extents_count, m->size, &count) ||
	    count < o->count)
		return -EBADMSG;
	pfns = kvmalloc_array(max_t(u64, count, 1), sizeof(*pfns),
			      GFP_KERNEL | __GFP_NOWARN);
	if (!pfns)
		return -ENOMEM;
	fill_pfns(o->link, extents, m->extents_count, pfns);
	err = memcmp(pfns, old, o->count * sizeof(*pfns)) ? -EBADMSG :
		own_pages(o, pfns, o->count, count);
	if (err) {
		kvfree(pfns);
		return err;
	}
	o->pfns = pfns;
	o->count = count;
	o->change = m->change;
	o->generation = m->generation;
	i_size_write(&o->inode, m->size);
	kvfree(old);
	return 0;
}

static int object_apply_locked(struct siv_object *o, const struct sivring_object *m,
			       const struct sivring_extent *extents)
{
	loff_t old, new;
	int err;

	down_write(&o->sem);
	old = i_size_read(&o->inode);
	err = object_update(o, m, extents);
	new = i_size_read(&o->inode);
	up_write(&o->sem);
	if (new < old)
		siv_unmap(o, round_up(new, PAGE_SIZE));
	return err;
}

bool siv_object_fits(const struct sivring_object *m, u32 room)
{
	return m->extents_count <= SIVRING_EXTENTS_MAX && m->object && m->generation &&
	       room == m->extents_count * sizeof(struct sivring_extent);
}

int siv_object_apply(const struct sivring_object *m,
		     const struct sivring_extent *extents, u32 room, bool unasked)
{
	struct siv_object *o;
	int err = 0;

	if (!siv_object_fits(m, room))
		return -EBADMSG;
	mutex_lock(&siv_lock);
	o = object_find(m->object);
	if (o) {			/* else let go of in the meantime */
		err = object_apply_locked(o, m, extents);
		WRITE_ONCE(o->told, o->told + unasked);
	}
	mutex_unlock(&siv_lock);
	/* an answer is for who asked: it says nothing of locks */
	if (unasked)
		wake_up_all(&siv_object_told);
	return err;
}

static const struct address_space_operations channel_aops = {
	.dirty_folio = noop_dirty_folio,
};

static struct siv_object *object_new(const struct sivring_grant *g, struct siv_link *link)
{
	struct inode *inode = siv_channel_inode();
	struct siv_object *o;

	if (!inode)
		return NULL;
	o = siv_object_of(inode);
	kref_get(&link->ref);
	o->link = link;
	o->id = g->object.object;
	inode->i_ino = o->id;
	inode->i_mode = S_IFREG | (g->mode & 0777);
	i_uid_write(inode, g->uid);
	i_gid_write(inode, g->gid);
	if (SIV_HUGE_ENTRIES && link->huge)
		inode->i_flags |= S_DAX;	/* or it takes huge entries for its own */
	inode->i_op = &siv_file_iops;
	inode->i_fop = &siv_file_fops;
	inode->i_mapping->a_ops = &channel_aops;
	siv_touch(inode);
	return o;
}

struct siv_object *siv_object_get(const struct sivring_grant *g,
				  const struct sivring_extent *extents)
{
	struct siv_link *link = siv_link_find(g->object.link);
	struct siv_object *o = object_find(g->object.object);
	int err;

	if (!link)
		return ERR_PTR(-ENODEV);
	err = siv_wake_bind(link, g);
	if (err)
		return ERR_PTR(err);
	if (o && o->link != link)
		return ERR_PTR(-EBADMSG);
	if (o)
		ihold(&o->inode);
	else
		o = object_new(g, link);
	if (!o)
		return ERR_PTR(-ENOMEM);
	err = object_apply_locked(o, &g->object, extents);
	if (err) {
		iput(&o->inode);
		return ERR_PTR(err);
	}
	o->grants++;
	if (list_empty(&o->node))
		list_add(&o->node, &siv_objects);
	return o;
}

/* Neither mapped nor pinned, by a pipe or by a device that reads or writes it. */
static bool pages_idle(const unsigned long *pfns, unsigned long count)
{
	unsigned long i;

	for (i = 0; i < count; i++)
		if (page_ref_count(pfn_to_page(pfns[i])) != 1)
			return false;
	return true;
}

/*
 * Whoever still has the inode, as a file that was revoked or a watch on it,
 * finds it empty from here on.
 */
bool siv_object_close(struct siv_object *o)
{
	bool idle;

	if (list_empty(&o->node))
		return true;
	down_write(&o->sem);
	/* what an entry of 2 MiB maps is not counted */
	idle = !o->unmapping && pages_idle(o->pfns, o->count);
	if (idle) {
		disown_pages(o->pfns, 0, o->count);
		o->count = 0;
		i_size_write(&o->inode, 0);
		list_del_init(&o->node);
	}
	up_write(&o->sem);
	return idle;
}

bool siv_objects_close_all(void)
{
	struct siv_object *o, *next;
	bool all = true;

	mutex_lock(&siv_lock);
	list_for_each_entry_safe(o, next, &siv_objects, node)
		all &= siv_object_close(o);
	mutex_unlock(&siv_lock);
	return all;
}

void siv_object_evict(struct inode *inode)
{
	struct siv_object *o = siv_object_of(inode);

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	kvfree(o->pfns);
	if (o->link)
		siv_link_put(o->link);
}

static bool link_closed(struct siv_link *link)
{
	struct siv_object *o, *next;
	bool all = true;

	mutex_lock(&siv_lock);
	list_for_each_entry_safe(o, next, &siv_objects, node)
		if (o->link == link)
			all &= siv_object_close(o);
	mutex_unlock(&siv_lock);
	return all;
}

/* The device goes: its struct pages do too, whatever is still open. */
void siv_objects_drop_link(struct siv_link *link)
{
	struct siv_grant *g;

	mutex_lock(&siv_lock);
	link->dead = true;
	list_for_each_entry(g, &siv_grants, node)
		if (g->object->link == link)
			siv_grant_revoke(g);
	mutex_unlock(&siv_lock);
	siv_unmap_wait_all();
	if (link_closed(link))
		return;
	dev_warn(&link->pdev->dev, "a process has pinned pages of the link; waiting for its end\n");
	while (!link_closed(link))
		msleep(50);
}
