/* SPDX-License-Identifier: MIT */
/*
 * The worker's sessions: handshake, then sealed requests, whatever carries
 * them. Nothing here closes or frees a session while it handles a message of
 * it: a dead one stays until its carrier removes it.
 */
#ifndef SIVSHMEM_CA_SESSION_H
#define SIVSHMEM_CA_SESSION_H

#include "worker_priv.h"

#define WSESSIONS_MAX		1024
#define WSESSION_HALF_OPEN_MAX	256
#define WSESSION_TIMEOUT	10000	/* ms, from HELLO (local: connect) to AUTH */

int wsessions_init(struct worker *worker);
/* The wire's ids come from the guest: any number may be asked for. */
struct wsession *wsession_find(struct worker *worker, uint64_t id);
/*
 * Announce a session to the monitor. `again`: it has grants and no keys, and
 * gets none. Positive errno on failure: the monitor's, ENFILE, EEXIST.
 */
int wsession_open(struct worker *worker, uint64_t id,
	const struct sivring_session *who, bool again, struct wsession **session);
/* Wipe and free; the monitor is not told. */
void wsession_remove(struct worker *worker, struct wsession *session);
void wsessions_forget(struct worker *worker);

void wsession_message(struct worker *worker, struct wsession *session,
	const void *message, size_t length);
/* Abort handshakes that take too long. */
void wsessions_expire(struct worker *worker);
bool wsession_dead(const struct wsession *session);
/* It stays known, for its grants, but answers no request any more. */
void wsession_forget_keys(struct wsession *session);
/* End it from our side: SIVP_ABORT, no more requests. */
void wsession_abort(struct worker *worker, struct wsession *session,
	enum sivp_status status);

/* what the carrier keeps with a session */
struct wsession_link {
	uint64_t id;
	uint64_t sequence;		/* of the frame being answered */
	int fd;				/* local, else -1 */
	bool broken;			/* local: could not send */
};
struct wsession_link *wsession_link(struct wsession *session);
/* Walk all: NULL starts, NULL ends; removing the returned one is fine. */
struct wsession *wsession_next(struct worker *worker, const struct wsession *after);

#endif
