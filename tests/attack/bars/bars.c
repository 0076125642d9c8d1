// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile guest kernel: it maps each BAR of each PCI device itself, looks for
 * `canary` in it, and with overwrite=1 writes over what it finds, by every width
 * that a store has. It says what it found, and what it reads there afterwards.
 */
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/string.h>

static char *canary = "";
static bool overwrite;
module_param(canary, charp, 0);
module_param(overwrite, bool, 0);

static void write_over(char *at, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		WRITE_ONCE(at[i], '#');
	WRITE_ONCE(*(u64 *)PTR_ALIGN_DOWN(at, 8), 0x2323232323232323ull);
	memset(at, '#', n);
	mb();
}

/* Memory is cached as its driver has it; what is registers is not, and mapped as such. */
static char *map(struct pci_dev *pdev, int bar)
{
	if (pci_resource_flags(pdev, bar) & IORESOURCE_PREFETCH && pdev->device == 0x1110)
		return memremap(pci_resource_start(pdev, bar), pci_resource_len(pdev, bar),
				MEMREMAP_WB);
	return (char __force *)ioremap(pci_resource_start(pdev, bar), pci_resource_len(pdev, bar));
}

static unsigned int scan(struct pci_dev *pdev, int bar)
{
	size_t length = pci_resource_len(pdev, bar), n = strlen(canary), i;
	char *memory = map(pdev, bar);
	unsigned int found = 0;

	if (!memory) {
		pci_err(pdev, "bars: BAR %d can not be mapped\n", bar);
		return 0;
	}
	for (i = 0; i + n <= length; i++) {
		if (memory[i] != canary[0] || memcmp(memory + i, canary, n))
			continue;
		found++;
		pci_info(pdev, "bars: found in BAR %d at %zu\n", bar, i);
		if (!overwrite)
			continue;
		write_over(memory + i, n);
		pci_info(pdev, "bars: after writing there is '%.*s'\n", (int)n, memory + i);
	}
	memunmap(memory);
	return found;
}

static int __init bars_init(void)
{
	unsigned int found = 0, bars = 0;
	struct pci_dev *pdev = NULL;
	u64 bytes = 0;
	int bar;

	if (strlen(canary) < 8)
		return -EINVAL;
	for_each_pci_dev(pdev) {
		for (bar = 0; bar < PCI_STD_NUM_BARS; bar++) {
			if (!(pci_resource_flags(pdev, bar) & IORESOURCE_MEM) ||
			    !pci_resource_len(pdev, bar))
				continue;
			bars++;
			bytes += pci_resource_len(pdev, bar);
			found += scan(pdev, bar);
		}
	}
	pr_info("bars: %u found in %u BARs with %llu bytes\n", found, bars, bytes);
	return -ECANCELED;		/* done: nothing to unload */
}
module_init(bars_init);
MODULE_DESCRIPTION("Attack on device memory, for the tests");
MODULE_LICENSE("GPL");
