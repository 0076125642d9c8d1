// SPDX-License-Identifier: GPL-2.0
/*
 * flock(2) and fcntl(2) locks: the host has the list that counts, for all VMs;
 * the kernel's own says what a process must give back when it closes.
 */
#include <linux/random.h>
#include "compat.h"
#include "sivshmem.h"

#define RETRY	(2 * HZ)		/* should the host's word have been lost */

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

static int ask(const struct siv_grant *g, const struct file_lock *fl, u32 flags,
	       struct sivring_done *found)
{
	struct sivring_lock lock = {
		.grant = g->id, .owner = owner_of(fl), .type = type_of(fl),
		.start = fl->fl_start, .end = fl->fl_end, .flags = flags,
	};

	if (READ_ONCE(g->revoked))
		return -EKEYREVOKED;
	if (!(siv_fl(fl, flags) & FL_FLOCK))
		lock.flags |= SIVRING_LOCK_RECORD;
	return siv_control_ask(SIVRING_LOCK, &lock, sizeof(lock), found);
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

static int get_lock(struct file *file, int cmd, struct file_lock *fl)
{
	struct siv_grant *g = siv_grant_of(file->f_path.dentry);
	int err = cmd == F_SETLKW ? ask_and_wait(g, fl) : ask(g, fl, 0, NULL);

	if (!err)
		err = locks_lock_file_wait(file, fl);
	else if (err != -EINTR)
		return err;
	/* killed before the answer: the host may have given it, and nobody would return it */
	if (err) {
		siv_fl(fl, type) = F_UNLCK;
		locks_lock_file_wait(file, fl);
		ask(g, fl, 0, NULL);
	}
	return err;
}

/* First here: who is let in by the host must not meet it here any more. */
static int give_back(struct file *file, struct file_lock *fl)
{
	int err = locks_lock_file_wait(file, fl), host;

	host = ask(siv_grant_of(file->f_path.dentry), fl, 0, NULL);
	return err ?: host;
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

int siv_file_lock(struct file *file, int cmd, struct file_lock *fl)
{
	if (cmd == F_GETLK)
		return test_lock(file, fl);
	if (cmd != F_SETLK && cmd != F_SETLKW)
		return -EINVAL;
	return siv_fl(fl, type) == F_UNLCK ? give_back(file, fl) : get_lock(file, cmd, fl);
}
