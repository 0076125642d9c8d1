// SPDX-License-Identifier: GPL-2.0
/*
 * Channel files: regular files of a pseudo filesystem. One inode per object;
 * a dentry of its own per grant, whose d_fsdata carries the rights, so that a
 * re-open through /proc meets the same rights.
 */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>
#include <linux/statfs.h>
#include "sivshmem.h"

static struct vfsmount *siv_mount;	/* while pinned */
static int pins;
static struct kmem_cache *object_cache;

static struct inode *object_alloc(struct super_block *sb)
{
	struct siv_object *o = alloc_inode_sb(sb, object_cache, GFP_KERNEL);

	if (!o)
		return NULL;
	INIT_LIST_HEAD(&o->node);
	o->grants = 0;
	INIT_WORK(&o->unmap, siv_unmap_work);
	o->unmap_from = LLONG_MAX;
	o->unmapping = 0;
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

static void dentry_release(struct dentry *dentry)
{
	struct siv_grant *g = siv_grant_of(dentry);

	if (g)
		siv_grant_put(g);
}

static char *dentry_name(struct dentry *dentry, char *buffer, int length)
{
	struct siv_grant *g = siv_grant_of(dentry);
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
	.evict_inode = siv_object_evict,
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

static struct file_system_type siv_fs = {
	.owner = THIS_MODULE,
	.name = "sivshmem",
	.init_fs_context = siv_init_context,
	.kill_sb = kill_anon_super,
};

static void object_once(void *memory)
{
	inode_init_once(&((struct siv_object *)memory)->inode);
}

int siv_channel_pin(void)
{
	return simple_pin_fs(&siv_fs, &siv_mount, &pins);
}

void siv_channel_unpin(void)
{
	simple_release_fs(&siv_mount, &pins);
}

struct inode *siv_channel_inode(void)
{
	return new_inode(siv_mount->mnt_sb);
}

int siv_channel_init(void)
{
	object_cache = kmem_cache_create("sivshmem_object", sizeof(struct siv_object),
					 0, SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT,
					 object_once);
	return object_cache ? 0 : -ENOMEM;
}

void siv_channel_exit(void)
{
	rcu_barrier();		/* inodes are freed by RCU */
	kmem_cache_destroy(object_cache);
}

struct file *siv_channel_file(struct siv_grant *g, u32 flags)
{
	struct inode *inode = &g->object->inode;
	struct file *file;

	ihold(inode);
	__module_get(THIS_MODULE);	/* __fput puts the fops' module */
	file = alloc_file_pseudo(inode, siv_mount, "channel",
				 flags & SIVSHMEM_FD_WRITE ? O_RDWR : O_RDONLY,
				 &siv_file_fops);
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

