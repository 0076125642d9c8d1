/* SPDX-License-Identifier: MIT */
/*
 * The ivshmem server (protocol version 0 of QEMU's ivshmem-spec): one UNIX
 * socket per device. All eventfds exist from the start and are in each
 * greeting, so nobody has to be told who comes and goes.
 *
 * QEMU spins for ever if its server hangs up half-way, so the greeting is
 * ready before it is sent; and while a device is taken its socket is not there
 * at all, so that a second QEMU fails at connect.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bsd/err.h>

#include <sivshmem/wake.h>

#include "alloc.h"
#include "keep.h"
#include "limits.h"
#include "send_fd.h"

#define GREETING_MAX	(4 + POLICY_MAX_VMS)
#define RETURNS		1	/* of a QEMU, a second */
#define RETURNS_AT_ONCE	20

static int waiting;		/* devices that do not listen yet */

struct word {
	int64_t value;
	int fd;			/* -1: none */
};

static int make_memory(const char *name, uint64_t bytes)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)bytes) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int make_bell(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

/* --- greeting --- */

static uint32_t greet_control(const struct domain *d, struct word *w)
{
	uint32_t id = SIVRING_ID_CONTROL | d->vm->index, n = 0;

	w[n++] = (struct word){ 0, -1 };
	w[n++] = (struct word){ id, -1 };
	w[n++] = (struct word){ -1, d->memory };
	w[n++] = (struct word){ SIVRING_ID_DAEMON, d->wake };
	w[n++] = (struct word){ id, d->ring };
	return n;
}

static uint32_t greet_link(const struct device *dev, struct word *w)
{
	const struct policy_link *policy = &monitor.policy->links[dev->link];
	const struct link *link = &monitor.links[dev->link];
	uint32_t me = dev->domain->vm->index, i, n = 0;

	w[n++] = (struct word){ 0, -1 };
	w[n++] = (struct word){ policy->position[me], -1 };
	w[n++] = (struct word){ -1, link->table };
	for (i = 0; i < monitor.policy->vm_count; i++)
		if (policy_may_wake(policy, me, i))
			w[n++] = (struct word){ policy->position[i], link->bell[i] };
	w[n++] = (struct word){ policy->position[me], link->bell[me] };
	return n;
}

static void come_again(struct device *dev);

/*
 * What the journal has of the connection stays till the end: who starts in the
 * middle of this finds it hung up, and does all of it.
 */
static void device_gone(struct device *dev)
{
	dev->sent = 0;
	if (dev->link < 0) {
		audit_write(&(struct audit){ .event = "vm-down", .domain = dev->domain });
		dev->domain->up = false;
		keep_domain(dev->domain);
		domain_reset(dev->domain);
		/* the next guest finds no word of this one */
		if (fallocate(dev->domain->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      0, SIVRING_MEMORY))
			warn("%s: control memory", dev->domain->name);
		domain_restart(dev->domain);
	} else {
		wake_vm_gone((uint32_t)dev->link, dev->domain->vm->index);
	}
	loop_drop(&dev->conn);
	come_again(dev);
}

/* True when all of it is out. */
static bool greet(struct device *dev)
{
	struct word words[GREETING_MAX];
	uint32_t n = dev->link < 0 ? greet_control(dev->domain, words) :
				     greet_link(dev, words);

	while (dev->sent < n) {
		const struct word *w = &words[dev->sent];

		if (send_fd(dev->conn.fd, &w->value, sizeof(w->value), w->fd, MSG_DONTWAIT))
			return false;
		dev->sent++;
		keep_device(dev);
		keep_commit();
	}
	return true;
}

static void conn_ready(struct watch *watch, uint32_t events)
{
	struct device *dev = watch->owner;
	char byte;
	ssize_t n;

	/* QEMU has nothing to say: what comes is the end, or is not looked at */
	n = recv(watch->fd, &byte, sizeof(byte), MSG_DONTWAIT);
	if ((events & (EPOLLHUP | EPOLLERR)) || n == 0 ||
	    (n < 0 && errno != EAGAIN && errno != EINTR)) {
		device_gone(dev);
		return;
	}
	if ((events & EPOLLOUT) && greet(dev))
		loop_change(watch, EPOLLIN | EPOLLRDHUP);
}

/* --- sockets --- */

static bool peer_allowed(const struct device *dev, int fd)
{
	const struct policy_vm *vm = dev->domain->vm;
	socklen_t size = sizeof(struct ucred);
	struct ucred peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return false;
	return vm->any_uid || peer.uid == vm->uid || peer.uid == 0;
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	struct device *dev = watch->owner;
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	if (!peer_allowed(dev, fd)) {
		limits_log(&(struct audit){ .event = "vm-up", .domain = dev->domain,
			.refused = true, .reason = "QEMU runs as another uid" });
		close(fd);
		return;
	}
	loop_drop(watch);
	unlink(dev->path);
	dev->conn.fd = fd;
	dev->conn.ready = conn_ready;
	dev->conn.owner = dev;
	dev->sent = 0;
	keep_device(dev);
	if (loop_add(&dev->conn, EPOLLIN | EPOLLRDHUP | EPOLLOUT))
		err(3, "epoll_ctl");
	if (dev->link < 0) {
		dev->domain->up = true;
		keep_domain(dev->domain);
		audit_write(&(struct audit){ .event = "vm-up", .domain = dev->domain });
	}
	if (greet(dev))
		loop_change(&dev->conn, EPOLLIN | EPOLLRDHUP);
}

static void wait_for_qemu(struct device *dev)
{
	dev->listener.ready = listener_ready;
	dev->listener.owner = dev;
	if (loop_add(&dev->listener, EPOLLIN))
		err(3, "epoll_ctl");
	keep_device(dev);
}

/* False: it must be tried again. */
static bool device_listen(struct device *dev)
{
	const struct policy_vm *vm = dev->domain->vm;
	int fd = monitor_listen(dev->path, SOCK_STREAM, 0600);

	if (fd < 0) {
		warnc(-fd, "%s: QEMU cannot connect", dev->path);
		return false;
	}
	if (!vm->any_uid && geteuid() == 0 && lchown(dev->path, vm->uid, (gid_t)-1))
		warn("%s", dev->path);
	dev->listener.fd = fd;
	wait_for_qemu(dev);
	return true;
}

/* A QEMU that comes and goes without end costs a worker, lines of the log and records. */
static void come_again(struct device *dev)
{
	bool can = bucket_take(&dev->returns) && device_listen(dev);

	if (!can)
		keep_device(dev);
	waiting += !can - dev->waits;
	dev->waits = !can;
}

static void try_again(struct device *dev)
{
	if (dev->waits && bucket_has(&dev->returns))
		come_again(dev);
}

int hub_deadline(void)
{
	return waiting ? 1000 / RETURNS : -1;
}

void hub_tick(void)
{
	uint32_t i, k;

	for (i = 0; waiting && i < monitor.policy->vm_count; i++) {
		try_again(&monitor.domains[i].control);
		for (k = 0; k < monitor.policy->link_count; k++)
			try_again(&monitor.links[k].device[i]);
	}
}

static bool is_socket(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISSOCK(st.st_mode);
}

/* The last monitor had a QEMU here, or its socket. */
static bool device_goes_on(struct device *dev)
{
	keep_take_device(dev);
	/* it ended when it had taken a QEMU's connection, and had not noted it */
	if (dev->conn.fd < 0 && dev->listener.fd >= 0 && !is_socket(dev->path))
		loop_drop(&dev->listener);
	if (dev->listener.fd >= 0)
		wait_for_qemu(dev);
	if (dev->conn.fd < 0)
		return dev->listener.fd >= 0;
	unlink(dev->path);
	dev->conn.ready = conn_ready;
	dev->conn.owner = dev;
	if (loop_add(&dev->conn, EPOLLIN | EPOLLRDHUP | EPOLLOUT))
		err(3, "epoll_ctl");
	return true;
}

static int make_dir(const char *path)
{
	return mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
}

static int make_parent(const struct device *dev)
{
	char dir[sizeof(dev->path)];
	int r;

	snprintf(dir, sizeof(dir), "%s/vm", monitor.run_dir);
	r = make_dir(dir);
	if (r)
		return r;
	snprintf(dir, sizeof(dir), "%s/vm/%s", monitor.run_dir, dev->domain->name);
	return make_dir(dir);
}

static void device_start(struct device *dev, struct domain *d, int link)
{
	char path[4096];
	int r;

	dev->listener.fd = dev->conn.fd = -1;
	dev->returns = (struct bucket){ .rate = RETURNS, .burst = RETURNS_AT_ONCE };
	dev->domain = d;
	dev->link = link;
	if (link < 0)
		policy_control_path(monitor.policy, monitor.run_dir, d->vm->index,
				    path, sizeof(path));
	else
		policy_link_path(monitor.policy, monitor.run_dir, d->vm->index,
				 (uint32_t)link, path, sizeof(path));
	if ((size_t)snprintf(dev->path, sizeof(dev->path), "%s", path) >= sizeof(dev->path))
		errx(2, "%s: too long for a UNIX socket; give a shorter --run-dir", path);
	r = make_parent(dev);
	if (r)
		errc(3, -r, "%s", dev->path);
	if (!device_goes_on(dev) && !device_listen(dev))
		exit(3);
}

/* Where all may write, one device has it all; else see link_file.c. */
static bool link_memory(uint32_t index, bool goes_on)
{
	const struct policy_link *policy = &monitor.policy->links[index];
	struct link *link = &monitor.links[index];

	if (!goes_on && policy->split) {
		link->memory = link_file_make(index);
		link->table = make_memory("sivshmem:wake", SIVWAKE_MEMORY);
	} else if (!goes_on) {
		link->memory = link->table = make_memory("sivshmem:link", policy->memory);
	}
	link->pages = pages_create(policy->usable);
	return link->memory >= 0 && link->table >= 0 && link->pages && !wake_start(index);
}

static void link_start(uint32_t index)
{
	const struct policy_link *policy = &monitor.policy->links[index];
	struct link *link = &monitor.links[index];
	bool goes_on = keep_take_link(index);
	uint32_t i;

	if (!link_memory(index, goes_on))
		err(3, "cannot make %llu bytes of memory for link %u",
		    (unsigned long long)policy->memory, index);
	for (i = 0; i < monitor.policy->vm_count; i++) {
		link->bell[i] = goes_on ? link->bell[i] : -1;
		link->device[i].listener.fd = link->device[i].conn.fd = -1;
		if (!(policy->readers >> i & 1))
			continue;
		if (!goes_on)
			link->bell[i] = make_bell();
		if (link->bell[i] < 0)
			err(3, "eventfd");
		device_start(&link->device[i], &monitor.domains[i], (int)index);
	}
	if (policy->split)
		link_file_names(index);
}

int hub_start(void)
{
	uint32_t i;

	for (i = 0; i < monitor.policy->vm_count; i++) {
		struct domain *d = &monitor.domains[i];

		if (!keep_take_domain(d)) {
			d->memory = make_memory("sivshmem:control", SIVRING_MEMORY);
			d->wake = make_bell();
			d->ring = make_bell();
		}
		if (d->memory < 0 || d->wake < 0 || d->ring < 0)
			return -errno;
		device_start(&d->control, d, -1);
	}
	monitor.links = calloc(monitor.policy->link_count + 1, sizeof(*monitor.links));
	if (!monitor.links)
		return -ENOMEM;
	for (i = 0; i < monitor.policy->link_count; i++)
		link_start(i);
	return 0;
}

void hub_stop(void)
{
	uint32_t i, k;

	link_file_stop();
	for (i = 0; i < monitor.policy->vm_count; i++) {
		if (monitor.domains[i].control.listener.fd >= 0)
			unlink(monitor.domains[i].control.path);
		for (k = 0; k < monitor.policy->link_count; k++)
			if (monitor.links[k].device[i].listener.fd >= 0)
				unlink(monitor.links[k].device[i].path);
	}
}
