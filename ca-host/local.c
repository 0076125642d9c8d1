/* SPDX-License-Identifier: MIT */
/* Processes of this host: the socket that they connect to, the memfds that they get. */
#include "keep.h"
#include "limits.h"
#include "send_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bsd/err.h>

#define BACKLOG	128

static struct watch listener = { .fd = -1 };
static char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static uint64_t last_id;

int monitor_listen(const char *where, int type, mode_t mode)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t old;
	int fd, r;

	if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s", where) >=
	    sizeof(address.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* ours: the run directory's lock is held */
	unlink(where);
	old = umask(0777 & ~mode);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address));
	umask(old);
	if (r || listen(fd, BACKLOG)) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* /proc/PID/comm and the start time: for people, so what is missing is empty. */
static void describe(struct sivring_session *who, pid_t pid)
{
	char name[32], text[512];
	unsigned long long ticks = 0;
	const char *after;
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)pid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return;
	text[n] = 0;
	after = strrchr(text, ')');
	if (!after || !strchr(text, '('))
		return;
	snprintf(who->comm, sizeof(who->comm), "%.*s",
		 (int)(after - strchr(text, '(') - 1), strchr(text, '(') + 1);
	if (sscanf(after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u"
		   " %*d %*d %*d %*d %*d %*d %llu", &ticks) == 1)
		who->start_time = ticks * (1000000000u / (unsigned int)sysconf(_SC_CLK_TCK));
}

/* No payer gets more than are left for all others. */
static bool has_share(const struct domain *d, uint32_t payer)
{
	const struct session *s;
	uint32_t own = 0;

	LIST_FOREACH(s, &d->sessions, node)
		own += s->who.payer == payer;
	return d->session_count < limits_of(d)->sessions &&
	       own < limits_of(d)->sessions - d->session_count;
}

static void connected(int fd)
{
	struct domain *d = monitor_host_domain();
	struct priv_event event = { .type = PRIV_EVENT_CONN };
	socklen_t size = sizeof(struct ucred);
	struct sivring_session who = { 0 };
	struct ucred peer;
	struct session *s;

	if (fd >= monitor.fd_end || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size)) {
		close(fd);
		return;
	}
	who.uid = peer.uid;
	who.gid = peer.gid;
	who.pid = (uint32_t)peer.pid;
	who.payer = peer.uid;
	describe(&who, peer.pid);
	s = has_share(d, limits_payer(d, peer.uid)) ? session_create(d, ++last_id, &who, fd) : NULL;
	if (!s) {
		limits_log(&(struct audit){ .event = "protocol", .domain = d,
			.refused = true, .reason = "too many sessions" });
		close(fd);
		return;
	}
	event.session = s->id;
	if (domain_send(d, &event, 0, fd))
		session_destroy(s);
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0)
		connected(fd);
}

void local_listen(bool on)
{
	if (listener.ready && loop_change(&listener, on ? EPOLLIN : 0))
		warn("%s", path);
}

int local_start(void)
{
	snprintf(path, sizeof(path), "%s/local.sock", monitor.run_dir);
	listener.fd = keep_take_socket("local");
	if (listener.fd < 0)
		listener.fd = monitor_listen(path, SOCK_SEQPACKET, 0666);
	if (listener.fd < 0)
		return listener.fd;
	keep_socket("local", listener.fd);
	listener.ready = listener_ready;
	return loop_add(&listener, EPOLLIN);
}

void local_stop(void)
{
	unlink(path);
}

int local_send_fd(int conn, const void *message, size_t length, int memfd, bool write)
{
	char name[64];
	int fd, r;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", memfd);
	fd = open(name, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = send_fd(conn, message, length, fd, MSG_DONTWAIT);
	close(fd);
	return r;
}
