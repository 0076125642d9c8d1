// SPDX-License-Identifier: GPL-2.0
/* Objects: which pages of a link they have, as the host says, and their size. */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include "compat.h"
#include "sivshmem.h"

static int object_test(struct inode *inode, void *id)
{
	return siv_object_of(inode)->id == *(u64 *)id;
}

static int object_set(struct inode *inode, void *id)
{
	siv_object_of(inode)->id = *(u64 *)id;
	return 0;
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
		    e[i].offset >= link->length ||
		    e[i].length > link->length - e[i].offset)
			return false;
		total += e[i].length;
		if (total > link->length)
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
 * Take the object as the host describes it; sem held for writing. An object
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
	if (o->generation && (m->change < o->change || m->generation != o->generation))
		return m->generation != o->generation ? -EBADMSG : 0;
	if (!extents_valid(o->link, extents, m->extents_count, m->size, &count) ||
	    count < o->count)
		return -EBADMSG;
	pfns = kvmalloc_array(max_t(u64, count, 1), sizeof(*pfns), GFP_KERNEL);
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
		unmap_mapping_range(o->inode.i_mapping, round_up(new, PAGE_SIZE), 0, 1);
	return err;
}

bool siv_object_fits(const struct sivring_object *m, u32 room)
{
	return m->extents_count <= SIVRING_EXTENTS_MAX && m->object && m->generation &&
	       room == m->extents_count * sizeof(struct sivring_extent);
}

int siv_object_apply(const struct sivring_object *m,
		     const struct sivring_extent *extents, u32 room)
{
	u64 id = m->object;
	struct inode *inode;
	int err;

	if (!siv_object_fits(m, room))
		return -EBADMSG;
	inode = ilookup5(siv_super, id, object_test, &id);
	if (!inode)
		return 0;		/* let go of in the meantime */
	err = object_apply_locked(siv_object_of(inode), m, extents);
	iput(inode);
	return err;
}

static const struct address_space_operations channel_aops = {
	.dirty_folio = noop_dirty_folio,
};

static void object_start(struct siv_object *o, const struct sivring_grant *g,
			 struct siv_link *link)
{
	struct inode *inode = &o->inode;

	o->link = link;
	inode->i_ino = o->id;
	inode->i_mode = S_IFREG | (g->mode & 0777);
	i_uid_write(inode, g->uid);
	i_gid_write(inode, g->gid);
	if (link->huge)
		inode->i_flags |= S_DAX;	/* 6.1 aligns for 2 MiB only so */
	inode->i_flags &= ~S_PRIVATE;
	inode->i_op = &siv_file_iops;
	inode->i_fop = &siv_file_fops;
	inode->i_mapping->a_ops = &channel_aops;
	siv_touch(inode);
}

struct siv_object *siv_object_get(const struct sivring_grant *g,
				     const struct sivring_extent *extents)
{
	struct siv_link *link = siv_link_get(g->object.link);
	u64 id = g->object.object;
	struct siv_object *o;
	struct inode *inode;
	int err;

	if (!link)
		return ERR_PTR(-ENODEV);
	inode = iget5_locked(siv_super, id, object_test, object_set, &id);
	if (!inode) {
		siv_link_put(link);
		return ERR_PTR(-ENOMEM);
	}
	o = siv_object_of(inode);
	if (inode->i_state & I_NEW) {
		object_start(o, g, link);	/* keeps the link */
		unlock_new_inode(inode);
	} else {
		siv_link_put(link);
	}
	err = o->link->position == g->object.link ?
		object_apply_locked(o, &g->object, extents) : -EBADMSG;
	if (err) {
		iput(inode);
		return ERR_PTR(err);
	}
	return o;
}

void siv_object_evict(struct inode *inode)
{
	struct siv_object *o = siv_object_of(inode);

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	down_write(&o->sem);
	if (o->link && !o->link->dead)
		disown_pages(o->pfns, 0, o->count);
	up_write(&o->sem);
	kvfree(o->pfns);
	if (o->link)
		siv_link_put(o->link);
}

/* The device goes: its struct pages do too, whatever is still open. */
void siv_objects_drop_link(struct siv_link *link)
{
	struct siv_grant *g;

	mutex_lock(&siv_lock);
	list_for_each_entry(g, &siv_grants, node) {
		struct siv_object *o = g->object;

		if (o->link != link)
			continue;
		down_write(&o->sem);
		disown_pages(o->pfns, 0, o->count);
		o->count = 0;
		i_size_write(&o->inode, 0);
		up_write(&o->sem);
		siv_grant_revoke(g);
	}
	link->dead = true;
	mutex_unlock(&siv_lock);
}
