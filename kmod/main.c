// SPDX-License-Identifier: GPL-2.0
/* Guest side of sivshmem: see sivshmem(4). */
#include <linux/module.h>
#include "sivshmem.h"

DEFINE_MUTEX(siv_lock);
LIST_HEAD(siv_links);
LIST_HEAD(siv_sessions);
LIST_HEAD(siv_grants);
LIST_HEAD(siv_objects);

static int __init siv_init(void)
{
	int err;

	err = siv_channel_init();
	if (err)
		return err;
	err = siv_unmap_init();
	if (err)
		goto err_channel;
	err = siv_outbox_init();
	if (err)
		goto err_unmap;
	err = siv_owner_init();
	if (err)
		goto err_outbox;
	err = siv_pci_init();
	if (err)
		goto err_owner;
	err = siv_wait_init();
	if (err)
		goto err_pci;
	err = siv_device_init();
	if (err)
		goto err_wait;
	return 0;
err_wait:
	siv_wait_exit();
err_pci:
	siv_pci_exit();
err_owner:
	siv_owner_exit();
err_outbox:
	siv_outbox_exit();
err_unmap:
	siv_unmap_exit();
err_channel:
	siv_channel_exit();
	return err;
}

static void __exit siv_exit(void)
{
	siv_device_exit();
	siv_wait_exit();
	siv_lock_exit();
	siv_pci_exit();
	siv_owner_exit();
	siv_outbox_exit();
	siv_unmap_exit();
	siv_channel_exit();
}

module_param_named(storm, siv_storm, uint, 0644);
MODULE_PARM_DESC(storm, "interrupts of a link that are taken in one tick of the timer");
module_init(siv_init);
module_exit(siv_exit);
MODULE_DESCRIPTION("Authenticated shared-memory channels between VMs");
MODULE_AUTHOR("the sivshmem authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
