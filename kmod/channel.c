// SPDX-License-Identifier: GPL-2.0
/*
 * Channel files: regular files of a pseudo filesystem. One inode per object;
 * a dentry of its own per grant, whose d_fsdata carries the rights, so that a
 * re-open through /proc meets the same rights.
 */
#include <linux/types.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include <linux/uio.h>
#include "compat.h"
#include "sivshmem.h"

static struct vfsmount *siv_mount;
static struct kmem_cache *object_cache;
static const struct file_operations channel_fops;

static struct siv_grant *grant_of(const struct dentry *dentry)
{
	return dentry->d_fsdata;
}

/* --- grants --- */

static void grant_free(struct kref *ref)
{
	struct siv_grant *g = container_of(ref, struct siv_grant, ref);

	mutex_lock(&siv_lock);
	list_del(&g->node);
	mutex_unlock(&siv_lock);
	siv_outbox_grant_free(g);
}

void siv_grant_put(struct siv_grant *grant)
{
	kref_put(&grant->ref, grant_free);
}

void siv_grant_release_object(struct siv_grant *grant)
{
	if (grant->object)
		iput(&grant->object->inode);
	grant->object = NULL;
}

/* siv_lock held. Others that hold the object fault their pages in again. */
void siv_grant_revoke(struct siv_grant *grant)
{
	struct siv_object *o = grant->object;

	WRITE_ONCE(grant->revoked, true);
	/* a fault that did not see it yet must be through before the unmapping */
	down_write(&o->sem);
	up_write(&o->sem);
	unmap_mapping_range(o->inode.i_mapping, 0, 0, 1);
}

void siv_grant_revoke_id(u64 id)
{
	struct siv_grant *g;

	mutex_lock(&siv_lock);
	list_for_each_entry(g, &siv_grants, node)
		if (g->id == id)
			siv_grant_revoke(g);
	mutex_unlock(&siv_lock);
}

void siv_grant_entry(const struct siv_grant *g, struct sivshmem_entry *e)
{
	const struct siv_session *s = g->session;

	memset(e, 0, sizeof(*e));
	e->session = s->id;
	e->grant = g->id;
	e->object = g->object->id;
	e->generation = g->object->generation;
	e->size = i_size_read(&g->object->inode);
	e->uid = s->who.uid;
	e->gid = s->who.gid;
	e->pid = s->who.pid;
	e->rights = g->rights;
	e->revoked = READ_ONCE(g->revoked);
	memcpy(e->comm, s->who.comm, sizeof(e->comm));
	memcpy(e->channel, g->channel, sizeof(e->channel));
	memcpy(e->name, g->name, sizeof(e->name));
}

static int grant_call(struct siv_grant *g, u16 type, u64 size, bool grow_only)
{
	struct sivring_resize resize = {
		.grant = g->id, .size = size, .grow_only = grow_only,
	};
	struct sivring_release stat = { .grant = g->id };

	if (READ_ONCE(g->revoked))
		return -EKEYREVOKED;
	if (type == SIVRING_RESIZE)
		return siv_control_call(type, &resize, sizeof(resize));
	return siv_control_call(type, &stat, sizeof(stat));
}

/* Bring the cached size up to date; the cache serves while the host is down. */
int siv_grant_stat(struct siv_grant *grant)
{
	if (!siv_control_up())
		return 0;
	return grant_call(grant, SIVRING_STAT, 0, false);
}

/* --- objects --- */

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

static bool list_fits(const struct sivring_object *m, u32 room)
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

	if (!list_fits(m, room))
		return -EBADMSG;
	inode = ilookup5(siv_mount->mnt_sb, id, object_test, &id);
	if (!inode)
		return 0;		/* let go of in the meantime */
	err = object_apply_locked(siv_object_of(inode), m, extents);
	iput(inode);
	return err;
}

static const struct inode_operations channel_iops;
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
	inode->i_op = &channel_iops;
	inode->i_fop = &channel_fops;
	inode->i_mapping->a_ops = &channel_aops;
	siv_touch(inode);
}

static struct siv_object *object_get(const struct sivring_grant *g,
				     const struct sivring_extent *extents)
{
	struct siv_link *link = siv_link_get(g->object.link);
	u64 id = g->object.object;
	struct siv_object *o;
	struct inode *inode;
	int err;

	if (!link)
		return ERR_PTR(-ENODEV);
	inode = iget5_locked(siv_mount->mnt_sb, id, object_test, object_set, &id);
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

static struct inode *object_alloc(struct super_block *sb)
{
	struct siv_object *o = alloc_inode_sb(sb, object_cache, GFP_KERNEL);

	if (!o)
		return NULL;
	init_rwsem(&o->sem);
	o->link = NULL;
	o->id = o->generation = o->change = 0;
	o->count = 0;
	o->pfns = NULL;
	return &o->inode;
}

static void object_free(struct inode *inode)
{
	kmem_cache_free(object_cache, siv_object_of(inode));
}

static void object_evict(struct inode *inode)
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

/* --- from GRANT to fd --- */

static bool name_valid(const char name[SIVSHMEM_NAME_LEN])
{
	size_t n = strnlen(name, SIVSHMEM_NAME_LEN);

	return n && n < SIVSHMEM_NAME_LEN;
}

static bool grant_valid(const struct sivring_grant *m, u32 length)
{
	return length >= sizeof(*m) && m->grant && name_valid(m->channel) &&
	       name_valid(m->name) && !(m->rights & ~SIVSHMEM_RIGHTS_ALL) &&
	       (m->rights & SIVSHMEM_RIGHT_READ) &&
	       list_fits(&m->object, length - sizeof(*m));
}

static struct siv_session *session_for(u64 id)
{
	struct siv_session *s;

	mutex_lock(&siv_lock);
	s = siv_session_find(id);
	if (s && (s->closed || !kref_get_unless_zero(&s->ref)))
		s = NULL;
	mutex_unlock(&siv_lock);
	return s;
}

int siv_grant_take(u64 session, const void *payload, u32 length)
{
	const struct sivring_grant *m = payload;
	struct siv_session *s;
	struct siv_object *o;
	struct siv_grant *g;
	bool closed;

	if (!grant_valid(m, length))
		return -EBADMSG;
	s = session_for(session);
	if (!s) {
		siv_outbox_release(session, m->grant);
		return 0;
	}
	g = kzalloc(sizeof(*g), GFP_KERNEL);
	o = g ? object_get(m, (const void *)(m + 1)) : ERR_PTR(-ENOMEM);
	if (IS_ERR(o)) {
		pr_err_ratelimited("sivshmem: cannot take a grant of %.64s: error %ld\n",
				   m->channel, PTR_ERR(o));
		kfree(g);
		siv_outbox_release(session, m->grant);
		siv_session_put(s);
		return PTR_ERR(o);
	}
	kref_init(&g->ref);
	g->id = m->grant;
	g->rights = m->rights;
	g->session = s;
	g->object = o;
	memcpy(g->channel, m->channel, sizeof(g->channel));
	memcpy(g->name, m->name, sizeof(g->name));
	mutex_lock(&siv_lock);
	closed = s->closed;
	g->claimed = closed;
	list_add_tail(&g->node, &siv_grants);
	mutex_unlock(&siv_lock);
	if (closed)
		siv_grant_put(g);
	return 0;
}

/* The session's own reference passes to the dentry; a grant is claimed once. */
static struct siv_grant *claim(struct siv_session *s, u64 id)
{
	struct siv_grant *g, *found = NULL;

	mutex_lock(&siv_lock);
	list_for_each_entry(g, &siv_grants, node) {
		if (g->session == s && g->id == id && !g->claimed) {
			g->claimed = true;
			found = g;
			break;
		}
	}
	mutex_unlock(&siv_lock);
	return found;
}

static void unclaim(struct siv_grant *g)
{
	mutex_lock(&siv_lock);
	g->claimed = false;
	mutex_unlock(&siv_lock);
}

static struct file *channel_file(struct siv_grant *g, u32 flags)
{
	struct inode *inode = &g->object->inode;
	struct file *file;

	ihold(inode);
	__module_get(THIS_MODULE);	/* __fput puts the fops' module */
	file = alloc_file_pseudo(inode, siv_mount, "channel",
				 flags & SIVSHMEM_FD_WRITE ? O_RDWR : O_RDONLY,
				 &channel_fops);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		iput(inode);
		return file;
	}
	file->f_path.dentry->d_fsdata = g;
	/* as open(2) does; whether it may write at all is FMODE_WRITE's to say */
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	return file;
}

int siv_grant_fd(struct siv_session *s, struct sivshmem_grant_fd *arg)
{
	struct siv_grant *g;
	struct file *file;
	int fd;

	if (arg->flags & ~(SIVSHMEM_FD_WRITE | SIVSHMEM_FD_CLOEXEC))
		return -EINVAL;
	g = claim(s, arg->grant);
	if (!g)
		return -ENOENT;
	if ((arg->flags & SIVSHMEM_FD_WRITE) && !(g->rights & SIVSHMEM_RIGHT_WRITE)) {
		unclaim(g);
		return -EACCES;
	}
	fd = get_unused_fd_flags(arg->flags & SIVSHMEM_FD_CLOEXEC ? O_CLOEXEC : 0);
	if (fd < 0) {
		unclaim(g);
		return fd;
	}
	file = channel_file(g, arg->flags);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		unclaim(g);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	arg->fd = fd;
	return 0;
}

/* --- files --- */

static int channel_open(struct inode *inode, struct file *file)
{
	struct siv_grant *g = grant_of(file->f_path.dentry);

	if (!g)
		return -ENXIO;
	if (READ_ONCE(g->revoked))
		return -EKEYREVOKED;
	if ((file->f_mode & FMODE_WRITE) && !(g->rights & SIVSHMEM_RIGHT_WRITE))
		return -EACCES;
	return 0;
}

static int channel_mmap(struct file *file, struct vm_area_struct *vma)
{
	int err = siv_vma_check(vma, grant_of(file->f_path.dentry));

	if (!err)
		file_accessed(file);
	return err;
}

static loff_t channel_llseek(struct file *file, loff_t offset, int whence)
{
	if (whence == SEEK_END)
		siv_grant_stat(grant_of(file->f_path.dentry));
	return generic_file_llseek(file, offset, whence);
}

/*
 * The page at pos, kept from going away with its device. The semaphore is not
 * held while user memory is touched: that may be a mapping of this very file.
 */
static struct dev_pagemap *page_at(struct siv_object *o, loff_t pos, struct page **page)
{
	unsigned long index = pos >> PAGE_SHIFT;
	struct dev_pagemap *map = NULL;

	down_read(&o->sem);
	if (index < o->count && pos < i_size_read(&o->inode)) {
		map = get_dev_pagemap(o->pfns[index], NULL);
		*page = pfn_to_page(o->pfns[index]);
	}
	up_read(&o->sem);
	return map;
}

static size_t copy_once(struct siv_object *o, loff_t pos, struct iov_iter *iter,
			bool to_user)
{
	size_t offset = offset_in_page(pos), n, done;
	struct dev_pagemap *map;
	struct page *page;

	n = min_t(u64, PAGE_SIZE - offset, i_size_read(&o->inode) - pos);
	n = min(n, iov_iter_count(iter));
	map = page_at(o, pos, &page);
	if (!map)
		return 0;
	done = to_user ? copy_page_to_iter(page, offset, n, iter) :
			 copy_page_from_iter(page, offset, n, iter);
	put_dev_pagemap(map);
	return done;
}

static ssize_t copy_all(struct kiocb *iocb, struct iov_iter *iter, bool to_user)
{
	struct siv_object *o = siv_object_of(file_inode(iocb->ki_filp));
	ssize_t total = 0;
	size_t n;

	while (iov_iter_count(iter) && iocb->ki_pos < i_size_read(&o->inode)) {
		n = copy_once(o, iocb->ki_pos, iter, to_user);
		if (!n)
			return total ? total : -EFAULT;
		iocb->ki_pos += n;
		total += n;
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	return total;
}

static ssize_t channel_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct siv_grant *g = grant_of(iocb->ki_filp->f_path.dentry);
	struct inode *inode = file_inode(iocb->ki_filp);

	if (READ_ONCE(g->revoked))
		return -EKEYREVOKED;
	if (iocb->ki_pos < 0)
		return -EINVAL;
	if (iocb->ki_pos + iov_iter_count(to) > i_size_read(inode))
		siv_grant_stat(g);
	return copy_all(iocb, to, true);
}

static ssize_t channel_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct siv_grant *g = grant_of(iocb->ki_filp->f_path.dentry);
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t n;
	int err = 0;

	if (READ_ONCE(g->revoked))
		return -EKEYREVOKED;
	inode_lock(inode);
	if (iocb->ki_flags & IOCB_APPEND)
		siv_grant_stat(g);
	n = generic_write_checks(iocb, from);
	if (n > 0 && iocb->ki_pos + n > i_size_read(inode))
		err = grant_call(g, SIVRING_RESIZE, iocb->ki_pos + n, true);
	/* what fits is written even when growing was refused, as on a full disk */
	if (n > 0 && (!err || iocb->ki_pos < i_size_read(inode)))
		n = copy_all(iocb, from, false);
	else if (n > 0)
		n = err;
	inode_unlock(inode);
	return n;
}

static long channel_fallocate(struct file *file, int mode, loff_t offset, loff_t length)
{
	struct siv_grant *g = grant_of(file->f_path.dentry);
	struct inode *inode = file_inode(file);
	int err = 0;

	if (mode & ~FALLOC_FL_KEEP_SIZE)
		return -EOPNOTSUPP;
	inode_lock(inode);
	siv_grant_stat(g);
	if (offset + length > i_size_read(inode))
		err = mode ? -EOPNOTSUPP :
			grant_call(g, SIVRING_RESIZE, offset + length, true);
	inode_unlock(inode);
	return err;
}

static long channel_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct sivshmem_entry entry;

	if (cmd != SIVSHMEM_IOC_OBJECT)
		return -ENOTTY;
	siv_grant_entry(grant_of(file->f_path.dentry), &entry);
	return copy_to_user((void __user *)arg, &entry, sizeof(entry)) ? -EFAULT : 0;
}

static const struct file_operations channel_fops = {
	.owner = THIS_MODULE,
	.open = channel_open,
	.mmap = channel_mmap,
	.read_iter = channel_read,
	.write_iter = channel_write,
	.llseek = channel_llseek,
	.fallocate = channel_fallocate,
	.fsync = noop_fsync,
	.unlocked_ioctl = channel_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.get_unmapped_area = thp_get_unmapped_area,
};

static int channel_setattr(siv_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	struct inode *inode = d_inode(dentry);
	int err = setattr_prepare(idmap, dentry, attr);

	if (err)
		return err;
	if (attr->ia_valid & ATTR_SIZE) {
		err = grant_call(grant_of(dentry), SIVRING_RESIZE, attr->ia_size, false);
		if (err)
			return err;
	}
	setattr_copy(idmap, inode, attr);
	return 0;
}

static int channel_getattr(siv_idmap *idmap, const struct path *path,
			   struct kstat *stat, u32 mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);

	if ((flags & AT_STATX_SYNC_TYPE) != AT_STATX_DONT_SYNC)
		siv_grant_stat(grant_of(path->dentry));
	siv_fillattr(idmap, mask, inode, stat);
	stat->blocks = DIV_ROUND_UP(i_size_read(inode), PAGE_SIZE) << (PAGE_SHIFT - 9);
	return 0;
}

static const struct inode_operations channel_iops = {
	.setattr = channel_setattr,
	.getattr = channel_getattr,
};

/* --- the pseudo filesystem --- */

static void dentry_release(struct dentry *dentry)
{
	struct siv_grant *g = grant_of(dentry);

	if (g)
		siv_grant_put(g);
}

static char *dentry_name(struct dentry *dentry, char *buffer, int length)
{
	struct siv_grant *g = grant_of(dentry);
	char name[2 * SIVSHMEM_NAME_LEN + 16];
	int n = 1 + scnprintf(name, sizeof(name), "/sivshmem:%s/%s",
			      g ? g->channel : "", g ? g->name : "");

	if (n > length)
		return ERR_PTR(-ENAMETOOLONG);
	return memcpy(buffer + length - n, name, n);
}

static const struct dentry_operations siv_dops = {
	.d_release = dentry_release,
	.d_dname = dentry_name,
};

static const struct super_operations siv_sops = {
	.alloc_inode = object_alloc,
	.free_inode = object_free,
	.evict_inode = object_evict,
	.drop_inode = generic_delete_inode,
	.statfs = simple_statfs,
};

static int siv_init_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, SIVSHMEM_FS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &siv_sops;
	ctx->dops = &siv_dops;
	return 0;
}

/* no .owner: the mount would hold the module for ever */
static struct file_system_type siv_fs = {
	.name = "sivshmem",
	.init_fs_context = siv_init_context,
	.kill_sb = kill_anon_super,
};

static void object_once(void *memory)
{
	inode_init_once(&((struct siv_object *)memory)->inode);
}

int siv_channel_init(void)
{
	object_cache = kmem_cache_create("sivshmem_object", sizeof(struct siv_object),
					 0, SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT,
					 object_once);
	if (!object_cache)
		return -ENOMEM;
	siv_mount = kern_mount(&siv_fs);
	if (IS_ERR(siv_mount)) {
		kmem_cache_destroy(object_cache);
		return PTR_ERR(siv_mount);
	}
	return 0;
}

void siv_channel_exit(void)
{
	kern_unmount(siv_mount);
	rcu_barrier();		/* inodes are freed by RCU */
	kmem_cache_destroy(object_cache);
}
