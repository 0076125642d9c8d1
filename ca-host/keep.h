/* SPDX-License-Identifier: MIT */
/*
 * What of the monitor's state a restart keeps: each of these is called after
 * the change it names, and counts from keep_commit() on. Before a reply or any
 * other word leaves the monitor, and before memory is wiped, comes a commit.
 */
#ifndef SIVSHMEM_CA_KEEP_H
#define SIVSHMEM_CA_KEEP_H

#include "monitor.h"

void keep_object(const struct object *object);
void keep_object_gone(const struct object *object);
void keep_writers(const struct object *object);
void keep_session(const struct session *session);	/* of a VM; others end with us */
void keep_session_gone(const struct session *session);
void keep_grant(const struct grant *grant);
void keep_grant_gone(const struct grant *grant);
void keep_locks(const struct grant *grant);	/* those that it has now */
void keep_domain(const struct domain *domain);
void keep_link(uint32_t link);
void keep_device(const struct device *device);
/* Pages that nobody may ever be given again. */
void keep_lost(uint32_t link, const struct sivring_extent *extent);
void keep_commit(void);
void keep_whole(void);			/* all of it anew */
void keep_pause(bool on);		/* nothing of the above is written meanwhile */

/* First of all: what the last monitor left, and which of it the policy has still. */
void keep_read(void);
/* hub.c, as it makes each: take over what it had instead. True when there is one. */
bool keep_take_domain(struct domain *domain);
bool keep_take_link(uint32_t link);
/* Its connection and listening socket, -1: none. */
void keep_take_device(struct device *device);
/* Another listening socket, by its name; -1: none. */
int keep_take_socket(const char *name);
void keep_socket(const char *name, int fd);
/* When all devices are there: objects, sessions, grants and locks. */
void keep_load(void);

#endif
