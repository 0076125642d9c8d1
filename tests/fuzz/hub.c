/* SPDX-License-Identifier: MIT */
/*
 * The daemon's listening sockets: what QEMU connects to, the status socket and
 * the one of local processes. Peers come, say anything, read some, and go. The
 * greeting must be whole and the same for each, by QEMU's ivshmem-spec.
 */
#include "fuzz.h"
#include "handshake.h"
#include "monitor.h"

#include <signal.h>
#include <sys/un.h>

#define PEERS	8
#define SOCKETS	6

static char paths[SOCKETS][108];
static struct peer {
	int fd, socket;
	size_t got;			/* bytes of the greeting */
} peers[PEERS];
static bool stop;
static int rpc[3], event[3];

static int now(void)
{
	return 0;
}

/* Let the daemon do what there is to do. */
static void ticked(void)
{
	hub_tick();
	stop = true;
}

static void turn(int times)
{
	while (times-- > 0) {
		stop = false;
		loop_run(&stop, now, ticked);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char names[SOCKETS][40] = { "vm/a/control.sock", "vm/b/control.sock", "", "",
				    "status.sock", "local.sock" };

	(void)argc;
	(void)argv;
	if (hs_setup())
		return 1;
	signal(SIGPIPE, SIG_IGN);
	monitor_setup();
	for (int i = 0; i < 3; i++)
		monitor_worker(&monitor.domains[i], &rpc[i], &event[i]);
	ALWAYS(!local_start() && !status_start());
	for (int i = 0; i < SOCKETS; i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/%s", run_dir, names[i]);
	strcpy(paths[2], monitor.links[0].device[0].path);
	strcpy(paths[3], monitor.links[0].device[1].path);
	for (int i = 0; i < SOCKETS; i++)
		ALWAYS(!access(paths[i], F_OK));
	for (int i = 0; i < PEERS; i++)
		peers[i].fd = -1;
	return 0;
}

static void come(struct peer *p, unsigned int socket_index)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (p->fd >= 0)
		return;
	strcpy(to.sun_path, paths[socket_index]);
	p->fd = socket(AF_UNIX, (socket_index == 5 ? SOCK_SEQPACKET : SOCK_STREAM) |
		       SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ALWAYS(p->fd >= 0);
	p->socket = (int)socket_index;
	p->got = 0;
	if (!connect(p->fd, (struct sockaddr *)&to, sizeof(to)))
		return;
	close(p->fd);
	p->fd = -1;
}

/* The first three words: version 0, its own id, and the memory's -1. */
static void check_word(const struct peer *p, int64_t word)
{
	if (p->got == 0)
		ALWAYS(word == 0);
	else if (p->got == 8 && p->socket < 2)
		ALWAYS(word == (SIVRING_ID_CONTROL | p->socket));
	else if (p->got == 8)
		ALWAYS(word == monitor.policy->links[0].position[p->socket - 2]);
	else if (p->got == 16)
		ALWAYS(word == -1);
	else
		ALWAYS(word >= 0 && word <= 0xffff);
}

static void hear(struct peer *p)
{
	union {
		char bytes[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control;
	char buffer[4096];
	int64_t word = 0;
	bool greeting = p->socket < 4;
	struct iovec iov = { greeting ? (void *)&word : buffer,
			     greeting ? sizeof(word) : sizeof(buffer) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(p->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		int fd;

		ALWAYS(c->cmsg_len == CMSG_LEN(sizeof(fd)) && greeting);
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		close(fd);
	}
	if (greeting) {
		ALWAYS(n == sizeof(word));
		check_word(p, word);
	}
	p->got += (size_t)n;
}

static void say(struct input *in, struct peer *p)
{
	uint8_t bytes[256];
	size_t n = take_uint8(in);

	take(in, bytes, n);
	if (send(p->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

static void leave(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

static void step(struct input *in)
{
	uint8_t how = take_uint8(in);
	struct peer *p = &peers[how & 7];

	switch (how >> 3 & 7) {
	case 0:
	case 1:
		come(p, take_uint8(in) % SOCKETS);
		break;
	case 2:
		if (p->fd >= 0)
			say(in, p);
		break;
	case 3:
		leave(p);
		break;
	case 4:
		if (p->fd >= 0)
			hear(p);
		break;
	case 5:
		if (p->fd >= 0)
			shutdown(p->fd, take_uint8(in) & 1 ? SHUT_RD : SHUT_WR);
		break;
	default:
		turn(1 + (how >> 6));
	}
}

/* Whoever comes after all that is served: nothing of it has lasted. */
static void still_there(unsigned int socket_index)
{
	struct peer p = { .fd = -1 };

	come(&p, socket_index);
	ALWAYS(p.fd >= 0);
	turn(2);
	for (int n = 0; n < 6; n++)
		hear(&p);
	ALWAYS(p.got >= 5 * sizeof(int64_t) || socket_index > 3);
	leave(&p);
	turn(2);
}

static void read_events(void)
{
	static uint8_t bytes[PRIV_REPLY_MAX];
	struct msghdr msg = { 0 };
	struct iovec iov = { bytes, sizeof(bytes) };

	/* without room for its fd: the kernel closes it */
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	for (int i = 0; i < 3; i++)
		while (recvmsg(event[i], &msg, MSG_DONTWAIT) > 0)
			;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	for (int n = 0; n < 64 && in.left; n++)
		step(&in);
	for (int i = 0; i < PEERS; i++)
		leave(&peers[i]);
	turn(4);
	/* who came and went too often is served later */
	sivshmem_sleep_ms(30000);
	turn(1);
	read_events();
	if (size && data[0] & 128)
		still_there((data[0] & 127u) % (SOCKETS - 1));
	monitor_reset();
	return 0;
}
