/* SPDX-License-Identifier: MIT */
/* Pages, interrupts and PCI devices of kernel.h. */
#ifndef SIVSHMEM_FUZZ_KERNEL_DEVICES_H
#define SIVSHMEM_FUZZ_KERNEL_DEVICES_H

#define PAGE_SHIFT		12
#define PAGE_SIZE		4096ul
#define PAGE_ALIGNED(x)		(!((x) & (PAGE_SIZE - 1)))
#define PHYS_PFN(x)		((unsigned long)((x) >> PAGE_SHIFT))
struct page {
	struct address_space *mapping;
	unsigned long index;
	int count;
};
/* Only a page of a bound link device is one. */
struct page *pfn_to_page(unsigned long pfn);
void *page_address(const struct page *page);
#define page_ref_count(p)	((p)->count)
void unmap_mapping_range(struct address_space *m, loff_t from, loff_t length, int even_cows);

typedef int irqreturn_t;
#define IRQ_HANDLED		1
typedef irqreturn_t (*irq_handler_t)(int irq, void *arg);
int request_irq(unsigned int irq, irq_handler_t handler, unsigned long flags,
	const char *name, void *arg);
void free_irq(unsigned int irq, void *arg);
void disable_irq_nosync(unsigned int irq);
void disable_irq(unsigned int irq);
void enable_irq(unsigned int irq);
void kernel_interrupt(unsigned int irq);

struct dev_pagemap;
struct dev_pagemap_ops {
	int (*memory_failure)(struct dev_pagemap *map, unsigned long pfn,
			      unsigned long pages, int flags);
};
struct dev_pagemap {
	int type, nr_range;
	struct { u64 start, end; } range;
	const struct dev_pagemap_ops *ops;
};
#define MEMORY_DEVICE_GENERIC	1
#define MEMREMAP_WB		0

#define KERNEL_DEVICES	4
struct device { int unused; };
struct pci_bus { int unused; };
struct pci_dev {
	struct device dev;		/* first: devm_ gets it back */
	struct pci_bus *bus;
	unsigned int devfn;
	u64 start, length;		/* of BAR 2 */
	u8 *memory;			/* what is there */
	u32 regs[4];
	struct page *pages;		/* of a link */
	void *drvdata, *managed;
	unsigned int irq;
	void (*action)(void *);		/* when the driver is gone */
	void *action_data;
	irq_handler_t handler;
	void *handler_data;
	int disabled;
	bool gone;			/* no page of it is one any more */
};
extern struct pci_dev kernel_devices[KERNEL_DEVICES];
struct pci_device_id { u32 vendor, device; };
struct pci_driver {
	const char *name;
	const struct pci_device_id *id_table;
	int (*probe)(struct pci_dev *pdev, const struct pci_device_id *id);
	void (*remove)(struct pci_dev *pdev);
	struct { bool suppress_bind_attrs; } driver;
};
extern struct pci_driver *kernel_driver;
#define PCI_DEVICE(v, d)	.vendor = (v), .device = (d)
#define PCI_IRQ_MSIX		4
#define PCI_DEVFN(slot, fn)	((slot) << 3 | (fn))
#define PCI_SLOT(devfn)		((devfn) >> 3)
#define PCI_FUNC(devfn)		((devfn) & 7)
struct pci_dev *pci_get_slot(struct pci_bus *bus, unsigned int devfn);
#define pci_dev_put(p)		((void)(p))
#define DL_FLAG_AUTOREMOVE_CONSUMER 2
struct device_link { int status; };
#define DL_STATE_CONSUMER_PROBE	2
#define device_link_add(consumer, supplier, flags) \
	((void)(consumer), (void)(supplier), &(struct device_link){ DL_STATE_CONSUMER_PROBE })
#define pci_register_driver(d)	(kernel_driver = (d), 0)
#define pci_unregister_driver(d) ((void)(d))
#define pcim_enable_device(p)	((void)(p), 0)
#define pcim_iomap(p, bar, n)	((void *)(p)->regs)
#define pci_resource_len(p, bar) ((p)->length)
#define pci_resource_start(p, bar) ((p)->start)
#define pci_request_regions_exclusive(p, n) ((void)(p), 0)
#define pci_set_master(p)	((void)(p))
#define pci_alloc_irq_vectors(p, a, b, f) ((void)(p), 1)
#define pci_free_irq_vectors(p)	((void)(p))
#define pci_irq_vector(p, n)	((p)->irq)
#define pci_set_drvdata(p, d)	((p)->drvdata = (d))
#define pci_get_drvdata(p)	((p)->drvdata)
#define devm_memremap(d, start, n, how) ((void *)((struct pci_dev *)(d))->memory)
void *devm_kzalloc(struct device *dev, size_t size, gfp_t gfp);
int devm_add_action(struct device *dev, void (*action)(void *), void *data);
void *devm_memremap_pages(struct device *dev, struct dev_pagemap *map);
#define readl(p)		(*(const volatile u32 *)(p))
#define writel(v, p)		(*(volatile u32 *)(p) = (v))
/* Bind the driver, as on boot; and take it away, as when the module goes. */
int kernel_bind(struct pci_dev *pdev, u32 position, u64 length);
void kernel_unbind(struct pci_dev *pdev);

#endif
