/* SPDX-License-Identifier: MIT */
/*
 * libsivshmem: shared-memory objects in authenticated channels, for programs
 * that want to say so themselves. Programs that only know shm_open(3) use
 * libsivshmem-shim.so, which is built on this. See libsivshmem(3).
 *
 * A function that returns an int returns 0, or what its comment says, or a
 * negative errno. After a failure of one that talks to the host
 * sivshmem_error_text() has one line for people: what was wrong, and what to do.
 * No function prints, exits, or raises a signal.
 *
 * A session belongs to one process and is not thread-safe: lock around it. A
 * forked child may go on to use its copy: the keys are wiped in the child, and
 * its next call makes a session of its own. A child of vfork(2) may not use it.
 *
 * To connect takes SIVSHMEM_TIMEOUT_MS at most, and so does each message to the
 * host with its answer. A connection that is lost meanwhile is made anew, and the
 * request sent again, up to five times in all; a host that is busy is asked again
 * for SIVSHMEM_TIMEOUT_MS. A call can take as long as these together.
 *
 * Descriptors of the library's own, close-on-exec, have high numbers where the
 * limit allows: a session's is 900 or more, or half of the limit, and the one
 * that sivshmem_wait() and sivshmem_wake() keep is 512 or more.
 *
 * Errors that any call which talks to the host may return:
 *	-EHOSTDOWN	nobody answers: no module, no daemon, or they hang, are busy
 *			all the time, or hang up again and again
 *	-EACCES		the host refused this service, or its identity is unusable
 *	-EKEYREJECTED	the host could not prove that it is one
 *	-EKEYREVOKED	the host ended the session
 *	-EPROTO		the host, or what claims to be it, broke the protocol
 *	-EPROTONOSUPPORT the host speaks another version of it
 *	-EPERM		this is a child of vfork(2)
 *	-EMFILE		also: this user has its share of the VM's sessions
 *	-ENFILE, -ENOMEM, -ENOSYS (libsodium does not start)
 */
#ifndef SIVSHMEM_H
#define SIVSHMEM_H

#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SIVSHMEM_TIMEOUT_MS		10000
#define SIVSHMEM_DEFAULT_IDENTITY	"/etc/sivshmem/identity"
#define SIVSHMEM_DEFAULT_SOCKET		"/run/sivshmem/local.sock"
#define SIVSHMEM_ERROR_MAX		1024	/* bytes of an error text, with its NUL */

#define SIVSHMEM_API	__attribute__((visibility("default")))

struct sivshmem_session;

/* NULL members mean the default. Strings are copied. */
struct sivshmem_options {
	const char *identity;	/* the bundle's directory: DEFAULT_IDENTITY */
	/*
	 * "auto" (the default): /dev/sivshmem if it is there and up, else
	 * the daemon's socket. "dev". "unix:PATH", at most 107 bytes of path.
	 */
	const char *transport;
	const char *host;	/* the host name to insist on; NULL: any of this CA */
};

/* What is known of a session; filled by sivshmem_session_get(). */
struct sivshmem_session_info {
	uint64_t id;		/* as in the host's audit log */
	int64_t host_time;	/* at the handshake, s since 1970, signed by the host */
	uint32_t uid, gid, pid;	/* as the host sees this process */
	uint32_t local;		/* 1: local mode, over a socket; 0: in a VM */
	char vm[32];		/* as the host calls this machine */
	char service[64];	/* the certificate's subject */
};

/*
 * Load the identity, connect and do the handshake. options may be NULL. On
 * success the caller owns *session and ends it with sivshmem_close(). On
 * failure *session is NULL and, if error is not NULL, its `size` bytes hold
 * the text (SIVSHMEM_ERROR_MAX bytes are enough). -EINVAL: the transport is none.
 */
SIVSHMEM_API int sivshmem_connect(struct sivshmem_session **session,
	const struct sivshmem_options *options, char *error, size_t size);

/*
 * End the session. File descriptors and mappings that it gave stay usable in
 * local mode and in a VM, until they are closed. Its groups are left and freed:
 * do not use them after. NULL is ignored.
 */
SIVSHMEM_API void sivshmem_close(struct sivshmem_session *session);

/*
 * Open `object` of `channel`, as shm_open(3) does: oflag is O_RDONLY or O_RDWR
 * with any of O_CREAT, O_EXCL, O_TRUNC; mode, for a new object, is used as it is
 * (no umask). Returns a file descriptor that the caller owns, close-on-exec, at
 * offset 0. *rights, if not NULL, is what was granted: SIVSHMEM_RIGHT_* of
 * sivshmem/uapi.h. Both names have 1 to 63 bytes.
 * -ENOENT, -EEXIST, -ENOSPC (the channel's quota or number of objects, or a limit
 * of the service or VM that creates it), -EACCES (the channel, or this right to
 * it, is not this service's, or its certificate has ended since), -EINVAL (a name
 * or a flag), -ENAMETOOLONG.
 * When the connection is lost in the middle, the request is sent again
 * over a new session: with O_EXCL that may say -EEXIST for the own object.
 */
SIVSHMEM_API int sivshmem_open(struct sivshmem_session *session,
	const char *channel, const char *object, int oflag, mode_t mode,
	uint32_t *rights);

/* Remove the name, as shm_unlink(3) does. -ENOENT, -EACCES, -EINVAL, -ENAMETOOLONG. */
SIVSHMEM_API int sivshmem_unlink(struct sivshmem_session *session,
	const char *channel, const char *object);

/*
 * Set the size, in bytes, of the object behind fd, which sivshmem_open() of
 * this session returned (or a duplicate of it). grow_only: never shrink it.
 * In a VM this is ftruncate(2), or fallocate(2) if grow_only, with the errors of
 * sivshmem(4), whatever session fd is of: -EINVAL not open
 * for writing (-EBADF if grow_only), or size 0 if grow_only; -EKEYREVOKED;
 * -EHOSTDOWN after 5 s. In local mode ftruncate(2) is not enough, since
 * quota and rights are the daemon's to apply; -EBADF: fd is not of this session,
 * or not open for writing; -ENOENT: the object was unlinked, and the connection
 * was made anew since. In both -EACCES (no right to resize), -ENOSPC (the
 * channel's quota, or a limit of the service or VM that created it), -EFBIG.
 */
SIVSHMEM_API int sivshmem_resize(struct sivshmem_session *session, int fd,
	uint64_t size, int grow_only);

/* 1: fd is an object that this session opened in local mode; 0: it is not. */
SIVSHMEM_API int sivshmem_is_local(const struct sivshmem_session *session,
	int fd);

/*
 * Sleep while the 32-bit word at `word`, an aligned address in a mapping of an
 * object, is `expected`: as futex(2), but woken from any VM that has the object
 * open (the kernel knows the word by object and offset). timeout NULL: for
 * ever; else `how` says what it is. Returns 0 for a wake or for no reason, so
 * look at the word again; -EAGAIN it has another value; -ETIMEDOUT; -EINTR a
 * signal handler ran that was installed without SA_RESTART, or any if there is
 * a timeout; -EKEYREVOKED the channel was taken away; -EINVAL; -EFAULT. Needs no
 * session, sets no text, and any thread and a forked child may call it. In local
 * mode it is futex(2).
 */
#define SIVSHMEM_FOR			0	/* as long as this, from now */
#define SIVSHMEM_UNTIL_MONOTONIC	1	/* a time of this VM's CLOCK_MONOTONIC */
#define SIVSHMEM_UNTIL_REALTIME		2
SIVSHMEM_API int sivshmem_wait(const uint32_t *word, uint32_t expected, int how,
	const struct timespec *timeout);

/*
 * Wake up to `count` of those who sleep at `word`, after changing it. Those of
 * this VM come first, and one or more of each other VM if some are left.
 * Returns how many it may have reached (a hint), or as above. Async-signal-safe.
 */
SIVSHMEM_API int sivshmem_wake(const uint32_t *word, unsigned int count);

/*
 * --- Members: who else takes part in an object, proven without the host's word ---
 *
 * A process that joins says so under its service's key, with a fresh key for
 * the keys that it will share. The others' certificates and signatures are
 * checked by this library itself, under the root of its own identity; what the
 * host says of them is a hint. Only *confirmed* means that the other was here,
 * has checked this process likewise, and holds the key that the two share.
 * It takes both: the other gets to it when it calls one of these functions.
 */
struct sivshmem_group;			/* one object, joined by one session */

/* States of a member, and types of events. */
#define SIVSHMEM_LISTED		1	/* the host names it */
#define SIVSHMEM_VERIFIED	2	/* certified for this object, and signed so */
#define SIVSHMEM_CONFIRMED	3	/* has answered with the common key */
#define SIVSHMEM_REFUSED	4	/* it is not what the host says: see reason */
#define SIVSHMEM_LEFT		5	/* it said so */
#define SIVSHMEM_DIED		6	/* process, VM, or all its uses of the object ended */
#define SIVSHMEM_REVOKED	7	/* the host took the object from it */

struct sivshmem_member {
	uint32_t number;	/* in this object; never used again */
	uint32_t state;
	uint32_t role;		/* 1 creator, 2 writer, 3 reader */
	uint32_t rights;	/* SIVSHMEM_RIGHT_* of sivshmem/uapi.h */
	uint32_t uid, gid, pid, pad;	/* as the host saw it */
	uint64_t serial;	/* of its certificate */
	char service[64];	/* of its certificate: to be trusted from VERIFIED on */
	char vm[32];
	char reason[128];	/* REFUSED: why */
};

struct sivshmem_event {
	uint32_t type;		/* CONFIRMED, REFUSED, LEFT, DIED or REVOKED */
	uint32_t pad;
	struct sivshmem_member member;
};

/*
 * As sivshmem_open(), and take part. The caller ends *group, which is NULL on
 * failure, with sivshmem_leave(); sivshmem_close() leaves and frees it, too.
 * Another -EACCES: the host refused the JOIN; another -ENOSPC: too many members,
 * or too many of this service; -ESTALE: the certificate in the identity is not
 * the session's any more, or the connection was lost: connect anew.
 */
SIVSHMEM_API int sivshmem_join(struct sivshmem_session *session,
	const char *channel, const char *object, int oflag, mode_t mode,
	struct sivshmem_group **group);

/*
 * Tell the others, wipe the keys and free the group, whatever it returns: do not
 * use it after. fd and mappings stay.
 */
SIVSHMEM_API int sivshmem_leave(struct sivshmem_group *group);

/*
 * Ask the host once what is new, answer it, and fill `list`, of `max`, with the
 * others that are there. Returns how many there are, which may be more than `max`.
 * -ESTALE, from this and the next two: the connection was lost, this is a forked
 * child, or all uses of the object ended, and with it the membership; leave, open
 * and join anew.
 */
SIVSHMEM_API int sivshmem_members(struct sivshmem_group *group,
	struct sivshmem_member *list, size_t max);

/*
 * The next change: 1, and *event is it; or 0, after timeout_ms and the host's last
 * answer. The host is asked again and again meanwhile, after 1 ms first, then up
 * to 100. Some 60 that are not fetched are kept, of more the first are forgotten.
 */
SIVSHMEM_API int sivshmem_next_event(struct sivshmem_group *group,
	struct sivshmem_event *event, int timeout_ms);

/*
 * Wait until a member of that service is confirmed; fills *member, if not NULL.
 * -ETIMEDOUT: it is not here, or does not answer; -EACCES: who claims that name
 * does not prove it. The session's error text says what was missing.
 */
SIVSHMEM_API int sivshmem_await_member(struct sivshmem_group *group,
	const char *service, int timeout_ms, struct sivshmem_member *member);

/*
 * The key that this process and that member alone share, the same in both; not
 * the host's. -ENOENT: it is not confirmed (any more); -EPERM: a forked child's
 * copy, which has no keys.
 */
SIVSHMEM_API int sivshmem_session_key(const struct sivshmem_group *group,
	uint32_t number, uint8_t key[32]);

/* Fills *info. 0, always. */
SIVSHMEM_API int sivshmem_session_get(const struct sivshmem_session *session,
	struct sivshmem_session_info *info);

/*
 * The text of the last failed call, one line without newline; "" if there was
 * none. It belongs to the session and changes with the next call.
 */
SIVSHMEM_API const char *sivshmem_error_text(
	const struct sivshmem_session *session);

/*
 * For a library that forks behind the application's back: forget, in the
 * child, what the parent's session held. Safe between fork and exec.
 */
SIVSHMEM_API void sivshmem_after_fork(struct sivshmem_session *session);

#ifdef __cplusplus
}
#endif

#endif
