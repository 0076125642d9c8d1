/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * The control device: what guest kernel and daemon say to each other in BAR2
 * of the device whose IVPosition is SIVRING_ID_CONTROL | n. That memory is
 * shared by this VM and the daemon alone. Little-endian. Both sides treat all
 * of it as hostile: copy a frame out, validate it, then use it.
 *
 * Page 0 holds struct sivring_page; each field has one writer. After it come
 * two byte rings: guest to host at SIVRING_G2H_OFF, host to guest at
 * SIVRING_H2G_OFF, SIVRING_SIZE bytes each. Indices run freely modulo 2^32;
 * position = index & (SIVRING_SIZE - 1); tail - head <= SIVRING_SIZE or the
 * ring is broken. A frame is a struct sivring_frame and its payload, both
 * wrapping byte-wise at the end, padded with zeros to 8 bytes; the tail is
 * published with a release store after the frame's bytes.
 *
 * Start and restart ("epochs"):
 *  - The module, when it binds, writes a fresh random non-zero guest_nonce and
 *    guest_epoch = 0 and rings the daemon, again every 100 ms until
 *    host_nonce == guest_nonce and host_epoch != 0.
 *  - The daemon, when it finds guest_nonce != host_nonce, forgets every session
 *    of the VM, writes host_epoch 0, sets its own indices (g2h_head, h2g_tail)
 *    to 0, writes host_nonce, then a new host_epoch (strictly larger, release), and rings.
 *  - A worker that was restarted keeps host_nonce and does the same otherwise; grants stay valid, sessions get ECONNRESET.
 *  - The module, seeing a new host_epoch under its nonce, sets its indices
 *    (g2h_tail, h2g_head) to 0, then guest_epoch = host_epoch (release), rings,
 *    and sends HELLO, and SESSION_OPEN again for each session that still
 *    holds grants (flag SIVRING_F_AGAIN). Frames count only while
 *    guest_epoch == host_epoch.
 *  - Whoever finds a broken ring or frame does not trust on: the daemon begins
 *    a new epoch, the module asks for one with a new guest_nonce.
 * The doorbell carries no meaning but "look": vector 0, daemon peer id
 * SIVRING_ID_DAEMON. Doorbells may coalesce or be lost before the peer is up.
 */
#ifndef SIVSHMEM_RING_H
#define SIVSHMEM_RING_H

#include <linux/types.h>

/* IVPosition: who a device is. Only the daemon assigns these. */
#define SIVRING_ID_DAEMON	0x0000
#define SIVRING_ID_LINK		0x4000	/* | index of (link, VM) */
#define SIVRING_ID_CONTROL	0x8000	/* | index of VM */
/*
 * | index of (link, VM): a link that some VM may only read. This device holds
 * its wake table; function 1 of the same slot, an ivshmem-plain, its memory.
 */
#define SIVRING_ID_BELL		(SIVRING_ID_LINK | SIVRING_ID_CONTROL)
#define SIVRING_ID_MASK		0x3fff

#define SIVRING_MAGIC		0x52564953u	/* "SIVR" */
#define SIVRING_VERSION		4
#define SIVRING_MEMORY		(2u << 20)	/* control BAR2, bytes */
#define SIVRING_SIZE		(512u << 10)
#define SIVRING_G2H_OFF		(512u << 10)
#define SIVRING_H2G_OFF		(1024u << 10)

struct sivring_page {
	/* written by the daemon */
	__u32 magic, version;
	__u64 host_nonce;
	__u64 host_epoch;
	__u32 g2h_head;			/* consumed by the daemon */
	__u32 h2g_tail;			/* produced by the daemon */
	__u8 host_pad[96];
	/* written by the guest, in a cache line of its own */
	__u64 guest_nonce;
	__u64 guest_epoch;
	__u32 g2h_tail;
	__u32 h2g_head;
	__u8 guest_pad[104];
};

#define SIVRING_PAYLOAD_MAX	8192

#define SIVRING_F_AGAIN		(1u << 0)

struct sivring_frame {
	__u32 length;			/* of the payload, bytes */
	__u16 type;
	__u16 flags;
	__u64 session;			/* guest kernel's id, 0 = none */
	__u64 sequence;			/* of the request; an answer repeats it */
};

enum sivring_type {
	/* guest to host */
	SIVRING_HELLO = 1,		/* struct sivring_hello */
	SIVRING_SESSION_OPEN,		/* struct sivring_session */
	SIVRING_SESSION_CLOSE,		/* none: no fd, mapping or grant is left */
	SIVRING_RELAY,			/* a process's message, unopened; both ways */
	SIVRING_RELEASE,		/* struct sivring_release */
	SIVRING_RESIZE,			/* struct sivring_resize -> SIVRING_DONE */
	SIVRING_STAT,			/* struct sivring_release -> SIVRING_DONE */
	SIVRING_LOCK,			/* struct sivring_lock -> SIVRING_DONE */
	/* host to guest */
	SIVRING_WELCOME = 64,		/* struct sivring_welcome, answers HELLO */
	SIVRING_GRANT,			/* struct sivring_grant */
	SIVRING_OBJECT,			/* struct sivring_object: size, extents or locks changed */
	SIVRING_REVOKE,			/* struct sivring_release: this grant is dead */
	SIVRING_SESSION_END,		/* struct sivring_end: all its grants are dead too */
	SIVRING_DONE,			/* struct sivring_done */
};

struct sivring_hello {
	__u32 version_min, version_max;
	__u64 page_size;
};

struct sivring_welcome {
	__u32 version;
	__u32 links;			/* link devices that the VM should see */
	char vm[32];
};

/* who a session is, stamped by the guest kernel; ids in the initial namespaces */
struct sivring_session {
	__u32 uid, gid, pid;
	__u32 payer;			/* uid of whose share it takes: uid, or who made its user namespace */
	__u64 start_time;		/* boot-time ns of the thread group leader */
	char comm[16];
};

struct sivring_extent {
	__u64 offset;			/* bytes into the link's memory, page-aligned */
	__u64 length;			/* bytes, page-aligned, > 0 */
};

/*
 * What the kernel needs of an object. extents_count structs follow; together
 * they hold `size` rounded up to a page, or more. At most SIVRING_EXTENTS_MAX.
 */
struct sivring_object {
	__u64 object;			/* id, never reused in a daemon's life */
	__u64 generation;
	__u64 size;			/* bytes, exact */
	__u64 change;			/* counts up with each resize: older ones are stale */
	__u32 link;			/* the VM's own IVPosition on the link device */
	__u32 extents_count;
};
#define SIVRING_EXTENTS_MAX	480

struct sivring_grant {
	__u64 grant;			/* id, never reused */
	__u32 rights;			/* SIVSHMEM_RIGHT_* */
	__u32 mode;			/* permission bits for fstat */
	__u32 uid, gid;			/* the object's creator, for fstat */
	char channel[64];
	char name[64];
	/* the link's VMs as bits of the policy's order: see sivshmem/wake.h */
	__u64 vms;			/* all of them */
	__u64 writers;			/* those that may write: they and all ring each other */
	__u32 vm, pad;			/* this VM's own place in the order */
	struct sivring_object object;	/* its extents follow */
};

struct sivring_release {
	__u64 grant;
};

struct sivring_resize {
	__u64 grant;
	__u64 size;
	__u32 grow_only, pad;		/* write(2) past the end, fallocate */
};

/*
 * flock(2) and fcntl(2): the owner's locks of this kind in the range become
 * this type. EAGAIN another owner's is in the way; an OBJECT comes when it may
 * be tried again. All locks of a grant end with it.
 */
#define SIVRING_LOCK_NONE	0	/* unlock */
#define SIVRING_LOCK_READ	1
#define SIVRING_LOCK_WRITE	2
#define SIVRING_LOCK_RECORD	(1u << 0)	/* fcntl(2), else flock(2): the two do not meet */
#define SIVRING_LOCK_TEST	(1u << 1)	/* only say what is in the way */
struct sivring_lock {
	__u64 grant;
	__u64 owner;			/* the guest kernel's, unique in the VM */
	__u64 start, end;		/* bytes, both inside */
	__u32 type, flags;
};

struct sivring_end {
	__u32 reason;			/* errno: ECONNRESET, EKEYREVOKED, ... */
	__u32 pad;
};

/*
 * Answers RESIZE and STAT: error is 0 or a positive errno of Linux x86-64. The
 * object follows in full, so that the kernel never has to wait for two frames.
 */
struct sivring_done {
	__s32 error;
	__u32 lock_type;		/* EAGAIN of LOCK: what is in the way */
	__u64 lock_start, lock_end;
	struct sivring_object object;	/* its extents follow; LOCK has none */
};

#ifdef __KERNEL__
#include <linux/build_bug.h>
#define SIVRING_ASSERT(c, m)	static_assert(c, m)
#else
#define SIVRING_ASSERT(c, m)	_Static_assert(c, m)
#endif
SIVRING_ASSERT(sizeof(struct sivring_page) == 256, "page");
SIVRING_ASSERT(sizeof(struct sivring_frame) == 24, "frame");
SIVRING_ASSERT(sizeof(struct sivring_session) == 40, "session");
SIVRING_ASSERT(sizeof(struct sivring_object) == 40, "object");
SIVRING_ASSERT(sizeof(struct sivring_grant) == 216, "grant");
SIVRING_ASSERT(sizeof(struct sivring_done) == 64, "done");
SIVRING_ASSERT(sizeof(struct sivring_grant) +
	       SIVRING_EXTENTS_MAX * sizeof(struct sivring_extent) <=
	       SIVRING_PAYLOAD_MAX, "extents");

#endif
