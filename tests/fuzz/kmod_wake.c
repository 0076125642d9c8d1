/* SPDX-License-Identifier: MIT */
/*
 * Waiting between VMs: the module's own code with sleepers, owners and wakes of
 * this VM, while the other VMs write what they like into the table of the link,
 * and those that may write it also say whose threads live.
 */
#include "kmod.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return kmod_start();
}

/* Of VM 0, which is this one, and of VM 1: VM 2 may only read. */
static struct sivwake_holders *holders(void)
{
	return (void *)(LINK->memory + LINK_LENGTH - 2 * sizeof(struct sivwake_holders));
}

static struct sivwake_slot *slots(void)
{
	return (struct sivwake_slot *)holders() - 3;
}

static struct siv_wake *wake(void)
{
	struct siv_link *link = pci_get_drvdata(LINK);

	return link->wake;
}

/* A word of a channel's file, as wait.c finds it. */
static bool find_word(u8 how, struct siv_sleeper *s)
{
	struct file *file = kernel_files[how & 1];
	struct siv_grant *g;
	unsigned long index;

	if (!file)
		return false;
	g = siv_grant_of(file->f_path.dentry);
	index = how >> 1 & 1;
	if (READ_ONCE(g->revoked) || index >= g->object->count)
		return false;
	*s = (struct siv_sleeper){ .object = g->object, .grant = g,
		.offset = index * PAGE_SIZE + (how & 12), .bitset = how & 16 ? 1 : U32_MAX };
	s->word = page_address(pfn_to_page(g->object->pfns[index])) + (how & 12);
	return true;
}

static u32 *word_of(const struct siv_sleeper *s)
{
	return (u32 *)(uintptr_t)s->word;
}

static void do_sleep(u8 how)
{
	struct hrtimer_sleeper timer = { .task = how & 64 ? NULL : current };
	struct siv_sleeper s;
	struct page *page;
	int err;

	/* a thread that sleeps is in one call only */
	if (current->state != TASK_RUNNING || depth >= DEPTH || !find_word(how, &s))
		return;
	s.expected = how & 128 ? sivwake_owner(take_uint8(&in) & 3, take_uint16(&in),
					       take_uint8(&in)) : *s.word;
	s.owned = how & 128;
	if (s.owned && take_uint8(&in) & 1)
		*word_of(&s) = s.expected;
	page = pfn_to_page(s.object->pfns[s.offset >> PAGE_SHIFT]);
	page->count++;
	current->signalled = false;
	err = siv_wake_sleep(wake(), &s, how & 32 ? &timer : NULL);
	current->signalled = false;
	page->count--;
	ALWAYS(!err || err == -EAGAIN || err == -ETIMEDOUT || err == -ERESTARTSYS ||
	       err == -EOWNERDEAD || err == -EKEYREVOKED);
}

static void do_wake(u8 how)
{
	struct siv_sleeper s;
	u32 count = take_uint8(&in), woken;

	if (!find_word(how, &s))
		return;
	if (how & 32)
		*word_of(&s) = take_uint8(&in);
	count = how & 64 ? INT_MAX : count;
	woken = siv_wake_up(wake(), &s, count, how & 128);
	ALWAYS(woken <= INT_MAX);
	if (!count)
		ALWAYS(!woken);
}

static void do_owner(u8 how)
{
	u32 id;

	if (how & 1) {
		if (current->state == TASK_RUNNING)
			kernel_task_exit(current);
		return;
	}
	if (siv_owner_get(siv_wake_vm(wake()), &id))
		return;
	ALWAYS(id && id < 1u << 30 && siv_owner_alive(id) && sivwake_owner_vm(id) == 0);
}

/* Any VM of the link can write all slots, and those that may write it the holders. */
static void peers_write(u8 how)
{
	struct sivwake_slot *slot = &slots()[how % 3];
	u8 bucket = take_uint8(&in);

	switch (how >> 4) {
	case 0:
		slot->pending[bucket] = take_uint64(&in);
		slot->dirty[bucket / 64] |= BIT_ULL(bucket % 64);
		break;
	case 1:
		slot->waiters[bucket] = take_uint32(&in);
		break;
	case 2:
		slot->died = how;
		break;
	case 3:
		holders()[bucket & 1].state[take_uint16(&in) % SIVWAKE_HOLDERS] = take_uint16(&in);
		break;
	case 4:
		slot->owned = take_uint32(&in);
		break;
	case 5:
		memset(slot, bucket, sizeof(*slot));
		break;
	case 6:
		memset(slot->dirty, bucket, sizeof(slot->dirty));
		break;
	case 7:
		patch(&in, holders(), 2 * sizeof(*holders()));
		break;
	default:
		patch(&in, slot, sizeof(*slot));
	}
}

static void host_revokes(u8 how)
{
	if (!kernel_mutexes)
		siv_grant_revoke_id(1 + (how & 1));
}

/* The VM is stopped within an interrupt: it hears the next ones soon all the same. */
static void pause_within(void)
{
	kernel_steal = 1000 * 1000 * NSEC_PER_MSEC;
	kernel_interrupt(LINK->irq);
	kernel_steal = 0;
	kernel_interrupt(LINK->irq);
	jiffies += HZ;
	kernel_run_works();
	ALWAYS(!LINK->disabled);
}

static void step(void)
{
	u8 what = take_uint8(&in), how = take_uint8(&in);

	if (kernel_mutexes)
		return;
	become(what >> 4);
	switch (what & 15) {
	case 0 ... 3:
		do_sleep(how);
		break;
	case 4 ... 6:
		do_wake(how);
		break;
	case 7:
		do_owner(how);
		break;
	case 8 ... 10:
		peers_write(how);
		break;
	case 11:
	case 12:
		for (int n = 0; n <= (how & 127); n++)
			kernel_interrupt(LINK->irq);
		if (how & 128)
			pause_within();
		break;
	case 13:
		if (how < 32)
			host_revokes(how);
		break;
	case 14:
		siv_wake_republish();
		break;
	default:
		jiffies += how;
		kernel_run_works();
	}
}

/* Two objects, a file of each. */
static void open_two(void)
{
	host_begin();
	kernel_run_works();
	host_hear();
	host_welcome();
	siv_control_interrupt();
	kernel_run_works();
	process_open(&processes[0]);
	ALWAYS(processes[0].open);
	for (u64 i = 1; i <= 2; i++) {
		struct siv_session *s = processes[0].file.private_data;
		struct sivshmem_grant_fd arg = { .grant = i, .flags = SIVSHMEM_FD_WRITE };
		struct granted g = a_grant(i, i);

		ALWAYS(!siv_grant_take(s->id, &g, sizeof(g.grant) + 2 * sizeof(g.extents[0])));
		ALWAYS(!siv_grant_fd(s, &arg) && arg.fd == (int)i - 1);
	}
}

/* Rings go to a VM of the link, and to nobody else. */
static void check_bell(void)
{
	u32 to = LINK->regs[SIV_REG_DOORBELL / 4] >> 16;

	ALWAYS(!to || to == LINK_POSITION + 1 || to == LINK_POSITION + 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = (struct input){ NULL, 0 };
	kmod_bind();
	LINK->regs[SIV_REG_DOORBELL / 4] = 0;
	memset(slots(), 0, 3 * sizeof(*slots()) + 2 * sizeof(*holders()));
	memset(LINK->memory + 32768, 0, 2 * 32768);
	open_two();
	in = (struct input){ data, size };
	for (int n = 0; n < 64 && in.left; n++) {
		step();
		check_bell();
	}
	/* whoever still sleeps has none of its threads here */
	ALWAYS(!depth);
	for (int i = 0; i < TASKS; i++)
		kernel_task_exit(&tasks[i]);
	/* the link goes while its interrupt is off for a while */
	for (int n = 0; n < 128; n++)
		kernel_interrupt(LINK->irq);
	kernel_unbind(LINK);
	kmod_unbind();
	return 0;
}
