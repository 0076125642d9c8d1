/* SPDX-License-Identifier: MIT */
#include "member.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sodium.h>

#include "secret.h"

int group_secret_create(struct group_secret **secret)
{
	struct group_secret *p = secret_pages(sizeof(*p));

	if (!p)
		return -errno;
	p->owner = getpid();
	randombytes_buf(p->ej, sizeof(p->ej));
	*secret = p;
	return 0;
}

void group_secret_free(struct group_secret *secret)
{
	secret_pages_free(secret, sizeof(*secret));
}

/* --- peers --- */

static uint8_t *key_of(struct sivshmem_group *g, const struct peer *p)
{
	return g->secret->pk[p - g->peers];
}

static bool is_gone(const struct peer *p)
{
	return p->info.state >= SIVSHMEM_LEFT;
}

static struct peer *find(struct sivshmem_group *g, uint32_t number)
{
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (g->peers[i].used && g->peers[i].info.number == number)
			return &g->peers[i];
	return NULL;
}

/* Free, or of one who is gone; NULL: the host lists more than there may be. */
static struct peer *room(struct sivshmem_group *g)
{
	struct peer *best = NULL;

	for (size_t i = 0; i < PEERS_MAX; i++) {
		struct peer *p = &g->peers[i];

		if (!p->used)
			return p;
		if (is_gone(p) && (!best || p->info.number < best->info.number))
			best = p;
	}
	return best;
}

static void tell(struct sivshmem_group *g, const struct peer *p, uint32_t type)
{
	struct sivshmem_event *e;

	if (g->count == EVENTS_MAX)		/* group.c asks for no more than fits */
		return;
	e = &g->events[(g->first + g->count++) % EVENTS_MAX];
	e->type = type;
	e->member = p->info;
}

static void set_reason(struct peer *p, const char *why, const char *detail)
{
	snprintf(p->info.reason, sizeof(p->info.reason), "%s%s%s", why, detail ? ": " : "",
		 detail ? detail : "");
}

static void refuse(struct sivshmem_group *g, struct peer *p, const char *why, const char *detail)
{
	p->info.state = SIVSHMEM_REFUSED;
	p->to_confirm = false;
	set_reason(p, why, detail);
	sodium_memzero(key_of(g, p), 32);
	tell(g, p, SIVSHMEM_REFUSED);
}

/* A number is signed by the host, and part of mh: who comes new has a higher one. */
static bool seen_before(const struct sivshmem_group *g, uint32_t number, const uint8_t mh[32])
{
	if (number <= g->forgotten)
		return true;
	for (size_t i = 0; i < g->seen_count; i++)
		if (!memcmp(g->seen[i].mh, mh, 32))
			return true;
	return false;
}

static struct seen *forget_lowest(struct sivshmem_group *g)
{
	struct seen *lowest = g->seen;

	for (size_t i = 1; i < g->seen_count; i++)
		if (g->seen[i].number < lowest->number)
			lowest = &g->seen[i];
	if (g->forgotten < lowest->number)
		g->forgotten = lowest->number;
	return lowest;
}

static int note_seen(struct sivshmem_group *g, uint32_t number, const uint8_t mh[32])
{
	size_t more = g->seen_room ? 2 * g->seen_room : 16;
	struct seen *place;
	void *grown;

	if (g->seen_count < SEEN_MAX && g->seen_count == g->seen_room) {
		grown = reallocarray(g->seen, more, sizeof(*g->seen));
		if (!grown)
			return -ENOMEM;
		g->seen = grown;
		g->seen_room = more;
	}
	place = g->seen_count < SEEN_MAX ? &g->seen[g->seen_count++] : forget_lowest(g);
	place->number = number;
	memcpy(place->mh, mh, 32);
	return 0;
}

static void fill_info(struct sivshmem_member *info, const struct sivp_slot *slot)
{
	const struct sivp_member *m = &slot->proof;

	memset(info, 0, sizeof(*info));
	info->number = slot->member;
	info->state = SIVSHMEM_LISTED;
	info->role = m->join.role;
	info->rights = m->attest.rights;
	info->uid = m->attest.uid;
	info->gid = m->attest.gid;
	info->pid = m->attest.pid;
	info->serial = m->chain.cert[0].serial;
	memcpy(info->service, m->chain.cert[0].subject, sizeof(info->service) - 1);
	memcpy(info->vm, m->attest.vm, sizeof(info->vm) - 1);
}

/* The member's own proofs; on success there is a key for the two. */
static int verify(struct sivshmem_group *g, struct peer *p, const struct sivp_member *m)
{
	enum sivshmem_cert_error cert;
	enum sivshmem_member_error error;
	int rc;

	error = sivshmem_member_verify(&g->place, m, p->info.number, &cert);
	if (!error && (!memcmp(p->mh, g->mh, 32) || !memcmp(m->join.ej, g->ej, 32) ||
		       seen_before(g, p->info.number, p->mh)))
		error = SIVSHMEM_MEMBER_REFLECTED;
	if (error) {
		refuse(g, p, sivshmem_member_reason(error), cert ? sivshmem_cert_reason(cert) : NULL);
		return 0;
	}
	rc = note_seen(g, p->info.number, p->mh);
	if (rc)
		return rc;
	if (!sivshmem_pair_key(key_of(g, p), g->secret->ej, m->join.ej, g->mh, p->mh)) {
		refuse(g, p, "its key is none", NULL);
		return 0;
	}
	p->info.state = SIVSHMEM_VERIFIED;
	p->to_confirm = true;
	return 0;
}

static void take_confirm(struct sivshmem_group *g, struct peer *p, const struct sivp_confirm *c)
{
	uint8_t mac[32];

	sivshmem_confirm_mac(mac, key_of(g, p), p->mh, g->mh);
	if (c->from == p->info.number && c->to == g->number &&
	    !sodium_memcmp(mac, c->mac, sizeof(mac))) {
		p->info.state = SIVSHMEM_CONFIRMED;
		tell(g, p, SIVSHMEM_CONFIRMED);
	} else {
		refuse(g, p, "its CONFIRM is not by the key of its JOIN", NULL);
	}
}

static void gone(struct sivshmem_group *g, struct peer *p, uint32_t state)
{
	if (is_gone(p))
		return;
	p->info.state = state;
	p->to_confirm = false;
	sodium_memzero(key_of(g, p), 32);
	tell(g, p, state);
}

static uint32_t gone_state(uint32_t state)
{
	return state == SIVP_MEMBER_LEFT ? SIVSHMEM_LEFT :
	       state == SIVP_MEMBER_REVOKED ? SIVSHMEM_REVOKED : SIVSHMEM_DIED;
}

int group_take_slot(struct sivshmem_group *g, const struct sivp_slot *slot)
{
	struct peer *p = find(g, slot->member);
	uint8_t mh[32];
	int rc;

	if (slot->member == g->number || !slot->member)
		return 0;
	sivshmem_member_hash(mh, &slot->proof);
	if (!p && slot->state != SIVP_MEMBER_PRESENT)
		return 0;		/* came and went: nothing is lost */
	if (!p) {
		p = room(g);
		if (!p)
			return 0;
		memset(p, 0, sizeof(*p));
		p->used = p->listed = true;
		fill_info(&p->info, slot);
		memcpy(p->mh, mh, sizeof(mh));
		rc = verify(g, p, &slot->proof);
		if (rc)
			return rc;
	}
	p->listed = true;
	if (is_gone(p))
		return 0;		/* nobody comes back */
	if (slot->state != SIVP_MEMBER_PRESENT)
		gone(g, p, gone_state(slot->state));
	else if (p->info.state != SIVSHMEM_REFUSED && memcmp(mh, p->mh, sizeof(mh)))
		refuse(g, p, "the host shows another in its place", NULL);
	else if (p->info.state == SIVSHMEM_VERIFIED && slot->confirm.from)
		take_confirm(g, p, &slot->confirm);
	return 0;
}

void group_relist(struct sivshmem_group *g)
{
	for (size_t i = 0; i < PEERS_MAX; i++)
		g->peers[i].listed = false;
}

void group_relisted(struct sivshmem_group *g)
{
	for (size_t i = 0; i < PEERS_MAX; i++)
		if (g->peers[i].used && !g->peers[i].listed)
			gone(g, &g->peers[i], SIVSHMEM_DIED);
}

struct peer *group_to_confirm(struct sivshmem_group *g, struct sivp_confirm *c)
{
	for (size_t i = 0; i < PEERS_MAX; i++) {
		struct peer *p = &g->peers[i];

		if (!p->used || !p->to_confirm)
			continue;
		memset(c, 0, sizeof(*c));
		c->from = g->number;
		c->to = p->info.number;
		c->roster = g->after;
		sivshmem_confirm_mac(c->mac, key_of(g, p), g->mh, p->mh);
		return p;
	}
	return NULL;
}
