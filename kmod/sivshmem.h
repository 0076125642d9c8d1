/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the module share. Locks, outermost first: mmap_lock or an
 * inode's rwsem (the kernel's), siv_lock, siv_object.sem, the spinlocks;
 * of these siv_owner_lock and the buckets' of wake.c never one in the other.
 */
#ifndef SIVSHMEM_KMOD_H
#define SIVSHMEM_KMOD_H

#include <linux/fs.h>
#include <linux/io.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/memremap.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <sivshmem/ring.h>
#include <sivshmem/uapi.h>
#include <sivshmem/wake.h>

#define SIV_TIMEOUT		(5 * HZ)	/* how long a caller waits for the host */
#define SIV_INBOX_MAX		16		/* unread messages of one session */
#define SIV_SESSIONS_MAX	1024		/* as many as the host takes of a VM */

/* How a link's VMs are rung, and its wake table where that has a memory of its own. */
struct siv_doorbell {
	struct pci_dev *pdev;		/* with the interrupt */
	void __iomem *regs;
	u32 position;
	void *table;
};

/* A link device; objects hold it beyond its removal. */
struct siv_link {
	struct kref ref;
	struct list_head node;		/* siv_links, under siv_lock */
	struct pci_dev *pdev;
	phys_addr_t start;
	void *memory;			/* mapped; some VMs can only read it */
	u64 length;
	u64 usable;			/* without what is at its end, once that is known */
	struct siv_doorbell doorbell;
	struct siv_wake *wake;		/* since the first grant; under siv_lock to set */
	bool dead;			/* the device is gone; under siv_lock */
	bool huge;			/* write-back for PMD and device PTEs */
	struct dev_pagemap pgmap;
};

/* A process that speaks with the host. Held by its file and its grants. */
struct siv_session {
	struct kref ref;
	struct list_head node;		/* siv_sessions, or leaving; under siv_lock */
	u64 id;
	struct pid *tgid;
	struct sivring_session who;
	kuid_t payer;			/* whose share it is of */
	u32 beginning;			/* of the host that was told of it */
	spinlock_t lock;		/* all below */
	struct list_head inbox;
	unsigned int inbox_count;
	int error;			/* -errno of read and write, once it ended */
	wait_queue_head_t wait;
	/* under siv_lock */
	bool closed;			/* its file is gone */
	bool ended;			/* no grant of it lives */
	bool again;			/* to be announced anew */
};

/*
 * One inode per object and VM. It owns pages while it is in siv_objects: until
 * its last grant has ended and nothing else in this VM can reach them.
 */
struct siv_object {
	struct inode inode;
	struct list_head node;		/* siv_objects, under siv_lock */
	unsigned int grants;		/* under siv_lock */
	struct work_struct unmap;
	loff_t unmap_from;		/* what it is to do next; under siv_lock */
	unsigned int unmapping;		/* times it is under way or to come; under siv_lock to set */
	struct rw_semaphore sem;	/* all below, and i_size */
	struct siv_link *link;
	u64 id, generation, change;
	unsigned int told;		/* counts what the host said of it unasked */
	unsigned long count;		/* of pfns */
	unsigned long *pfns;		/* page index -> pfn */
};

/* The right of one session to one object; lives on a dentry once claimed. */
struct siv_grant {
	struct kref ref;
	struct list_head node;		/* siv_grants, under siv_lock */
	u64 id;
	u32 rights;
	bool revoked;
	u32 beginning;			/* of the host that gave it */
	bool claimed;			/* under siv_lock */
	struct siv_session *session;
	struct siv_object *object;
	char channel[SIVSHMEM_NAME_LEN];
	char name[SIVSHMEM_NAME_LEN];
};

/* A thread in a wait, or who a wake is for. The object is held by its caller. */
struct siv_sleeper {
	struct list_head node;		/* its bucket's */
	struct siv_object *object;
	u64 offset;			/* bytes */
	u32 bitset;
	u32 expected;
	bool owned;			/* expected names an owner */
	const u32 *word;		/* in a pinned page */
	struct siv_grant *grant;
	struct task_struct *task;
	bool woken;			/* and out of its bucket */
	int error;			/* why */
};

extern wait_queue_head_t siv_object_told;
/* Registers of an ivshmem device, by QEMU's ivshmem-spec. */
#define SIV_REG_IVPOSITION	8
#define SIV_REG_DOORBELL	12

/* Vector 0 of the peer, the only one. */
static inline void siv_ring_peer(void __iomem *regs, u32 peer)
{
	writel(peer << 16, regs + SIV_REG_DOORBELL);
}

extern struct mutex siv_lock;
extern struct list_head siv_links, siv_sessions, siv_grants, siv_objects;

static inline struct siv_object *siv_object_of(struct inode *inode)
{
	return container_of(inode, struct siv_object, inode);
}

static inline struct siv_grant *siv_grant_of(const struct dentry *dentry)
{
	return dentry->d_fsdata;
}

/* pci.c */
int siv_pci_init(void);
void siv_pci_exit(void);
struct siv_link *siv_link_find(u32 position);		/* siv_lock held; or NULL */
void siv_link_put(struct siv_link *link);
u32 siv_link_count(void);

/* bell.c: doorbells of links whose memory is a device of its own */
int siv_bell_probe(struct pci_dev *pdev, void __iomem *regs, u32 position);
bool siv_bell_remove(struct pci_dev *pdev);		/* false: it is none */
int siv_bell_beside(struct pci_dev *pdev, struct siv_doorbell *doorbell);

/* control.c: the one control device */
int siv_control_bind(struct pci_dev *pdev, void __iomem *regs, void *memory);
void siv_control_unbind(struct pci_dev *pdev);
void siv_control_interrupt(void);
bool siv_control_up(void);
int siv_control_wait_up(void);				/* 0, -EHOSTDOWN, -EINTR */
void siv_control_link_came(void);
void siv_control_vm(char vm[SIVSHMEM_VM_LEN]);
/* Send one frame; may sleep up to SIV_TIMEOUT when the ring is full. */
int siv_control_send(u16 type, u16 flags, u64 session, const void *payload,
		     u32 length);
/* A request of the kernel's own: the object is up to date when it returns. */
int siv_control_call(u16 type, const void *payload, u32 length);
/* The same, with the answer's own words; NULL: no need. */
int siv_control_ask(u16 type, const void *payload, u32 length, struct sivring_done *answer);

u64 siv_control_epoch(void);				/* 0: none */
/* The host has acted on every frame that was sent in this epoch until now. */
bool siv_control_all_read(u64 epoch);

/* outbox.c: what must reach the host though its sender can't wait */
int siv_outbox_init(void);
void siv_outbox_exit(void);
void siv_outbox_kick(void);
void siv_outbox_session_close(struct siv_session *session);
void siv_outbox_release(u64 session, u64 grant);
void siv_outbox_grant_free(struct siv_grant *grant);
void siv_outbox_forget(void);				/* the host began anew */
u32 siv_outbox_beginning(void);				/* how often it did */

/* device.c */
int siv_device_init(void);
void siv_device_exit(void);

/* session.c */
extern const struct file_operations siv_session_fops;
void siv_session_put(struct siv_session *s);
void siv_session_left(struct siv_session *s);		/* the host has heard of its end */
kuid_t siv_payer(void);
struct siv_session *siv_session_find(u64 id);		/* siv_lock held */
void siv_session_deliver(u64 id, const void *message, u32 length);
void siv_session_end(struct siv_session *s, int error, bool revoke);
void siv_sessions_reset(void);				/* a new epoch */
void siv_sessions_forget_all(void);			/* every grant is dead, and unmapped */
int siv_session_announce(struct siv_session *s, u16 flags);

/* channel.c: the pseudo filesystem */
int siv_channel_init(void);
void siv_channel_exit(void);
/* The filesystem, and with it the module, is there while pinned: once per grant. */
int siv_channel_pin(void);
void siv_channel_unpin(void);
struct inode *siv_channel_inode(void);			/* new, or NULL */
struct file *siv_channel_file(struct siv_grant *grant, u32 flags);

/* grant.c */
int siv_grant_take(u64 session, const void *payload, u32 length);
void siv_grant_put(struct siv_grant *grant);
int siv_grant_fd(struct siv_session *s, struct sivshmem_grant_fd *arg);
void siv_grant_entry(const struct siv_grant *g, struct sivshmem_entry *e);
void siv_grant_revoke(struct siv_grant *grant);		/* siv_lock held */
void siv_grants_revoke(const struct siv_session *s);	/* all of its; likewise */
void siv_grants_wait(const struct siv_session *s);	/* until nothing of them is mapped */
void siv_grant_revoke_id(u64 id);
/* Ask the host; the object is up to date when they return 0. */
int siv_grant_stat(struct siv_grant *grant);
int siv_grant_resize(struct siv_grant *grant, u64 size, bool grow_only);

/* object.c */
bool siv_object_fits(const struct sivring_object *m, u32 room);
/* siv_lock held: the object of one more grant, or an error pointer. */
struct siv_object *siv_object_get(const struct sivring_grant *g,
				  const struct sivring_extent *extents);
/* siv_lock held. False: its pages are still in use here; ask again later. */
bool siv_object_close(struct siv_object *o);
bool siv_objects_close_all(void);			/* the same for each */
int siv_object_apply(const struct sivring_object *o,
		     const struct sivring_extent *extents, u32 room, bool unasked);
void siv_object_evict(struct inode *inode);
void siv_objects_drop_link(struct siv_link *link);	/* waits for the above */

/* unmap.c */
int siv_unmap_init(void);
void siv_unmap_exit(void);
void siv_unmap_work(struct work_struct *work);
void siv_unmap(struct siv_object *o, loff_t from);	/* siv_lock held; it is done later */
/* Until it is done, or the caller is killed. */
void siv_unmap_wait(const struct siv_object *o, long timeout);
void siv_unmap_wait_all(void);

/* Get the page that holds byte index * PAGE_SIZE, for a while: put_page() it. */
int siv_object_pin(const struct siv_grant *g, unsigned long index, struct page **page);

/* wake.c */
struct hrtimer_sleeper;
int siv_wake_bind(struct siv_link *link, const struct sivring_grant *m);	/* siv_lock held */
void siv_wake_unbind(struct siv_link *link);		/* no object of it is left */
extern unsigned int siv_storm;				/* module parameter */
u32 siv_wake_vm(const struct siv_wake *k);
/* 0, -EAGAIN, -ETIMEDOUT, -ERESTARTSYS, -EOWNERDEAD, -EKEYREVOKED */
int siv_wake_sleep(struct siv_wake *k, struct siv_sleeper *s,
		   struct hrtimer_sleeper *timeout);
u32 siv_wake_up(struct siv_wake *k, const struct siv_sleeper *who, u32 count,
		bool only_stale);
void siv_wake_revoked(struct siv_wake *k);		/* sleepers whose grants are */
void siv_wake_publish(u32 holder, u16 state);		/* siv_owner_lock held */
void siv_wake_republish(void);				/* all owners of this VM */
void siv_wake_owner_died(void);				/* siv_owner_lock held */

/* owner.c */
extern spinlock_t siv_owner_lock;
int siv_owner_init(void);
void siv_owner_exit(void);
int siv_owner_get(u32 vm, u32 *id);			/* of the current thread */
bool siv_owner_alive(u32 owner);			/* of this VM */
void siv_owner_states(u16 *states);			/* siv_owner_lock held */

/* wait.c */
int siv_wait_init(void);
void siv_wait_exit(void);

/* file.c */
extern const struct file_operations siv_file_fops;
extern const struct inode_operations siv_file_iops;

/* lock.c */
int siv_file_lock(struct file *file, int cmd, struct file_lock *fl);
void siv_lock_revoked(struct inode *inode);		/* those of revoked grants end */
void siv_lock_exit(void);

/* fault.c */
extern const struct vm_operations_struct siv_vm_ops;
int siv_vma_check(struct vm_area_struct *vma, const struct siv_grant *grant);

#endif
