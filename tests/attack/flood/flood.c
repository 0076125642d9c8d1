// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile guest kernel: until it is unloaded it rings by each of its ivshmem devices,
 * without a pause, vectors and peers that it has, may not ring and that are none.
 * near=1: only vector 0 of peers with ids next to its own, as fast as that goes.
 */
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/random.h>
#include <linux/sched.h>

static bool near;
module_param(near, bool, 0);

static struct task_struct *ringers[16];

static u32 next(u32 own, u32 turn)
{
	if (near)
		return (own - 2 + turn % 5) << 16;
	switch (turn % 4) {
	case 0: return (own - 8 + get_random_u32() % 16) << 16;
	case 1: return (own - 8 + get_random_u32() % 16) << 16 | get_random_u32() % 4;
	case 2: return get_random_u32() & 0xffff;	/* the daemon's id, all vectors */
	default: return get_random_u32();
	}
}

static int run(void *arg)
{
	struct pci_dev *pdev = arg;
	void __iomem *regs = ioremap(pci_resource_start(pdev, 0), 256);
	u32 own, turn = 0;

	own = regs ? readl(regs + 8) : 0;
	while (!kthread_should_stop()) {
		if (regs)
			writel(next(own, turn++), regs + 12);
		if (!(turn % 256))
			cond_resched();
	}
	pci_info(pdev, "flood: %u doorbells\n", turn);
	if (regs)
		iounmap(regs);
	pci_dev_put(pdev);
	return 0;
}

static int __init flood_init(void)
{
	struct pci_dev *pdev = NULL;
	unsigned int n = 0;

	while ((pdev = pci_get_device(0x1af4, 0x1110, pdev)) && n < ARRAY_SIZE(ringers)) {
		struct task_struct *t = kthread_run(run, pci_dev_get(pdev), "flood");

		if (IS_ERR(t))
			pci_dev_put(pdev);
		else
			ringers[n++] = t;
	}
	pci_dev_put(pdev);
	return 0;
}
module_init(flood_init);

static void __exit flood_exit(void)
{
	for (unsigned int n = 0; n < ARRAY_SIZE(ringers) && ringers[n]; n++)
		kthread_stop(ringers[n]);
}
module_exit(flood_exit);
MODULE_DESCRIPTION("Attack by doorbells, for the tests");
MODULE_LICENSE("GPL");
