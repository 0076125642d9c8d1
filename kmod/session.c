// SPDX-License-Identifier: GPL-2.0
/* /dev/sivshmem: one open is one session, stamped with who opened it. */
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include "sivshmem.h"

struct message {
	struct list_head node;
	u32 length;
	u8 bytes[];
};

static u64 last_id;		/* under siv_lock */
static LIST_HEAD(leaving);	/* the host has not heard yet that they ended; likewise */

static void session_free(struct kref *ref)
{
	struct siv_session *s = container_of(ref, struct siv_session, ref);
	struct message *m, *next;

	mutex_lock(&siv_lock);
	list_move(&s->node, &leaving);
	mutex_unlock(&siv_lock);
	list_for_each_entry_safe(m, next, &s->inbox, node)
		kfree(m);
	put_pid(s->tgid);
	siv_outbox_session_close(s);
}

void siv_session_left(struct siv_session *s)
{
	mutex_lock(&siv_lock);
	list_del(&s->node);
	mutex_unlock(&siv_lock);
	kfree(s);
}

void siv_session_put(struct siv_session *s)
{
	kref_put(&s->ref, session_free);
}

struct siv_session *siv_session_find(u64 id)
{
	struct siv_session *s;

	list_for_each_entry(s, &siv_sessions, node)
		if (s->id == id)
			return s;
	return NULL;
}

/*
 * Who pays: of a user namespace he who made it, whoever he is in there. Those that
 * root makes are containers, each of which pays as the user whom it has for root.
 */
kuid_t siv_payer(void)
{
	struct user_namespace *ns = current_user_ns();
	kuid_t own;

	if (ns == &init_user_ns)
		return current_euid();
	while (ns->parent != &init_user_ns)
		ns = ns->parent;
	own = make_kuid(ns, 0);
	return uid_eq(ns->owner, GLOBAL_ROOT_UID) && uid_valid(own) ? own : ns->owner;
}

static void stamp(struct sivring_session *who)
{
	struct task_struct *leader = current->group_leader;

	who->uid = from_kuid(&init_user_ns, current_euid());
	who->gid = from_kgid(&init_user_ns, current_egid());
	who->pid = task_tgid_nr(current);
	who->payer = from_kuid(&init_user_ns, siv_payer());
	who->start_time = leader->start_boottime;
	get_task_comm(who->comm, leader);
}

int siv_session_announce(struct siv_session *s, u16 flags)
{
	return siv_control_send(SIVRING_SESSION_OPEN, flags, s->id, &s->who,
				sizeof(s->who));
}

static void count_sessions(const struct list_head *list, kuid_t payer, unsigned int *all,
			   unsigned int *own)
{
	struct siv_session *s;

	list_for_each_entry(s, list, node) {
		++*all;
		*own += uid_eq(s->payer, payer);
	}
}

/*
 * siv_lock held. No user gets more than are left for all others. One counts until
 * the host has heard of its end: nobody opens and closes faster than that.
 */
static bool has_share(kuid_t payer)
{
	unsigned int all = 0, own = 0;

	count_sessions(&siv_sessions, payer, &all, &own);
	count_sessions(&leaving, payer, &all, &own);
	return all < SIV_SESSIONS_MAX && own < SIV_SESSIONS_MAX - all;
}

static bool enlist(struct siv_session *s)
{
	bool may;

	mutex_lock(&siv_lock);
	may = has_share(s->payer);
	if (may) {
		s->id = ++last_id;
		list_add_tail(&s->node, &siv_sessions);
	}
	mutex_unlock(&siv_lock);
	return may;
}

/* A host that restarts knows no handshake of before: what began has to begin again. */
static int gone(int err)
{
	return err == -EHOSTDOWN ? -ECONNRESET : err;
}

static int session_open(struct inode *inode, struct file *file)
{
	struct siv_session *s;
	int err;

	err = siv_control_wait_up();
	if (err)
		return err;
	s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return -ENOMEM;
	kref_init(&s->ref);
	spin_lock_init(&s->lock);
	INIT_LIST_HEAD(&s->inbox);
	init_waitqueue_head(&s->wait);
	s->tgid = get_pid(task_tgid(current));
	stamp(&s->who);
	s->payer = siv_payer();
	if (!enlist(s)) {
		put_pid(s->tgid);
		kfree(s);
		return -EMFILE;
	}
	err = siv_session_announce(s, 0);
	/* not before: this host has to hear of the end */
	s->beginning = siv_outbox_beginning();
	if (err) {
		siv_session_put(s);
		return gone(err);
	}
	file->private_data = s;
	return stream_open(inode, file);
}

/* A forked child or a receiver of the fd is somebody else: it opens its own. */
static bool mine(const struct siv_session *s)
{
	return s->tgid == task_tgid(current);
}

static int session_error(struct siv_session *s)
{
	int err;

	spin_lock(&s->lock);
	err = s->error;
	spin_unlock(&s->lock);
	return err;
}

static ssize_t session_write(struct file *file, const char __user *from,
			     size_t length, loff_t *pos)
{
	struct siv_session *s = file->private_data;
	void *message;
	int err;

	if (!mine(s))
		return -EPERM;
	if (!length || length > SIVSHMEM_MSG_MAX)
		return -EMSGSIZE;
	err = session_error(s);
	if (err)
		return err;
	message = memdup_user(from, length);
	if (IS_ERR(message))
		return PTR_ERR(message);
	err = siv_control_send(SIVRING_RELAY, 0, s->id, message, length);
	kfree(message);
	return err ? gone(err) : length;
}

/* NULL with *err: 0 where there is none yet. */
static struct message *take_message(struct siv_session *s, size_t room, int *err)
{
	struct message *m;

	spin_lock(&s->lock);
	m = list_first_entry_or_null(&s->inbox, struct message, node);
	if (m && m->length > room) {
		*err = -EMSGSIZE;
		m = NULL;
	} else if (m) {
		list_del(&m->node);
		s->inbox_count--;
	} else {
		*err = s->error;
	}
	spin_unlock(&s->lock);
	return m;
}

static bool readable(struct siv_session *s)
{
	bool yes;

	spin_lock(&s->lock);
	yes = s->error || !list_empty(&s->inbox);
	spin_unlock(&s->lock);
	return yes;
}

static ssize_t session_read(struct file *file, char __user *to, size_t room,
			    loff_t *pos)
{
	struct siv_session *s = file->private_data;
	struct message *m;
	ssize_t n;
	int err;

	if (!mine(s))
		return -EPERM;
	while (!(m = take_message(s, room, &err))) {
		/* the host names the error, which may be any */
		if (err)
			return err;
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(s->wait, readable(s)))
			return -ERESTARTSYS;
	}
	n = m->length;
	if (copy_to_user(to, m->bytes, m->length))
		n = -EFAULT;
	kfree(m);
	return n;
}

static __poll_t session_poll(struct file *file, poll_table *table)
{
	struct siv_session *s = file->private_data;
	__poll_t events = EPOLLOUT | EPOLLWRNORM;

	poll_wait(file, &s->wait, table);
	if (readable(s))
		events |= EPOLLIN | EPOLLRDNORM;
	if (session_error(s))
		events |= EPOLLERR | EPOLLHUP;
	return events;
}

void siv_session_deliver(u64 id, const void *message, u32 length)
{
	struct siv_session *s;
	struct message *m;
	bool full;

	mutex_lock(&siv_lock);
	s = siv_session_find(id);
	if (!s || s->closed)
		goto out;
	m = kmalloc(struct_size(m, bytes, length), GFP_KERNEL);
	if (!m) {
		siv_session_end(s, -ECONNRESET, false);
		goto out;
	}
	m->length = length;
	memcpy(m->bytes, message, length);
	spin_lock(&s->lock);
	full = s->inbox_count >= SIV_INBOX_MAX || s->error;
	if (!full) {
		list_add_tail(&m->node, &s->inbox);
		s->inbox_count++;
	}
	spin_unlock(&s->lock);
	if (full)
		kfree(m);
	wake_up_all(&s->wait);
out:
	mutex_unlock(&siv_lock);
}

/* siv_lock held. With revoke, every fd and mapping that it granted dies. */
void siv_session_end(struct siv_session *s, int error, bool revoke)
{
	spin_lock(&s->lock);
	if (!s->error || revoke)
		s->error = error;
	spin_unlock(&s->lock);
	wake_up_all(&s->wait);
	if (!revoke)
		return;
	s->ended = true;
	siv_grants_revoke(s);
}

void siv_sessions_forget_all(void)
{
	struct siv_session *s;

	mutex_lock(&siv_lock);
	list_for_each_entry(s, &siv_sessions, node)
		siv_session_end(s, -ECONNRESET, true);
	mutex_unlock(&siv_lock);
	siv_unmap_wait_all();
}

static struct siv_session *next_again(void)
{
	struct siv_session *s, *found = NULL;

	mutex_lock(&siv_lock);
	list_for_each_entry(s, &siv_sessions, node) {
		if (s->again && kref_get_unless_zero(&s->ref)) {
			s->again = false;
			found = s;
			break;
		}
	}
	mutex_unlock(&siv_lock);
	return found;
}

/*
 * The host begins an epoch: it has lost every handshake, but not the grants,
 * which it must be told of again.
 */
void siv_sessions_reset(void)
{
	struct siv_session *s;
	int err = 0;

	mutex_lock(&siv_lock);
	list_for_each_entry(s, &siv_sessions, node) {
		siv_session_end(s, -ECONNRESET, false);
		s->again = true;
	}
	mutex_unlock(&siv_lock);
	/* a host that does not read must not stall what needs the lock */
	while (!err && (s = next_again())) {
		err = siv_session_announce(s, SIVRING_F_AGAIN);
		siv_session_put(s);
	}
}

static void drop_unclaimed(struct siv_session *s)
{
	struct siv_grant *g, *next;
	LIST_HEAD(dead);

	mutex_lock(&siv_lock);
	list_for_each_entry_safe(g, next, &siv_grants, node) {
		if (g->session == s && !g->claimed) {
			g->claimed = true;
			/* nobody has a file of it; who looks for grants to revoke misses it */
			WRITE_ONCE(g->revoked, true);
			list_move(&g->node, &dead);
		}
	}
	mutex_unlock(&siv_lock);
	list_for_each_entry_safe(g, next, &dead, node) {
		mutex_lock(&siv_lock);
		list_move(&g->node, &siv_grants);
		mutex_unlock(&siv_lock);
		siv_grant_put(g);
	}
}

static int session_release(struct inode *inode, struct file *file)
{
	struct siv_session *s = file->private_data;

	mutex_lock(&siv_lock);
	s->closed = true;
	mutex_unlock(&siv_lock);
	drop_unclaimed(s);
	siv_session_put(s);
	return 0;
}

static int ioctl_info(struct siv_session *s, void __user *arg)
{
	struct sivshmem_info info = {
		.version = SIVSHMEM_UAPI_VERSION,
		.up = siv_control_up(),
		.session = s->id,
		.links = siv_link_count(),
	};

	siv_control_vm(info.vm);
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static int ioctl_grant_fd(struct siv_session *s, void __user *arg)
{
	struct sivshmem_grant_fd g;
	int err;

	if (copy_from_user(&g, arg, sizeof(g)))
		return -EFAULT;
	err = siv_grant_fd(s, &g);
	if (err)
		return err;
	/* too late to take the fd back: the program can find it and close it */
	return copy_to_user(arg, &g, sizeof(g)) ? -EFAULT : 0;
}

static bool may_see(const struct siv_grant *g)
{
	return capable(CAP_SYS_ADMIN) ||
	       g->session->who.uid == from_kuid(&init_user_ns, current_uid());
}

static int ioctl_list(void __user *arg)
{
	struct sivshmem_list list;
	struct sivshmem_entry *entries;
	struct siv_grant *g;
	u32 room, n = 0;
	int err = 0;

	if (copy_from_user(&list, arg, sizeof(list)))
		return -EFAULT;
	if (list.pad)
		return -EINVAL;
	room = min_t(u32, list.count, 65536);
	entries = kvcalloc(max_t(u32, room, 1), sizeof(*entries),
			   GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!entries)
		return -ENOMEM;
	mutex_lock(&siv_lock);
	list_for_each_entry(g, &siv_grants, node) {
		if (!may_see(g))
			continue;
		if (n < room)
			siv_grant_entry(g, &entries[n]);
		n++;
	}
	mutex_unlock(&siv_lock);
	list.count = n;
	if (copy_to_user(u64_to_user_ptr(list.entries), entries,
			 (size_t)min(n, room) * sizeof(*entries)) ||
	    copy_to_user(arg, &list, sizeof(list)))
		err = -EFAULT;
	kvfree(entries);
	return err;
}

static long session_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct siv_session *s = file->private_data;

	if (!mine(s))
		return -EPERM;
	switch (cmd) {
	case SIVSHMEM_IOC_INFO:
		return ioctl_info(s, (void __user *)arg);
	case SIVSHMEM_IOC_GRANT_FD:
		return ioctl_grant_fd(s, (void __user *)arg);
	case SIVSHMEM_IOC_LIST:
		return ioctl_list((void __user *)arg);
	case SIVSHMEM_IOC_END:
		mutex_lock(&siv_lock);
		siv_session_end(s, -EKEYREVOKED, true);
		mutex_unlock(&siv_lock);
		siv_grants_wait(s);
		return 0;
	}
	return -ENOTTY;
}

const struct file_operations siv_session_fops = {
	.owner = THIS_MODULE,
	.open = session_open,
	.release = session_release,
	.read = session_read,
	.write = session_write,
	.poll = session_poll,
	.unlocked_ioctl = session_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
