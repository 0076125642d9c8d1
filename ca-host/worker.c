/* SPDX-License-Identifier: MIT */
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bsd/err.h>
#include <sodium.h>

#include "session.h"
#include "worker_priv.h"

#define REFUSALS_PER_SECOND	20
#define REFUSALS_BURST		200

/* --- the monitor --- */

static void send_request(const struct priv_request *request)
{
	ssize_t n;

	do
		n = send(PRIV_FD_RPC, request, sizeof(*request), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
		exit(0);
	if (n != (ssize_t)sizeof(*request))
		err(3, "cannot ask the monitor");
}

/* ops whose reply holds an object, with extents of its own */
static bool has_object(enum priv_op op)
{
	return op == PRIV_OPEN || op == PRIV_RESIZE || op == PRIV_STAT;
}

static uint32_t extents_of(const struct priv_request *request,
			   const struct priv_reply *reply)
{
	if (reply->error || !has_object(request->op))
		return 0;
	return reply->grant.grant.object.extents_count;
}

const struct priv_reply *worker_call(const struct priv_request *request)
{
	static _Alignas(struct priv_reply) uint8_t buffer[PRIV_REPLY_MAX];
	const struct priv_reply *reply = (const void *)buffer;
	ssize_t n;

	send_request(request);
	do
		n = recv(PRIV_FD_RPC, buffer, sizeof(buffer), MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		exit(0);
	if (n < 0)
		err(3, "no answer from the monitor");
	if (n < (ssize_t)sizeof(*reply) || reply->error < 0 ||
	    extents_of(request, reply) > SIVRING_EXTENTS_MAX ||
	    (size_t)n != sizeof(*reply) + extents_of(request, reply) *
			 sizeof(struct sivring_extent))
		errx(3, "the monitor's answer to request %u is malformed (%zd bytes)",
		     request->op, n);
	return reply;
}

int worker_tell(enum priv_op op, uint64_t session)
{
	struct priv_request request = { .op = op, .session = session };

	return worker_call(&request)->error;
}

void worker_refused(struct worker *worker, uint64_t session, enum priv_why why)
{
	struct priv_request request = { .op = PRIV_REFUSED, .session = session };

	if (!bucket_take(&worker->refusals))
		return;
	request.refused.why = why;
	worker_call(&request);
}

static int passed_fd(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int worker_next_event(struct worker_event *event, int *fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = event, .iov_len = sizeof(*event) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	uint32_t count;
	ssize_t n;

	n = recvmsg(PRIV_FD_EVENT, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == 0 || (n < 0 && errno == ECONNRESET))
		exit(0);
	if (n < 0)
		err(3, "cannot hear the monitor");
	count = event->event.type == PRIV_EVENT_OBJECT ?
		event->event.object.extents_count : 0;
	if (n < (ssize_t)sizeof(event->event) || count > SIVRING_EXTENTS_MAX ||
	    (size_t)n != sizeof(event->event) + count * sizeof(event->extents[0]))
		errx(3, "the monitor sent a malformed event (%zd bytes)", n);
	*fd = passed_fd(&msg);
	return 1;
}

/* --- start --- */

static void start(struct worker *worker)
{
	struct priv_request request = { .op = PRIV_START };
	const struct priv_reply *reply = worker_call(&request);

	if (reply->error)
		errc(3, reply->error, "the monitor does not start this worker");
	worker->local = reply->start.local;
	worker->links = reply->start.links;
	worker->ring_epoch = reply->start.ring_epoch;
	memcpy(worker->boot_epoch, reply->start.boot_epoch, sizeof(worker->boot_epoch));
	memcpy(worker->vm, reply->start.vm, sizeof(worker->vm));
	worker->vm[sizeof(worker->vm) - 1] = 0;
}

static void *map_control(void)
{
	struct stat st;
	void *memory;

	if (fstat(PRIV_FD_MEMORY, &st))
		err(3, "control memory");
	if (st.st_size != SIVRING_MEMORY)
		errx(3, "control memory has %lld bytes, not %u",
		     (long long)st.st_size, SIVRING_MEMORY);
	memory = mmap(NULL, SIVRING_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED,
		      PRIV_FD_MEMORY, 0);
	if (memory == MAP_FAILED)
		err(3, "cannot map the control memory");
	return memory;
}

int worker_main(int argc, char **argv)
{
	static struct worker worker;
	const char *what = NULL;
	void *memory = NULL;
	int r;

	if (argc != 5 || strcmp(argv[1], WORKER_ARG)) {
		fprintf(stderr, "usage: sivshmem-cad --worker UID GID CHROOTDIR\n"
			"only the daemon itself starts workers\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	if (sodium_init() < 0)
		errx(3, "libsodium does not start");
	worker.refusals = (struct bucket){
		.rate = REFUSALS_PER_SECOND,
		.burst = REFUSALS_BURST,
	};
	start(&worker);
	if (!worker.local)
		memory = map_control();
	r = wsessions_init(&worker);
	if (r)
		errc(3, -r, "no memory for sessions");
	r = worker_sandbox(argv[2], argv[3], argv[4],
			   worker.local ? WSESSIONS_MAX + 16 : 16, &what);
	if (r)
		errc(3, -r, "worker cannot lock itself in: %s", what);
	if (worker.local)
		worker_local(&worker);
	worker_vm(&worker, memory);
}
