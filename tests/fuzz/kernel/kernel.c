/* SPDX-License-Identifier: MIT */
#include "kernel.h"

#include <sys/mman.h>

int kernel_mutexes, kernel_spinning, kernel_fail;
struct user_namespace init_user_ns;
unsigned long jiffies = 1000;
u64 kernel_steal;
struct module kernel_module;
struct pci_driver *kernel_driver;
struct pci_dev kernel_devices[KERNEL_DEVICES];
struct file *kernel_files[KERNEL_FDS];

/* --- memory --- */

void *kernel_alloc(size_t size, gfp_t gfp, bool zero)
{
	void *p;

	might_sleep();
	if (kernel_fail && !--kernel_fail) {
		if (!(gfp & __GFP_NOFAIL))
			return NULL;
		kernel_fail = 1;	/* the next, then */
	}
	p = zero ? calloc(1, size) : malloc(size);
	KERNEL_BUG_ON(!p);
	return p;
}

void kfree(const void *p)
{
	free((void *)(uintptr_t)p);
}

void *memdup_user(const void *from, size_t n)
{
	void *p = kernel_alloc(n, GFP_KERNEL, false);

	return p ? memcpy(p, from, n) : ERR_PTR(-ENOMEM);
}

struct kmem_cache {
	size_t size;
	void (*once)(void *);
};

struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align,
				     unsigned int flags, void (*once)(void *))
{
	struct kmem_cache *c = kzalloc(sizeof(*c), GFP_KERNEL);

	(void)name, (void)align, (void)flags;
	c->size = size;
	c->once = once;
	return c;
}

void kmem_cache_destroy(struct kmem_cache *c)
{
	kfree(c);
}

/* Constructed long ago: but for that, it holds what was left there. */
void *alloc_inode_sb(struct super_block *sb, struct kmem_cache *c, gfp_t gfp)
{
	void *p = kernel_alloc(c->size, gfp, false);

	(void)sb;
	if (!p)
		return NULL;
	memset(p, 0x5a, c->size);
	c->once(p);
	return p;
}

void kmem_cache_free(struct kmem_cache *c, void *p)
{
	(void)c;
	kfree(p);
}

/* --- time and work --- */

u64 ktime_get_ns(void)
{
	static u64 stolen;

	stolen += kernel_steal;
	return jiffies * TICK_NSEC + stolen;
}

static LIST_HEAD(works);
static struct workqueue_struct system_queue;
struct workqueue_struct *system_wq = &system_queue;

long schedule_timeout_killable(long ticks)
{
	might_sleep();
	jiffies += (unsigned long)ticks;
	if (!kernel_turn())
		jiffies += HZ;
	return 0;
}

void msleep(unsigned int ms)
{
	might_sleep();
	jiffies += ms * HZ / 1000 + 1;
	kernel_turn();
}

struct workqueue_struct *alloc_ordered_workqueue(const char *name, unsigned int flags)
{
	(void)name, (void)flags;
	return kzalloc(sizeof(struct workqueue_struct), GFP_KERNEL);
}

void destroy_workqueue(struct workqueue_struct *q)
{
	struct work_struct *w;

	list_for_each_entry(w, &works, entry)
		KERNEL_BUG_ON(w->queue == q);
	kfree(q);
}

static bool put_work(struct workqueue_struct *q, struct work_struct *w, unsigned long delay,
		     bool again)
{
	bool was = w->pending;

	if (was && !again)
		return false;
	if (!was)
		list_add_tail(&w->entry, &works);
	w->queue = q;
	w->due = jiffies + delay;
	w->pending = true;
	return !was;
}

bool queue_work(struct workqueue_struct *q, struct work_struct *w)
{
	return put_work(q, w, 0, false);
}

bool queue_delayed_work(struct workqueue_struct *q, struct delayed_work *w, unsigned long delay)
{
	return put_work(q, &w->work, delay, false);
}

bool mod_delayed_work(struct workqueue_struct *q, struct delayed_work *w, unsigned long delay)
{
	return put_work(q, &w->work, delay, true);
}

bool cancel_delayed_work_sync(struct delayed_work *w)
{
	bool was = w->work.pending;

	if (was)
		list_del(&w->work.entry);
	w->work.pending = false;
	return was;
}

/* those whose turn it is, of a wait within a work too */
static LIST_HEAD(due);

static struct work_struct *next_due(void)
{
	struct work_struct *w;

	/* of an ordered queue only one at a time, system_wq may have many */
	list_for_each_entry(w, &due, entry)
		if (!w->queue->busy)
			return w;
	return NULL;
}

static void run_work(struct work_struct *w)
{
	struct workqueue_struct *q = w->queue;

	list_del(&w->entry);
	w->pending = false;
	q->busy = q != system_wq;
	w->func(w);
	q->busy = false;
	KERNEL_BUG_ON(kernel_mutexes || kernel_spinning);
}

static struct work_struct *work_of(struct workqueue_struct *q, struct list_head *l)
{
	struct work_struct *w;

	list_for_each_entry(w, l, entry)
		if (w->queue == q)
			return w;
	return NULL;
}

void flush_workqueue(struct workqueue_struct *q)
{
	struct work_struct *w;

	might_sleep();
	KERNEL_BUG_ON(q->busy || kernel_mutexes);
	while ((w = work_of(q, &due) ?: work_of(q, &works)))
		run_work(w);
}

bool kernel_run_works(void)
{
	struct work_struct *w, *next;
	unsigned long now = jiffies;
	bool any = false;

	list_for_each_entry_safe(w, next, &works, entry) {
		if (!time_after(w->due, now) && !w->queue->busy) {
			list_del(&w->entry);
			list_add_tail(&w->entry, &due);
		}
	}
	while ((w = next_due())) {
		run_work(w);
		any = true;
	}
	return any;
}

/* --- tasks --- */

u64 get_random_u64(void)
{
	static u64 x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static struct tracepoint points[] = { { "sched_process_exit" }, { "sched_switch" },
				      { "sched_process_exec" } };
static void (*exit_probe)(void *data, struct task_struct *task);

void for_each_kernel_tracepoint(void (*f)(struct tracepoint *, void *), void *data)
{
	for (size_t i = 0; i < ARRAY_SIZE(points); i++)
		f(&points[i], data);
}

int tracepoint_probe_register(struct tracepoint *t, void *probe, void *data)
{
	(void)data;
	if (t == &points[0])
		exit_probe = (void (*)(void *, struct task_struct *))probe;
	return 0;
}

void kernel_task_exit(struct task_struct *t)
{
	exit_probe(NULL, t);
}

/* --- files --- */

bool noop_dirty_folio(void *mapping, struct folio *folio)
{
	(void)mapping, (void)folio;
	return false;
}

int generic_delete_inode(struct inode *inode)
{
	(void)inode;
	return 1;
}

int simple_statfs(void)
{
	return 0;
}

void inode_init_once(struct inode *inode)
{
	memset(inode, 0, sizeof(*inode));
}

struct inode *new_inode(struct super_block *sb)
{
	struct inode *inode = sb->s_op->alloc_inode(sb);

	if (!inode)
		return NULL;
	inode->i_sb = sb;
	inode->i_mapping = &inode->i_data;
	inode->i_count = 1;
	inode->i_size = 0;
	sb->inodes++;
	return inode;
}

void iput(struct inode *inode)
{
	KERNEL_BUG_ON(inode->i_count <= 0);
	if (--inode->i_count)
		return;
	KERNEL_BUG_ON(kernel_spinning);
	inode->i_sb->s_op->evict_inode(inode);
	KERNEL_BUG_ON(!inode->clear);
	inode->i_sb->inodes--;
	inode->i_sb->s_op->free_inode(inode);
}

struct pseudo_fs_context *init_pseudo(struct fs_context *fc, unsigned long magic)
{
	(void)magic;
	return &fc->pseudo;
}

void kill_anon_super(struct super_block *sb)
{
	KERNEL_BUG_ON(sb->inodes);	/* busy inodes after unmount */
	kfree(sb);
}

int simple_pin_fs(struct file_system_type *fs, struct vfsmount **mount, int *count)
{
	struct fs_context fc = { 0 };
	struct super_block *sb;

	if (!*mount) {
		if (fs->init_fs_context(&fc))
			return -ENOMEM;
		sb = kzalloc(sizeof(*sb), GFP_KERNEL | __GFP_NOFAIL);
		sb->s_op = fc.pseudo.ops;
		sb->s_d_op = fc.pseudo.dops;
		*mount = kzalloc(sizeof(**mount), GFP_KERNEL | __GFP_NOFAIL);
		(*mount)->mnt_sb = sb;
		(*mount)->owner = fs->owner;
		__module_get(fs->owner);	/* as get_filesystem() */
	}
	++*count;
	return 0;
}

void simple_release_fs(struct vfsmount **mount, int *count)
{
	KERNEL_BUG_ON(*count <= 0);
	if (--*count)
		return;
	kill_anon_super((*mount)->mnt_sb);
	module_put((*mount)->owner);
	kfree(*mount);
	*mount = NULL;
}

struct file *alloc_file_pseudo(struct inode *inode, struct vfsmount *mount, const char *name,
			       int flags, const struct file_operations *fops)
{
	struct file *file = kzalloc(sizeof(*file), GFP_KERNEL);
	struct dentry *dentry;

	(void)name;
	if (!file)
		return ERR_PTR(-ENOMEM);
	dentry = kzalloc(sizeof(*dentry), GFP_KERNEL | __GFP_NOFAIL);
	dentry->d_inode = inode;
	dentry->d_op = mount->mnt_sb->s_d_op;
	file->f_path.dentry = dentry;
	file->f_op = fops;
	file->f_flags = (unsigned int)flags;
	return file;
}

void fput(struct file *file)
{
	struct dentry *d = file->f_path.dentry;
	char name[160];

	if (d) {
		KERNEL_BUG_ON(IS_ERR(d->d_op->d_dname(d, name, sizeof(name))));
		/* as __dentry_kill(): the inode goes first */
		iput(d->d_inode);
		d->d_op->d_release(d);
		kfree(d);
	}
	if (file->f_op->owner)
		module_put(file->f_op->owner);
	kfree(file);
}

int get_unused_fd_flags(unsigned int flags)
{
	(void)flags;
	for (int i = 0; i < KERNEL_FDS; i++)
		if (!kernel_files[i])
			return i;
	return -EMFILE;
}

void put_unused_fd(unsigned int fd)
{
	KERNEL_BUG_ON(kernel_files[fd]);
}

void fd_install(unsigned int fd, struct file *file)
{
	KERNEL_BUG_ON(kernel_files[fd]);
	kernel_files[fd] = file;
}

/* --- devices --- */

static struct pci_dev *device_of_page(const struct page *page)
{
	for (int i = 0; i < KERNEL_DEVICES; i++) {
		struct pci_dev *d = &kernel_devices[i];

		if (d->pages && page >= d->pages && page < d->pages + (d->length >> PAGE_SHIFT))
			return d;
	}
	return NULL;
}

struct page *pfn_to_page(unsigned long pfn)
{
	for (int i = 0; i < KERNEL_DEVICES; i++) {
		struct pci_dev *d = &kernel_devices[i];
		u64 at = (u64)pfn << PAGE_SHIFT;

		if (d->pages && !d->gone && at >= d->start && at - d->start < d->length)
			return &d->pages[(at - d->start) >> PAGE_SHIFT];
	}
	KERNEL_BUG_ON("a page of no device");
	return NULL;
}

void *page_address(const struct page *page)
{
	struct pci_dev *d = device_of_page(page);

	KERNEL_BUG_ON(!d);
	return d->memory + ((size_t)(page - d->pages) << PAGE_SHIFT);
}

void unmap_mapping_range(struct address_space *m, loff_t from, loff_t length, int even_cows)
{
	might_sleep();
	KERNEL_BUG_ON(!m || from < 0 || length < 0 || even_cows != 1);
	/* a process may make it take minutes */
	KERNEL_BUG_ON(kernel_mutexes);
	for (int i = 0; !from && i < KERNEL_FDS; i++) {
		struct file *file = kernel_files[i];

		if (file && file->f_path.dentry->d_inode->i_mapping == m)
			file->mapped = false;
	}
}

static struct pci_dev *device_of_irq(unsigned int irq)
{
	KERNEL_BUG_ON(irq >= KERNEL_DEVICES);
	return &kernel_devices[irq];
}

int request_irq(unsigned int irq, irq_handler_t handler, unsigned long flags,
		const char *name, void *arg)
{
	struct pci_dev *d = device_of_irq(irq);

	(void)flags, (void)name;
	KERNEL_BUG_ON(d->handler);
	if (kernel_fail && !--kernel_fail)
		return -ENOMEM;
	d->handler = handler;
	d->handler_data = arg;
	d->disabled = 0;
	return 0;
}

void free_irq(unsigned int irq, void *arg)
{
	struct pci_dev *d = device_of_irq(irq);

	KERNEL_BUG_ON(!d->handler || d->handler_data != arg);
	d->handler = NULL;
	/* it waits for its handlers, and others run */
	jiffies++;
	kernel_run_works();
}

void disable_irq_nosync(unsigned int irq)
{
	device_of_irq(irq)->disabled++;
}

void disable_irq(unsigned int irq)
{
	might_sleep();
	disable_irq_nosync(irq);
}

void enable_irq(unsigned int irq)
{
	KERNEL_BUG_ON(!device_of_irq(irq)->handler || device_of_irq(irq)->disabled-- <= 0);
}

void kernel_interrupt(unsigned int irq)
{
	struct pci_dev *d = device_of_irq(irq);

	if (!d->handler || d->disabled)
		return;
	kernel_spinning++;		/* it may not sleep */
	d->handler((int)irq, d->handler_data);
	kernel_spinning--;
}

int devm_add_action(struct device *dev, void (*action)(void *), void *data)
{
	struct pci_dev *d = (struct pci_dev *)dev;

	d->action = action;
	d->action_data = data;
	return 0;
}

void *devm_kzalloc(struct device *dev, size_t size, gfp_t gfp)
{
	struct pci_dev *d = (struct pci_dev *)dev;

	KERNEL_BUG_ON(d->managed);
	return d->managed = kernel_alloc(size, gfp, true);
}

struct pci_dev *pci_get_slot(struct pci_bus *bus, unsigned int devfn)
{
	for (size_t i = 0; i < KERNEL_DEVICES; i++)
		if (kernel_devices[i].bus == bus && kernel_devices[i].devfn == devfn)
			return &kernel_devices[i];
	return NULL;
}

void *devm_memremap_pages(struct device *dev, struct dev_pagemap *map)
{
	struct pci_dev *d = (struct pci_dev *)dev;

	(void)map;
	for (size_t i = 0; i < d->length >> PAGE_SHIFT; i++)
		d->pages[i] = (struct page){ .count = 1 };
	d->gone = false;
	return d->memory;
}

/* What the driver core gives back when the driver has gone. */
static void devres_release(struct pci_dev *d)
{
	if (d->action)
		d->action(d->action_data);
	d->action = NULL;
	kfree(d->managed);
	d->managed = NULL;
}

int kernel_bind(struct pci_dev *pdev, u32 position, u64 length)
{
	u64 index = (u64)(pdev - kernel_devices);
	int err;

	if (!pdev->memory) {
		pdev->memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		KERNEL_BUG_ON(pdev->memory == MAP_FAILED);
		pdev->pages = calloc(length >> PAGE_SHIFT, sizeof(*pdev->pages));
	}
	pdev->start = (64 + index) << 32;
	pdev->length = length;
	pdev->irq = (unsigned int)index;
	pdev->devfn = PCI_DEVFN((unsigned int)index, 0);
	pdev->regs[2] = position;
	err = kernel_driver->probe(pdev, kernel_driver->id_table);
	if (err)
		devres_release(pdev);
	return err;
}

void kernel_unbind(struct pci_dev *pdev)
{
	kernel_driver->remove(pdev);
	for (size_t i = 0; i < pdev->length >> PAGE_SHIFT; i++)
		KERNEL_BUG_ON(pdev->pages[i].count > 1 || pdev->pages[i].mapping);
	pdev->gone = true;
	devres_release(pdev);
	pdev->drvdata = NULL;
	pdev->handler = NULL;
}
