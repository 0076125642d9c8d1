// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile guest kernel: until it is unloaded it writes over the wake tables of
 * links with `vms` VMs and rings everybody. Of a link that all may write, these are
 * the hints; of one that this VM may only read, all that it is given to write, and
 * in vain the end of the memory beside it, where the owners are. It writes zeros,
 * (noise=1) what comes, or (frozen=1) what was there at first.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/random.h>
#include <linux/sched/task.h>
#include <linux/vmalloc.h>
#include <sivshmem/ring.h>
#include <sivshmem/wake.h>

#define DEVICES	4

static int vms = 3, noise, frozen;
module_param(vms, int, 0);
module_param(noise, int, 0);
module_param(frozen, int, 0);

static struct victim {
	struct task_struct *task;
	void __iomem *regs;
	u32 position;
	void *memory;			/* mapped, of this device */
	void *at, *before;		/* what it writes over, and what was there */
	size_t bytes;
	void *beside;			/* mapped, of a link that it may only read */
	u64 *owners;
	size_t words;
} victims[DEVICES];

static void fill(const struct victim *v)
{
	if (noise)
		get_random_bytes(v->at, v->bytes);
	else if (frozen)
		memcpy(v->at, v->before, v->bytes);
	else
		memset(v->at, 0, v->bytes);
}

static void scribble(const struct victim *v)
{
	size_t i;

	fill(v);
	for (i = 0; i < v->words; i++)
		WRITE_ONCE(v->owners[i], noise ? get_random_u64() : 0);
	for (i = 0; noise && i < vms; i++)
		writel((v->position - vms + 1 + get_random_u32() % (2 * vms)) << 16, v->regs + 12);
}

static int run(void *arg)
{
	while (!kthread_should_stop()) {
		scribble(arg);
		usleep_range(100, 200);
	}
	return 0;
}

static void *map(struct pci_dev *pdev)
{
	return memremap(pci_resource_start(pdev, 2), pci_resource_len(pdev, 2), MEMREMAP_WB);
}

/* The others may write it, says who has this VM only read. */
static bool find_owners(struct victim *v, const struct pci_dev *bell)
{
	struct pci_dev *pdev = pci_get_slot(bell->bus, PCI_DEVFN(PCI_SLOT(bell->devfn), 1));
	size_t bytes = (vms - 1) * sizeof(struct sivwake_holders);

	v->beside = pdev ? map(pdev) : NULL;
	if (v->beside) {
		v->owners = v->beside + pci_resource_len(pdev, 2) - bytes;
		v->words = bytes / sizeof(*v->owners);
	}
	pci_dev_put(pdev);
	return v->beside;
}

static bool find_table(struct victim *v, struct pci_dev *pdev)
{
	size_t length = pci_resource_len(pdev, 2);
	size_t slots = vms * sizeof(struct sivwake_slot);

	v->memory = map(pdev);
	if (!v->memory)
		return false;
	if ((v->position & SIVRING_ID_BELL) == SIVRING_ID_BELL) {
		v->at = v->memory;
		v->bytes = length;
		if (!find_owners(v, pdev))
			return false;
	} else {
		v->at = v->memory + length - slots - vms * sizeof(struct sivwake_holders);
		v->bytes = slots;
	}
	v->before = vmalloc(v->bytes);
	if (v->before)
		memcpy(v->before, v->at, v->bytes);
	return v->before;
}

static void leave(struct victim *v)
{
	if (v->task) {
		kthread_stop(v->task);
		put_task_struct(v->task);
	}
	vfree(v->before);
	if (v->beside)
		memunmap(v->beside);
	if (v->memory)
		memunmap(v->memory);
	if (v->regs)
		iounmap(v->regs);
	*v = (struct victim){ };
}

/* -ENODEV: it is no link's */
static int attack(struct victim *v, struct pci_dev *pdev)
{
	struct task_struct *task;

	v->regs = ioremap(pci_resource_start(pdev, 0), 4096);
	v->position = v->regs ? readl(v->regs + 8) : 0;
	if (!(v->position & SIVRING_ID_LINK))
		return -ENODEV;
	if (!find_table(v, pdev))
		return -ENOMEM;
	task = kthread_run(run, v, "scribble");
	if (IS_ERR(task))
		return PTR_ERR(task);
	v->task = get_task_struct(task);
	return 0;
}

static void leave_all(void)
{
	int i;

	for (i = 0; i < DEVICES; i++)
		leave(&victims[i]);
}

/* All links, or it fails. */
static int __init scribble_init(void)
{
	struct pci_dev *pdev = NULL;
	int n = 0, err = 0;

	while (!err && (pdev = pci_get_device(0x1af4, 0x1110, pdev))) {
		err = n < DEVICES ? attack(&victims[n], pdev) : -ENOSPC;
		if (!err) {
			n++;
		} else if (err == -ENODEV) {
			leave(&victims[n]);
			err = 0;
		}
	}
	pci_dev_put(pdev);
	if (err)
		leave_all();
	return err;
}
module_init(scribble_init);

static void __exit scribble_exit(void)
{
	leave_all();
}
module_exit(scribble_exit);
MODULE_DESCRIPTION("Attack on the wake table, for the tests");
MODULE_LICENSE("GPL");
