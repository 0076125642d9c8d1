/* SPDX-License-Identifier: MIT */
/* The worker of all processes of the host, one socket each. */
#include <err.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "session.h"

#define TICK			1000	/* ms */
#define MESSAGES_PER_WAKE	1	/* of one process: the others have their turn */
#define EVENTS_PER_WAKE		64
#define READY_MAX		64
#define UNREAD_MAX		1024
/* epoll data of what is not a session: no session of the monitor has these ids */
#define DATA_EVENT		0
#define DATA_RPC		UINT64_MAX

static int epoll_fd;

static void watch(int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
		err(3, "epoll_ctl");
}

/*
 * The monitor holds the same socket, so close alone does not end it. What is
 * left unread would turn our last message into an ECONNRESET at the peer.
 */
static void hang_up(int fd)
{
	char byte;

	shutdown(fd, SHUT_RDWR);
	for (int n = 0; n < UNREAD_MAX; n++) {
		if (recv(fd, &byte, sizeof(byte), MSG_DONTWAIT) <= 0)
			break;
	}
	close(fd);
}

static void end_session(struct worker *worker, struct wsession *session)
{
	const struct wsession_link *link = wsession_link(session);
	uint64_t id = link->id;

	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, link->fd, NULL);
	hang_up(link->fd);
	wsession_remove(worker, session);
	worker_tell(PRIV_SESSION_CLOSE, id);
}

static void send_message(struct worker *worker, struct wsession *session,
			 const void *message, size_t length)
{
	struct wsession_link *link = wsession_link(session);

	(void)worker;
	if (send(link->fd, message, length, MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    (ssize_t)length)
		link->broken = true;
}

/* the monitor has sent the memfd already */
static void granted(struct worker *worker, struct wsession *session,
		    const struct sivring_grant *grant,
		    const struct sivring_extent *extents)
{
	(void)worker;
	(void)session;
	(void)grant;
	(void)extents;
}

static const struct wcarrier carrier = {
	.send = send_message,
	.granted = granted,
};

static void connected(struct worker *worker, uint64_t id, int fd)
{
	static const struct sivring_session nobody;	/* the monitor asked the socket */
	struct wsession *session;

	if (fd < 0)
		errx(3, "the monitor announced a connection without its socket");
	if (wsession_open(worker, id, &nobody, false, &session)) {
		hang_up(fd);
		worker_tell(PRIV_SESSION_CLOSE, id);
		return;
	}
	wsession_link(session)->fd = fd;
	watch(fd, EPOLLIN, id);
}

static void take_event(struct worker *worker, const struct priv_event *event, int fd)
{
	struct wsession *session;

	if (event->type == PRIV_EVENT_CONN) {
		connected(worker, event->session, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (event->type != PRIV_EVENT_END)
		return;		/* a memfd is out of our reach */
	session = wsession_find(worker, event->session);
	if (!session)
		return;
	wsession_abort(worker, session, SIVP_REFUSED);
	end_session(worker, session);
}

static void take_events(struct worker *worker)
{
	static struct worker_event event;
	int fd;

	for (int n = 0; n < EVENTS_PER_WAKE && worker_next_event(&event, &fd); n++)
		take_event(worker, &event.event, fd);
}

/* 1: a message was handled, 0: none is there, -1: the connection is over */
static int take_message(struct worker *worker, struct wsession *session)
{
	static uint8_t message[SIVP_MSG_MAX];
	ssize_t n = recv(wsession_link(session)->fd, message, sizeof(message),
			 MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	if ((size_t)n > sizeof(message)) {
		worker_refused(worker, wsession_link(session)->id, PRIV_WHY_MALFORMED);
		return -1;
	}
	wsession_message(worker, session, message, (size_t)n);
	return wsession_link(session)->broken || wsession_dead(session) ? -1 : 1;
}

static void serve_session(struct worker *worker, uint64_t id)
{
	struct wsession *session = wsession_find(worker, id);
	int r = 1;

	for (int n = 0; session && n < MESSAGES_PER_WAKE && r > 0; n++)
		r = take_message(worker, session);
	if (session && r < 0)
		end_session(worker, session);
}

static void tick(struct worker *worker)
{
	wsessions_expire(worker);
	for (struct wsession *s = NULL; (s = wsession_next(worker, s));) {
		if (wsession_dead(s))
			end_session(worker, s);
	}
}

void worker_local(struct worker *worker)
{
	struct epoll_event ready[READY_MAX];
	int64_t ticked = 0;

	worker->carrier = &carrier;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		err(3, "epoll_create1");
	watch(PRIV_FD_EVENT, EPOLLIN, DATA_EVENT);
	watch(PRIV_FD_RPC, 0, DATA_RPC);
	for (;;) {
		int n = epoll_wait(epoll_fd, ready, READY_MAX, TICK);

		if (n < 0 && errno != EINTR)
			err(3, "epoll_wait");
		for (int i = 0; i < n; i++) {
			if (ready[i].data.u64 == DATA_RPC)
				_exit(0);
			else if (ready[i].data.u64 == DATA_EVENT)
				take_events(worker);
			else
				serve_session(worker, ready[i].data.u64);
		}
		if (sivshmem_now_ms() - ticked < TICK)
			continue;
		ticked = sivshmem_now_ms();
		tick(worker);
	}
}
