/* SPDX-License-Identifier: MIT */
/*
 * As much of the kernel as the module's own code asks of it, in one thread of a
 * process, so that the fuzzer can drive it. Every <linux/...> and <asm/...> that
 * the module includes and the C library has not is this file. What a kernel
 * under debugging would warn of ends the process: a lock taken twice, sleeping
 * under a spinlock, a page that is no device's, a busy inode at unmount.
 */
#ifndef SIVSHMEM_FUZZ_KERNEL_H
#define SIVSHMEM_FUZZ_KERNEL_H

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <linux/ioctl.h>
#include <linux/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef __u64 u64;
typedef u64 phys_addr_t;
typedef unsigned int gfp_t, __poll_t, vm_fault_t;
typedef unsigned long vm_flags_t;
typedef unsigned short umode_t;
typedef struct { u32 val; } kuid_t;
/* the C library has a function of this name */
#define on_exit			kernel_on_exit
#define KERNEL_VERSION(a, b, c)	(((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE	KERNEL_VERSION(6, 1, 0)
#define __user
#define __iomem
#define __init
#define __exit

#define KERNEL_BUG_ON(c) do { \
	if (c) { \
		fprintf(stderr, "%s:%d: not so: !(%s)\n", __FILE__, __LINE__, #c); \
		abort(); \
	} \
} while (0)
#define WARN_ON_ONCE(c)		({ bool c_ = (c); KERNEL_BUG_ON(c_); c_; })

/* --- words --- */
#define READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define virt_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define virt_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)
#define xchg(p, v)		__atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define container_of(p, type, member) \
	((type *)((char *)(p) - offsetof(type, member)))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define min_t(type, a, b)	({ type a_ = (a), b_ = (b); a_ < b_ ? a_ : b_; })
#define max_t(type, a, b)	({ type a_ = (a), b_ = (b); a_ > b_ ? a_ : b_; })
#define IS_ENABLED(option)	1
#define min(a, b)		min_t(__typeof__(a), a, b)
#define BIT_ULL(n)		(1ull << (n))
#define U32_MAX			UINT32_MAX
#define U64_MAX			UINT64_MAX
#define lower_32_bits(x)	((u32)(x))
#define upper_32_bits(x)	((u32)((u64)(x) >> 32))
#define hweight64(x)		((u32)__builtin_popcountll(x))
#define __ffs64(x)		((u32)__builtin_ctzll(x))
#define is_power_of_2(x)	((x) && !((x) & ((x) - 1)))
#define struct_size(p, member, n) (sizeof(*(p)) + sizeof(*(p)->member) * (n))
#define round_up(x, y)		((((x) - 1) | ((__typeof__(x))(y) - 1)) + 1)
#define MAX_ERRNO		4095
#define ERESTARTSYS		512
#define ERR_PTR(e)		((void *)(long)(e))
#define PTR_ERR(p)		((long)(p))
#define IS_ERR(p)		((unsigned long)(p) >= (unsigned long)-MAX_ERRNO)

static inline u64 sync_cmpxchg(u64 *p, u64 old, u64 new)
{
	__atomic_compare_exchange_n(p, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return old;
}

static inline bool sync_test_and_set_bit(long bit, unsigned long *p)
{
	unsigned long mask = 1ul << bit % 64;

	return __atomic_fetch_or(&p[bit / 64], mask, __ATOMIC_SEQ_CST) & mask;
}

typedef struct { int counter; } atomic_t;
static inline int atomic_read(const atomic_t *a) { return a->counter; }
static inline int atomic_inc_return(atomic_t *a)
{
	return (int)((unsigned int)a->counter + 1) == INT_MIN ? (a->counter = INT_MIN) : ++a->counter;
}
static inline int atomic_dec_return(atomic_t *a) { return --a->counter; }
static inline void atomic_dec(atomic_t *a) { a->counter--; }

struct kref { int count; };
static inline void kref_init(struct kref *r) { r->count = 1; }
static inline void kref_get(struct kref *r) { KERNEL_BUG_ON(r->count <= 0); r->count++; }
static inline bool kref_get_unless_zero(struct kref *r) { return r->count ? r->count++ : false; }
static inline int kref_put(struct kref *r, void (*release)(struct kref *))
{
	KERNEL_BUG_ON(r->count <= 0);
	if (--r->count)
		return 0;
	release(r);
	return 1;
}

/* --- lists --- */
struct list_head { struct list_head *next, *prev; };
struct hlist_node { struct hlist_node *next, **pprev; };
struct hlist_head { struct hlist_node *first; };
#define LIST_HEAD_INIT(l)	{ &(l), &(l) }
#define LIST_HEAD(l)		struct list_head l = LIST_HEAD_INIT(l)
static inline void INIT_LIST_HEAD(struct list_head *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list_head *l) { return l->next == l; }
static inline void list_put(struct list_head *n, struct list_head *prev, struct list_head *next)
{
	KERNEL_BUG_ON(prev->next != next || next->prev != prev);
	n->prev = prev;
	n->next = next;
	prev->next = next->prev = n;
}
static inline void list_add(struct list_head *n, struct list_head *l) { list_put(n, l, l->next); }
static inline void list_add_tail(struct list_head *n, struct list_head *l) { list_put(n, l->prev, l); }
static inline void list_del(struct list_head *n)
{
	KERNEL_BUG_ON(n->prev->next != n || n->next->prev != n);
	n->prev->next = n->next;
	n->next->prev = n->prev;
	n->next = n->prev = NULL;
}
static inline void list_del_init(struct list_head *n) { list_del(n); INIT_LIST_HEAD(n); }
static inline void list_move(struct list_head *n, struct list_head *l) { list_del(n); list_add(n, l); }
static inline void list_splice(struct list_head *from, struct list_head *to)
{
	if (list_empty(from))
		return;
	from->prev->next = to->next;
	to->next->prev = from->prev;
	to->next = from->next;
	from->next->prev = to;
}
static inline void list_splice_tail(struct list_head *from, struct list_head *to)
{
	list_splice(from, to->prev);
}
static inline void list_splice_init(struct list_head *from, struct list_head *to)
{
	list_splice(from, to);
	INIT_LIST_HEAD(from);
}
#define list_entry(p, type, member)	container_of(p, type, member)
#define list_first_entry_or_null(l, type, member) \
	(list_empty(l) ? NULL : list_entry((l)->next, type, member))
#define list_for_each_entry(p, l, member) \
	for (p = list_entry((l)->next, __typeof__(*p), member); &p->member != (l); \
	     p = list_entry(p->member.next, __typeof__(*p), member))
#define list_for_each_entry_safe(p, n, l, member) \
	for (p = list_entry((l)->next, __typeof__(*p), member), \
	     n = list_entry(p->member.next, __typeof__(*p), member); &p->member != (l); \
	     p = n, n = list_entry(n->member.next, __typeof__(*n), member))
#define hlist_for_each_entry(p, l, member) \
	for (struct hlist_node *h_ = (l)->first; \
	     h_ && (p = container_of(h_, __typeof__(*p), member)); h_ = h_->next)
static inline void hlist_add_head(struct hlist_node *n, struct hlist_head *l)
{
	n->next = l->first;
	if (n->next)
		n->next->pprev = &n->next;
	l->first = n;
	n->pprev = &l->first;
}
static inline void hlist_del(struct hlist_node *n)
{
	*n->pprev = n->next;
	if (n->next)
		n->next->pprev = n->pprev;
}

/* --- locks: one thread, so a lock that is held is a deadlock --- */
extern int kernel_mutexes, kernel_spinning;
struct mutex { int held; };
struct rw_semaphore { int writers, readers; };
typedef struct { int held; } spinlock_t;
#define DEFINE_MUTEX(m)		struct mutex m
#define __MUTEX_INITIALIZER(m)	{ 0 }
#define DEFINE_SPINLOCK(l)	spinlock_t l
#define __SPIN_LOCK_UNLOCKED(l)	{ 0 }
static inline void might_sleep(void) { KERNEL_BUG_ON(kernel_spinning); }
static inline void mutex_lock(struct mutex *m)
{
	might_sleep();
	KERNEL_BUG_ON(m->held);
	m->held = 1;
	kernel_mutexes++;
}
static inline void mutex_unlock(struct mutex *m)
{
	KERNEL_BUG_ON(!m->held);
	m->held = 0;
	kernel_mutexes--;
}
static inline void init_rwsem(struct rw_semaphore *s) { s->writers = s->readers = 0; }
static inline void down_write(struct rw_semaphore *s)
{
	might_sleep();
	KERNEL_BUG_ON(s->writers || s->readers);
	s->writers = 1;
	kernel_mutexes++;
}
static inline void up_write(struct rw_semaphore *s)
{
	KERNEL_BUG_ON(!s->writers);
	s->writers = 0;
	kernel_mutexes--;
}
static inline void spin_lock_init(spinlock_t *l) { l->held = 0; }
static inline void spin_lock(spinlock_t *l)
{
	KERNEL_BUG_ON(l->held);
	l->held = 1;
	kernel_spinning++;
}
static inline void spin_unlock(spinlock_t *l)
{
	KERNEL_BUG_ON(!l->held);
	l->held = 0;
	kernel_spinning--;
}
#define spin_lock_irq		spin_lock
#define spin_unlock_irq		spin_unlock
#define spin_lock_irqsave(l, f)	((f) = 0, spin_lock(l))
#define spin_unlock_irqrestore(l, f) ((void)(f), spin_unlock(l))

/* --- memory; an allocation fails when kernel_fail counts down to 0 --- */
#define GFP_KERNEL		1u
#define GFP_KERNEL_ACCOUNT	1u
#define __GFP_NOWARN		0u
#define __GFP_NOFAIL		2u
extern int kernel_fail;
void *kernel_alloc(size_t size, gfp_t gfp, bool zero);
void kfree(const void *p);
#define kzalloc(n, gfp)		kernel_alloc(n, gfp, true)
#define kvzalloc(n, gfp)	kernel_alloc(n, gfp, true)
#define kmalloc(n, gfp)		kernel_alloc(n, gfp, false)
#define kvmalloc(n, gfp)	kernel_alloc(n, gfp, false)
#define kvmalloc_array(n, s, gfp) kernel_alloc((size_t)(n) * (s), gfp, false)
#define kvcalloc(n, s, gfp)	kernel_alloc((size_t)(n) * (s), gfp, true)
#define kvfree			kfree
#define copy_from_user(to, from, n)	(memcpy(to, from, n), 0)
#define copy_to_user(to, from, n)	(memcpy(to, from, n), 0)
#define u64_to_user_ptr(x)	((void *)(uintptr_t)(x))
void *memdup_user(const void *from, size_t n);

/* --- time, waiting, work --- */
#define HZ			250
#define MAX_SCHEDULE_TIMEOUT	HZ
extern unsigned long jiffies;
#define TICK_NSEC		(1000000000ull / HZ)
#define NSEC_PER_MSEC		1000000ull
extern u64 kernel_steal;		/* ns that each look at the clock takes */
u64 ktime_get_ns(void);
#define nsecs_to_jiffies(n)	((n) / TICK_NSEC)
#define time_after(a, b)	((long)((b) - (a)) < 0)
typedef struct { int unused; } wait_queue_head_t;
#define __WAIT_QUEUE_HEAD_INITIALIZER(w) { 0 }
#define DECLARE_WAIT_QUEUE_HEAD(w)	wait_queue_head_t w
#define init_waitqueue_head(w)	((void)(w))
#define wake_up_all(w)		((void)(w))
/* The rest of the world has its turn; false: nothing more will happen. */
bool kernel_turn(void);
#define kernel_wait(condition) ({ \
	bool met_; \
	might_sleep(); \
	while (!(met_ = (condition)) && kernel_turn()) \
		; \
	met_; \
})
#define wait_event_killable_timeout(w, c, t)	((long)(kernel_wait(c) ? 1 : (jiffies += (t), !!(c))))
#define wait_event_interruptible(w, c)		(kernel_wait(c) ? 0 : -ERESTARTSYS)
struct completion { bool done; };
#define init_completion(c)	((c)->done = false)
#define complete(c)		((c)->done = true)
#define wait_for_completion_killable_timeout(c, t) wait_event_killable_timeout(NULL, (c)->done, t)
long schedule_timeout_killable(long ticks);
void msleep(unsigned int ms);
#define cond_resched()		might_sleep()

struct workqueue_struct { bool busy; };
struct work_struct {
	struct list_head entry;
	void (*func)(struct work_struct *);
	struct workqueue_struct *queue;
	unsigned long due;
	bool pending;
};
struct delayed_work { struct work_struct work; };
#define DECLARE_WORK(n, f)	struct work_struct n = { .func = (f) }
#define DECLARE_DELAYED_WORK(n, f) struct delayed_work n = { .work = { .func = (f) } }
#define INIT_WORK(w, f)		(*(w) = (struct work_struct){ .func = (f) })
#define INIT_DELAYED_WORK(w, f)	(*(w) = (struct delayed_work){ .work = { .func = (f) } })
#define WQ_MEM_RECLAIM		0
#define WQ_UNBOUND		0
extern struct workqueue_struct *system_wq;
struct workqueue_struct *alloc_ordered_workqueue(const char *name, unsigned int flags);
#define alloc_workqueue(name, flags, most) alloc_ordered_workqueue(name, flags)
void destroy_workqueue(struct workqueue_struct *q);
void flush_workqueue(struct workqueue_struct *q);
bool queue_work(struct workqueue_struct *q, struct work_struct *w);
bool queue_delayed_work(struct workqueue_struct *q, struct delayed_work *w, unsigned long delay);
bool mod_delayed_work(struct workqueue_struct *q, struct delayed_work *w, unsigned long delay);
bool cancel_delayed_work_sync(struct delayed_work *w);
/* Run what is due, once each; true if anything was. */
bool kernel_run_works(void);

/* --- tasks --- */
struct pid { int count; };
struct task_struct {
	struct task_struct *group_leader;
	struct pid *tgid;
	u64 start_boottime;
	u32 uid;
	int state;
	bool signalled, admin;
};
extern struct task_struct *current;
struct user_namespace { struct user_namespace *parent; kuid_t owner; };
extern struct user_namespace init_user_ns;
#define current_user_ns()	(&init_user_ns)
#define TASK_RUNNING		0
#define TASK_INTERRUPTIBLE	1
#define TASK_FREEZABLE		2
#define set_current_state(s)	(current->state = (s))
#define __set_current_state(s)	(current->state = (s))
#define wake_up_process(t)	((t)->state = TASK_RUNNING)
#define signal_pending(t)	((t)->signalled)
#define fatal_signal_pending(t)	((t)->signalled)
void schedule(void);
#define current_uid()		((kuid_t){ current->uid })
#define current_euid()		current_uid()
#define current_egid()		current_uid()
#define from_kuid(ns, u)	((void)(ns), (u).val)
#define from_kgid(ns, u)	((void)(ns), (u).val)
#define make_kuid(ns, u)	((void)(ns), (kuid_t){ u })
#define uid_eq(a, b)		((a).val == (b).val)
#define uid_valid(u)		((u).val != U32_MAX)
#define GLOBAL_ROOT_UID		((kuid_t){ 0 })
#define task_tgid(t)		((t)->tgid)
#define task_tgid_nr(t)		((void)(t), 7)
#define get_task_comm(to, t)	((void)(t), strcpy(to, "fuzz"))
static inline struct pid *get_pid(struct pid *p) { p->count++; return p; }
static inline void put_pid(struct pid *p) { KERNEL_BUG_ON(p->count-- <= 0); }
#define CAP_SYS_ADMIN		21
#define capable(c)		(current->admin)
struct hrtimer_sleeper { struct task_struct *task; };

struct tracepoint { const char *name; };
struct linux_binprm;
void for_each_kernel_tracepoint(void (*f)(struct tracepoint *, void *), void *data);
int tracepoint_probe_register(struct tracepoint *t, void *probe, void *data);
#define tracepoint_probe_unregister(t, p, d)	((void)(t), (void)(p), 0)
#define tracepoint_synchronize_unregister()	((void)0)
void kernel_task_exit(struct task_struct *t);
#define hash_ptr(p, bits)	((u32)(((uintptr_t)(p) >> 4) * 0x9e3779b9u) >> (32 - (bits)))

u64 get_random_u64(void);
#define get_random_u32()	((u32)get_random_u64())

/* --- words to people: their arguments are read, as printk would --- */
static inline __attribute__((format(printf, 1, 2))) void kernel_say(const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
}
#define pr_err_ratelimited	kernel_say
#define pr_warn			kernel_say
#define dev_err(d, ...)		((void)(d), kernel_say(__VA_ARGS__))
#define dev_warn		dev_err
#define dev_err_ratelimited	dev_err
#define dev_warn_ratelimited	dev_err
#define scnprintf(b, n, ...)	min_t(int, snprintf(b, n, __VA_ARGS__), (int)(n) - 1)

/* --- modules --- */
struct module { int count; };
extern struct module kernel_module;
#define THIS_MODULE		(&kernel_module)
#define __module_get(m)		((m)->count++)
#define module_put(m)		KERNEL_BUG_ON((m)->count-- <= 0)
#define MODULE_DEVICE_TABLE(a, b) extern int kernel_unused

#include "files.h"
#include "devices.h"
#endif
