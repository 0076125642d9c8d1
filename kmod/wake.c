// SPDX-License-Identifier: GPL-2.0
/*
 * Sleepers of this VM, and wakes to and from the others of a link. The protocol
 * is in sivshmem/wake.h; nothing read from the table is used but as a hint.
 */
#include <linux/freezer.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <asm/sync_bitops.h>
#include "sivshmem.h"

#define LOOK		HZ	/* sleepers' words, should a peer not keep the rules */
#define EVERYBODY	8	/* each such wake passes over nobody for being far */
#define KEYS		8	/* words of one bucket that are told apart */
#define TRIES		64	/* of an exchange with memory that a peer may spoil */
#define SPENT_MAX	(100 * NSEC_PER_MSEC)	/* more was this VM's pause, not its work */

struct bucket {
	spinlock_t lock;
	struct list_head sleepers;	/* first come first */
	u32 count;
};

struct siv_wake {
	struct siv_link *link;
	struct sivwake_slot *slots;	/* of vms */
	struct sivwake_holders *holders;	/* of writers, who alone can write it */
	u64 vms, writers, wakes;
	u32 vm;
	atomic_t sleepers, owned, turn;
	struct delayed_work look;
	unsigned long storm_at;		/* jiffies, with how many interrupts in it */
	unsigned int storm;
	u64 paid_at;			/* ns: when their time is worked off */
	bool deaf;			/* look() is to enable the interrupt again */
	struct list_head node;		/* wakes, under siv_owner_lock */
	struct bucket bucket[SIVWAKE_BUCKETS];
};

static LIST_HEAD(wakes);

/* The VM's place among the link's, for its slot and its position. */
static u32 rank(u64 vms, u32 vm)
{
	return hweight64(vms & (BIT_ULL(vm) - 1));
}

static u64 holders_size(const struct sivring_grant *m)
{
	return hweight64(m->writers) * sizeof(struct sivwake_holders);
}

/* Of the link's memory, at its end. */
static u64 tables_size(const struct siv_link *link, const struct sivring_grant *m)
{
	u64 slots = hweight64(m->vms) * sizeof(struct sivwake_slot);

	return holders_size(m) + (link->doorbell.table ? 0 : slots);
}

static struct sivwake_slot *slot_of(const struct siv_wake *k, u32 vm)
{
	return &k->slots[rank(k->vms, vm)];
}

static struct sivwake_slot *own_slot(const struct siv_wake *k)
{
	return slot_of(k, k->vm);
}

/* NULL: it may only read the link, and so has no locks there. */
static u16 *states_of(const struct siv_wake *k, u32 vm)
{
	return k->writers & BIT_ULL(vm) ? k->holders[rank(k->writers, vm)].state : NULL;
}

u32 siv_wake_vm(const struct siv_wake *k)
{
	return k->vm;
}

/* --- to other VMs --- */

static void ring(const struct siv_wake *k, u32 vm)
{
	u32 first = k->link->doorbell.position - rank(k->vms, k->vm);

	siv_ring_peer(k->link->doorbell.regs, first + rank(k->vms, vm));
}

/* Locked in a guest of one processor too: the other side is another machine. */
static void add_pending(u64 *pending, u32 count, u32 bitset)
{
	u64 old = READ_ONCE(*pending), seen, new;
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		new = min_t(u64, (u64)lower_32_bits(old) + count, U32_MAX) |
			(u64)(upper_32_bits(old) | bitset) << 32;
		seen = sync_cmpxchg(pending, old, new);
		if (seen == old)
			return;
		old = seen;
	}
	/* somebody writes it all the time: then everybody is to look */
	WRITE_ONCE(*pending, U64_MAX);
}

/* How many threads may wake of it. */
static u32 wake_others(struct siv_wake *k, unsigned int bucket, u32 count, u32 bitset)
{
	u64 left = k->wakes;
	u32 reached = 0;

	virt_mb();		/* the word changed before we look who sleeps on it */
	while (left) {
		u32 vm = __ffs64(left);
		struct sivwake_slot *slot = slot_of(k, vm);
		u32 waiters = READ_ONCE(slot->waiters[bucket]);

		left &= left - 1;
		if (!waiters)
			continue;
		add_pending(&slot->pending[bucket], count, bitset);
		/* where it is set, the bell has rung and is not answered yet */
		if (!sync_test_and_set_bit(bucket, (unsigned long *)slot->dirty))
			ring(k, vm);
		reached = min_t(u64, INT_MAX, (u64)reached + min(count, waiters));
	}
	return reached;
}

/* --- sleepers of this VM --- */

/* lock held */
static void set_count(struct siv_wake *k, unsigned int bucket, int change)
{
	struct bucket *b = &k->bucket[bucket];

	b->count += change;
	WRITE_ONCE(own_slot(k)->waiters[bucket], b->count);
}

/* lock held; the sleeper takes the lock before its stack is gone */
static void release(struct siv_wake *k, unsigned int bucket, struct siv_sleeper *s,
		    int error)
{
	list_del_init(&s->node);
	set_count(k, bucket, -1);
	s->error = error;
	WRITE_ONCE(s->woken, true);
	wake_up_process(s->task);
}

static bool same_word(const struct siv_sleeper *a, const struct siv_sleeper *b)
{
	return a->object == b->object && a->offset == b->offset;
}

static bool stale(const struct siv_sleeper *s)
{
	return READ_ONCE(*s->word) != s->expected;
}

u32 siv_wake_up(struct siv_wake *k, const struct siv_sleeper *who, u32 count,
		bool only_stale)
{
	unsigned int bucket = sivwake_bucket(who->object->id, who->offset);
	struct bucket *b = &k->bucket[bucket];
	struct siv_sleeper *s, *next;
	unsigned long flags;
	u32 woken = 0, more;

	virt_mb();
	spin_lock_irqsave(&b->lock, flags);
	list_for_each_entry_safe(s, next, &b->sleepers, node) {
		if (woken == count)
			break;
		if (!same_word(s, who) || !(s->bitset & who->bitset) ||
		    (only_stale && !stale(s)))
			continue;
		release(k, bucket, s, 0);
		woken++;
	}
	spin_unlock_irqrestore(&b->lock, flags);

	/* those here are nearer, but not the only ones */
	more = (u32)atomic_inc_return(&k->turn) % EVERYBODY ? count - woken : count;
	if (more && count)
		woken = min_t(u64, INT_MAX,
			      (u64)woken + wake_others(k, bucket, more, who->bitset));
	return woken;
}

/* Of one word in a bucket: how many of its sleepers are still to wake. */
struct due {
	const struct siv_sleeper *first;
	struct siv_object *object;
	u64 offset;
	u32 left;
};

static struct due *due_for(struct due *dues, unsigned int *count,
			   const struct siv_sleeper *s, u32 each)
{
	unsigned int i;

	for (i = 0; i < *count; i++)
		if (dues[i].object == s->object && dues[i].offset == s->offset)
			return &dues[i];
	if (*count == KEYS)
		return NULL;
	dues[*count] = (struct due){ .object = s->object, .offset = s->offset,
				     .left = each };
	return &dues[(*count)++];
}

/* A peer's wake says bucket and number; first come those whose word has changed. */
static void deliver(struct siv_wake *k, unsigned int bucket, u32 each, u32 bits)
{
	struct bucket *b = &k->bucket[bucket];
	struct siv_sleeper *s, *next;
	struct due dues[KEYS], *due;
	unsigned int count = 0;
	unsigned long flags;
	int pass;

	spin_lock_irqsave(&b->lock, flags);
	for (pass = 0; pass < 2; pass++) {
		list_for_each_entry_safe(s, next, &b->sleepers, node) {
			if ((!pass && !stale(s)) || !(s->bitset & bits))
				continue;
			due = due_for(dues, &count, s, each);
			if (due && !due->left)
				continue;
			if (due)
				due->left--;
			release(k, bucket, s, 0);
		}
	}
	spin_unlock_irqrestore(&b->lock, flags);
}

static void take_pending(struct siv_wake *k)
{
	struct sivwake_slot *own = own_slot(k);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(own->dirty); i++) {
		u64 dirty = READ_ONCE(own->dirty[i]) ? xchg(&own->dirty[i], 0) : 0;

		while (dirty) {
			unsigned int bucket = i * 64 + __ffs64(dirty);
			u64 pending = xchg(&own->pending[bucket], 0);

			dirty &= dirty - 1;
			deliver(k, bucket, lower_32_bits(pending), upper_32_bits(pending));
		}
	}
}

unsigned int siv_storm = 64;	/* interrupts in one jiffy: then none until the next */

/*
 * A peer that rings without end must not have a processor of ours: it gets so
 * many interrupts in a jiffy, and half of the time, should each take long.
 */
static bool is_storm(struct siv_wake *k, u64 now)
{
	if (k->storm_at != jiffies) {
		k->storm_at = jiffies;
		k->storm = 0;
	}
	return ++k->storm > READ_ONCE(siv_storm) || k->paid_at > now + TICK_NSEC;
}

static void account(struct siv_wake *k, u64 began)
{
	u64 spent = min_t(u64, ktime_get_ns() - began, SPENT_MAX);

	k->paid_at = max_t(u64, k->paid_at, began) + 2 * spent;
}

static unsigned long until_paid(const struct siv_wake *k, u64 now)
{
	unsigned long left = k->paid_at > now ? nsecs_to_jiffies(k->paid_at - now) : 0;

	return min_t(unsigned long, left + 1, LOOK);
}

static irqreturn_t link_irq(int irq, void *arg)
{
	struct siv_wake *k = arg;
	u64 began = ktime_get_ns();

	if (is_storm(k, began)) {
		disable_irq_nosync(irq);
		WRITE_ONCE(k->deaf, true);
		mod_delayed_work(system_wq, &k->look, until_paid(k, began));
		return IRQ_HANDLED;
	}
	take_pending(k);
	if (READ_ONCE(own_slot(k)->died)) {
		xchg(&own_slot(k)->died, 0);
		mod_delayed_work(system_wq, &k->look, 0);
	}
	account(k, began);
	return IRQ_HANDLED;
}

/* --- owners --- */

static bool owner_alive(const struct siv_wake *k, u32 owner)
{
	u32 vm = sivwake_owner_vm(owner), state;
	const u16 *states;

	if (vm == k->vm)
		return siv_owner_alive(owner);
	states = vm < 64 ? states_of(k, vm) : NULL;
	if (!states)
		return false;
	state = READ_ONCE(states[sivwake_owner_holder(owner)]);
	return (state & 1) && (state & SIVWAKE_GENERATION) == (owner & SIVWAKE_GENERATION);
}

/* siv_owner_lock held */
void siv_wake_publish(u32 holder, u16 state)
{
	struct siv_wake *k;

	list_for_each_entry(k, &wakes, node)
		if (states_of(k, k->vm))
			WRITE_ONCE(states_of(k, k->vm)[holder], state);
}

/* siv_owner_lock held */
static void publish_all(const struct siv_wake *k)
{
	if (states_of(k, k->vm))
		siv_owner_states(states_of(k, k->vm));
}

/* A host that met this kernel anew has taken its threads for dead. */
void siv_wake_republish(void)
{
	struct siv_wake *k;

	spin_lock(&siv_owner_lock);
	list_for_each_entry(k, &wakes, node)
		publish_all(k);
	spin_unlock(&siv_owner_lock);
}

/* siv_owner_lock held; after the above */
void siv_wake_owner_died(void)
{
	struct siv_wake *k;
	u64 left;

	virt_mb();
	list_for_each_entry(k, &wakes, node) {
		if (atomic_read(&k->owned))
			mod_delayed_work(system_wq, &k->look, 0);
		for (left = k->wakes; left; left &= left - 1) {
			struct sivwake_slot *slot = slot_of(k, __ffs64(left));

			if (!READ_ONCE(slot->owned))
				continue;
			WRITE_ONCE(slot->died, 1);
			virt_wmb();
			ring(k, __ffs64(left));
		}
	}
}

/* --- sleeping --- */

/* 0: sleep on */
static int reason_to_end(const struct siv_wake *k, const struct siv_sleeper *s)
{
	if (READ_ONCE(s->grant->revoked))
		return -EKEYREVOKED;
	if (stale(s))
		return -EAGAIN;
	if (s->owned && !owner_alive(k, s->expected))
		return -EOWNERDEAD;
	return 0;
}

/* What no doorbell told; and the own counts, which others can write. */
static void look(struct work_struct *work)
{
	struct siv_wake *k = container_of(work, struct siv_wake, look.work);
	struct siv_sleeper *s, *next;
	unsigned int i;

	for (i = 0; i < SIVWAKE_BUCKETS; i++) {
		struct bucket *b = &k->bucket[i];

		spin_lock_irq(&b->lock);
		set_count(k, i, 0);
		list_for_each_entry_safe(s, next, &b->sleepers, node) {
			int error = reason_to_end(k, s);

			if (error)
				release(k, i, s, error == -EAGAIN ? 0 : error);
		}
		spin_unlock_irq(&b->lock);
	}
	WRITE_ONCE(own_slot(k)->owned, atomic_read(&k->owned));
	take_pending(k);
	if (xchg(&k->deaf, false))
		enable_irq(pci_irq_vector(k->link->doorbell.pdev, 0));
	if (atomic_read(&k->sleepers))
		queue_delayed_work(system_wq, &k->look, LOOK);
}

static void enqueue(struct siv_wake *k, unsigned int bucket, struct siv_sleeper *s)
{
	struct bucket *b = &k->bucket[bucket];

	spin_lock_irq(&b->lock);
	list_add_tail(&s->node, &b->sleepers);
	set_count(k, bucket, 1);
	spin_unlock_irq(&b->lock);
	if (s->owned)
		WRITE_ONCE(own_slot(k)->owned, atomic_inc_return(&k->owned));
	if (atomic_inc_return(&k->sleepers) == 1)
		queue_delayed_work(system_wq, &k->look, LOOK);
}

/* True: somebody has woken it, whatever else happened. */
static bool dequeue(struct siv_wake *k, unsigned int bucket, struct siv_sleeper *s)
{
	struct bucket *b = &k->bucket[bucket];

	spin_lock_irq(&b->lock);
	if (!s->woken) {
		list_del(&s->node);
		set_count(k, bucket, -1);
	}
	spin_unlock_irq(&b->lock);
	if (s->owned)
		WRITE_ONCE(own_slot(k)->owned, atomic_dec_return(&k->owned));
	atomic_dec(&k->sleepers);
	return s->woken;
}

int siv_wake_sleep(struct siv_wake *k, struct siv_sleeper *s,
		   struct hrtimer_sleeper *timeout)
{
	unsigned int bucket = sivwake_bucket(s->object->id, s->offset);
	int error;

	s->task = current;
	s->woken = false;
	enqueue(k, bucket, s);
	virt_mb();		/* counted before we look at the word */
	error = reason_to_end(k, s);
	while (!error) {
		set_current_state(TASK_INTERRUPTIBLE | TASK_FREEZABLE);
		if (READ_ONCE(s->woken))
			break;
		if (timeout && !timeout->task)
			error = -ETIMEDOUT;
		else if (signal_pending(current))
			error = -ERESTARTSYS;
		else
			schedule();
	}
	__set_current_state(TASK_RUNNING);
	return dequeue(k, bucket, s) ? s->error : error;
}

/* An object of the link is in use. */
void siv_wake_revoked(struct siv_wake *k)
{
	struct siv_sleeper *s, *next;
	unsigned int i;

	for (i = 0; k && i < SIVWAKE_BUCKETS; i++) {
		spin_lock_irq(&k->bucket[i].lock);
		list_for_each_entry_safe(s, next, &k->bucket[i].sleepers, node)
			if (READ_ONCE(s->grant->revoked))
				release(k, i, s, -EKEYREVOKED);
		spin_unlock_irq(&k->bucket[i].lock);
	}
}

/* --- a link's table --- */

static bool geometry_valid(const struct siv_link *link, const struct sivring_grant *m)
{
	return m->vm < 64 && (m->vms & BIT_ULL(m->vm)) && !(m->writers & ~m->vms) &&
	       tables_size(link, m) < link->length &&
	       (link->doorbell.position & SIVRING_ID_MASK) > rank(m->vms, m->vm);
}

static int wake_start(struct siv_wake *k)
{
	struct sivwake_slot *own = own_slot(k);
	int err;

	/* nothing of a guest that ran here before counts */
	memset(own, 0, sizeof(*own));
	err = request_irq(pci_irq_vector(k->link->doorbell.pdev, 0), link_irq, 0, "sivshmem-link", k);
	if (err)
		return err;
	spin_lock(&siv_owner_lock);
	publish_all(k);
	list_add(&k->node, &wakes);
	spin_unlock(&siv_owner_lock);
	return 0;
}

static struct siv_wake *wake_new(struct siv_link *link, const struct sivring_grant *m)
{
	struct siv_wake *k = kvzalloc(sizeof(*k), GFP_KERNEL | __GFP_NOWARN);
	unsigned int i;

	if (!k)
		return NULL;
	for (i = 0; i < SIVWAKE_BUCKETS; i++) {
		spin_lock_init(&k->bucket[i].lock);
		INIT_LIST_HEAD(&k->bucket[i].sleepers);
	}
	INIT_DELAYED_WORK(&k->look, look);
	k->link = link;
	k->vms = m->vms;
	k->writers = m->writers;
	/* two that may only read have nothing to say to each other */
	k->wakes = (m->writers & BIT_ULL(m->vm) ? m->vms : m->writers) & ~BIT_ULL(m->vm);
	k->vm = m->vm;
	k->slots = link->doorbell.table ?:
		link->memory + link->length - tables_size(link, m);
	k->holders = link->memory + link->length - holders_size(m);
	return k;
}

int siv_wake_bind(struct siv_link *link, const struct sivring_grant *m)
{
	struct siv_wake *k = link->wake;
	int err;

	if (k)
		return k->vms == m->vms && k->writers == m->writers && k->vm == m->vm ?
			0 : -EBADMSG;
	if (!geometry_valid(link, m))
		return -EBADMSG;
	k = wake_new(link, m);
	if (!k)
		return -ENOMEM;
	err = wake_start(k);
	if (err) {
		kvfree(k);
		return err;
	}
	link->wake = k;
	link->usable = link->length - tables_size(link, m);
	return 0;
}

void siv_wake_unbind(struct siv_link *link)
{
	struct siv_wake *k = link->wake;
	int irq = pci_irq_vector(link->doorbell.pdev, 0);

	if (!k)
		return;
	spin_lock(&siv_owner_lock);
	list_del(&k->node);
	spin_unlock(&siv_owner_lock);
	/* it asks for look(), and look() may enable it: only while it is ours */
	disable_irq(irq);
	cancel_delayed_work_sync(&k->look);
	free_irq(irq, k);
	memset(own_slot(k), 0, sizeof(*k->slots));
	link->wake = NULL;
	kvfree(k);
}
