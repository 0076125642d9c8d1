/* SPDX-License-Identifier: MIT */
/*
 * Who takes part in an object. The monitor attests what it knows of a member and
 * hands everybody's proofs and CONFIRMs on; what they are worth is for the
 * members to say.
 */
#include "keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../shim/lib/join.h"
#include "host_sign.h"
#include "limits.h"

#define PRESENT_MAX	64		/* of an object */
#define GONE_MAX	32
#define GONE_MS		60000		/* that one who is gone is told of */

struct confirm {
	SLIST_ENTRY(confirm) next;
	uint64_t changed;
	struct sivp_confirm message;
};

struct member {
	TAILQ_ENTRY(member) node;
	const struct grant *grant;	/* NULL: gone */
	uint32_t id, state;
	uint64_t changed;
	int64_t gone_at;
	struct sivp_member proof;
	SLIST_HEAD(, confirm) confirms;	/* to it, one from each */
};

struct roster {
	uint64_t number, forgotten;
	uint32_t last, present, gone;
	TAILQ_HEAD(, member) members;	/* by id */
};

static struct member *by_grant(const struct grant *g)
{
	struct roster *r = g->object->roster;
	struct member *m;

	if (!r)
		return NULL;
	TAILQ_FOREACH(m, &r->members, node)
		if (m->grant == g)
			return m;
	return NULL;
}

static struct confirm *confirm_of(const struct member *to, uint32_t from)
{
	struct confirm *c;

	SLIST_FOREACH(c, &to->confirms, next)
		if (c->message.from == from)
			return c;
	return NULL;
}

static void free_member(struct roster *r, struct member *m)
{
	struct member *other;
	struct confirm *c;

	TAILQ_REMOVE(&r->members, m, node);
	while ((c = SLIST_FIRST(&m->confirms))) {
		SLIST_REMOVE_HEAD(&m->confirms, next);
		free(c);
	}
	TAILQ_FOREACH(other, &r->members, node) {
		c = confirm_of(other, m->id);
		if (c) {
			SLIST_REMOVE(&other->confirms, c, confirm, next);
			free(c);
		}
	}
	free(m);
}

/* Those who are gone for long, or are too many: the first of them first. */
static void forget(struct roster *r)
{
	struct member *m, *first;

	for (;;) {
		first = NULL;
		TAILQ_FOREACH(m, &r->members, node)
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): who was freed has left the list */
			if (!m->grant && (!first || m->changed < first->changed))
				first = m;
		if (!first || (r->gone <= GONE_MAX &&
			       sivshmem_now_ms() - first->gone_at < GONE_MS))
			return;
		r->forgotten = first->changed;
		r->gone--;
		free_member(r, first);
	}
}

void roster_free(struct object *o)
{
	struct member *m;

	if (!o->roster)
		return;
	while ((m = TAILQ_FIRST(&o->roster->members)))
		free_member(o->roster, m);
	free(o->roster);
	o->roster = NULL;
}

int roster_leave(const struct grant *g, enum sivp_member_state how)
{
	struct member *m = by_grant(g);
	struct roster *r = g->object->roster;

	if (!m)
		return ENOENT;
	m->grant = NULL;
	m->state = how;
	m->changed = ++r->number;
	m->gone_at = sivshmem_now_ms();
	r->present--;
	r->gone++;
	forget(r);
	return 0;
}

/* --- joining --- */

/* NULL: the JOIN says what we know. */
static const char *judge(const struct grant *g, const struct sivp_join *join)
{
	const struct session *s = g->session;
	const struct object *o = g->object;
	enum sivshmem_member_error error = sivshmem_join_check(join, &s->chain.cert[0]);

	if (error)
		return sivshmem_member_reason(error);
	if (memcmp(join->binder, s->proof.binder, sizeof(join->binder)))
		return "its JOIN is for another session";
	if (memcmp(join->epoch, monitor.boot_epoch, sizeof(join->epoch)) ||
	    join->generation != o->generation ||
	    strncmp(join->host, monitor.host, sizeof(join->host)) ||
	    strncmp(join->channel, o->channel->name, sizeof(join->channel)) ||
	    strncmp(join->object, o->name, sizeof(join->object)))
		return "its JOIN is for another object";
	if (join->rights != g->rights ||
	    (join->role == SIVP_ROLE_CREATOR && strcmp(o->creator, s->service->name)))
		return "its JOIN claims a role or rights that it has not";
	if (s->not_after && time(NULL) > s->not_after)
		return sivshmem_cert_reason(SIVSHMEM_CERT_EXPIRED);
	return NULL;
}

static struct roster *roster_of(struct object *o)
{
	if (o->roster)
		return o->roster;
	o->roster = calloc(1, sizeof(*o->roster));
	if (o->roster)
		TAILQ_INIT(&o->roster->members);
	return o->roster;
}

static int attest(const struct grant *g, struct member *m)
{
	const struct session *s = g->session;
	struct sivp_attest *a = &m->proof.attest;
	uint8_t hash[HOST_SIGN_LEN];

	a->rights = g->rights;
	a->member = m->id;
	a->session = s->host_id;
	a->roster = m->changed;
	a->host_time = time(NULL);
	a->start_time = s->who.start_time;
	a->uid = s->who.uid;
	a->gid = s->who.gid;
	a->pid = s->who.pid;
	memcpy(a->vm, s->domain->name, strlen(s->domain->name));
	sivshmem_attest_hash(a, &m->proof.join, hash);
	return host_sign(HOST_SIGN_ATTEST, hash, sizeof(hash), a->signature);
}

uint32_t roster_last(const struct object *o)
{
	return o->roster ? o->roster->last : 0;
}

bool roster_adopt(struct object *o, uint32_t last)
{
	struct roster *r = last ? roster_of(o) : NULL;

	if (r)
		r->last = last;
	return r || !last;
}

/* No service has more than are left for the others: they could not prove themselves. */
static bool has_share(const struct roster *r, const struct policy_service *service)
{
	/* a session that has to prove itself again has its members still: its holder's */
	const struct member *m;
	uint32_t own = 0;

	TAILQ_FOREACH(m, &r->members, node)
		own += m->grant && m->grant->session->holder == service;
	return r->present < PRESENT_MAX && own < PRESENT_MAX - r->present;
}

int roster_join(struct grant *g, const struct sivp_join *join, struct sivp_attest *attested,
		const char **reason)
{
	struct roster *r;
	struct member *m;

	*reason = judge(g, join);
	if (*reason)
		return EACCES;
	if (by_grant(g))
		return EEXIST;
	r = roster_of(g->object);
	if (r && !has_share(r, g->session->service)) {
		*reason = "the object has too many members, or too many of this service";
		return ENOSPC;
	}
	m = r ? calloc(1, sizeof(*m)) : NULL;
	if (!m)
		return ENOMEM;
	m->grant = g;
	m->id = r->last + 1;
	m->state = SIVP_MEMBER_PRESENT;
	m->changed = r->number + 1;
	m->proof.chain = g->session->chain;
	m->proof.join = *join;
	if (attest(g, m)) {
		free(m);
		return EAGAIN;
	}
	r->last = m->id;
	r->number = m->changed;
	TAILQ_INSERT_TAIL(&r->members, m, node);
	r->present++;
	keep_object(g->object);
	*attested = m->proof.attest;
	return 0;
}

/* --- what is handed on --- */

/* The last change of m that `asker` should know of. */
static uint64_t changed_for(const struct member *asker, const struct member *m)
{
	const struct confirm *c = confirm_of(asker, m->id);

	return c && c->changed > m->changed ? c->changed : m->changed;
}

static const struct member *next_change(const struct roster *r, const struct member *asker,
					uint64_t after)
{
	const struct member *m, *best = NULL;

	TAILQ_FOREACH(m, &r->members, node) {
		uint64_t changed = changed_for(asker, m);

		if (m != asker && changed > after &&
		    (!best || changed < changed_for(asker, best)))
			best = m;
	}
	return best;
}

static void fill_slot(struct sivp_slot *slot, const struct member *asker, const struct member *m)
{
	const struct confirm *c = confirm_of(asker, m->id);

	memset(slot, 0, sizeof(*slot));
	slot->member = m->id;
	slot->state = m->state;
	slot->changed = changed_for(asker, m);
	slot->proof = m->proof;
	if (c)
		slot->confirm = c->message;
}

int roster_list(const struct grant *g, uint64_t after, struct sivp_roster *out,
		struct sivp_slot slots[SIVP_SLOTS_MAX])
{
	const struct member *asker = by_grant(g), *m;
	struct roster *r = g->object->roster;

	if (!asker)
		return ENOENT;
	forget(r);
	memset(out, 0, sizeof(*out));
	out->roster = r->number;
	out->forgotten = r->forgotten;
	while ((m = next_change(r, asker, after))) {
		if (out->count == SIVP_SLOTS_MAX) {
			out->more = 1;
			break;
		}
		fill_slot(&slots[out->count], asker, m);
		after = slots[out->count++].changed;
	}
	return 0;
}

int roster_confirm(const struct grant *g, const struct sivp_confirm *message)
{
	const struct member *from = by_grant(g);
	struct roster *r = g->object->roster;
	struct member *to;
	struct confirm *c;

	if (!from || from->id != message->from)
		return ENOENT;
	TAILQ_FOREACH(to, &r->members, node)
		if (to->grant && to != from && to->id == message->to)
			break;
	if (!to)
		return ESRCH;
	c = confirm_of(to, from->id);
	if (c)
		return EEXIST;		/* there is but one that is right */
	c = calloc(1, sizeof(*c));
	if (!c)
		return ENOMEM;
	c->message = *message;
	c->changed = ++r->number;
	SLIST_INSERT_HEAD(&to->confirms, c, next);
	return 0;
}

/* --- requests of workers --- */

static int do_join(struct grant *g, const struct priv_request *q, struct priv_reply *reply)
{
	const char *reason = NULL;
	int r = roster_join(g, &q->member.join, &reply->attest, &reason);

	if (!r || reason)
		limits_log(&(struct audit){ .event = "join", .session = g->session,
			.channel = g->object->channel->name, .object = g->object->name,
			.rights = g->rights, .refused = r != 0, .reason = reason });
	return r;
}

int roster_request(const struct session *s, const struct priv_request *q,
		   struct priv_reply *reply)
{
	struct grant *g = store_grant(q->member.grant);

	if (!g || g->session != s)
		return EBADF;
	switch (q->op) {
	case PRIV_JOIN:
		return do_join(g, q, reply);
	case PRIV_MEMBERS:
		return roster_list(g, q->member.after, &reply->members.roster,
				   reply->members.slots);
	case PRIV_CONFIRM:
		return roster_confirm(g, &q->member.confirm);
	}
	return roster_leave(g, SIVP_MEMBER_LEFT);
}
