/* SPDX-License-Identifier: MIT */
/*
 * What a process and the host daemon say to each other: certificates, the
 * handshake and the sealed requests, described in sivshmem-protocol(7) and
 * doc/PROTOCOL.md. The carrier is a session of the guest kernel
 * (sivshmem/uapi.h) or, in local mode, a SOCK_SEQPACKET UNIX socket: one
 * message per read, at most SIVP_MSG_MAX bytes. Integers are little-endian,
 * padding is zero, anything else is refused.
 */
#ifndef SIVSHMEM_PROTO_H
#define SIVSHMEM_PROTO_H

#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "sivshmem's structs are little-endian; this machine is not"
#endif

#define SIVP_MSG_MAX		4096
#define SIVP_VERSION		1
#define SIVP_SUITE_1		1u	/* X25519, Ed25519, BLAKE2b, XChaCha20-Poly1305 */

#define SIVP_NAME_LEN		64
#define SIVP_VM_LEN		32
#define SIVP_HOST_LEN		32
#define SIVP_KEY_LEN		32
#define SIVP_SIG_LEN		64
#define SIVP_TAG_LEN		16
#define SIVP_ANY_ID		0xffffffffu	/* uid or gid not bound */

/* context strings: each is hashed or signed with its final NUL */
#define SIVP_CTX_CERT		"sivshmem certificate v1"
#define SIVP_CTX_TRANSCRIPT	"sivshmem transcript v1"
#define SIVP_CTX_HANDSHAKE	"sivshmem handshake v1"
#define SIVP_CTX_HOST_AUTH	"sivshmem host auth v1"
#define SIVP_CTX_SERVICE_AUTH	"sivshmem service auth v1"
#define SIVP_CTX_BINDER		"sivshmem binder v1"
#define SIVP_CTX_JOIN		"sivshmem join v1"
#define SIVP_CTX_ATTEST		"sivshmem attest v1"
#define SIVP_CTX_MEMBER		"sivshmem member v1"
#define SIVP_CTX_PAIR		"sivshmem pair v1"
#define SIVP_CTX_CONFIRM	"sivshmem confirm v1"
#define SIVP_KDF_HANDSHAKE	"sivHS_v1"	/* crypto_kdf contexts, 8 bytes */
#define SIVP_KDF_TRAFFIC	"sivTR_v1"
#define SIVP_KDF_PAIR		"sivPC_v1"

enum sivp_cert_kind {
	SIVP_CERT_ROOT = 1,
	SIVP_CERT_INTERMEDIATE,
	SIVP_CERT_HOST,
	SIVP_CERT_SERVICE,
};

struct sivp_cert {
	uint8_t magic[4];		/* "SIVC" */
	uint8_t version;		/* 1 */
	uint8_t kind;			/* enum sivp_cert_kind */
	uint8_t path_len;		/* CA certificates that may follow */
	uint8_t pad0;
	uint64_t serial;		/* unix ms << 16 | 16 random bits */
	int64_t not_before;		/* s since 1970 */
	int64_t not_after;		/* 0: no end */
	uint8_t issuer[32];		/* BLAKE2b-256 of the issuer's public key */
	char subject[SIVP_NAME_LEN];	/* [A-Za-z0-9._/:-]+, NUL-padded */
	char vm[SIVP_VM_LEN];		/* empty: any */
	char host[SIVP_HOST_LEN];	/* empty: any */
	uint32_t uid, gid;		/* SIVP_ANY_ID: any */
	uint32_t flags;			/* 0 */
	uint32_t pad1;
	uint8_t public_key[SIVP_KEY_LEN];
	uint8_t signature[SIVP_SIG_LEN];	/* over CTX_CERT and all above */
};

/* leaf first; a second certificate is the intermediate that issued it */
struct sivp_chain {
	uint32_t count;			/* 1 or 2; unused entries are zero */
	uint32_t pad;
	struct sivp_cert cert[2];
};

enum sivp_type {
	SIVP_HELLO = 1,
	SIVP_HOST,
	SIVP_AUTH,
	SIVP_READY,
	SIVP_REQUEST,			/* sealed struct sivp_request */
	SIVP_RESULT,			/* sealed struct sivp_result */
	/* in the clear, so only a hint: the handshake ended, status says how */
	SIVP_ABORT,
	/* local mode, in the clear: carries the memfd of a grant by SCM_RIGHTS */
	SIVP_LOCAL_FD,
};

struct sivp_hdr {
	uint16_t type;
	uint16_t flags;			/* 0 */
	uint32_t length;		/* of what follows, bytes */
};

struct sivp_hello {
	struct sivp_hdr hdr;
	uint16_t version_min, version_max;
	uint32_t suites;
	uint8_t ec[SIVP_KEY_LEN];
};

struct sivp_host_clear {
	struct sivp_hdr hdr;
	uint16_t version, pad;
	uint32_t suite;
	uint64_t session;		/* host's id: in audit lines too */
	uint8_t epoch[16];		/* random per start of the daemon */
	uint8_t eh[SIVP_KEY_LEN];
};

struct sivp_host_body {
	int64_t host_time;		/* s since 1970 */
	uint64_t crl_epoch, policy_epoch;
	struct sivp_chain chain;
	uint8_t signature[SIVP_SIG_LEN];
};

struct sivp_host {
	struct sivp_host_clear clear;
	uint8_t sealed[sizeof(struct sivp_host_body) + SIVP_TAG_LEN];
};

struct sivp_auth_body {
	uint64_t crl_epoch;
	struct sivp_chain chain;
	uint8_t signature[SIVP_SIG_LEN];
};

struct sivp_auth {
	struct sivp_hdr hdr;
	uint8_t sealed[sizeof(struct sivp_auth_body) + SIVP_TAG_LEN];
};

/* status of READY and ABORT; the audit log on the host knows the reason */
enum sivp_status {
	SIVP_OK = 0,
	SIVP_REFUSED,
	SIVP_BUSY,			/* try again later */
	SIVP_BAD_VERSION,
};

struct sivp_ready_body {
	uint32_t status;
	uint32_t uid, gid, pid;		/* as the host sees the caller */
	uint64_t session;
	uint64_t start_time;
	char vm[SIVP_VM_LEN];
	uint8_t binder[32];
};

struct sivp_ready {
	struct sivp_hdr hdr;
	uint8_t sealed[sizeof(struct sivp_ready_body) + SIVP_TAG_LEN];
};

struct sivp_abort {
	struct sivp_hdr hdr;
	uint32_t status, pad;
};

struct sivp_local_fd {
	struct sivp_hdr hdr;
	uint64_t grant;
};

enum sivp_op {
	SIVP_OP_OPEN = 1,
	SIVP_OP_UNLINK,
	SIVP_OP_RESIZE,			/* local mode; in a VM ftruncate(2) does it */
	SIVP_OP_RELEASE,		/* local mode: the grant is not used any more */
	SIVP_OP_RENAME,			/* within the channel; oflag EXCL: not over another */
	/* of the members of a grant's object; what follows the request and the result: */
	SIVP_OP_JOIN = 16,		/* struct sivp_join; struct sivp_attest */
	SIVP_OP_MEMBERS,		/* size: a roster number; struct sivp_roster and slots */
	SIVP_OP_CONFIRM,		/* struct sivp_confirm; nothing */
	SIVP_OP_LEAVE,			/* nothing; nothing */
};

/* oflag bits of our own: Linux's differ between architectures */
#define SIVP_O_CREAT		1u
#define SIVP_O_EXCL		2u
#define SIVP_O_TRUNC		4u

struct sivp_request {
	uint32_t op;
	uint32_t oflag;
	uint32_t rights;		/* SIVSHMEM_RIGHT_READ, with WRITE for O_RDWR */
	uint32_t mode;
	uint64_t grant;			/* RESIZE, RELEASE */
	uint64_t size;			/* RESIZE */
	uint32_t grow_only;
	uint32_t pad;
	char channel[SIVP_NAME_LEN];
	char object[SIVP_NAME_LEN];
	char to[SIVP_NAME_LEN];		/* RENAME: the new name; else empty */
};

/* error: 0 or a positive errno of Linux x86-64 */
struct sivp_result {
	uint32_t op;
	uint32_t error;
	uint64_t grant, object, generation, size;
	uint32_t rights;		/* what the grant allows, at most what was asked */
	uint32_t created;
	char creator[SIVP_NAME_LEN];	/* OPEN: the service that created the object */
};

/* --- members of an object, for each other: the host hands them on --- */

enum sivp_role {
	SIVP_ROLE_CREATOR = 1,
	SIVP_ROLE_WRITER,
	SIVP_ROLE_READER,
};

/* "I take part in this object, in this session, with this key." */
struct sivp_join {
	uint8_t magic[4];		/* "SIVJ" */
	uint8_t version;		/* 1 */
	uint8_t role;			/* enum sivp_role */
	uint16_t pad;
	uint32_t rights;		/* of the grant */
	uint32_t flags;			/* 0 */
	uint64_t generation;		/* of the object */
	int64_t expires;		/* s since 1970; 0: no end */
	uint8_t epoch[16];		/* HOST.epoch */
	char host[SIVP_HOST_LEN];
	char channel[SIVP_NAME_LEN];
	char object[SIVP_NAME_LEN];
	uint8_t cert_id[32];		/* BLAKE2b-256 of the service's certificate */
	uint8_t binder[32];		/* of the session */
	uint8_t ej[SIVP_KEY_LEN];	/* X25519, fresh for each JOIN */
	uint8_t signature[SIVP_SIG_LEN];	/* service: CTX_JOIN, hash of all above */
};

/* "I know this process, and gave it these rights": what the host answers. */
struct sivp_attest {
	uint8_t magic[4];		/* "SIVA" */
	uint8_t version;		/* 1 */
	uint8_t pad0[3];
	uint32_t rights;
	uint32_t member;		/* its number in the roster, never used again */
	uint64_t session;
	uint64_t roster;		/* as it was with this member in it */
	int64_t host_time;
	uint64_t start_time;
	uint32_t uid, gid, pid, pad1;
	char vm[SIVP_VM_LEN];
	uint8_t join_hash[32];		/* BLAKE2b-256 of the JOIN */
	uint8_t signature[SIVP_SIG_LEN];	/* host: CTX_ATTEST, hash of all above */
};

struct sivp_member {
	struct sivp_chain chain;
	struct sivp_join join;
	struct sivp_attest attest;
};

/* "I have verified you, and hold the key that only we two have." */
struct sivp_confirm {
	uint32_t from, to;		/* members */
	uint64_t roster;		/* that the sender has seen */
	uint8_t mac[32];
};

enum sivp_member_state {
	SIVP_MEMBER_PRESENT = 1,
	SIVP_MEMBER_LEFT,		/* said so */
	SIVP_MEMBER_DIED,		/* process, VM, or all its uses of the object ended */
	SIVP_MEMBER_REVOKED,
};

struct sivp_slot {
	uint32_t member;
	uint32_t state;			/* enum sivp_member_state */
	uint64_t changed;		/* the roster number of the last change, for the asker */
	struct sivp_confirm confirm;	/* to the asker; `from` 0: none */
	struct sivp_member proof;
};

/* slots follow, the one that changed first comes first */
struct sivp_roster {
	uint64_t roster;		/* the number now */
	uint64_t forgotten;		/* who asks from before this starts again from 0 */
	uint32_t count;			/* of slots here */
	uint32_t more;			/* 1: ask again, from the last one's `changed` */
};
#define SIVP_SLOTS_MAX	3

struct sivp_long_request {
	struct sivp_request head;
	union {
		struct sivp_join join;
		struct sivp_confirm confirm;
	};
};

struct sivp_long_result {
	struct sivp_result head;
	union {
		struct sivp_attest attest;
		struct {
			struct sivp_roster roster;
			struct sivp_slot slots[SIVP_SLOTS_MAX];
		};
	};
};

/* a sealed request or result on the wire */
struct sivp_record {
	struct sivp_hdr hdr;
	uint8_t sealed[];
};

_Static_assert(sizeof(struct sivp_cert) == 304, "cert");
_Static_assert(sizeof(struct sivp_chain) == 616, "chain");
_Static_assert(sizeof(struct sivp_hello) == 48, "hello");
_Static_assert(sizeof(struct sivp_host_clear) == 72, "host clear");
_Static_assert(sizeof(struct sivp_host) == 792, "host");
_Static_assert(sizeof(struct sivp_auth) == 712, "auth");
_Static_assert(sizeof(struct sivp_ready) == 120, "ready");
_Static_assert(sizeof(struct sivp_request) == 232, "request");
_Static_assert(sizeof(struct sivp_result) == 112, "result");
_Static_assert(sizeof(struct sivp_join) == 368, "join");
_Static_assert(sizeof(struct sivp_attest) == 192, "attest");
_Static_assert(sizeof(struct sivp_member) == 1176, "member");
_Static_assert(sizeof(struct sivp_confirm) == 48, "confirm");
_Static_assert(sizeof(struct sivp_slot) == 1240, "slot");
_Static_assert(sizeof(struct sivp_roster) == 24, "roster");
_Static_assert(sizeof(struct sivp_hdr) + sizeof(struct sivp_long_result) + SIVP_TAG_LEN <=
	       SIVP_MSG_MAX, "a result is one message");

#endif
