/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note OR MIT */
/*
 * What the guest kernel module offers to processes: /dev/sivshmem and the
 * channel files that it hands out. Layout in sivshmem(4).
 *
 * One open of /dev/sivshmem is one *session*. The kernel stamps it with the
 * opener's uid, gid, pid and start time; a process cannot change them.
 * write(2) sends one handshake or request message of at most
 * SIVSHMEM_MSG_MAX bytes to the host, whole or not at all; read(2) returns
 * one message (EMSGSIZE, and the message stays, if the buffer is too small);
 * poll(2) works; O_NONBLOCK gives EAGAIN.
 * Errors of open: EHOSTDOWN no control device, or the host does not answer for
 * 5 s; EMFILE no session is left for this user; ECONNRESET as follows.
 * Errors of read and write: ECONNRESET or ESTALE the host forgot the session
 * (it restarted): close, open again and repeat the handshake; EKEYREVOKED the
 * host or SIVSHMEM_IOC_END ended it; EMFILE or ENFILE the host takes no more of
 * this VM; EMSGSIZE; EPERM the fd is used by another process than the opener's
 * thread group (a forked child must open a session of its own). EINTR, EFAULT
 * and ENOMEM as usual.
 */
#ifndef SIVSHMEM_UAPI_H
#define SIVSHMEM_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define SIVSHMEM_DEVICE		"/dev/sivshmem"
#define SIVSHMEM_UAPI_VERSION	1
#define SIVSHMEM_MSG_MAX	4096
#define SIVSHMEM_FS_MAGIC	0x53495653	/* statfs(2) f_type of a channel fd */

#define SIVSHMEM_NAME_LEN	64	/* NUL-padded, NUL-terminated */
#define SIVSHMEM_VM_LEN		32

/* rights of a grant and of a policy member */
#define SIVSHMEM_RIGHT_READ	(1u << 0)
#define SIVSHMEM_RIGHT_WRITE	(1u << 1)
#define SIVSHMEM_RIGHT_CREATE	(1u << 2)	/* create, rename and unlink objects */
#define SIVSHMEM_RIGHT_RESIZE	(1u << 3)	/* change an object's size */
#define SIVSHMEM_RIGHTS_ALL	0xfu

/* on a session */
struct sivshmem_info {
	__u32 version;			/* SIVSHMEM_UAPI_VERSION */
	__u32 up;			/* 1: the host answers */
	__u64 session;			/* this session's id in this VM */
	__u32 links;			/* link devices bound */
	__u32 pad;
	char vm[SIVSHMEM_VM_LEN];	/* the VM's name as the host says it */
};

/*
 * Turn a grant that the host gave this session into a channel fd.
 * ENOENT no such grant in this session, or it is a file already; EACCES flags
 * ask for more than the grant's rights; EINVAL unknown flags; EMFILE, ENFILE.
 */
#define SIVSHMEM_FD_WRITE	(1u << 0)	/* O_RDWR, else O_RDONLY */
#define SIVSHMEM_FD_CLOEXEC	(1u << 1)
struct sivshmem_grant_fd {
	__u64 grant;
	__u32 flags;
	__s32 fd;			/* out */
};

struct sivshmem_entry {
	__u64 session, grant, object, generation;
	__u64 size;			/* bytes */
	__u32 uid, gid, pid;		/* who holds the session */
	__u32 rights;
	__u32 revoked;
	__u32 pad;
	char comm[16];
	char channel[SIVSHMEM_NAME_LEN];
	char name[SIVSHMEM_NAME_LEN];	/* the object's */
};

/*
 * List what is open in this VM: entries of the caller's uid, all of them with
 * CAP_SYS_ADMIN. count: in, room at entries; out, how many there are (may
 * be more than the room). EINVAL pad is not 0.
 */
struct sivshmem_list {
	__u64 entries;			/* struct sivshmem_entry * */
	__u32 count;
	__u32 pad;
};

#define SIVSHMEM_IOC_INFO	_IOR(0xB7, 1, struct sivshmem_info)
#define SIVSHMEM_IOC_GRANT_FD	_IOWR(0xB7, 2, struct sivshmem_grant_fd)
#define SIVSHMEM_IOC_LIST	_IOWR(0xB7, 3, struct sivshmem_list)
/* End the session: every fd and mapping that it granted dies, wherever it went. */
#define SIVSHMEM_IOC_END	_IO(0xB7, 4)
/* on a channel fd */
#define SIVSHMEM_IOC_OBJECT	_IOR(0xB7, 5, struct sivshmem_entry)

/*
 * On SIVSHMEM_WAIT_DEVICE, which needs no session: futex(2) for words of 32
 * bits in a mapping of a channel, between all VMs that have it. `address` is
 * one of the calling process, and a multiple of 4. Errors of all three: ENODEV
 * the address is in no channel (futex(2) serves it), EFAULT the object does not
 * reach so far, EKEYREVOKED the channel was taken away, EINVAL.
 */
#define SIVSHMEM_WAIT_DEVICE	"/dev/sivshmem-wait"

/*
 * Sleep while the word is `expected`. 0: woken, or for no reason; EAGAIN it
 * has another value; ETIMEDOUT; EINTR; EOWNERDEAD the thread whose id is in the
 * low 30 bits of `expected` is dead. Restarted after a
 * signal if SA_RESTART, unless there is a deadline.
 */
#define SIVSHMEM_WAIT_DEADLINE	(1u << 0)	/* until seconds.nanoseconds of clock */
#define SIVSHMEM_WAIT_OWNED	(1u << 1)	/* the word names its owner */
struct sivshmem_wait {
	__u64 address;
	__u32 expected;
	__u32 flags;
	__u32 bitset;			/* not 0; a wake must share a bit */
	__s32 clock;			/* CLOCK_REALTIME or CLOCK_MONOTONIC */
	__s64 seconds, nanoseconds;	/* absolute */
};

/* Wake up to `count` sleepers. Returns how many it may have reached. */
#define SIVSHMEM_WAKE_STALE	(1u << 0)	/* none who expects what the word is */
struct sivshmem_wake {
	__u64 address;
	__u32 count;
	__u32 flags;
	__u32 bitset;			/* not 0 */
	__u32 pad;
};

/*
 * The calling thread's id as an owner, unique in the link, until it ends or
 * calls execve(2). EACCES the channel is read-only here; EAGAIN too many of the
 * VM or of this user; EOPNOTSUPP the kernel does not tell when threads end.
 */
struct sivshmem_owner {
	__u64 address;
	__u32 id;			/* out */
	__u32 pad;
};

#define SIVSHMEM_IOC_WAIT	_IOW(0xB7, 6, struct sivshmem_wait)
#define SIVSHMEM_IOC_WAKE	_IOW(0xB7, 7, struct sivshmem_wake)
#define SIVSHMEM_IOC_OWNER	_IOWR(0xB7, 8, struct sivshmem_owner)

#endif
