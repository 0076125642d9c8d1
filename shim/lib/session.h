/* SPDX-License-Identifier: MIT */
/* A session as the client library sees it; client.c has the public calls. */
#ifndef SIVSHMEM_LIB_SESSION_H
#define SIVSHMEM_LIB_SESSION_H

#include <stdbool.h>
#include <sys/stat.h>

#include <sivshmem/sivshmem.h>

#include "handshake.h"
#include "keyfile.h"
#include "transport.h"

/* In pages of its own that fork(2) wipes: owner 0 says that this is a child. */
struct sivshmem_secret {
	pid_t owner;
	struct sivshmem_handshake hs;
	struct sivshmem_keys keys;
};

/* An object that was opened in local mode, found again by its memfd's inode. */
struct sivshmem_local {
	dev_t dev;
	ino_t ino;
	uint64_t grant;
	uint64_t serial;		/* of the connection that the grant is of */
	uint32_t rights;
	char channel[SIVP_NAME_LEN];
	char object[SIVP_NAME_LEN];
};
/* beyond that the oldest is forgotten: it keeps its size then */
#define SIVSHMEM_LOCAL_MAX	4096

struct sivshmem_session {
	struct sivshmem_transport transport;
	struct sivshmem_secret *secret;
	uint64_t serial;		/* counts connections */
	struct sivshmem_session_info info;
	int64_t connected;		/* ms, when the host's time was info.host_time */
	/* as the handshake proved them, for JOIN */
	struct sivp_cert root, host_cert;
	uint8_t epoch[16], binder[32], cert_id[32];
	struct sivshmem_group *groups;	/* that were joined */
	struct sivshmem_error err;
	char *identity, *where, *host;
	struct sivshmem_local *locals;
	size_t local_count, local_room, local_next;
};

/* Connected, by this process, over an fd that is still ours? Else connect. */
int sivshmem_session_ensure(struct sivshmem_session *s);
/* Wipe the keys and close the connection. */
void sivshmem_session_drop(struct sivshmem_session *s);
/*
 * One request and its result over the connection that is there. Any failure
 * drops it. result->error is not looked at.
 */
/* The host is busy: wait a while, longer each time; false: not before the deadline. */
bool sivshmem_session_pause(unsigned int *pause, int64_t deadline);
int sivshmem_session_exchange(struct sivshmem_session *s,
	const struct sivp_request *request, struct sivp_result *result);
/* The same with what follows either; *length: the room for result, then its size. */
int sivshmem_session_exchange_long(struct sivshmem_session *s,
	const struct sivp_long_request *request, size_t request_length,
	struct sivp_long_result *result, size_t *length);
/* Of errors that a new connection may cure */
bool sivshmem_session_lost(int rc);
/* A host that is restarted under load may die more than once in one open. */
#define SIVSHMEM_LOSSES	5
/* Turn a lost connection, met so often, or a timeout into -EHOSTDOWN with a text. */
int sivshmem_session_down(struct sivshmem_session *s, int rc);

/* As sivshmem_open(), with all that the host answered. */
int sivshmem_open_result(struct sivshmem_session *s, const char *channel,
	const char *object, int oflag, mode_t mode, struct sivp_result *result);
/* Within the channel, as rename(2); exclusive: -EEXIST for a name that is there. */
int sivshmem_rename(struct sivshmem_session *s, const char *channel,
	const char *object, const char *to, bool exclusive);
/*
 * An fd of an object that exists, for a moment: in local mode a grant that is
 * not given back keeps an unlinked object's memory until the session ends.
 */
int sivshmem_borrow(struct sivshmem_session *s, const char *channel,
	const char *object, bool write, uint64_t *grant);
void sivshmem_give_back(struct sivshmem_session *s, int fd, uint64_t grant);

/* NULL: not a local object */
struct sivshmem_local *sivshmem_local_find(const struct sivshmem_session *s,
	const struct stat *st);
int sivshmem_local_add(struct sivshmem_session *s, int fd,
	const struct sivshmem_local *entry);

#endif
