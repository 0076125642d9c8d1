/* SPDX-License-Identifier: MIT */
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sivshmem/sivshmem.h>

#define HIGH_FD		900
/* how long a host that just restarts may take to be up again */
#define UP_MS		3000

static int high_fd(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > HIGH_FD + 100)
		return HIGH_FD;
	return (int)(limit.rlim_cur / 2);
}

int sivshmem_transport_adopt(struct sivshmem_transport *t, int fd)
{
	struct stat st;
	int high = fcntl(fd, F_DUPFD_CLOEXEC, high_fd());

	if (high >= 0) {
		close(fd);
		fd = high;
	}
	if (fstat(fd, &st)) {
		int e = errno;

		close(fd);
		return -e;
	}
	t->fd = fd;
	t->dev = st.st_dev;
	t->ino = st.st_ino;
	return 0;
}

static int open_dev(struct sivshmem_transport *t, int64_t patience,
		    int64_t deadline, struct sivshmem_error *err)
{
	int64_t up_by = sivshmem_now_ms() + patience;

	return sivshmem_dev_open(t, up_by < deadline ? up_by : deadline, err);
}

static int open_auto(struct sivshmem_transport *t, int64_t deadline,
		     struct sivshmem_error *err)
{
	bool socket_there = !access(SIVSHMEM_DEFAULT_SOCKET, F_OK);
	int rc = -ENOENT;

	if (sivshmem_dev_there())
		rc = open_dev(t, socket_there ? 0 : UP_MS, deadline, err);
	if (rc && socket_there)
		return sivshmem_unix_open(t, SIVSHMEM_DEFAULT_SOCKET, deadline, err);
	if (rc != -ENOENT)
		return rc;
	return sivshmem_error_set(err, -EHOSTDOWN,
		"neither /dev/sivshmem nor " SIVSHMEM_DEFAULT_SOCKET " is there; "
		"in a VM load sivshmem.ko, on the host start sivshmem-cad");
}

int sivshmem_transport_open(struct sivshmem_transport *t, const char *where,
			    int64_t deadline, struct sivshmem_error *err)
{
	memset(t, 0, sizeof(*t));
	t->fd = t->pending_fd = -1;
	if (!strcmp(where, "auto"))
		return open_auto(t, deadline, err);
	if (!strcmp(where, "dev"))
		return open_dev(t, UP_MS, deadline, err);
	if (!strncmp(where, "unix:", 5))
		return sivshmem_unix_open(t, where + 5, deadline, err);
	return sivshmem_error_set(err, -EINVAL,
		"transport is auto, dev or unix:PATH, got '%s'", where);
}

bool sivshmem_transport_alive(const struct sivshmem_transport *t)
{
	struct stat st;

	return t->carrier && !fstat(t->fd, &st) && st.st_dev == t->dev &&
	       st.st_ino == t->ino && t->carrier->still_ours(t);
}

void sivshmem_transport_close(struct sivshmem_transport *t)
{
	if (!t->carrier)
		return;
	if (sivshmem_transport_alive(t))
		close(t->fd);
	if (t->pending_fd >= 0)
		close(t->pending_fd);
	t->fd = t->pending_fd = -1;
	t->carrier = NULL;
}

int sivshmem_transport_wait(const struct sivshmem_transport *t, short events,
			    int64_t deadline)
{
	struct pollfd p = { .fd = t->fd, .events = events };

	for (;;) {
		int64_t left = deadline - sivshmem_now_ms();
		int n;

		if (left <= 0)
			return -ETIMEDOUT;
		n = poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
	}
}

int sivshmem_transport_send(struct sivshmem_transport *t, const void *message,
			    size_t length, int64_t deadline)
{
	for (;;) {
		int rc = t->carrier->send(t, message, length);

		if (rc != -EAGAIN && rc != -EINTR)
			return rc;
		rc = sivshmem_transport_wait(t, POLLOUT, deadline);
		if (rc)
			return rc;
	}
}

ssize_t sivshmem_transport_receive(struct sivshmem_transport *t,
				   void *message, size_t size, int64_t deadline)
{
	for (;;) {
		ssize_t n = t->carrier->receive(t, message, size);

		if (n != -EAGAIN && n != -EINTR)
			return n;
		n = sivshmem_transport_wait(t, POLLIN, deadline);
		if (n)
			return n;
	}
}
