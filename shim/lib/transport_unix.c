/* SPDX-License-Identifier: MIT */
/* Local mode: the daemon's SOCK_SEQPACKET socket; grants come as memfds. */
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_POLL_MS	5

static int unix_send(struct sivshmem_transport *t, const void *message,
		     size_t length)
{
	ssize_t n = send(t->fd, message, length, MSG_NOSIGNAL);

	if (n < 0)
		return -errno;
	return (size_t)n == length ? 0 : -EPROTO;
}

/* Take at most one fd out of the control data, close any other. */
static int take_fd(struct msghdr *msg)
{
	struct cmsghdr *c;
	int fd = -1;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t i, n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			int got;

			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(got));
			if (fd < 0)
				fd = got;
			else
				close(got);
		}
	}
	return fd;
}

static bool is_local_fd(const void *message, size_t length,
			struct sivp_local_fd *local)
{
	if (length != sizeof(*local))
		return false;
	memcpy(local, message, sizeof(*local));
	return local->hdr.type == SIVP_LOCAL_FD && !local->hdr.flags &&
	       local->hdr.length == sizeof(*local) - sizeof(local->hdr);
}

/* LOCAL_FD is kept aside; what comes back is always another message. */
static ssize_t unix_receive(struct sivshmem_transport *t, void *message,
			    size_t size)
{
	char control[CMSG_SPACE(4 * sizeof(int))]
		__attribute__((aligned(__alignof__(struct cmsghdr))));
	struct iovec iov = { .iov_base = message, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control) };
	struct sivp_local_fd local;
	ssize_t n = recvmsg(t->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	int fd;

	if (n < 0)
		return -errno;
	fd = take_fd(&msg);
	if (n == 0 || (msg.msg_flags & MSG_TRUNC) ||
	    !is_local_fd(message, (size_t)n, &local)) {
		if (fd >= 0)
			close(fd);
		if (n == 0)
			return -ECONNRESET;
		return msg.msg_flags & MSG_TRUNC ? -EPROTO : n;
	}
	/* this process has no room for one more fd: the kernel dropped it */
	if (fd < 0)
		return msg.msg_flags & MSG_CTRUNC ? -EMFILE : -EPROTO;
	if (t->pending_fd >= 0)
		close(t->pending_fd);
	t->pending_fd = fd;
	t->pending_grant = local.grant;
	return -EAGAIN;
}

/* A regular file, open for what was granted and for no more. */
static bool fits(int fd, bool writable)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	return flags >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) &&
	       (flags & O_ACCMODE) == (writable ? O_RDWR : O_RDONLY);
}

static int unix_grant_fd(struct sivshmem_transport *t, uint64_t grant,
			 bool writable, int64_t deadline,
			 struct sivshmem_error *err)
{
	char message[SIVP_MSG_MAX];
	ssize_t n = 0;
	int fd;

	while (t->pending_fd < 0 && !n) {
		n = unix_receive(t, message, sizeof(message));
		if (n != -EAGAIN && n != -EINTR)
			break;
		n = t->pending_fd < 0 ? sivshmem_transport_wait(t, POLLIN, deadline) : 0;
	}
	if (t->pending_fd < 0)
		return sivshmem_error_set(err, n > 0 ? -EPROTO : (int)n,
			"the daemon granted the object, but its memory did not come: %s",
			n > 0 ? "another message came" : strerrordesc_np((int)-n));
	fd = t->pending_fd;
	t->pending_fd = -1;
	if (t->pending_grant == grant && fits(fd, writable))
		return fd;
	close(fd);
	return sivshmem_error_set(err, -EPROTO,
		"the daemon sent memory that is not what it granted");
}

/* sockfs gives each socket an inode of its own: the common check is enough */
static bool unix_still_ours(const struct sivshmem_transport *t)
{
	return t->fd >= 0;
}

static const struct sivshmem_carrier unix_carrier = {
	.send = unix_send,
	.receive = unix_receive,
	.grant_fd = unix_grant_fd,
	.still_ours = unix_still_ours,
	.local = true,
};

static int say_connect(int e, const char *path, struct sivshmem_error *err)
{
	switch (e) {
	case ENOENT:
	case ECONNREFUSED:
		return sivshmem_error_set(err, -EHOSTDOWN,
			"%s: the daemon does not run there; start sivshmem-cad, or name "
			"its socket with transport unix:PATH", path);
	case EACCES:
	case EPERM:
		return sivshmem_error_set(err, -EACCES,
			"%s: %s; give this user access to the daemon's socket", path,
			strerrordesc_np(e));
	case ETIMEDOUT:
		return sivshmem_error_set(err, -EHOSTDOWN,
			"%s: the daemon takes no connections; see its log", path);
	default:
		return sivshmem_error_set(err, -e, "%s: %s", path,
			strerrordesc_np(e));
	}
}

int sivshmem_unix_open(struct sivshmem_transport *t, const char *path,
		       int64_t deadline, struct sivshmem_error *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, rc;

	if (path[0] != '/' || strlen(path) >= sizeof(addr.sun_path))
		return sivshmem_error_set(err, -EINVAL,
			"transport unix: wants an absolute path of at most %zu bytes, got '%s'",
			sizeof(addr.sun_path) - 1, path);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return say_connect(errno, path, err);
	/* EAGAIN: the queue of connections is full, and poll does not tell when */
	while (connect(fd, (const struct sockaddr *)&addr, sizeof(addr))) {
		rc = errno;
		if ((rc == EAGAIN || rc == EINTR) && sivshmem_now_ms() < deadline) {
			sivshmem_sleep_ms(CONNECT_POLL_MS);
			continue;
		}
		close(fd);
		return say_connect(rc == EAGAIN ? ETIMEDOUT : rc, path, err);
	}
	rc = sivshmem_transport_adopt(t, fd);
	if (rc)
		return say_connect(-rc, path, err);
	t->carrier = &unix_carrier;
	return 0;
}
