/* SPDX-License-Identifier: MIT */
/*
 * What one participant of an object knows of the others. The roster comes from
 * the host, slot by slot, and may be anything: member.c decides what of it is
 * true, group.c does the talking.
 */
#ifndef SIVSHMEM_LIB_MEMBER_H
#define SIVSHMEM_LIB_MEMBER_H

#include <stdbool.h>
#include <sivshmem/sivshmem.h>

#include "join.h"

#define PEERS_MAX	128		/* of them, the host lets 64 take part at once */
#define EVENTS_MAX	256
#define SEEN_MAX	4096		/* members paired with, of which more is known than a number */

/* In pages of its own that fork(2) wipes: owner 0 says that this is a child. */
struct group_secret {
	pid_t owner;
	uint8_t ej[32];
	uint8_t pk[PEERS_MAX][32];
};

struct peer {
	bool used, to_confirm;		/* our CONFIRM has not been sent */
	bool listed;			/* since the last start from 0 */
	uint8_t mh[32];
	struct sivshmem_member info;
};

struct seen {
	uint32_t number;
	uint8_t mh[32];
};

struct sivshmem_group {
	struct sivshmem_group *next;	/* of the session */
	struct sivshmem_session *session;
	uint64_t serial;		/* the connection that it is of */
	int64_t connected;		/* ms, when place.now was the host's time */
	uint64_t grant;
	bool created, writes;		/* as it was opened */
	void *use;			/* a page mapped, for a grant without another use */
	uint64_t after;			/* roster number up to which all is known */
	bool relisting;
	uint32_t number;		/* one's own */
	uint8_t mh[32];
	uint8_t ej[32];			/* public */
	struct sivshmem_place place;
	struct group_secret *secret;
	struct peer peers[PEERS_MAX];
	struct sivshmem_event events[EVENTS_MAX];
	unsigned int first, count;	/* of events */
	struct seen *seen;
	size_t seen_count, seen_room;
	uint32_t forgotten;		/* up to this number, some that were seen are not there */
};

int group_secret_create(struct group_secret **secret);
void group_secret_free(struct group_secret *secret);

/* Take what the host says. -ENOMEM; a lie is an event, not an error. */
int group_take_slot(struct sivshmem_group *group, const struct sivp_slot *slot);
/* The host has forgotten some: from here on, list anew. */
void group_relist(struct sivshmem_group *group);
/* Those that were not listed since are gone. */
void group_relisted(struct sivshmem_group *group);
/* The next CONFIRM to send, or NULL. */
struct peer *group_to_confirm(struct sivshmem_group *group, struct sivp_confirm *confirm);

#endif
