// SPDX-License-Identifier: GPL-2.0
/*
 * Which threads of this VM own locks, so that others learn of their death: a
 * holder's state is odd while its thread lives, and is never the same again
 * for 256 threads. The kernel tells of a thread's end by its tracepoints.
 */
#include <linux/binfmts.h>
#include <linux/cred.h>
#include <linux/hash.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>
#include "sivshmem.h"

#define HASH_BITS	8

struct holder {
	struct hlist_node node;
	struct task_struct *task;	/* NULL: free; never followed */
	kuid_t uid;
	u16 state;
};

DEFINE_SPINLOCK(siv_owner_lock);

static struct holder *holders;		/* all under the lock, but reads of state */
static struct hlist_head by_task[1 << HASH_BITS];
static unsigned int next, used;
static struct tracepoint *exit_point, *exec_point;

static struct hlist_head *head_of(const struct task_struct *task)
{
	return &by_task[hash_ptr(task, HASH_BITS)];
}

static struct holder *find(const struct task_struct *task)
{
	struct holder *h;

	hlist_for_each_entry(h, head_of(task), node)
		if (h->task == task)
			return h;
	return NULL;
}

static void set_state(struct holder *h, u16 state)
{
	WRITE_ONCE(h->state, state & SIVWAKE_GENERATION);
	siv_wake_publish(h - holders, h->state);
}

/* A user may have as many as are left for the others. */
static bool has_share(kuid_t uid)
{
	unsigned int i, own = 0;

	if (used < SIVWAKE_HOLDERS / 2)
		return true;
	for (i = 0; i < SIVWAKE_HOLDERS; i++)
		own += holders[i].task && uid_eq(holders[i].uid, uid);
	return own < SIVWAKE_HOLDERS - used;
}

static struct holder *take(struct task_struct *task)
{
	struct holder *h;

	if (used == SIVWAKE_HOLDERS || !has_share(siv_payer()))
		return NULL;
	while (holders[next].task)
		next = (next + 1) % SIVWAKE_HOLDERS;
	h = &holders[next];
	/* not the same at once: its last state should be old when it comes again */
	next = (next + 1) % SIVWAKE_HOLDERS;
	h->task = task;
	h->uid = siv_payer();
	hlist_add_head(&h->node, head_of(task));
	WRITE_ONCE(used, used + 1);
	set_state(h, h->state + 1);
	return h;
}

int siv_owner_get(u32 vm, u32 *id)
{
	struct holder *h;

	if (!exit_point)
		return -EOPNOTSUPP;
	spin_lock(&siv_owner_lock);
	h = find(current) ?: take(current);
	if (h)
		*id = sivwake_owner(vm, h - holders, h->state);
	spin_unlock(&siv_owner_lock);
	return h ? 0 : -EAGAIN;
}

bool siv_owner_alive(u32 owner)
{
	u16 state = READ_ONCE(holders[sivwake_owner_holder(owner)].state);

	return (state & 1) && state == (owner & SIVWAKE_GENERATION);
}

void siv_owner_states(u16 *states)
{
	unsigned int i;

	for (i = 0; i < SIVWAKE_HOLDERS; i++)
		WRITE_ONCE(states[i], holders[i].state);
}

static void gone(struct task_struct *task)
{
	struct holder *h;

	if (!READ_ONCE(used))
		return;
	spin_lock(&siv_owner_lock);
	h = find(task);
	if (h) {
		hlist_del(&h->node);
		h->task = NULL;
		WRITE_ONCE(used, used - 1);
		set_state(h, h->state + 1);
		siv_wake_owner_died();
	}
	spin_unlock(&siv_owner_lock);
}

static void on_exit(void *data, struct task_struct *task)
{
	gone(task);
}

static void on_exec(void *data, struct task_struct *task, pid_t old_pid,
		    struct linux_binprm *bprm)
{
	gone(task);
}

/* They are not exported, but can be looked up. */
static void note_point(struct tracepoint *point, void *data)
{
	if (!strcmp(point->name, "sched_process_exit"))
		exit_point = point;
	else if (!strcmp(point->name, "sched_process_exec"))
		exec_point = point;
}

static int register_points(void)
{
	int err;

	for_each_kernel_tracepoint(note_point, NULL);
	if (!exit_point || !exec_point) {
		exit_point = exec_point = NULL;
		pr_warn("sivshmem: a kernel without scheduler tracepoints: no robust locks\n");
		return 0;
	}
	err = tracepoint_probe_register(exit_point, on_exit, NULL);
	if (err)
		return err;
	err = tracepoint_probe_register(exec_point, on_exec, NULL);
	if (err)
		tracepoint_probe_unregister(exit_point, on_exit, NULL);
	return err;
}

int siv_owner_init(void)
{
	unsigned int i;
	int err;

	holders = kvcalloc(SIVWAKE_HOLDERS, sizeof(*holders), GFP_KERNEL);
	if (!holders)
		return -ENOMEM;
	/* ids of before a restart should not come back soon: begin somewhere */
	next = get_random_u32() % SIVWAKE_HOLDERS;
	for (i = 0; i < SIVWAKE_HOLDERS; i++)
		holders[i].state = get_random_u32() & SIVWAKE_GENERATION & ~1u;
	err = register_points();
	if (err)
		kvfree(holders);
	return err;
}

void siv_owner_exit(void)
{
	if (exit_point) {
		tracepoint_probe_unregister(exec_point, on_exec, NULL);
		tracepoint_probe_unregister(exit_point, on_exit, NULL);
		tracepoint_synchronize_unregister();
	}
	kvfree(holders);
}
