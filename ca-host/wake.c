/* SPDX-License-Identifier: MIT */
/* The wake table of a link, where a VM's end is told to those who wait for it. */
#include "monitor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>
#include <bsd/err.h>
#include <sivshmem/wake.h>

int wake_start(uint32_t index)
{
	const struct policy_link *policy = &monitor.policy->links[index];
	struct link *link = &monitor.links[index];
	size_t size = (size_t)__builtin_popcountll(policy->readers) * sizeof(*link->slots);
	void *slots = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, link->table,
			   policy->split ? 0 : (off_t)policy->usable);

	if (slots == MAP_FAILED)
		return -errno;
	link->slots = slots;
	return 0;
}

static struct sivwake_slot *slot_of(uint32_t link, uint32_t vm)
{
	uint64_t before = monitor.policy->links[link].readers & ((UINT64_C(1) << vm) - 1);

	return &monitor.links[link].slots[__builtin_popcountll(before)];
}

/* Whatever the VM wrote: afterwards none of its threads is said to sleep. */
static void end_sleepers(struct sivwake_slot *slot)
{
	uint32_t i;

	for (i = 0; i < SIVWAKE_BUCKETS; i++)
		__atomic_store_n(&slot->waiters[i], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->owned, 0, __ATOMIC_RELAXED);
}

/* Nor to live. They are not mapped: a file can be made shorter under a mapping. */
static void end_holders(uint32_t index, uint32_t vm)
{
	static const struct sivwake_holders dead;
	const struct policy_link *policy = &monitor.policy->links[index];
	int from_end = __builtin_popcountll(policy->writers >> vm);

	if (!(policy->writers >> vm & 1))
		return;
	if (pwrite(monitor.links[index].memory, &dead, sizeof(dead),
		   (off_t)(policy->memory - (uint64_t)from_end * sizeof(dead))) != sizeof(dead))
		warn("VM %s is gone, and its locks are not free", monitor.policy->vms[vm].name);
}

static void nothing(int signal)
{
	(void)signal;
}

/*
 * The VM's QEMU has the same file: it may have filled it, and made it wait for
 * a reader. Then the alarm ends the write, again and again, should one come before it.
 */
static void ring(int bell, const char *name)
{
	const struct itimerval soon = { { 0, 20000 }, { 0, 20000 } }, never = { 0 };
	const struct sigaction act = { .sa_handler = nothing };
	struct pollfd full = { .fd = bell, .events = POLLOUT };
	const uint64_t one = 1;
	ssize_t n;
	int error;

	/* one that is full tells its reader enough */
	if (poll(&full, 1, 0) == 0)
		return;
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	n = write(bell, &one, sizeof(one));
	error = errno;
	setitimer(ITIMER_REAL, &never, NULL);
	/* EAGAIN: rung 2^64 times and not heard, so one more adds nothing */
	if (n < 0 && error != EAGAIN)
		warnc(error, "cannot ring VM %s", name);
}

void wake_vm_gone(uint32_t index, uint32_t vm)
{
	const struct policy_link *policy = &monitor.policy->links[index];
	uint32_t i;

	end_sleepers(slot_of(index, vm));
	end_holders(index, vm);
	for (i = 0; i < monitor.policy->vm_count; i++) {
		if (i == vm || !(policy->readers >> i & 1))
			continue;
		__atomic_store_n(&slot_of(index, i)->died, 1, __ATOMIC_RELEASE);
		ring(monitor.links[index].bell[i], monitor.policy->vms[i].name);
	}
}

void wake_kernel_gone(const struct domain *domain)
{
	for (uint32_t i = 0; domain->vm && i < monitor.policy->link_count; i++)
		if (monitor.policy->links[i].readers >> domain->vm->index & 1)
			wake_vm_gone(i, domain->vm->index);
}
