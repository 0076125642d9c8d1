// SPDX-License-Identifier: GPL-2.0
/*
 * The doorbell of a link that some VM may only read: registers, interrupt and wake
 * table. The link's memory is function 1 of its slot, an ivshmem-plain, which has
 * no id: it is ours because it is there, where only the host puts devices. A plain
 * ivshmem in any other place is somebody else's.
 */
#include <linux/io.h>
#include <linux/slab.h>
#include "sivshmem.h"

struct bell {
	struct list_head node;		/* bells, under siv_lock */
	struct pci_dev *pdev;
	struct siv_doorbell doorbell;
};

static LIST_HEAD(bells);

int siv_bell_probe(struct pci_dev *pdev, void __iomem *regs, u32 position)
{
	u64 length = pci_resource_len(pdev, 2);
	struct bell *b;
	int err;

	if (length != SIVWAKE_MEMORY) {
		dev_err(&pdev->dev, "wake table has %llu bytes, not %u\n", length, SIVWAKE_MEMORY);
		return -EINVAL;
	}
	b = devm_kzalloc(&pdev->dev, sizeof(*b), GFP_KERNEL);
	if (!b)
		return -ENOMEM;
	b->pdev = pdev;
	b->doorbell.pdev = pdev;
	b->doorbell.regs = regs;
	b->doorbell.position = position;
	b->doorbell.table = devm_memremap(&pdev->dev, pci_resource_start(pdev, 2), length,
					  MEMREMAP_WB);
	if (IS_ERR(b->doorbell.table))
		return PTR_ERR(b->doorbell.table);
	err = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSIX);
	if (err < 0)
		return err;
	mutex_lock(&siv_lock);
	list_add(&b->node, &bells);
	mutex_unlock(&siv_lock);
	return 0;
}

/* siv_lock held */
static struct bell *bell_of(const struct pci_dev *pdev)
{
	struct bell *b;

	list_for_each_entry(b, &bells, node)
		if (b->pdev == pdev)
			return b;
	return NULL;
}

/* The link that used it went before: see siv_bell_beside(). */
bool siv_bell_remove(struct pci_dev *pdev)
{
	struct bell *b;

	mutex_lock(&siv_lock);
	b = bell_of(pdev);
	if (b)
		list_del(&b->node);
	mutex_unlock(&siv_lock);
	if (b)
		pci_free_irq_vectors(pdev);
	return b;
}

static bool copy_bell(const struct pci_dev *pdev, struct siv_doorbell *doorbell)
{
	struct bell *b;

	mutex_lock(&siv_lock);
	b = bell_of(pdev);
	if (b)
		*doorbell = b->doorbell;
	mutex_unlock(&siv_lock);
	return b;
}

/*
 * From here on the driver core takes the link's memory away before its doorbell,
 * unless that was on its way out already.
 */
static bool stays(struct pci_dev *pdev, struct pci_dev *first)
{
	struct device_link *l = device_link_add(&pdev->dev, &first->dev,
						DL_FLAG_AUTOREMOVE_CONSUMER);

	return l && READ_ONCE(l->status) == DL_STATE_CONSUMER_PROBE;
}

int siv_bell_beside(struct pci_dev *pdev, struct siv_doorbell *doorbell)
{
	struct pci_dev *first;
	bool ours;

	if (PCI_FUNC(pdev->devfn) != 1)
		return -ENODEV;
	first = pci_get_slot(pdev->bus, PCI_DEVFN(PCI_SLOT(pdev->devfn), 0));
	if (!first)
		return -ENODEV;
	/* again once it stays: it may have gone and come meanwhile */
	ours = copy_bell(first, doorbell) && stays(pdev, first) && copy_bell(first, doorbell);
	pci_dev_put(first);
	return ours ? 0 : -ENODEV;
}
