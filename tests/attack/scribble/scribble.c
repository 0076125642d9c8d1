// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile guest kernel: for `seconds` it writes over the hints of all VMs in
 * the wake tables of links with `vms` VMs, zeros or (noise=1) what comes, and
 * rings everybody.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/random.h>
#include <sivshmem/ring.h>
#include <sivshmem/wake.h>

static int seconds = 10, vms = 3, noise;
module_param(seconds, int, 0);
module_param(vms, int, 0);
module_param(noise, int, 0);

static void fill(void *at, size_t bytes)
{
	if (noise)
		get_random_bytes(at, bytes);
	else
		memset(at, 0, bytes);
}

static void scribble(struct sivwake_slot *slots, void __iomem *regs, u32 position)
{
	int i;

	for (i = 0; i < vms; i++) {
		/* all but who is alive: locks themselves can be broken without us */
		fill(&slots[i], offsetof(struct sivwake_slot, holders));
		if (noise)
			writel((position - vms + 1 + get_random_u32() % (2 * vms)) << 16, regs + 12);
	}
}

static int run(void *arg)
{
	struct pci_dev *pdev = arg;
	void __iomem *regs = ioremap(pci_resource_start(pdev, 0), 4096);
	void *end = page_address(pfn_to_page(PHYS_PFN(pci_resource_start(pdev, 2)))) +
		pci_resource_len(pdev, 2);
	unsigned long stop = jiffies + seconds * HZ;
	u32 position = readl(regs + 8);

	while (time_before(jiffies, stop)) {
		scribble((struct sivwake_slot *)end - vms, regs, position);
		usleep_range(100, 200);
	}
	iounmap(regs);
	pci_dev_put(pdev);
	return 0;
}

static int __init scribble_init(void)
{
	struct pci_dev *pdev = NULL;

	while ((pdev = pci_get_device(0x1af4, 0x1110, pdev))) {
		void __iomem *regs = ioremap(pci_resource_start(pdev, 0), 4096);
		u32 position = regs ? readl(regs + 8) : 0;

		iounmap(regs);
		if (position & SIVRING_ID_LINK) {
			pci_dev_get(pdev);
			kthread_run(run, pdev, "scribble");
		}
	}
	return 0;
}
module_init(scribble_init);

static void __exit scribble_exit(void)
{
	/* its threads have ended by then, says who unloads it */
}
module_exit(scribble_exit);
MODULE_DESCRIPTION("Attack on the wake table, for the tests");
MODULE_LICENSE("GPL");
