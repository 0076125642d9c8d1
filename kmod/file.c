// SPDX-License-Identifier: GPL-2.0
/* What a process may do with a channel's fd; each asks the grant on its dentry. */
#include <linux/types.h>		/* falloc.h needs it, and does not say so */
#include <linux/falloc.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/uio.h>
#include "compat.h"
#include "sivshmem.h"

static int channel_open(struct inode *inode, struct file *file)
{
	struct siv_grant *g = siv_grant_of(file->f_path.dentry);

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
	int err = siv_vma_check(vma, siv_grant_of(file->f_path.dentry));

	if (!err)
		file_accessed(file);
	return err;
}

static loff_t channel_llseek(struct file *file, loff_t offset, int whence)
{
	if (whence == SEEK_END)
		siv_grant_stat(siv_grant_of(file->f_path.dentry));
	return generic_file_llseek(file, offset, whence);
}

/*
 * Up to n bytes between the object and a buffer of the kernel's, none of them
 * once the grant is revoked. User memory is not touched under sem: that may be
 * a mapping of this very file, or of one that never answers.
 */
static size_t move(struct siv_grant *g, loff_t pos, void *buffer, size_t n, bool out)
{
	unsigned long index = pos >> PAGE_SHIFT;
	struct siv_object *o = g->object;
	size_t moved = 0;
	void *at;

	down_read(&o->sem);
	if (!READ_ONCE(g->revoked) && index < o->count && pos < i_size_read(&o->inode)) {
		moved = min_t(u64, n, i_size_read(&o->inode) - pos);
		at = page_address(pfn_to_page(o->pfns[index])) + offset_in_page(pos);
		memcpy(out ? buffer : at, out ? at : buffer, moved);
	}
	up_read(&o->sem);
	return moved;
}

static size_t move_out(struct siv_grant *g, loff_t pos, void *buffer, size_t n,
		       struct iov_iter *to)
{
	n = move(g, pos, buffer, n, true);
	return copy_to_iter(buffer, n, to);
}

static size_t move_in(struct siv_grant *g, loff_t pos, void *buffer, size_t n,
		      struct iov_iter *from)
{
	size_t got = copy_from_iter(buffer, n, from);
	size_t moved = move(g, pos, buffer, got, false);

	iov_iter_revert(from, got - moved);
	return moved;
}

static ssize_t move_all(struct kiocb *iocb, struct iov_iter *iter, bool out)
{
	struct siv_grant *g = siv_grant_of(iocb->ki_filp->f_path.dentry);
	struct inode *inode = file_inode(iocb->ki_filp);
	void *buffer = (void *)__get_free_page(GFP_KERNEL);
	ssize_t total = 0;
	size_t n;

	if (!buffer)
		return -ENOMEM;
	while (iov_iter_count(iter) && iocb->ki_pos < i_size_read(inode)) {
		n = min_t(size_t, PAGE_SIZE - offset_in_page(iocb->ki_pos),
			  iov_iter_count(iter));
		n = out ? move_out(g, iocb->ki_pos, buffer, n, iter) :
			  move_in(g, iocb->ki_pos, buffer, n, iter);
		if (!n && !total && iocb->ki_pos < i_size_read(inode))
			total = READ_ONCE(g->revoked) ? -EKEYREVOKED : -EFAULT;
		if (!n)
			break;
		iocb->ki_pos += n;
		total += n;
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	free_page((unsigned long)buffer);
	return total;
}

static ssize_t channel_read(struct kiocb *iocb, struct iov_iter *to)
{
	struct siv_grant *g = siv_grant_of(iocb->ki_filp->f_path.dentry);
	struct inode *inode = file_inode(iocb->ki_filp);

	if (READ_ONCE(g->revoked))
		return -EKEYREVOKED;
	if (iocb->ki_pos < 0)
		return -EINVAL;
	if (iocb->ki_pos + iov_iter_count(to) > i_size_read(inode))
		siv_grant_stat(g);
	return move_all(iocb, to, true);
}

/* Where the bytes go, and room for them; what fits is written, as on a full disk. */
static ssize_t make_room(struct siv_grant *g, struct kiocb *iocb, struct iov_iter *from)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t n;
	int err;

	if (iocb->ki_flags & IOCB_APPEND)
		siv_grant_stat(g);
	n = generic_write_checks(iocb, from);
	if (n <= 0 || iocb->ki_pos + n <= i_size_read(inode))
		return n;
	err = siv_grant_resize(g, iocb->ki_pos + n, true);
	return err && iocb->ki_pos >= i_size_read(inode) ? err : n;
}

static ssize_t channel_write(struct kiocb *iocb, struct iov_iter *from)
{
	struct siv_grant *g = siv_grant_of(iocb->ki_filp->f_path.dentry);
	struct inode *inode = file_inode(iocb->ki_filp);
	ssize_t n;

	if (READ_ONCE(g->revoked))
		return -EKEYREVOKED;
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	n = make_room(g, iocb, from);
	inode_unlock(inode);
	return n > 0 ? move_all(iocb, from, false) : n;
}

static long channel_fallocate(struct file *file, int mode, loff_t offset, loff_t length)
{
	struct siv_grant *g = siv_grant_of(file->f_path.dentry);
	struct inode *inode = file_inode(file);
	int err = 0;

	if (mode & ~FALLOC_FL_KEEP_SIZE)
		return -EOPNOTSUPP;
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	siv_grant_stat(g);
	if (offset + length > i_size_read(inode))
		err = mode ? -EOPNOTSUPP : siv_grant_resize(g, offset + length, true);
	inode_unlock(inode);
	return err;
}

static long channel_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct sivshmem_entry entry;

	if (cmd != SIVSHMEM_IOC_OBJECT)
		return -ENOTTY;
	siv_grant_entry(siv_grant_of(file->f_path.dentry), &entry);
	return copy_to_user((void __user *)arg, &entry, sizeof(entry)) ? -EFAULT : 0;
}

const struct file_operations siv_file_fops = {
	.owner = THIS_MODULE,
	.open = channel_open,
	.mmap = channel_mmap,
	.read_iter = channel_read,
	.write_iter = channel_write,
	.llseek = channel_llseek,
	.fallocate = channel_fallocate,
	.fsync = noop_fsync,
	.flock = siv_file_lock,
	.lock = siv_file_lock,
	.splice_write = iter_file_splice_write,
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
		err = siv_grant_resize(siv_grant_of(dentry), attr->ia_size, false);
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
		siv_grant_stat(siv_grant_of(path->dentry));
	siv_fillattr(idmap, mask, inode, stat);
	stat->blocks = DIV_ROUND_UP(i_size_read(inode), PAGE_SIZE) << (PAGE_SHIFT - 9);
	return 0;
}

const struct inode_operations siv_file_iops = {
	.setattr = channel_setattr,
	.getattr = channel_getattr,
};

