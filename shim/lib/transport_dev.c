/* SPDX-License-Identifier: MIT */
/* In a VM: a session of the guest kernel, sivshmem/uapi.h. */
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <sivshmem/uapi.h>

#define UP_POLL_MS	20

static int dev_send(struct sivshmem_transport *t, const void *message,
		    size_t length)
{
	ssize_t n = write(t->fd, message, length);

	if (n < 0)
		return -errno;
	return (size_t)n == length ? 0 : -EPROTO;
}

static ssize_t dev_receive(struct sivshmem_transport *t, void *message,
			   size_t size)
{
	ssize_t n = read(t->fd, message, size);

	if (n < 0)
		return -errno;
	return n ? n : -ECONNRESET;
}

static int dev_grant_fd(struct sivshmem_transport *t, uint64_t grant,
			bool writable, int64_t deadline,
			struct sivshmem_error *err)
{
	struct sivshmem_grant_fd arg = {
		.grant = grant,
		.flags = SIVSHMEM_FD_CLOEXEC | (writable ? SIVSHMEM_FD_WRITE : 0),
		.fd = -1,
	};
	int e;

	(void)deadline;
	if (!ioctl(t->fd, SIVSHMEM_IOC_GRANT_FD, &arg))
		return arg.fd;
	e = errno;
	return sivshmem_error_set(err, -e,
		"/dev/sivshmem: the kernel makes no file of grant %llu: %s",
		(unsigned long long)grant, strerrordesc_np(e));
}

static bool get_info(int fd, struct sivshmem_info *info)
{
	memset(info, 0, sizeof(*info));
	return !ioctl(fd, SIVSHMEM_IOC_INFO, info);
}

/* Every open of the device has the same inode: ask which session it is. */
static bool dev_still_ours(const struct sivshmem_transport *t)
{
	struct sivshmem_info info;

	return get_info(t->fd, &info) && info.session == t->kernel_session;
}

static const struct sivshmem_carrier dev_carrier = {
	.send = dev_send,
	.receive = dev_receive,
	.grant_fd = dev_grant_fd,
	.still_ours = dev_still_ours,
	.local = false,
};

bool sivshmem_dev_there(void)
{
	return !access(SIVSHMEM_DEVICE, F_OK);
}

static int say_open(int e, struct sivshmem_error *err)
{
	switch (e) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return sivshmem_error_set(err, -EHOSTDOWN,
			"no " SIVSHMEM_DEVICE ": load the module sivshmem.ko (modprobe sivshmem), "
			"and start the VM with the devices that `sivshmem-ca qemu-args` prints");
	case EACCES:
	case EPERM:
		return sivshmem_error_set(err, -EACCES,
			SIVSHMEM_DEVICE ": %s; give this user the device's group",
			strerrordesc_np(e));
	default:
		return sivshmem_error_set(err, -e, SIVSHMEM_DEVICE ": %s",
			strerrordesc_np(e));
	}
}

static int check_info(const struct sivshmem_info *info, bool known,
		      struct sivshmem_error *err)
{
	if (!known || info->version != SIVSHMEM_UAPI_VERSION)
		return sivshmem_error_set(err, -EPROTO,
			SIVSHMEM_DEVICE ": the module speaks version %u, this library %u; "
			"install matching ones", info->version, SIVSHMEM_UAPI_VERSION);
	if (!info->up)
		return sivshmem_error_set(err, -EHOSTDOWN,
			SIVSHMEM_DEVICE " is there, but the host does not answer; on the host "
			"see that sivshmem-cad runs and that this VM has its control device");
	return 0;
}

int sivshmem_dev_open(struct sivshmem_transport *t, int64_t up_by,
		      struct sivshmem_error *err)
{
	struct sivshmem_info info;
	bool known;
	int fd, rc;

	fd = open(SIVSHMEM_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return say_open(errno, err);
	while ((known = get_info(fd, &info)) && !info.up &&
	       sivshmem_now_ms() < up_by)
		sivshmem_sleep_ms(UP_POLL_MS);
	rc = check_info(&info, known, err);
	if (rc) {
		close(fd);
		return rc;
	}
	rc = sivshmem_transport_adopt(t, fd);
	if (rc)
		return say_open(-rc, err);
	t->kernel_session = info.session;
	memcpy(t->vm, info.vm, SIVP_VM_LEN);
	t->vm[SIVP_VM_LEN] = '\0';
	t->carrier = &dev_carrier;
	return 0;
}
