/* SPDX-License-Identifier: MIT */
/*
 * The records of the journal. To keep one more field: append it to its struct,
 * and set and read it in keep.c and keep_load.c. A record that a monitor of
 * before has written reads as zero there; so never reorder, never shorten.
 * Files are numbers of handover.h.
 */
#ifndef SIVSHMEM_CA_KEEP_RECORDS_H
#define SIVSHMEM_CA_KEEP_RECORDS_H

#include "monitor.h"

/* in the order in which they are loaded */
enum keep_kind {
	KEEP_META = 1,
	KEEP_SOCKET,			/* key: keep_name() */
	KEEP_DOMAIN,			/* key: the VM's place in the policy */
	KEEP_LINK,			/* key: the link's */
	KEEP_DEVICE,			/* key: keep_device_key() */
	KEEP_LOST,			/* key: link << 48 | page */
	KEEP_OBJECT,			/* key: its id; the tail: extents */
	KEEP_SESSION,			/* key: host_id */
	KEEP_GRANT,			/* key: its id */
	KEEP_LOCKS,			/* key: the grant's id; the tail: struct sivring_lock */
	KEEP_WRITERS,			/* key: the object's id; the tail: serials, uint64_t */
	KEEP_KINDS
};

struct keep_meta {
	uint8_t boot_epoch[16];
	uint64_t next_session;
	struct store_ids ids;
};

struct keep_socket {
	uint64_t fd;
};

struct keep_domain {
	char name[SIVP_VM_LEN];
	uint64_t ring_epoch;
	uint64_t memory, wake, ring;
	uint64_t up;
};

struct keep_link {
	uint64_t writers, readers, bytes, usable;
	uint64_t memory;
	uint64_t bell[POLICY_MAX_VMS];
	uint16_t position[POLICY_MAX_VMS];
	uint64_t table;			/* 0: in the memory itself */
	uint64_t version;		/* SIVRING_VERSION: what is where in it */
};

struct keep_device {
	uint64_t conn, listener;
	uint64_t sent;			/* of the greeting */
};

struct keep_lost {
	struct sivring_extent extent;
};

struct keep_object {
	char channel[SIVP_NAME_LEN], name[SIVP_NAME_LEN], creator[SIVP_NAME_LEN];
	uint64_t generation, size, change, pages;
	uint32_t mode, uid, gid;
	uint32_t unlinked, lock_wanted, pad;
	uint64_t memfd;
	uint32_t members;		/* numbers that its roster gave */
	uint32_t link;			/* that has its pages */
};

struct keep_session {
	uint64_t id;
	uint32_t domain, authenticated;
	struct sivring_session who;
	char service[SIVP_NAME_LEN];
	uint64_t serial;
	int64_t not_after, since;
	struct sivp_chain chain;	/* of the last that was authenticated */
	uint32_t revoked, pad;
};

struct keep_grant {
	uint64_t session;		/* host_id */
	uint64_t object;
	uint32_t rights, pad;
};

static inline uint64_t keep_device_key(const struct device *device)
{
	return (uint64_t)(device->link + 1) << 16 | device->domain->vm->index;
}

static inline uint64_t keep_name(const char *name)
{
	uint64_t key = 0;

	while (*name)
		key = key << 8 | (uint8_t)*name++;
	return key;
}

/* keep.c's, for keep_load.c: go on with this journal; NULL: a new one */
struct journal;
void keep_begin(struct journal *journal);
/* and what is there can't be used: begin again without it */
_Noreturn void keep_cold(const char *why);

#endif
