/* SPDX-License-Identifier: MIT */
/* Inodes, files and the pseudo filesystem of kernel.h. */
#ifndef SIVSHMEM_FUZZ_KERNEL_FILES_H
#define SIVSHMEM_FUZZ_KERNEL_FILES_H

struct inode;
struct dentry;
struct file;
struct folio;
struct file_lock;
struct kstat { int unused; };
struct vm_area_struct { vm_flags_t vm_flags; };
struct vm_operations_struct { int unused; };
typedef struct { int unused; } poll_table;
struct timespec64 { int64_t tv_sec; long tv_nsec; };

struct address_space_operations {
	bool (*dirty_folio)(void *mapping, struct folio *folio);
};
bool noop_dirty_folio(void *mapping, struct folio *folio);
struct address_space { const struct address_space_operations *a_ops; };
struct inode_operations { int unused; };
struct super_block {
	const struct super_operations *s_op;
	const struct dentry_operations *s_d_op;
	int inodes;
};
struct inode {
	struct super_block *i_sb;
	umode_t i_mode;
	u32 i_uid, i_gid;
	u64 i_ino;
	unsigned int i_flags;
	const struct inode_operations *i_op;
	const struct file_operations *i_fop;
	struct address_space *i_mapping, i_data;
	struct timespec64 i_mtime, i_ctime;
	int i_count;
	bool clear;
	loff_t i_size;
};
struct super_operations {
	struct inode *(*alloc_inode)(struct super_block *sb);
	void (*free_inode)(struct inode *inode);
	void (*evict_inode)(struct inode *inode);
	int (*drop_inode)(struct inode *inode);
	int (*statfs)(void);
};
struct dentry_operations {
	void (*d_release)(struct dentry *dentry);
	char *(*d_dname)(struct dentry *dentry, char *buffer, int length);
};
struct dentry {
	struct inode *d_inode;
	void *d_fsdata;
	const struct dentry_operations *d_op;
};
struct file_operations {
	struct module *owner;
	int (*open)(struct inode *inode, struct file *file);
	int (*release)(struct inode *inode, struct file *file);
	ssize_t (*read)(struct file *file, char *to, size_t n, loff_t *pos);
	ssize_t (*write)(struct file *file, const char *from, size_t n, loff_t *pos);
	__poll_t (*poll)(struct file *file, poll_table *table);
	long (*unlocked_ioctl)(struct file *file, unsigned int cmd, unsigned long arg);
	long (*compat_ioctl)(struct file *file, unsigned int cmd, unsigned long arg);
};
struct file {
	struct { struct dentry *dentry; } f_path;
	const struct file_operations *f_op;
	unsigned int f_flags, f_mode;
	void *private_data;
	bool mapped;			/* a page of it is, and by no count */
};
#define FMODE_LSEEK		4u
#define FMODE_PREAD		8u
#define FMODE_PWRITE		16u
#define S_DAX			8192u
#define d_inode(d)		((d)->d_inode)
#define compat_ptr_ioctl	NULL
#define poll_wait(f, w, t)	((void)(f), (void)(w), (void)(t))
#define stream_open(i, f)	((void)(i), (void)(f), 0)

struct inode *new_inode(struct super_block *sb);
void iput(struct inode *inode);
void inode_init_once(struct inode *inode);
static inline void ihold(struct inode *i) { KERNEL_BUG_ON(i->i_count++ <= 0); }
#define i_size_read(i)		((i)->i_size)
#define i_size_write(i, n)	((i)->i_size = (loff_t)(n))
#define i_uid_write(i, u)	((i)->i_uid = (u))
#define i_gid_write(i, g)	((i)->i_gid = (g))
#define current_time(i)		((struct timespec64){ 0 })
#define generic_fillattr(idmap, i, s) ((void)(idmap), (void)(i), (void)(s))
#define truncate_inode_pages_final(m) ((void)(m))
#define clear_inode(i)		((i)->clear = true)
int generic_delete_inode(struct inode *inode);
int simple_statfs(void);

struct kmem_cache;
#define SLAB_RECLAIM_ACCOUNT	0
#define SLAB_ACCOUNT		0
struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align,
	unsigned int flags, void (*once)(void *));
void kmem_cache_destroy(struct kmem_cache *c);
void *alloc_inode_sb(struct super_block *sb, struct kmem_cache *c, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *c, void *p);
#define rcu_barrier()		((void)0)

struct pseudo_fs_context {
	const struct super_operations *ops;
	const struct dentry_operations *dops;
};
struct fs_context { struct pseudo_fs_context pseudo; };
struct file_system_type {
	struct module *owner;
	const char *name;
	int (*init_fs_context)(struct fs_context *fc);
	void (*kill_sb)(struct super_block *sb);
};
struct vfsmount {
	struct super_block *mnt_sb;
	struct module *owner;
};
struct pseudo_fs_context *init_pseudo(struct fs_context *fc, unsigned long magic);
void kill_anon_super(struct super_block *sb);
int simple_pin_fs(struct file_system_type *fs, struct vfsmount **mount, int *count);
void simple_release_fs(struct vfsmount **mount, int *count);

struct file *alloc_file_pseudo(struct inode *inode, struct vfsmount *mount, const char *name,
	int flags, const struct file_operations *fops);
void fput(struct file *file);
#define get_file_rcu(f)		((void)(f), true)
/* fds of the one process */
#define KERNEL_FDS	16
extern struct file *kernel_files[KERNEL_FDS];
int get_unused_fd_flags(unsigned int flags);
void put_unused_fd(unsigned int fd);
void fd_install(unsigned int fd, struct file *file);

#endif
