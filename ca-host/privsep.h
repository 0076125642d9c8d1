/* SPDX-License-Identifier: MIT */
/*
 * What a worker asks of the monitor, and what the monitor tells a worker.
 *
 * The monitor owns sockets, memfds, eventfds, keys, policy, objects and the
 * audit log. A worker serves one *domain*: one VM over its control ring, or
 * all local processes over their sockets. It parses what they send and holds
 * their session keys; the monitor believes nothing that a worker says beyond
 * "this came from my domain".
 *
 * The worker is the daemon's own binary, executed again, with these fds:
 * PRIV_FD_RPC (SOCK_SEQPACKET: one request, one reply, in turn), PRIV_FD_EVENT
 * (SOCK_SEQPACKET: monitor to worker only), and for a VM PRIV_FD_MEMORY (the
 * control memfd), PRIV_FD_WAKE (eventfd: the guest rang) and PRIV_FD_RING
 * (eventfd: rings the guest). Both sides check sizes and ranges of every
 * message; a worker that breaks the rules is killed and started again.
 */
#ifndef SIVSHMEM_CA_PRIVSEP_H
#define SIVSHMEM_CA_PRIVSEP_H

#include <sivshmem/proto.h>
#include <sivshmem/ring.h>
#include <sivshmem/uapi.h>

#define PRIV_FD_RPC	3
#define PRIV_FD_EVENT	4
#define PRIV_FD_MEMORY	5
#define PRIV_FD_WAKE	6
#define PRIV_FD_RING	7

enum priv_op {
	PRIV_START = 1,		/* first: who am I, at which ring epoch */
	PRIV_NEW_EPOCH,		/* another ring epoch */
	PRIV_RESET,		/* the guest kernel began anew: forget its sessions */
	PRIV_SESSION,		/* guest kernel opened (or announces again) a session */
	PRIV_SESSION_CLOSE,
	PRIV_SIGN,		/* HOST's body for the handshake of this session, once */
	PRIV_AUTH,		/* judge a service's chain and signature */
	PRIV_OPEN,
	PRIV_UNLINK,
	PRIV_RENAME,
	PRIV_RESIZE,
	PRIV_STAT,
	PRIV_LOCK,
	PRIV_RELEASE,
	PRIV_REFUSED,		/* audit: the worker refused, reason as PRIV_WHY_* */
	PRIV_JOIN,		/* of the members of a grant's object */
	PRIV_MEMBERS,
	PRIV_CONFIRM,
	PRIV_LEAVE,
};

enum priv_why {
	PRIV_WHY_MALFORMED = 1,	/* message that is not the protocol */
	PRIV_WHY_VERSION,
	PRIV_WHY_SEAL,		/* a sealed message did not open */
	PRIV_WHY_ORDER,		/* a message out of its turn */
	PRIV_WHY_RING,		/* broken control ring or frame */
	PRIV_WHY_LIMIT,		/* too many sessions or messages */
	PRIV_WHY_TIMEOUT,
};

struct priv_request {
	uint32_t op;
	uint32_t pad;
	uint64_t session;	/* the domain's id: guest kernel's, or of the event CONN */
	union {
		struct {
			struct sivring_session who;
			uint32_t again, pad;
		} session_open;
		struct {
			struct sivp_hello hello;
			uint8_t eh[SIVP_KEY_LEN];	/* the worker's ephemeral key */
		} sign;
		struct sivp_auth_body auth;
		struct {	/* OPEN, UNLINK and RENAME */
			uint32_t oflag, rights, mode, pad;
			char channel[SIVP_NAME_LEN];
			char object[SIVP_NAME_LEN];
			char to[SIVP_NAME_LEN];
		} name;
		struct {	/* RESIZE, STAT, RELEASE; session 0: by the kernel */
			uint64_t grant, size;
			uint32_t grow_only, pad;
		} grant;
		struct sivring_lock lock;
		struct {	/* JOIN, MEMBERS, CONFIRM, LEAVE */
			uint64_t grant, after;
			union {
				struct sivp_join join;
				struct sivp_confirm confirm;
			};
		} member;
		struct {
			uint32_t why, pad;
		} refused;
	};
};

struct priv_reply {
	int32_t error;		/* 0 or a positive errno */
	uint32_t pad;
	union {
		struct {
			uint32_t local;		/* 1: the domain of local processes */
			uint32_t links;
			uint64_t ring_epoch;	/* START, NEW_EPOCH */
			uint8_t boot_epoch[16];	/* of this daemon: HOST.epoch */
			char vm[SIVP_VM_LEN];
		} start;
		struct {
			uint64_t host_session;	/* HOST.session, unique for ever */
			uint32_t payer;		/* uid of whose share it takes */
		} session;
		struct sivp_host_body host;	/* SIGN */
		struct sivp_ready_body ready;	/* AUTH: all but binder */
		struct {	/* OPEN, RESIZE, STAT; extents_count extents follow */
			uint32_t created, pad;
			char creator[SIVP_NAME_LEN];
			struct sivring_grant grant;
		} grant;
		struct {	/* LOCK that found one in the way */
			uint32_t type, pad;
			uint64_t start, end;
		} lock;
		struct sivp_attest attest;	/* JOIN */
		struct {
			struct sivp_roster roster;
			struct sivp_slot slots[SIVP_SLOTS_MAX];
		} members;
	};
	struct sivring_extent extents[];
};
#define PRIV_REPLY_MAX	(sizeof(struct priv_reply) + \
			 SIVRING_EXTENTS_MAX * sizeof(struct sivring_extent))

enum priv_event_type {
	PRIV_EVENT_CONN = 1,	/* a local process connected: its fd comes along */
	PRIV_EVENT_OBJECT,	/* an object that this domain holds changed */
	PRIV_EVENT_REVOKE,	/* a grant died */
	PRIV_EVENT_END,		/* a session must end; reason is an errno */
};

struct priv_event {
	uint32_t type;
	uint32_t reason;
	uint64_t session, grant;
	struct sivring_object object;
	struct sivring_extent extents[];	/* object.extents_count */
};

#endif
