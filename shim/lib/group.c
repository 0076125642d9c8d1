/* SPDX-License-Identifier: MIT */
/* The calls of sivshmem/sivshmem.h about members. */
#include "group.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <sodium.h>

#include <sivshmem/uapi.h>

#include "member.h"

#define POLL_FIRST_MS	1
#define POLL_MAX_MS	100
/* room is left for what one answer can tell */
#define EVENTS_ENOUGH	(EVENTS_MAX - PEERS_MAX - 2 * SIVP_SLOTS_MAX)
#define ROUNDS_MAX	64		/* of one refresh: the host may say "more" for ever */
#define USE_SIZE	4096		/* a mapping is a page at least */
#define LENGTH(fields)	(sizeof(struct sivp_result) + (fields))

static int stale(struct sivshmem_group *g)
{
	return sivshmem_error_set(&g->session->err, -ESTALE,
		"this process takes no part in '%.63s' any more: the connection was made anew, or "
		"all uses of the object ended; open it and join again", g->place.object);
}

static bool valid(const struct sivshmem_group *g)
{
	return g->secret->owner == getpid() && g->session->secret->owner == getpid() &&
	       g->serial == g->session->serial &&
	       sivshmem_transport_alive(&g->session->transport);
}

/* One request of the member kind; a lost connection ends the membership. */
static int ask(struct sivshmem_group *g, uint32_t op, const void *tail, size_t tail_length,
	       uint64_t size, struct sivp_long_result *result, size_t *length)
{
	struct sivp_long_request r = { .head = { .op = op, .grant = g->grant, .size = size } };
	int64_t deadline = sivshmem_now_ms() + SIVSHMEM_TIMEOUT_MS;
	const size_t room = *length;
	unsigned int pause = 0;
	int rc;

	if (!valid(g))
		return stale(g);
	if (tail_length)
		memcpy(&r.join, tail, tail_length);
	do {
		*length = room;
		rc = sivshmem_session_exchange_long(g->session, &r, sizeof(r.head) + tail_length,
						    result, length);
	} while (!rc && result->head.error == EAGAIN &&
		 sivshmem_session_pause(&pause, deadline));
	if (sivshmem_session_lost(rc))
		return stale(g);
	return rc ? sivshmem_session_down(g->session, rc) : -(int)result->head.error;
}

static int bad_answer(struct sivshmem_group *g)
{
	sivshmem_session_drop(g->session);
	return sivshmem_error_set(&g->session->err, -EPROTO,
		"the host's answer about members is not the protocol");
}

/* --- joining --- */

static uint8_t role_of(const struct sivp_result *opened)
{
	if (opened->created)
		return SIVP_ROLE_CREATOR;
	return opened->rights & SIVSHMEM_RIGHT_WRITE ? SIVP_ROLE_WRITER : SIVP_ROLE_READER;
}

static int set_place(struct sivshmem_group *g, const char *channel, const char *object,
		     const struct sivp_result *opened)
{
	const struct sivshmem_session *s = g->session;
	const struct sivp_cert *host = &s->host_cert;
	struct sivshmem_place *p = &g->place;

	p->root = s->root;
	memcpy(p->host_key, host->public_key, sizeof(p->host_key));
	memcpy(p->epoch, s->epoch, sizeof(p->epoch));
	memcpy(p->host, host->host[0] ? host->host : host->subject, sizeof(p->host) - 1);
	if (strlen(channel) >= sizeof(p->channel) || strlen(object) >= sizeof(p->object))
		return -ENAMETOOLONG;
	memcpy(p->channel, channel, strlen(channel));
	memcpy(p->object, object, strlen(object));
	p->generation = opened->generation;
	p->now = s->info.host_time;
	g->connected = s->connected;
	g->grant = opened->grant;
	g->created = opened->created;
	g->writes = opened->rights & SIVSHMEM_RIGHT_WRITE;
	g->serial = s->serial;
	return 0;
}

static void make_join(const struct sivshmem_group *g, const struct sivp_result *opened,
		      const struct sivshmem_bundle *bundle, struct sivp_join *join)
{
	const struct sivshmem_place *p = &g->place;

	memset(join, 0, sizeof(*join));
	join->role = role_of(opened);
	join->rights = opened->rights;
	join->generation = p->generation;
	join->expires = sivshmem_chain_not_after(&bundle->chain, &bundle->root);
	memcpy(join->epoch, p->epoch, sizeof(join->epoch));
	memcpy(join->host, p->host, sizeof(join->host));
	memcpy(join->channel, p->channel, sizeof(join->channel));
	memcpy(join->object, p->object, sizeof(join->object));
	memcpy(join->binder, g->session->binder, sizeof(join->binder));
	memcpy(join->ej, g->ej, sizeof(join->ej));
	sivshmem_join_sign(join, &bundle->chain.cert[0], bundle->secret);
}

static int host_error(struct sivshmem_group *g, int rc)
{
	struct sivshmem_error *err = &g->session->err;

	if (rc == -EACCES)
		return sivshmem_error_set(err, rc, "the host does not let this process join "
			"'%.63s'; its audit log has the reason", g->place.object);
	if (rc == -ENOSPC)
		return sivshmem_error_set(err, rc, "'%.63s' has as many members as it may",
					  g->place.object);
	if (rc == -EOPNOTSUPP || rc == -EINVAL)
		return sivshmem_error_set(err, rc, "the host knows no members of objects; "
			"install matching versions");
	if (rc == -EBADF || rc == -ENOENT)
		return stale(g);
	return rc;
}

/* Send JOIN; what the host attests must be what was sent. */
static int send_join(struct sivshmem_group *g, const struct sivp_result *opened,
		     const struct sivshmem_bundle *bundle)
{
	struct sivp_member self = { .chain = bundle->chain };
	struct sivp_long_result result;
	enum sivshmem_cert_error cert;
	size_t length = sizeof(result);
	int rc;

	make_join(g, opened, bundle, &self.join);
	rc = ask(g, SIVP_OP_JOIN, &self.join, sizeof(self.join), 0, &result, &length);
	if (rc)
		return host_error(g, rc);
	if (length != LENGTH(sizeof(result.attest)))
		return bad_answer(g);
	self.attest = result.attest;
	if (sivshmem_member_verify(&g->place, &self, self.attest.member, &cert) ||
	    self.attest.session != g->session->info.id)
		return bad_answer(g);
	g->number = self.attest.member;
	sivshmem_member_hash(g->mh, &self);
	return 0;
}

static int with_bundle(struct sivshmem_group *g, const struct sivp_result *opened)
{
	struct sivshmem_session *s = g->session;
	struct sivshmem_bundle bundle = { 0 };
	int rc = sivshmem_bundle_load(&bundle, s->identity, &s->err);
	uint8_t id[32];

	if (rc) {
		sivshmem_bundle_free(&bundle);
		return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE ? rc : -EACCES;
	}
	sivshmem_hash(id, &bundle.chain.cert[0], sizeof(bundle.chain.cert[0]));
	if (memcmp(id, s->cert_id, sizeof(id)))
		rc = sivshmem_error_set(&s->err, -ESTALE,
			"%s: the certificate was renewed since this session began; connect anew",
			s->identity);
	else
		rc = send_join(g, opened, &bundle);
	sivshmem_bundle_free(&bundle);
	return rc;
}

static void free_group(struct sivshmem_group *g)
{
	struct sivshmem_group **at = &g->session->groups;

	while (*at && *at != g)
		at = &(*at)->next;
	if (*at)
		*at = g->next;
	if (g->use)
		munmap(g->use, USE_SIZE);
	group_secret_free(g->secret);
	free(g->seen);
	free(g);
}

int sivshmem_group_join(struct sivshmem_session *s, const char *channel, const char *object,
			const struct sivp_result *opened, struct sivshmem_group **group)
{
	struct sivshmem_group *g = calloc(1, sizeof(*g));
	int rc;

	*group = NULL;
	if (!g)
		return -ENOMEM;
	g->session = s;
	rc = group_secret_create(&g->secret);
	if (!rc) {
		crypto_scalarmult_base(g->ej, g->secret->ej);
		rc = set_place(g, channel, object, opened);
	}
	if (!rc)
		rc = with_bundle(g, opened);
	if (rc) {
		free_group(g);
		return rc;
	}
	g->next = s->groups;
	s->groups = *group = g;
	return 0;
}

int sivshmem_join(struct sivshmem_session *s, const char *channel, const char *object,
		  int oflag, mode_t mode, struct sivshmem_group **group)
{
	struct sivp_result opened;
	int fd = sivshmem_open_result(s, channel, object, oflag, mode, &opened), rc;

	*group = NULL;
	if (fd < 0)
		return fd;
	rc = sivshmem_group_join(s, channel, object, &opened, group);
	if (!rc)
		return fd;
	sivshmem_give_back(s, fd, opened.grant);
	return rc;
}

int sivshmem_leave(struct sivshmem_group *g)
{
	struct sivp_long_result result;
	size_t length = sizeof(result);
	int rc = valid(g) ? ask(g, SIVP_OP_LEAVE, NULL, 0, 0, &result, &length) : 0;

	free_group(g);
	return rc;
}

bool sivshmem_group_lost(const struct sivshmem_group *g)
{
	return g->secret->owner == getpid() && !valid(g);
}

/* In a VM the grant ends with its last use, and the program's is of another grant. */
static int use(struct sivshmem_group *g, int fd)
{
	void *p;

	if (!g->session->info.local) {
		p = mmap(NULL, USE_SIZE, PROT_READ, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			return sivshmem_error_set(&g->session->err, -errno,
				"it can't be mapped: %s", strerrordesc_np(errno));
		g->use = p;
	}
	close(fd);
	return 0;
}

int sivshmem_group_rejoin(struct sivshmem_group *old)
{
	struct sivshmem_session *s = old->session;
	const struct sivshmem_place *p = &old->place;
	struct sivshmem_group *g = NULL;
	struct sivp_result opened;
	int rc, fd = sivshmem_open_result(s, p->channel, p->object,
					  old->writes ? O_RDWR : O_RDONLY, 0, &opened);

	if (fd < 0)
		return fd;
	rc = opened.generation == p->generation ? 0 : -ENOENT;
	opened.created = old->created;
	/* the program may have been faster, by an open of its own */
	if (!rc && !sivshmem_group_find(s, p->generation)) {
		rc = sivshmem_group_join(s, p->channel, p->object, &opened, &g);
		if (!rc)
			rc = use(g, fd);
	}
	if (!g || rc)
		sivshmem_give_back(s, fd, opened.grant);
	if (g && rc)
		free_group(g);
	if (!rc)
		free_group(old);
	return rc;
}

void sivshmem_groups_close(struct sivshmem_session *s)
{
	while (s->groups)
		sivshmem_leave(s->groups);	/* NOLINT(clang-analyzer-unix.Malloc): it leaves the list */
}

struct sivshmem_group *sivshmem_group_find(const struct sivshmem_session *s, uint64_t generation)
{
	struct sivshmem_group *g;

	for (g = s->groups; g; g = g->next)
		if (valid(g) && g->place.generation == generation)
			return g;
	return NULL;
}

/* --- what is new --- */

static int send_confirms(struct sivshmem_group *g)
{
	struct sivp_long_result result;
	struct sivp_confirm confirm;
	struct peer *p;
	int rc;

	while ((p = group_to_confirm(g, &confirm))) {
		size_t length = sizeof(result);

		rc = ask(g, SIVP_OP_CONFIRM, &confirm, sizeof(confirm), 0, &result, &length);
		/* gone meanwhile, or told already */
		if (rc && rc != -ESRCH && rc != -EEXIST)
			return host_error(g, rc);
		p->to_confirm = false;
	}
	return 0;
}

static bool roster_shaped(const struct sivp_long_result *r, size_t length, uint64_t after)
{
	uint32_t i;

	if (length < LENGTH(sizeof(r->roster)) || r->roster.count > SIVP_SLOTS_MAX ||
	    length != LENGTH(sizeof(r->roster)) + r->roster.count * sizeof(*r->slots) ||
	    r->roster.more > 1 || (r->roster.more && !r->roster.count))
		return false;
	for (i = 0; i < r->roster.count; i++) {
		if (r->slots[i].changed <= after || r->slots[i].changed > r->roster.roster)
			return false;
		after = r->slots[i].changed;
	}
	return r->roster.roster >= after;
}

/* 1: there is more */
static int take_some(struct sivshmem_group *g)
{
	struct sivp_long_result result = { 0 };
	size_t length = sizeof(result);
	int rc = 0;

	if (g->count > EVENTS_ENOUGH)
		return 0;
	rc = ask(g, SIVP_OP_MEMBERS, NULL, 0, g->after, &result, &length);
	if (rc)
		return host_error(g, rc);
	if (!roster_shaped(&result, length, g->after))
		return bad_answer(g);
	if (g->after && g->after < result.roster.forgotten) {
		group_relist(g);
		g->relisting = true;
		g->after = 0;
		return 1;
	}
	for (uint32_t i = 0; i < result.roster.count && !rc; i++)
		rc = group_take_slot(g, &result.slots[i]);
	if (rc)
		return rc;
	g->after = result.roster.more ? result.slots[result.roster.count - 1].changed :
					result.roster.roster;
	if (!result.roster.more && g->relisting) {
		group_relisted(g);
		g->relisting = false;
	}
	return (int)result.roster.more;
}

int sivshmem_group_refresh(struct sivshmem_group *g)
{
	int rounds = 0, rc;

	g->session->err.text[0] = '\0';
	/* nobody fetches them: the first go */
	for (; g->count > EVENTS_ENOUGH / 2; g->count--)
		g->first = (g->first + 1) % EVENTS_MAX;
	g->place.now = g->session->info.host_time + (sivshmem_now_ms() - g->connected) / 1000;
	do
		rc = take_some(g);
	while (rc > 0 && ++rounds < ROUNDS_MAX);
	return rc < 0 ? rc : send_confirms(g);
}

/* --- what the application asks --- */

int sivshmem_members(struct sivshmem_group *g, struct sivshmem_member *list, size_t max)
{
	int rc = sivshmem_group_refresh(g), count = 0;

	if (rc)
		return rc;
	for (size_t i = 0; i < PEERS_MAX; i++) {
		if (!g->peers[i].used || g->peers[i].info.state >= SIVSHMEM_LEFT)
			continue;
		if ((size_t)count < max)
			list[count] = g->peers[i].info;
		count++;
	}
	return count;
}

/* A pause, longer each time; false: the deadline is here. */
static bool pause_for(int64_t deadline, unsigned int *pause)
{
	int64_t left = deadline - sivshmem_now_ms();

	if (left <= 0)
		return false;
	sivshmem_sleep_ms(left < *pause ? (unsigned int)left : *pause);
	*pause = *pause * 2 > POLL_MAX_MS ? POLL_MAX_MS : *pause * 2;
	return true;
}

int sivshmem_next_event(struct sivshmem_group *g, struct sivshmem_event *event, int timeout_ms)
{
	int64_t deadline = sivshmem_now_ms() + timeout_ms;
	unsigned int pause = POLL_FIRST_MS;
	int rc;

	do {
		if (!g->count) {
			rc = sivshmem_group_refresh(g);
			if (rc)
				return rc;
		}
		if (g->count) {
			*event = g->events[g->first];
			g->first = (g->first + 1) % EVENTS_MAX;
			g->count--;
			return 1;
		}
	} while (pause_for(deadline, &pause));
	return 0;
}

const struct sivshmem_member *sivshmem_group_best(const struct sivshmem_group *g,
						  const char *service)
{
	const struct sivshmem_member *best = NULL;

	for (size_t i = 0; i < PEERS_MAX; i++) {
		const struct sivshmem_member *m = &g->peers[i].info;

		if (!g->peers[i].used || m->state >= SIVSHMEM_LEFT || strcmp(m->service, service))
			continue;
		if (!best || m->state == SIVSHMEM_CONFIRMED ||
		    (m->state == SIVSHMEM_VERIFIED && best->state != SIVSHMEM_CONFIRMED))
			best = m;
	}
	return best;
}

static int missing(struct sivshmem_group *g, const char *service, const struct sivshmem_member *m)
{
	struct sivshmem_error *err = &g->session->err;

	if (!m)
		return sivshmem_error_set(err, -ETIMEDOUT,
			"nobody has joined '%.63s' as %.63s; see that it runs, and joins too",
			g->place.object, service);
	if (m->state == SIVSHMEM_REFUSED)
		return sivshmem_error_set(err, -EACCES, "%.63s does not prove itself: %s", service,
					  m->reason);
	return sivshmem_error_set(err, -ETIMEDOUT,
		"%.63s (pid %u in %.31s) is certified, but did not confirm itself in time", service,
		m->pid, m->vm);
}

int sivshmem_await_member(struct sivshmem_group *g, const char *service, int timeout_ms,
			  struct sivshmem_member *member)
{
	int64_t deadline = sivshmem_now_ms() + timeout_ms;
	const struct sivshmem_member *m;
	unsigned int pause = POLL_FIRST_MS;
	int rc;

	do {
		rc = sivshmem_group_refresh(g);
		if (rc)
			return rc;
		m = sivshmem_group_best(g, service);
		if (m && m->state == SIVSHMEM_CONFIRMED) {
			if (member)
				*member = *m;
			return 0;
		}
	} while (pause_for(deadline, &pause));
	return missing(g, service, m);
}

int sivshmem_session_key(const struct sivshmem_group *g, uint32_t number, uint8_t key[32])
{
	if (g->secret->owner != getpid())
		return -EPERM;
	for (size_t i = 0; i < PEERS_MAX; i++) {
		const struct peer *p = &g->peers[i];

		if (!p->used || p->info.number != number ||
		    p->info.state != SIVSHMEM_CONFIRMED)
			continue;
		sivshmem_pair_app_key(key, g->secret->pk[i]);
		return 0;
	}
	return -ENOENT;
}
