// SPDX-License-Identifier: GPL-2.0
/* PCI 1af4:1110, whose IVPosition says what a device is: control, link, or not ours. */
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "sivshmem.h"

static u32 link_count;		/* under siv_lock */

static void link_free(struct kref *ref)
{
	kfree(container_of(ref, struct siv_link, ref));
}

void siv_link_put(struct siv_link *link)
{
	kref_put(&link->ref, link_free);
}

static void link_put_action(void *link)
{
	siv_link_put(link);
}

struct siv_link *siv_link_find(u32 position)
{
	struct siv_link *link;

	list_for_each_entry(link, &siv_links, node)
		if (link->doorbell.position == position)
			return link;
	return NULL;
}

u32 siv_link_count(void)
{
	return READ_ONCE(link_count);
}

static irqreturn_t control_irq(int irq, void *arg)
{
	siv_control_interrupt();
	return IRQ_HANDLED;
}

static int probe_control(struct pci_dev *pdev, void __iomem *regs)
{
	void *memory;
	int err;

	if (pci_resource_len(pdev, 2) != SIVRING_MEMORY) {
		dev_err(&pdev->dev, "control memory has %llu bytes, not %u\n",
			(u64)pci_resource_len(pdev, 2), SIVRING_MEMORY);
		return -EINVAL;
	}
	memory = devm_memremap(&pdev->dev, pci_resource_start(pdev, 2),
			       SIVRING_MEMORY, MEMREMAP_WB);
	if (IS_ERR(memory))
		return PTR_ERR(memory);
	err = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX);
	if (err < 0)
		return err;
	err = siv_control_bind(pdev, regs, memory);
	if (err)
		goto err_free_vectors;
	err = request_irq(pci_irq_vector(pdev, 0), control_irq, 0, "sivshmem", pdev);
	if (err)
		goto err_unbind;
	return 0;
err_unbind:
	siv_control_unbind(pdev);
err_free_vectors:
	pci_free_irq_vectors(pdev);
	return err;
}

/*
 * SeaBIOS marks what lies below 4 GiB uncachable; there only 4 KiB mappings
 * of struct pages stay write-back.
 */
static bool maps_write_back(phys_addr_t start)
{
	return start >= (1ULL << 32);
}

/* Nobody has poisoned it; else the kernel would look for pages of a DAX file. */
static int memory_failure_nowhere(struct dev_pagemap *map, unsigned long pfn,
				  unsigned long pages, int flags)
{
	return -EIO;
}

static const struct dev_pagemap_ops link_ops = {
	.memory_failure = memory_failure_nowhere,
};

/* Its memory is this device; its doorbell too, unless doorbell says another one. */
static int probe_link(struct pci_dev *pdev, const struct siv_doorbell *doorbell)
{
	struct siv_link *link;
	int err;

	link = kzalloc(sizeof(*link), GFP_KERNEL);
	if (!link)
		return -ENOMEM;
	kref_init(&link->ref);
	link->pdev = pdev;
	link->doorbell = *doorbell;
	link->start = pci_resource_start(pdev, 2);
	link->length = link->usable = pci_resource_len(pdev, 2);
	/* without DAX the kernel takes our huge entries for its own */
	link->huge = IS_ENABLED(CONFIG_FS_DAX) && maps_write_back(link->start);
	if (!maps_write_back(link->start))
		dev_warn(&pdev->dev, "memory below 4 GiB: no 2 MiB mappings; give the root port pref64-reserve=1G\n");
	/* pgmap is in use until devres has run: keep link until after that */
	err = devm_add_action(&pdev->dev, link_put_action, link);
	if (err) {
		siv_link_put(link);
		return err;
	}
	kref_get(&link->ref);
	link->pgmap.type = MEMORY_DEVICE_GENERIC;
	link->pgmap.range.start = link->start;
	link->pgmap.range.end = link->start + link->length - 1;
	link->pgmap.nr_range = 1;
	link->pgmap.ops = &link_ops;
	link->memory = devm_memremap_pages(&pdev->dev, &link->pgmap);
	if (IS_ERR(link->memory)) {
		err = PTR_ERR(link->memory);
		siv_link_put(link);
		return err;
	}
	if (link->doorbell.pdev == pdev) {
		err = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX);
		if (err < 0) {
			siv_link_put(link);
			return err;
		}
	}
	pci_set_drvdata(pdev, link);
	mutex_lock(&siv_lock);
	list_add_tail(&link->node, &siv_links);
	link_count++;
	mutex_unlock(&siv_lock);
	siv_control_link_came();
	return 0;
}

static int probe_as(struct pci_dev *pdev, const struct siv_doorbell *doorbell)
{
	switch (doorbell->position & SIVRING_ID_BELL) {
	case SIVRING_ID_CONTROL:
		return probe_control(pdev, doorbell->regs);
	case SIVRING_ID_BELL:
		if (doorbell->pdev == pdev)
			return siv_bell_probe(pdev, doorbell->regs, doorbell->position);
		break;
	}
	return probe_link(pdev, doorbell);
}

/* Other users of ivshmem keep theirs. */
static int whose(struct pci_dev *pdev, struct siv_doorbell *doorbell)
{
	if (!doorbell->position)
		return siv_bell_beside(pdev, doorbell);
	return doorbell->position & ~(u32)(SIVRING_ID_MASK | SIVRING_ID_BELL) ||
	       !(doorbell->position & SIVRING_ID_BELL) ? -ENODEV : 0;
}

static int siv_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	u64 length = pci_resource_len(pdev, 2);
	struct siv_doorbell doorbell = { .pdev = pdev };
	int err;

	err = pcim_enable_device(pdev);
	if (err)
		return err;
	doorbell.regs = pcim_iomap(pdev, 0, 0);
	if (!doorbell.regs)
		return -ENOMEM;
	doorbell.position = readl(doorbell.regs + SIV_REG_IVPOSITION);
	err = whose(pdev, &doorbell);
	if (err)
		return err;
	if (length < (2u << 20) || !is_power_of_2(length)) {
		dev_err(&pdev->dev, "BAR 2 has %llu bytes; give the root port a larger pref64-reserve\n",
			length);
		return -ENOSPC;
	}
	/* exclusive: neither sysfs nor /dev/mem maps it for anybody, root included */
	err = pci_request_regions_exclusive(pdev, "sivshmem");
	if (err)
		return err;
	pci_set_master(pdev);
	return probe_as(pdev, &doorbell);
}

static void siv_remove(struct pci_dev *pdev)
{
	struct siv_link *link = pci_get_drvdata(pdev);

	if (siv_bell_remove(pdev))
		return;
	if (!link) {
		free_irq(pci_irq_vector(pdev, 0), pdev);
		siv_control_unbind(pdev);
		pci_free_irq_vectors(pdev);
		return;
	}
	mutex_lock(&siv_lock);
	list_del(&link->node);
	link_count--;
	mutex_unlock(&siv_lock);
	siv_objects_drop_link(link);
	siv_wake_unbind(link);
	if (link->doorbell.pdev == pdev)
		pci_free_irq_vectors(pdev);
	siv_link_put(link);
}

static const struct pci_device_id siv_ids[] = {
	{ PCI_DEVICE(0x1af4, 0x1110) },
	{ }
};
MODULE_DEVICE_TABLE(pci, siv_ids);

static struct pci_driver siv_driver = {
	.name = "sivshmem",
	.id_table = siv_ids,
	.probe = siv_probe,
	.remove = siv_remove,
	.driver.suppress_bind_attrs = true,
};

int siv_pci_init(void)
{
	return pci_register_driver(&siv_driver);
}

void siv_pci_exit(void)
{
	pci_unregister_driver(&siv_driver);
}
