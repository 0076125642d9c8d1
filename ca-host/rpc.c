/* SPDX-License-Identifier: MIT */
/* What a worker asks. It may have been taken over: believe nothing but its domain. */
#include "monitor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../shim/lib/handshake.h"
#include "host_sign.h"
#include "keep.h"
#include "limits.h"

static _Alignas(struct priv_reply) uint8_t buffer[PRIV_REPLY_MAX];
static struct priv_reply *const reply = (struct priv_reply *)buffer;
static uint32_t reply_extents;

static void fill_start(struct domain *d)
{
	uint32_t i;

	reply->start.local = !d->vm;
	reply->start.ring_epoch = ++d->ring_epoch;
	keep_domain(d);
	memcpy(reply->start.boot_epoch, monitor.boot_epoch, sizeof(monitor.boot_epoch));
	memcpy(reply->start.vm, d->name, strlen(d->name));
	for (i = 0; d->vm && i < monitor.policy->link_count; i++)
		reply->start.links += monitor.policy->links[i].readers >> d->vm->index & 1;
}

static int do_session(struct domain *d, const struct priv_request *q)
{
	struct session *s = domain_session(d, q->session);

	if (!d->vm && !s)
		return ENOENT;		/* local ones begin with a connection */
	if (s && d->vm && !q->session_open.again)
		return EEXIST;
	if (s && s->revoked)
		return EKEYREVOKED;
	/* its grants are gone: the guest must not go on with their pages */
	if (!s && q->session_open.again)
		return ESTALE;
	if (!s && d->session_count >= limits_of(d)->sessions)
		return EMFILE;
	if (!s)
		s = session_create(d, q->session, &q->session_open.who, -1);
	if (!s)
		return EMFILE;
	s->service = NULL;
	reply->session.host_session = s->host_id;
	reply->session.payer = s->who.payer;
	return 0;
}

static const char *why_text(uint32_t why)
{
	static const char *const text[] = {
		[PRIV_WHY_MALFORMED] = "malformed message",
		[PRIV_WHY_VERSION] = "no common version",
		[PRIV_WHY_SEAL] = "a sealed message did not open",
		[PRIV_WHY_ORDER] = "a message out of its turn",
		[PRIV_WHY_RING] = "broken control ring",
		[PRIV_WHY_LIMIT] = "too many sessions or messages",
		[PRIV_WHY_TIMEOUT] = "the handshake took too long",
	};

	return why && why < sizeof(text) / sizeof(*text) ? text[why] : "unknown";
}

/* Certificate, signature, then policy: the first that fails is the reason. */
static const char *judge(struct session *s, const struct priv_request *q,
			 const struct policy_service **service)
{
	const struct sivp_cert *cert = &q->auth.chain.cert[0];
	const struct sivshmem_cert_context ctx = {
		.now = time(NULL), .vm = s->domain->name, .host = monitor.host,
		.check_ids = true, .uid = s->who.uid, .gid = s->who.gid,
	};
	bool proven = sivshmem_hs_proven(&s->proof, &q->auth);
	enum sivshmem_cert_error error;
	const struct policy_service *p;

	error = sivshmem_chain_verify(&q->auth.chain, SIVP_CERT_SERVICE,
				      &monitor.root, &ctx);
	if (error)
		return sivshmem_cert_reason(error);
	if (revoke_has(&q->auth.chain))
		return "revoked";
	if (!proven)
		return "the proof of the service's key is wrong";
	p = policy_find_service(monitor.policy, cert->subject);
	if (!p)
		return "unknown service";
	if ((p->vm == POLICY_ON_HOST) != !s->domain->vm ||
	    (s->domain->vm && p->vm != s->domain->vm->index))
		return "the policy has this service in another VM";
	if (!p->any_uid && p->uid != s->who.uid)
		return "the policy has this service under another uid";
	if (s->grant_count && s->holder != p)
		return "the session's grants are another service's";
	*service = p;
	return NULL;
}

static int do_sign(struct session *s, const struct priv_request *q)
{
	struct sivp_host_body *body = &reply->host;

	if (!limits_handshake(s))
		return EAGAIN;
	body->host_time = time(NULL);
	body->crl_epoch = revoke_epoch();
	body->chain = monitor.chain;
	if (sivshmem_hs_prove(&s->proof, &q->sign.hello, q->sign.eh, s->host_id,
			      monitor.boot_epoch, body))
		return EPROTO;
	if (host_sign(HOST_SIGN_HANDSHAKE, s->proof.th, sizeof(s->proof.th), body->signature))
		return EAGAIN;
	sivshmem_hs_proof_signed(&s->proof, body);
	return 0;
}

static int do_auth(struct session *s, const struct priv_request *q)
{
	const struct policy_service *service = NULL;
	const char *reason = judge(s, q, &service);
	int r = service ? limits_session(s, service) : 0;
	const struct sivp_cert *cert = &q->auth.chain.cert[0];
	char subject[SIVP_NAME_LEN + 1] = { 0 };

	if (r == EAGAIN)
		return r;
	if (r) {
		reason = "the service has all the sessions that it may have";
		service = NULL;
	}
	memcpy(subject, cert->subject, SIVP_NAME_LEN);
	s->service = service;
	if (service) {
		s->holder = service;
		s->serial = cert->serial;
		s->chain = q->auth.chain;
		s->not_after = sivshmem_chain_not_after(&q->auth.chain, &monitor.root);
		keep_session(s);
	}
	limits_log(&(struct audit){ .event = "auth", .session = s,
		.subject = subject, .serial = cert->serial,
		.refused = reason != NULL, .reason = reason });
	reply->ready.status = reason ? SIVP_REFUSED : SIVP_OK;
	reply->ready.uid = s->who.uid;
	reply->ready.gid = s->who.gid;
	reply->ready.pid = s->who.pid;
	reply->ready.start_time = s->who.start_time;
	reply->ready.session = s->host_id;
	memcpy(reply->ready.vm, s->domain->name, strlen(s->domain->name));
	return 0;
}

/* --- objects --- */

static bool terminated(const char *name)
{
	size_t n = strnlen(name, SIVP_NAME_LEN);

	return n && n < SIVP_NAME_LEN;
}

/* A channel that exists, and whose memory this domain can reach at all. */
static const struct policy_channel *channel_for(const struct session *s, const char *name)
{
	const struct policy_channel *c = policy_find_channel(monitor.policy, name);

	if (!c || (c->link == POLICY_ON_HOST) != !s->domain->vm)
		return NULL;
	return c;
}

static void audit_name(const char *event, const struct session *s,
		       const struct priv_request *q, uint32_t rights, int error,
		       const char *reason)
{
	/* what POSIX expects to happen is no decision */
	if (error && !reason)
		return;
	limits_log(&(struct audit){ .event = event, .session = s,
		.channel = q->name.channel, .object = q->name.object,
		.to = q->op == PRIV_RENAME ? q->name.to : NULL,
		.rights = rights, .refused = error != 0, .reason = reason });
}

static void fill_grant(const struct grant *g)
{
	const struct object *o = g->object;
	struct sivring_grant *out = &reply->grant.grant;

	memcpy(reply->grant.creator, o->creator, sizeof(reply->grant.creator));
	out->grant = g->id;
	out->rights = g->rights;
	out->mode = o->mode;
	out->uid = o->uid;
	out->gid = o->gid;
	memcpy(out->channel, o->channel->name, sizeof(out->channel));
	memcpy(out->name, o->name, sizeof(out->name));
	if (g->session->domain->vm) {
		const struct policy_link *link = &monitor.policy->links[o->channel->link];

		out->vm = g->session->domain->vm->index;
		out->vms = link->readers;
		out->writers = link->writers;
	}
	store_describe(g, &out->object);
	reply_extents = o->extent_count;
	if (o->extent_count)
		memcpy(reply->extents, o->extents, o->extent_count * sizeof(*o->extents));
}

static int send_memfd(const struct session *s, const struct grant *g)
{
	const struct sivp_local_fd message = {
		.hdr = { .type = SIVP_LOCAL_FD,
			 .length = sizeof(message) - sizeof(message.hdr) },
		.grant = g->id,
	};
	int r = local_send_fd(s->conn, &message, sizeof(message), g->object->memfd,
			      g->rights & SIVSHMEM_RIGHT_WRITE);

	return r < 0 ? -r : 0;
}

/* The channel, or why this session can't have anything of it. */
static const struct policy_channel *channel_of(const struct session *s, const char *name,
					       const char **reason)
{
	const struct policy_channel *c = channel_for(s, name);

	*reason = c ? NULL : "no such channel for this VM";
	if (s->not_after && time(NULL) > s->not_after) {
		*reason = sivshmem_cert_reason(SIVSHMEM_CERT_EXPIRED);
		return NULL;
	}
	return c;
}

static int do_open(struct session *s, const struct priv_request *q)
{
	const char *reason;
	const struct policy_channel *c = channel_of(s, q->name.channel, &reason);
	struct grant *g = NULL;
	bool created = false;
	int r = EACCES;

	if (c)
		r = store_open(s, c, q->name.object, q->name.oflag, q->name.rights,
			       q->name.mode, &g, &created, &reason);
	if (!r && !s->domain->vm) {
		r = send_memfd(s, g);
		if (r) {
			reason = "the memfd could not be sent";
			g->object->unlinked |= created;	/* nobody knows of it */
			store_release(g);
		}
	}
	audit_name(created ? "create" : "open", s, q, r ? q->name.rights : g->rights,
		   r, reason);
	if (r)
		return r;
	reply->grant.created = created;
	fill_grant(g);
	return 0;
}

static int do_unlink(struct session *s, const struct priv_request *q)
{
	const char *reason;
	const struct policy_channel *c = channel_of(s, q->name.channel, &reason);
	int r = c ? store_unlink(s, c, q->name.object, &reason) : EACCES;

	audit_name("unlink", s, q, 0, r, reason);
	return r;
}

static int do_rename(struct session *s, const struct priv_request *q)
{
	const char *reason;
	const struct policy_channel *c = channel_of(s, q->name.channel, &reason);
	int r = c ? store_rename(s, c, q->name.object, q->name.to,
				 q->name.oflag & SIVP_O_EXCL, &reason) : EACCES;

	audit_name("rename", s, q, 0, r, reason);
	return r;
}

/* A guest kernel speaks for its VM; a local process for its session alone. */
static struct grant *grant_for(const struct domain *d, const struct priv_request *q)
{
	struct grant *g = store_grant(q->grant.grant);

	if (!g || g->session->domain != d || (!d->vm && g->session->id != q->session) ||
	    (g->session->revoked && q->op != PRIV_RELEASE))
		return NULL;
	return g;
}

static int do_grant(struct domain *d, const struct priv_request *q)
{
	struct grant *g = grant_for(d, q);
	const char *reason = NULL;
	int r = 0;

	if (!g)
		return EBADF;
	if (q->op == PRIV_RELEASE) {
		store_release(g);
		return 0;
	}
	if (q->op == PRIV_RESIZE)
		r = store_resize(g, q->grant.size, q->grant.grow_only, &reason);
	if (r && reason)
		limits_log(&(struct audit){ .event = "resize", .session = g->session,
			.channel = g->object->channel->name, .object = g->object->name,
			.rights = g->rights, .refused = true, .reason = reason });
	if (!r)
		fill_grant(g);
	return r;
}

static int do_lock(struct domain *d, const struct priv_request *q)
{
	struct grant *g = store_grant(q->lock.grant);
	struct sivring_lock in_way;
	int r;

	if (!g || g->session->domain != d || !d->vm || g->session->revoked)
		return EBADF;
	if (q->lock.type > SIVRING_LOCK_WRITE || q->lock.start > q->lock.end)
		return EINVAL;
	r = lock_set(g, &q->lock, &in_way);
	if (r == EAGAIN) {
		reply->lock.type = in_way.type;
		reply->lock.start = in_way.start;
		reply->lock.end = in_way.end;
	}
	return r;
}

static int do_refused(struct domain *d, const struct priv_request *q)
{
	limits_log(&(struct audit){ .event = "protocol", .domain = d,
		.session = domain_session(d, q->session), .refused = true,
		.reason = why_text(q->refused.why) });
	return 0;
}

/* The audit log has a line of each that is granted. */
static bool is_decision(uint32_t op)
{
	return op == PRIV_AUTH || op == PRIV_OPEN || op == PRIV_UNLINK || op == PRIV_RENAME ||
	       op == PRIV_JOIN;
}

static int of_session(struct domain *d, const struct priv_request *q)
{
	struct session *s = domain_session(d, q->session);

	if (!s)
		return ENOENT;
	if (q->op == PRIV_SESSION_CLOSE) {
		session_destroy(s);
		return 0;
	}
	if (s->revoked)
		return EKEYREVOKED;
	if (is_decision(q->op) && !limits_may_log(s))
		return EAGAIN;
	switch (q->op) {
	case PRIV_SIGN:
		return do_sign(s, q);
	case PRIV_AUTH:
		return do_auth(s, q);
	}
	if (!s->service)
		return EACCES;
	if (q->op >= PRIV_JOIN && q->op <= PRIV_LEAVE)
		return roster_request(s, q, reply);
	if (!terminated(q->name.channel) || !terminated(q->name.object))
		return EINVAL;
	if (q->op == PRIV_UNLINK)
		return do_unlink(s, q);
	if (q->op == PRIV_RENAME)
		return terminated(q->name.to) ? do_rename(s, q) : EINVAL;
	return q->name.rights & SIVSHMEM_RIGHT_READ ? do_open(s, q) : EINVAL;
}

static int dispatch(struct domain *d, const struct priv_request *q)
{
	switch (q->op) {
	case PRIV_START:
	case PRIV_NEW_EPOCH:
		fill_start(d);
		return 0;
	case PRIV_RESET:
		domain_reset(d);
		wake_kernel_gone(d);
		return 0;
	case PRIV_SESSION:
		return do_session(d, q);
	case PRIV_SESSION_CLOSE:
	case PRIV_SIGN:
	case PRIV_AUTH:
	case PRIV_OPEN:
	case PRIV_UNLINK:
	case PRIV_RENAME:
	case PRIV_JOIN:
	case PRIV_MEMBERS:
	case PRIV_CONFIRM:
	case PRIV_LEAVE:
		return of_session(d, q);
	case PRIV_RESIZE:
	case PRIV_STAT:
	case PRIV_RELEASE:
		return do_grant(d, q);
	case PRIV_LOCK:
		return do_lock(d, q);
	case PRIV_REFUSED:
		return do_refused(d, q);
	}
	return -1;
}

void rpc_ready(struct watch *watch, uint32_t events)
{
	struct domain *d = watch->owner;
	struct priv_request q;
	ssize_t n;
	char seen;
	int r;

	(void)events;
	n = recv(watch->fd, &q, sizeof(q), MSG_DONTWAIT | MSG_TRUNC | MSG_PEEK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(q))
		goto bad;
	memset(reply, 0, sizeof(*reply));
	reply_extents = 0;
	r = dispatch(d, &q);
	if (r == STORE_LATER)
		return;		/* it is still there when the others had their turn */
	store_forget_resize(d);
	recv(watch->fd, &seen, sizeof(seen), MSG_DONTWAIT);
	if (r < 0)
		goto bad;
	reply->error = r;
	keep_commit();
	n = (ssize_t)(sizeof(*reply) + (r ? 0 : reply_extents) * sizeof(struct sivring_extent));
	if (send(watch->fd, reply, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) == n)
		return;
bad:
	/* also at its end: the reaper starts the next */
	domain_restart(d);
	loop_drop(watch);
}
