/* SPDX-License-Identifier: MIT */
/*
 * What a VM, and what a service, may use: `limits` of the policy. A VM's are for
 * all of its services together; processes of the host count as one VM.
 */
#ifndef SIVSHMEM_CA_LIMITS_H
#define SIVSHMEM_CA_LIMITS_H

#include "monitor.h"

int limits_start(void);			/* -errno */
const struct policy_limits *limits_of(const struct domain *domain);

/*
 * Whose share of the domain's sessions and handshakes it is, of who has this uid.
 * One that the policy names for a service there has a share of his own; all others
 * are one, since one user may have as many uids as he has subordinate ones.
 */
uint32_t limits_payer(const struct domain *domain, uint32_t uid);
/* False: no more handshakes begin in this second. No user has more than half of them. */
bool limits_handshake(const struct session *session);
/* False: this user of the host has had the status often enough for now. */
bool limits_status(uint32_t uid);
/* 0; EAGAIN: not in this second; EDQUOT: the service has all the sessions it may have. */
int limits_session(const struct session *session, const struct policy_service *service);

/* Why there can not be one more object, or more pages of one, or NULL. */
const char *limits_object(const struct policy_service *creator);
const char *limits_pages(const struct object *object, uint64_t more);

/*
 * Nothing is granted without its line: who may have no more lines in this second
 * gets nothing either. Refusals have half of them, and are only counted then.
 */
bool limits_may_log(const struct session *session);
void limits_log(const struct audit *audit);
int limits_deadline(void);
void limits_tick(void);
void limits_stop(void);			/* say what was not said */

#endif
