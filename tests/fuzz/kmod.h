/* SPDX-License-Identifier: MIT */
/*
 * The module bound to a control and a link device, with the host's end of the
 * control memory in the fuzzer's hand. While the module waits, the next steps
 * of the input are taken: see kernel_turn().
 */
#ifndef SIVSHMEM_FUZZ_KMOD_H
#define SIVSHMEM_FUZZ_KMOD_H

#include "../../kmod/sivshmem.h"
#include "fuzz.h"

#define CONTROL	(&kernel_devices[0])
#define LINK	(&kernel_devices[1])
#define LINK_POSITION	(SIVRING_ID_LINK | 2)
#define LINK_LENGTH	(2u << 20)
#define TASKS	4
#define DEPTH	4			/* of steps within a wait */

/* main.c's */
DEFINE_MUTEX(siv_lock);
LIST_HEAD(siv_links);
LIST_HEAD(siv_sessions);
LIST_HEAD(siv_grants);
LIST_HEAD(siv_objects);
/* what file.c and fault.c do needs a memory manager */
const struct file_operations siv_file_fops = { .owner = THIS_MODULE };
const struct inode_operations siv_file_iops;
/* nor locks of files */
void siv_lock_revoked(struct inode *inode) { (void)inode; }

static struct pid pids[TASKS];
static struct task_struct tasks[TASKS];
struct task_struct *current = &tasks[0];
static struct input in;
static int depth;

static void step(void);			/* the target's */

static struct host {
	u64 epoch;
	u32 tail, head, sequence;
	int honest;			/* for so many turns of a wait */
} host;

static struct sivring_page *control_page(void)
{
	return (void *)CONTROL->memory;
}

/* --- pins, as of a pipe or a device that reads the page --- */

static struct page *pins[8];
static unsigned int pin_count;

static void unpin_all(void)
{
	while (pin_count)
		pins[--pin_count]->count--;
}

static inline void pin_some(u8 which)
{
	struct siv_object *o;

	list_for_each_entry(o, &siv_objects, node) {
		struct page *p = o->count ? pfn_to_page(o->pfns[which % o->count]) : NULL;

		if (!p || pin_count == ARRAY_SIZE(pins))
			continue;
		p->count++;
		pins[pin_count++] = p;
	}
}

/* --- the world --- */

static void host_turn(void);

bool kernel_turn(void)
{
	struct task_struct *me = current;
	bool more = in.left && depth < DEPTH;

	jiffies += HZ / 10;
	if (host.honest && !kernel_mutexes) {
		host.honest--;
		host_turn();
		return host.honest;
	}
	if (!more)
		unpin_all();
	/* who waits with a lock held makes others wait that want it */
	if (kernel_mutexes)
		return more;
	depth++;
	if (more)
		step();
	kernel_run_works();
	depth--;
	current = me;
	return more;
}

void schedule(void)
{
	struct task_struct *me = current;

	ALWAYS(!kernel_mutexes && !kernel_spinning);
	while (me->state != TASK_RUNNING && kernel_turn())
		;
	/* nothing comes any more: a signal does */
	me->signalled |= me->state != TASK_RUNNING;
}

static inline void host_copy(const void *from, u32 length)
{
	u8 *ring = CONTROL->memory + SIVRING_H2G_OFF;
	u32 at = host.tail % SIVRING_SIZE, first = min(length, (u32)SIVRING_SIZE - at);

	if (first)
		memcpy(ring + at, from, first);
	if (length > first)
		memcpy(ring, (const u8 *)from + first, length - first);
	host.tail += length;
}

static inline void host_put(u16 type, u64 session, u64 sequence, const void *payload, u32 length)
{
	static const u8 zero[8];
	const struct sivring_frame frame = { .length = length, .type = type,
		.session = session, .sequence = sequence };

	host_copy(&frame, sizeof(frame));
	host_copy(payload, length);
	host_copy(zero, -host.tail % 8);
	control_page()->h2g_tail = host.tail;
}

static inline void host_begin(void)
{
	struct sivring_page *p = control_page();

	host.tail = host.head = 0;
	p->g2h_head = p->h2g_tail = 0;
	p->host_nonce = p->guest_nonce;
	p->host_epoch = ++host.epoch;
}

/* What the module says is well formed, whatever it was told. */
static inline void host_hear(void)
{
	struct sivring_page *p = control_page();
	const u8 *ring = CONTROL->memory + SIVRING_G2H_OFF;
	const struct sivring_done done = { .error = 0 };
	struct sivring_frame frame;

	if (p->guest_epoch != host.epoch || p->g2h_tail - host.head > SIVRING_SIZE)
		return;
	while (host.head != p->g2h_tail) {
		for (u32 i = 0; i < sizeof(frame); i++)
			((u8 *)&frame)[i] = ring[host.head++ % SIVRING_SIZE];
		ALWAYS(frame.type >= SIVRING_HELLO && frame.type <= SIVRING_LOCK &&
		       frame.length <= SIVSHMEM_MSG_MAX && frame.flags <= SIVRING_F_AGAIN);
		host.head += (frame.length + 7) & ~7u;
		if (frame.sequence)
			host.sequence = (u32)frame.sequence;
		if (frame.sequence && host.honest)
			host_put(SIVRING_DONE, 0, frame.sequence, &done, sizeof(done));
	}
	p->g2h_head = host.head;
}

static inline void host_welcome(void)
{
	const struct sivring_welcome welcome = { .version = SIVRING_VERSION, .links = 1,
		.vm = "a" };

	host_put(SIVRING_WELCOME, 0, 0, &welcome, sizeof(welcome));
}

/* A grant as the daemon gives it: 16 KiB of object `id`, at a place of its own. */
struct granted {
	struct sivring_grant grant;
	struct sivring_extent extents[3];
};

static inline struct granted a_grant(u64 id, u64 object)
{
	struct granted g = {
		.grant = { .grant = id, .rights = 3, .mode = 0600, .channel = "c", .name = "o",
			.vms = 7, .writers = 3, .vm = 0,
			.object = { .object = object, .generation = object, .size = 16384,
				.change = 1, .link = LINK_POSITION, .extents_count = 2 } },
		.extents = { { object * 32768, 8192 }, { object * 32768 + 16384, 8192 } },
	};

	return g;
}

/* --- sessions --- */

#define SESSIONS	3
static struct process {
	struct file file;
	bool open;
	int busy;			/* system calls within */
} processes[SESSIONS];

static inline void become(unsigned int task)
{
	current = &tasks[task % TASKS];
}

static inline void process_open(struct process *p)
{
	if (p->open || p->busy)
		return;
	p->busy++;
	p->file = (struct file){ .f_flags = 0 };
	p->open = !siv_session_fops.open(NULL, &p->file);
	p->busy--;
}

static inline void process_close(struct process *p)
{
	if (!p->open || p->busy)
		return;
	p->open = false;
	siv_session_fops.release(NULL, &p->file);
}

/* --- the whole --- */

static inline void check_objects(void)
{
	static struct siv_object *owner[LINK_LENGTH >> PAGE_SHIFT];
	struct siv_object *o;

	if (kernel_mutexes || kernel_spinning)
		return;
	memset(owner, 0, sizeof(owner));
	list_for_each_entry(o, &siv_objects, node) {
		ALWAYS(o->link && (u64)i_size_read(&o->inode) <= o->count * PAGE_SIZE);
		for (unsigned long i = 0; i < o->count; i++) {
			struct page *p = pfn_to_page(o->pfns[i]);
			size_t index = (size_t)(p - LINK->pages);

			ALWAYS(index < o->link->usable >> PAGE_SHIFT && !owner[index]);
			ALWAYS(p->mapping == o->inode.i_mapping && p->index == i);
			owner[index] = o;
		}
	}
	/* pages that somebody reaches are not the host's to give to others */
	for (int i = 0; i < KERNEL_FDS; i++)
		if (kernel_files[i] && kernel_files[i]->mapped)
			ALWAYS(!list_empty(&siv_grant_of(kernel_files[i]->f_path.dentry)->object->node));
}

static int kmod_start(void)
{
	for (int i = 0; i < TASKS; i++)
		tasks[i] = (struct task_struct){ .group_leader = &tasks[i], .tgid = &pids[i],
			.uid = (u32)i & 1, .admin = i == 0 };
	return siv_channel_init() || siv_unmap_init() || siv_outbox_init() || siv_owner_init() || siv_pci_init();
}

static void kmod_bind(void)
{
	struct task_struct *t;

	become(0);
	for (t = tasks; t < tasks + TASKS; t++)
		t->signalled = false;
	kernel_fail = 0;
	if (CONTROL->memory)
		memset(CONTROL->memory, 0, sizeof(struct sivring_page));
	host.tail = host.head = host.sequence = 0;
	ALWAYS(!kernel_bind(CONTROL, SIVRING_ID_CONTROL, SIVRING_MEMORY));
	ALWAYS(!kernel_bind(LINK, LINK_POSITION, LINK_LENGTH));
}

static inline void files_close(void)
{
	for (int i = 0; i < KERNEL_FDS; i++) {
		if (kernel_files[i])
			fput(kernel_files[i]);
		kernel_files[i] = NULL;
	}
}

/* What an honest host does when it is looked at: begin, hear, answer. */
static void host_turn(void)
{
	const struct sivring_page *p = control_page();

	if (p->guest_nonce != p->host_nonce || p->guest_epoch != host.epoch)
		host_begin();
	siv_control_interrupt();
	kernel_run_works();
	host_hear();
	if (!siv_control_up())
		host_welcome();
	siv_control_interrupt();
	kernel_run_works();
}

/* Whatever it was told before, with an honest host all ends come to an end. */
static void host_is_honest(void)
{
	for (int i = 0; i < 400 && (kernel_module.count || !list_empty(&siv_objects)); i++) {
		if (i % 50 == 0)
			host_begin();
		jiffies += HZ / 10;
		host.honest = 50;
		host_turn();
	}
	host.honest = 0;
}

/* Everything is closed and taken away: nothing is left, nobody waits. */
static void kmod_unbind(void)
{
	in.left = 0;
	kernel_fail = 0;
	for (int i = 0; i < SESSIONS; i++)
		process_close(&processes[i]);
	files_close();
	unpin_all();
	host_is_honest();
	ALWAYS(!kernel_module.count);
	if (LINK->drvdata)
		kernel_unbind(LINK);
	kernel_unbind(CONTROL);
	for (int i = 0; i < 64 && kernel_run_works(); i++)
		jiffies += HZ;
	ALWAYS(list_empty(&siv_sessions) && list_empty(&siv_grants) &&
	       list_empty(&siv_objects) && list_empty(&siv_links));
	ALWAYS(!kernel_module.count && !kernel_mutexes && !kernel_spinning);
	for (int i = 0; i < TASKS; i++)
		ALWAYS(!pids[i].count);
}

#endif
