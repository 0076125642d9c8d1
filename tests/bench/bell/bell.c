// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/bell: the least that a doorbell between two VMs can cost. write(2) rings
 * the other one, read(2) sleeps until this one was rung. For the benchmark, on
 * an ivshmem-doorbell device of nobody else's with peers 0 and 1.
 */
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/wait.h>

#define REG_IVPOSITION	8
#define REG_DOORBELL	12

static void __iomem *regs;
static u32 other;
static atomic_t rung;
static DECLARE_WAIT_QUEUE_HEAD(wait);

static irqreturn_t on_ring(int irq, void *arg)
{
	atomic_inc(&rung);
	wake_up_interruptible(&wait);
	return IRQ_HANDLED;
}

static ssize_t bell_read(struct file *file, char __user *to, size_t n, loff_t *pos)
{
	int err = wait_event_interruptible(wait, atomic_add_unless(&rung, -1, 0));

	return err ? err : n;
}

static ssize_t bell_write(struct file *file, const char __user *from, size_t n, loff_t *pos)
{
	writel(other << 16, regs + REG_DOORBELL);
	return n;
}

static const struct file_operations bell_fops = {
	.owner = THIS_MODULE,
	.read = bell_read,
	.write = bell_write,
};

static struct miscdevice bell = {
	.minor = MISC_DYNAMIC_MINOR, .name = "bell", .fops = &bell_fops,
};

static int bell_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	u32 position;
	int err = pcim_enable_device(pdev);

	if (err)
		return err;
	regs = pcim_iomap(pdev, 0, 0);
	if (!regs)
		return -ENOMEM;
	position = readl(regs + REG_IVPOSITION);
	if (position > 1)
		return -ENODEV;
	other = 1 - position;
	pci_set_master(pdev);
	err = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX);
	if (err < 0)
		return err;
	err = devm_request_irq(&pdev->dev, pci_irq_vector(pdev, 0), on_ring, 0, "bell", pdev);
	return err ? err : misc_register(&bell);
}

static const struct pci_device_id bell_ids[] = {
	{ PCI_DEVICE(0x1af4, 0x1110) },
	{ }
};

/* It stays until the guest ends. */
static struct pci_driver bell_driver = {
	.name = "bell",
	.id_table = bell_ids,
	.probe = bell_probe,
	.driver.suppress_bind_attrs = true,
};

static int __init bell_init(void)
{
	return pci_register_driver(&bell_driver);
}
module_init(bell_init);
MODULE_DESCRIPTION("Bare doorbell between two VMs, to measure against");
MODULE_LICENSE("GPL");
