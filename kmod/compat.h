/* SPDX-License-Identifier: GPL-2.0 */
/* All that differs between the kernels that we build for, 6.1 to 6.12. */
#ifndef SIVSHMEM_KMOD_COMPAT_H
#define SIVSHMEM_KMOD_COMPAT_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define siv_idmap		struct mnt_idmap
#define siv_vm_flags_set	vm_flags_set
#define siv_vm_flags_clear	vm_flags_clear
#else
#define siv_idmap		struct user_namespace
static inline void siv_vm_flags_set(struct vm_area_struct *vma, vm_flags_t f)
{
	vma->vm_flags |= f;
}

static inline void siv_vm_flags_clear(struct vm_area_struct *vma, vm_flags_t f)
{
	vma->vm_flags &= ~f;
}
#endif

/*
 * Before 6.5 madvise(2), and a zap that meets a fault, clear a huge entry of a
 * device as a bad one: nobody flushes the TLB, and what it mapped is reached on.
 */
#define SIV_HUGE_ENTRIES	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0))

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#include <linux/filelock.h>
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#define siv_fl(lock, field)	((lock)->c.flc_##field)
#define siv_fl_node		c.flc_list
#else
#define siv_fl(lock, field)	((lock)->fl_##field)
#define siv_fl_node		fl_list
#endif

/* False: it is being closed. */
static inline bool siv_file_hold(struct file *file)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
	return get_file_active(&file);
#else
	return get_file_rcu(file);
#endif
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define siv_class_device	const struct device
#else
#define siv_class_device	struct device
#endif

static inline void siv_fillattr(siv_idmap *idmap, u32 mask, struct inode *inode,
				struct kstat *stat)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	generic_fillattr(idmap, mask, inode, stat);
#else
	generic_fillattr(idmap, inode, stat);
#endif
}

static inline void siv_touch(struct inode *inode)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
	inode_set_mtime_to_ts(inode, inode_set_ctime_current(inode));
#else
	inode->i_mtime = inode->i_ctime = current_time(inode);
#endif
}

#endif
