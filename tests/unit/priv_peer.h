/* SPDX-License-Identifier: MIT */
/*
 * The monitor's end of privsep.h, for tests of a real worker process: it is
 * forked here, asks over its own sockets, and each test answers as it likes.
 */
#ifndef SIVSHMEM_TEST_PRIV_PEER_H
#define SIVSHMEM_TEST_PRIV_PEER_H

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <bsd/unistd.h>

#include "../../ca-host/privsep.h"
#include "../../ca-host/worker.h"
#include "../../shim/lib/handshake.h"
#include "party.h"

#define PATIENCE	5000		/* ms */

static struct peer {
	pid_t pid;
	int rpc, event, wake, ring;
	uint8_t *memory;
	struct priv_request asked;
	uint64_t epoch;
	uint32_t payer;			/* of the next session */
	struct sivshmem_proof proof;	/* of the last handshake */
} peer;
static struct party root, host_party, service;

static inline void make_parties(void)
{
	make_party(&root, 1, SIVP_CERT_ROOT, "root", &root);
	make_party(&host_party, 2, SIVP_CERT_HOST, "host-a", &root);
	make_party(&service, 3, SIVP_CERT_SERVICE, "app/cam", &root);
}

static inline bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, PATIENCE) > 0;
}

static inline void answer(const struct priv_reply *reply,
			  const struct sivring_extent *extents, uint32_t count)
{
	uint8_t message[PRIV_REPLY_MAX] = { 0 };

	memcpy(message, reply, sizeof(*reply));
	if (count)
		memcpy(message + sizeof(*reply), extents, count * sizeof(*extents));
	if (send(peer.rpc, message, sizeof(*reply) + count * sizeof(*extents),
		 MSG_NOSIGNAL) < 0)
		perror("answer");
}

static inline void answer_error(int error)
{
	answer(&(struct priv_reply){ .error = error }, NULL, 0);
}

/* The worker's next request is op: in peer.asked. It waits for an answer. */
static inline bool asked(enum priv_op op)
{
	return readable(peer.rpc) &&
	       recv(peer.rpc, &peer.asked, sizeof(peer.asked), 0) ==
	       (ssize_t)sizeof(peer.asked) && peer.asked.op == op;
}

static inline bool asked_ok(enum priv_op op)
{
	if (!asked(op))
		return false;
	answer_error(0);
	return true;
}

static inline bool refused(enum priv_why why)
{
	return asked_ok(PRIV_REFUSED) && peer.asked.refused.why == why;
}

static inline bool gave_epoch(enum priv_op op)
{
	struct priv_reply reply = { .start.ring_epoch = ++peer.epoch };

	if (!asked(op))
		return false;
	answer(&reply, NULL, 0);
	return true;
}

static inline bool gave_session(uint64_t id)
{
	struct priv_reply reply = { .session = { .host_session = 1000 + id, .payer = peer.payer } };

	if (!asked(PRIV_SESSION) || peer.asked.session != id)
		return false;
	answer(&reply, NULL, 0);
	return true;
}

/* As the monitor does: HOST's body, signed, and the transcript to check AUTH by. */
static inline bool gave_host(uint64_t id)
{
	struct priv_reply reply = { .host = { .host_time = time(NULL),
		.chain = { .count = 1, .cert[0] = host_party.cert } } };
	uint8_t epoch[16];

	memset(epoch, 0x33, sizeof(epoch));
	memset(&peer.proof, 0, sizeof(peer.proof));
	if (!asked(PRIV_SIGN) || (id && peer.asked.session != id) ||
	    party_prove(&host_party, &peer.proof, &peer.asked.sign.hello, peer.asked.sign.eh,
			1000 + peer.asked.session, epoch, &reply.host))
		return false;
	answer(&reply, NULL, 0);
	return true;
}

static inline void worker_child(const int fds[5], int count)
{
	static char name[] = "sivshmem-cad", flag[] = WORKER_ARG, none[] = "-";
	char *argv[] = { name, flag, none, none, none, NULL };
	int high[5];

	for (int i = 0; i < count; i++)
		high[i] = fcntl(fds[i], F_DUPFD, 32);
	for (int i = 0; i < count; i++)
		dup2(high[i], PRIV_FD_RPC + i);
	closefrom(PRIV_FD_RPC + count);
	_exit(worker_main(5, argv));
}

/* Start a worker of a VM, or of local processes, and answer its PRIV_START. */
static inline bool worker_up(bool local)
{
	struct priv_reply reply = {
		.start = { .local = local, .links = 1, .vm = "vm1" },
	};
	int rpc[2], event[2], memory = memfd_create("control", 0);

	if (ftruncate(memory, SIVRING_MEMORY) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, rpc) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, event))
		return false;
	peer.wake = eventfd(0, EFD_NONBLOCK);
	peer.ring = eventfd(0, EFD_NONBLOCK);
	peer.memory = mmap(NULL, SIVRING_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED,
			   memory, 0);
	fflush(stdout);
	peer.pid = fork();
	if (!peer.pid)
		worker_child((int[]){ rpc[1], event[1], memory, peer.wake, peer.ring },
			     local ? 2 : 5);
	close(rpc[1]);
	close(event[1]);
	close(memory);
	peer.rpc = rpc[0];
	peer.event = event[0];
	reply.start.ring_epoch = ++peer.epoch;
	memset(reply.start.boot_epoch, 0x33, sizeof(reply.start.boot_epoch));
	if (!asked(PRIV_START))
		return false;
	answer(&reply, NULL, 0);
	return true;
}

/* The monitor goes away; the worker's exit code, -1 when a signal ended it. */
static inline int worker_down(void)
{
	int status = -1;

	close(peer.rpc);
	close(peer.event);
	close(peer.wake);
	close(peer.ring);
	munmap(peer.memory, SIVRING_MEMORY);
	waitpid(peer.pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
