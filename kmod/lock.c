// SPDX-License-Identifier: GPL-2.0
/*
 * flock(2) and fcntl(2) locks: the host has the list that counts, for all VMs;
 * the kernel's own says what a process must give back when it closes.
 */
#include <linux/file.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "compat.h"
#include "sivshmem.h"

#define RETRY	(2 * HZ)		/* should the host's word have been lost */
#define PAY_AGAIN	(HZ / 10)	/* an unlock in vain: it has waited by itself */

/* The host need not know addresses of this kernel. */
static u64 owner_of(const struct file_lock *fl)
{
	static u64 secret;

	get_random_once(&secret, sizeof(secret));
	return (uintptr_t)siv_fl(fl, owner) ^ secret;
}

static u32 type_of(const struct file_lock *fl)
{
	switch (siv_fl(fl, type)) {
	case F_RDLCK:
		return SIVRING_LOCK_READ;
	case F_WRLCK:
		return SIVRING_LOCK_WRITE;
	}
	return SIVRING_LOCK_NONE;
}

static bool is_flock(const struct file_lock *fl)
{
	return siv_fl(fl, flags) & FL_FLOCK;
}

static struct sivring_lock describe(const struct siv_grant *g, const struct file_lock *fl)
{
	return (struct sivring_lock){
		.grant = g->id, .owner = owner_of(fl), .type = type_of(fl),
		.start = fl->fl_start, .end = fl->fl_end,
		.flags = is_flock(fl) ? 0 : SIVRING_LOCK_RECORD,
	};
}

/* --- what is given back --- */

/*
 * An unlock that the host has not answered. Until it has, its owner gets nothing
 * more: what is given back first must not end what is taken then.
 */
struct owed {
	struct list_head node;
	struct sivring_lock lock;
	bool unheard;			/* to be told again: the work's, which clears it first */
};

static LIST_HEAD(owed);			/* in the order of being given back */
static bool deaf;			/* the host has not answered the last one in time */
static DEFINE_SPINLOCK(owed_lock);
static DECLARE_WAIT_QUEUE_HEAD(paid);
static void pay_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(pay_work, pay_fn);

/* What two unlocks of one owner give back is one range. */
static bool touch(const struct sivring_lock *a, const struct sivring_lock *b)
{
	return a->grant == b->grant && a->owner == b->owner && a->flags == b->flags &&
	       (a->start <= b->end || a->start - b->end == 1) &&
	       (b->start <= a->end || b->start - a->end == 1);
}

/*
 * owed_lock held. Nothing was taken since by an owner who owes, so that one unlock
 * will do for all that touch; else a loop of them would fill the memory.
 */
static void absorb(struct sivring_lock *lock)
{
	struct owed *o, *next;

	list_for_each_entry_safe(o, next, &owed, node) {
		if (!o->unheard || !touch(&o->lock, lock))
			continue;
		lock->start = min(lock->start, o->lock.start);
		lock->end = max(lock->end, o->lock.end);
		list_del(&o->node);
		kfree(o);
	}
}

static struct owed *owe(const struct sivring_lock *lock, bool unheard)
{
	struct owed *o = kmalloc(sizeof(*o), GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);

	o->lock = *lock;
	o->lock.type = SIVRING_LOCK_NONE;
	o->lock.flags &= ~SIVRING_LOCK_TEST;
	o->unheard = unheard;
	spin_lock(&owed_lock);
	if (unheard)
		absorb(&o->lock);
	list_add_tail(&o->node, &owed);
	spin_unlock(&owed_lock);
	if (unheard)
		schedule_delayed_work(&pay_work, PAY_AGAIN);
	return o;
}

/* True: it is gone, and *err what the host said. Else the work has it now. */
static bool pay(struct owed *o, int *err)
{
	bool heard;

	*err = siv_control_ask(SIVRING_LOCK, &o->lock, sizeof(o->lock), NULL);
	heard = *err != -EHOSTDOWN && *err != -EINTR;
	spin_lock(&owed_lock);
	o->unheard = !heard;
	if (*err != -EINTR)
		WRITE_ONCE(deaf, !heard);
	if (heard)
		list_del(&o->node);
	spin_unlock(&owed_lock);
	if (heard) {
		kfree(o);
		wake_up_all(&paid);
	} else {
		schedule_delayed_work(&pay_work, PAY_AGAIN);
	}
	return heard;
}

static struct owed *take_unheard(void)
{
	struct owed *o, *found = NULL;

	spin_lock(&owed_lock);
	list_for_each_entry(o, &owed, node)
		if (o->unheard) {
			o->unheard = false;
			found = o;
			break;
		}
	spin_unlock(&owed_lock);
	return found;
}

static void pay_fn(struct work_struct *work)
{
	struct owed *o;
	int err;

	while ((o = take_unheard()) && pay(o, &err))
		;
}

static bool owes(u64 owner)
{
	struct owed *o;
	bool yes = false;

	spin_lock(&owed_lock);
	list_for_each_entry(o, &owed, node)
		yes |= o->lock.owner == owner;
	spin_unlock(&owed_lock);
	return yes;
}

static int settle(const struct siv_grant *g, u64 owner)
{
	long left;

	if (READ_ONCE(g->revoked))
		return -EKEYREVOKED;
	left = wait_event_killable_timeout(paid, !owes(owner), SIV_TIMEOUT);
	return left > 0 ? 0 : left ? -EINTR : -EHOSTDOWN;
}

void siv_lock_exit(void)
{
	struct owed *o, *next;

	cancel_delayed_work_sync(&pay_work);
	list_for_each_entry_safe(o, next, &owed, node)
		kfree(o);
}

/* --- asking --- */

static int ask(const struct siv_grant *g, const struct file_lock *fl, u32 flags,
	       struct sivring_done *found)
{
	struct sivring_lock lock = describe(g, fl);
	int err = settle(g, lock.owner);

	lock.flags |= flags;
	return err ?: siv_control_ask(SIVRING_LOCK, &lock, sizeof(lock), found);
}

static int tell_unlock(const struct siv_grant *g, const struct file_lock *fl, bool had)
{
	const struct sivring_lock lock = describe(g, fl);
	int err;

	if (READ_ONCE(g->revoked))
		return -EKEYREVOKED;
	/* who ends has as many as he took, and can not be killed out of waiting */
	if (!siv_control_up() || READ_ONCE(deaf)) {
		if (had)
			owe(&lock, true);
		return 0;
	}
	return pay(owe(&lock, false), &err) ? err : 0;
}

/* Ask until it is given, the host telling when it may be. */
static int ask_and_wait(struct siv_grant *g, const struct file_lock *fl)
{
	struct siv_object *o = g->object;
	unsigned int told;
	long left;
	int err;

	for (;;) {
		told = READ_ONCE(o->told);
		err = ask(g, fl, 0, NULL);
		if (err != -EAGAIN)
			return err;
		left = wait_event_interruptible_timeout(siv_object_told,
			READ_ONCE(o->told) != told || READ_ONCE(g->revoked), RETRY);
		if (left < 0)
			return left;
	}
}

/* First here: who is let in by the host must not meet it here any more. */
static int give_back(struct file *file, struct file_lock *fl)
{
	/* of a file without locks the kernel does not say for each kind that there was none */
	bool any = locks_inode_context(file_inode(file));
	int err, host;

	siv_fl(fl, flags) |= FL_EXISTS;
	err = locks_lock_file_wait(file, fl);
	/* the host may have one that is not here: it had no room to cut it in two */
	host = tell_unlock(siv_grant_of(file->f_path.dentry), fl, any && err != -ENOENT);
	return err && err != -ENOENT ? err : host;
}

/* A conversion is no unit, says flock(2): the host has ended the old one. */
static void lose_old(struct file *file, struct file_lock *fl)
{
	unsigned char wanted = siv_fl(fl, type);

	siv_fl(fl, type) = F_UNLCK;
	locks_lock_file_wait(file, fl);
	siv_fl(fl, type) = wanted;
}

/* The host may have given it, or will yet, and nobody would return it. */
static void not_taken(struct file *file, struct file_lock *fl)
{
	const struct sivring_lock lock = describe(siv_grant_of(file->f_path.dentry), fl);

	siv_fl(fl, type) = F_UNLCK;
	locks_lock_file_wait(file, fl);
	owe(&lock, true);
}

static int get_lock(struct file *file, int cmd, struct file_lock *fl)
{
	struct siv_grant *g = siv_grant_of(file->f_path.dentry);
	int err = settle(g, owner_of(fl));

	/* nothing was asked for that would have to be given back */
	if (err)
		return err;
	err = ask(g, fl, 0, NULL);
	if (err == -EAGAIN && is_flock(fl))
		lose_old(file, fl);
	if (err == -EAGAIN && cmd == F_SETLKW)
		err = ask_and_wait(g, fl);
	if (!err)
		err = locks_lock_file_wait(file, fl);
	else if (err != -EINTR && err != -EHOSTDOWN)
		return err;
	/* siv_lock_revoked() may have been too early for it */
	if (!err && READ_ONCE(g->revoked))
		err = -EKEYREVOKED;
	if (err)
		not_taken(file, fl);
	return err;
}

static int test_lock(struct file *file, struct file_lock *fl)
{
	struct sivring_done found = { };
	int err = ask(siv_grant_of(file->f_path.dentry), fl, SIVRING_LOCK_TEST, &found);

	if (err && err != -EAGAIN)
		return err;
	siv_fl(fl, type) = F_UNLCK;
	if (!err)
		return 0;
	siv_fl(fl, type) = found.lock_type == SIVRING_LOCK_READ ? F_RDLCK : F_WRLCK;
	siv_fl(fl, pid) = -1;			/* as fcntl(2) says it of another machine's */
	fl->fl_start = min_t(u64, found.lock_start, OFFSET_MAX);
	fl->fl_end = min_t(u64, found.lock_end, OFFSET_MAX);
	return 0;
}

/* --- what is taken back --- */

static struct file *find_revoked(struct list_head *locks, struct file_lock *found)
{
	struct file_lock *fl;

	list_for_each_entry(fl, locks, siv_fl_node) {
		struct file *file = siv_fl(fl, file);

		if (!READ_ONCE(siv_grant_of(file->f_path.dentry)->revoked) || !siv_file_hold(file))
			continue;
		locks_init_lock(found);
		locks_copy_lock(found, fl);
		return file;
	}
	return NULL;
}

/*
 * Whose grant is revoked has lost its locks at the host, which gives them to
 * others; they must not wait here for him to close his files.
 */
void siv_lock_revoked(struct inode *inode)
{
	struct file_lock_context *ctx = locks_inode_context(inode);
	struct file_lock lock;
	struct file *file;
	int err = 0;

	while (ctx && !err) {
		spin_lock(&ctx->flc_lock);
		file = find_revoked(&ctx->flc_flock, &lock) ?: find_revoked(&ctx->flc_posix, &lock);
		spin_unlock(&ctx->flc_lock);
		if (!file)
			break;
		siv_fl(&lock, type) = F_UNLCK;
		err = locks_lock_inode_wait(inode, &lock);
		fput(file);
	}
}

int siv_file_lock(struct file *file, int cmd, struct file_lock *fl)
{
	if (cmd == F_GETLK)
		return test_lock(file, fl);
	if (cmd != F_SETLK && cmd != F_SETLKW)
		return -EINVAL;
	return siv_fl(fl, type) == F_UNLCK ? give_back(file, fl) : get_lock(file, cmd, fl);
}
