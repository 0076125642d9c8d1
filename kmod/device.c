// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/sivshmem as a device of its own. Its open may wait for the host, and that of
 * a misc device would keep every other misc device from being opened meanwhile.
 */
#include <linux/device.h>
#include "compat.h"
#include "sivshmem.h"

static int major;

static char *everybodys(siv_class_device *dev, umode_t *mode)
{
	if (mode)
		*mode = 0666;
	return NULL;
}

static struct class siv_class = {
	.name = "sivshmem",
	.devnode = everybodys,
};

int siv_device_init(void)
{
	struct device *dev;
	int err = class_register(&siv_class);

	if (err)
		return err;
	major = __register_chrdev(0, 0, 1, "sivshmem", &siv_session_fops);
	if (major < 0) {
		err = major;
		goto err_class;
	}
	dev = device_create(&siv_class, NULL, MKDEV(major, 0), NULL, "sivshmem");
	if (IS_ERR(dev)) {
		err = PTR_ERR(dev);
		goto err_chrdev;
	}
	return 0;
err_chrdev:
	__unregister_chrdev(major, 0, 1, "sivshmem");
err_class:
	class_unregister(&siv_class);
	return err;
}

void siv_device_exit(void)
{
	device_destroy(&siv_class, MKDEV(major, 0));
	__unregister_chrdev(major, 0, 1, "sivshmem");
	class_unregister(&siv_class);
}
