/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <errno.h>
#include <string.h>
#include <sodium.h>

#include "../shim/lib/handshake.h"
#include "session_member.h"
#include "session_request.h"

enum state {
	STATE_FREE,
	STATE_NEW,		/* HELLO may come */
	STATE_HELLO,		/* HOST is out, AUTH may come */
	STATE_READY,
	STATE_DEAD,		/* answers nothing but SIVP_ABORT */
};

#define BUCKETS	WSESSIONS_MAX

struct wsession {
	struct wsession_link link;
	struct wsession *next;		/* in its bucket, or free */
	enum state state;
	enum sivp_status status;	/* of a dead one */
	uint64_t host_session;
	uint32_t payer;			/* as the monitor knows it */
	int64_t deadline;		/* ms, 0: none */
	struct sivshmem_handshake handshake;
	struct sivshmem_keys keys;
};

/* one allocation: guarded and locked pages, kept out of core dumps */
struct wsessions {
	struct wsession *bucket[BUCKETS];
	struct wsession *free;
	struct wsession all[WSESSIONS_MAX];
};

static struct wsession **bucket_of(struct wsessions *sessions, uint64_t id)
{
	return &sessions->bucket[(id * 0x9e3779b97f4a7c15u >> 32) % BUCKETS];
}

int wsessions_init(struct worker *worker)
{
	struct wsessions *sessions = sodium_malloc(sizeof(*sessions));

	if (!sessions)
		return -ENOMEM;
	memset(sessions, 0, sizeof(*sessions));
	worker->sessions = sessions;
	for (size_t i = WSESSIONS_MAX; i > 0; i--) {
		sessions->all[i - 1].next = sessions->free;
		sessions->free = &sessions->all[i - 1];
	}
	return 0;
}

struct wsession *wsession_find(struct worker *worker, uint64_t id)
{
	struct wsession *s = *bucket_of(worker->sessions, id);

	while (s && s->link.id != id)
		s = s->next;
	return s;
}

struct wsession_link *wsession_link(struct wsession *session)
{
	return &session->link;
}

bool wsession_dead(const struct wsession *session)
{
	return session->state == STATE_DEAD;
}

struct wsession *wsession_next(struct worker *worker, const struct wsession *after)
{
	struct wsession *all = worker->sessions->all;

	for (size_t i = after ? (size_t)(after - all) + 1 : 0; i < WSESSIONS_MAX; i++) {
		if (all[i].state != STATE_FREE)
			return &all[i];
	}
	return NULL;
}

int wsession_open(struct worker *worker, uint64_t id,
		  const struct sivring_session *who, bool again,
		  struct wsession **session)
{
	struct priv_request request = { .op = PRIV_SESSION, .session = id };
	struct wsession *s = worker->sessions->free, **bucket;
	const struct priv_reply *reply;

	if (wsession_find(worker, id))
		return EEXIST;
	if (!s) {
		worker_refused(worker, id, PRIV_WHY_LIMIT);
		return ENFILE;
	}
	request.session_open.who = *who;
	request.session_open.again = again;
	reply = worker_call(&request);
	if (reply->error)
		return reply->error;

	worker->sessions->free = s->next;
	bucket = bucket_of(worker->sessions, id);
	memset(s, 0, sizeof(*s));
	s->link.id = id;
	s->link.fd = -1;
	s->host_session = reply->session.host_session;
	s->payer = reply->session.payer;
	s->next = *bucket;
	*bucket = s;
	s->state = again ? STATE_DEAD : STATE_NEW;
	s->status = SIVP_BUSY;
	if (worker->local)
		s->deadline = sivshmem_now_ms() + WSESSION_TIMEOUT;
	*session = s;
	return 0;
}

void wsession_remove(struct worker *worker, struct wsession *session)
{
	struct wsession **at = bucket_of(worker->sessions, session->link.id);

	while (*at != session)
		at = &(*at)->next;
	*at = session->next;
	sodium_memzero(session, sizeof(*session));
	session->next = worker->sessions->free;
	worker->sessions->free = session;
}

void wsessions_forget(struct worker *worker)
{
	for (struct wsession *s = NULL; (s = wsession_next(worker, s));)
		wsession_remove(worker, s);
}

static void send_abort(struct worker *worker, struct wsession *s)
{
	const struct sivp_abort message = {
		.hdr = {
			.type = SIVP_ABORT,
			.length = sizeof(message) - sizeof(message.hdr),
		},
		.status = s->status,
	};

	worker->carrier->send(worker, s, &message, sizeof(message));
}

/* no more requests, and no secret left */
static void die(struct wsession *s, enum sivp_status status)
{
	s->state = STATE_DEAD;
	s->status = status;
	s->deadline = 0;
	sivshmem_hs_wipe(&s->handshake);
	sodium_memzero(&s->keys, sizeof(s->keys));
}

void wsession_forget_keys(struct wsession *session)
{
	die(session, SIVP_BUSY);
}

void wsession_abort(struct worker *worker, struct wsession *session,
		    enum sivp_status status)
{
	die(session, status);
	send_abort(worker, session);
}

static void refuse(struct worker *worker, struct wsession *s, enum priv_why why,
		   enum sivp_status status)
{
	worker_refused(worker, s->link.id, why);
	wsession_abort(worker, s, status);
}

void wsessions_expire(struct worker *worker)
{
	int64_t now = sivshmem_now_ms();

	for (struct wsession *s = NULL; (s = wsession_next(worker, s));) {
		if (s->deadline && now >= s->deadline)
			refuse(worker, s, PRIV_WHY_TIMEOUT, SIVP_REFUSED);
	}
}

/* --- handshake --- */

/* The monitor makes HOST's body, and signs it with what it was told. */
static int sign(const struct wsession *s, const struct sivp_host *host,
		struct sivp_host_body *body)
{
	struct priv_request request = { .op = PRIV_SIGN, .session = s->link.id };
	const struct priv_reply *reply;

	request.sign.hello = s->handshake.hello;
	memcpy(request.sign.eh, host->clear.eh, sizeof(request.sign.eh));
	reply = worker_call(&request);
	if (!reply->error)
		*body = reply->host;
	return reply->error;
}

/* No user gets more half handshakes than are left for all others. */
static bool has_share(struct worker *worker, uint32_t payer)
{
	uint32_t all = 0, own = 0;

	for (struct wsession *s = NULL; (s = wsession_next(worker, s));) {
		all += s->state == STATE_HELLO;
		own += s->state == STATE_HELLO && s->payer == payer;
	}
	return own < WSESSION_HALF_OPEN_MAX - all;
}

static void take_hello(struct worker *worker, struct wsession *s,
		       const void *message, size_t length)
{
	struct sivp_host_body body;
	struct sivp_host host;
	int r;

	if (!has_share(worker, s->payer)) {
		refuse(worker, s, PRIV_WHY_LIMIT, SIVP_BUSY);
		return;
	}
	r = sivshmem_hs_host_hello(&s->handshake, message, length, s->host_session,
				   worker->boot_epoch, &host);
	if (r == -EPROTONOSUPPORT) {
		refuse(worker, s, PRIV_WHY_VERSION, SIVP_BAD_VERSION);
	} else if (r) {
		refuse(worker, s, PRIV_WHY_MALFORMED, SIVP_REFUSED);
	} else if ((r = sign(s, &host, &body)) ||
		   sivshmem_hs_host_finish(&s->handshake, &host, &body)) {
		wsession_abort(worker, s, r == EAGAIN ? SIVP_BUSY : SIVP_REFUSED);
	} else {
		s->state = STATE_HELLO;
		if (!s->deadline)
			s->deadline = sivshmem_now_ms() + WSESSION_TIMEOUT;
		worker->carrier->send(worker, s, &host, sizeof(host));
	}
}

/* The monitor's verdict as READY's body: a refusal tells nothing else. */
static void judge(const struct wsession *s, const struct sivp_auth_body *auth,
		  struct sivp_ready_body *ready)
{
	struct priv_request request = { .op = PRIV_AUTH, .session = s->link.id };
	const struct priv_reply *reply;

	request.auth = *auth;
	reply = worker_call(&request);
	memset(ready, 0, sizeof(*ready));
	if (!reply->error)
		*ready = reply->ready;
	else
		ready->status = reply->error == EAGAIN ? SIVP_BUSY : SIVP_REFUSED;
	ready->session = s->host_session;
}

static void take_auth(struct worker *worker, struct wsession *s,
		      const void *message, size_t length)
{
	struct sivp_auth_body auth;
	struct sivp_ready_body body;
	struct sivp_ready ready;

	if (length != sizeof(struct sivp_auth)) {
		refuse(worker, s, PRIV_WHY_MALFORMED, SIVP_REFUSED);
		return;
	}
	if (sivshmem_hs_host_auth(&s->handshake, message, length, &auth)) {
		refuse(worker, s, PRIV_WHY_SEAL, SIVP_REFUSED);
		return;
	}
	judge(s, &auth, &body);
	sivshmem_hs_host_ready(&s->handshake, &body, &ready, &s->keys);
	s->deadline = 0;
	if (body.status == SIVP_OK)
		s->state = STATE_READY;
	else
		die(s, body.status);
	worker->carrier->send(worker, s, &ready, sizeof(ready));
}

/* --- requests --- */

static void take_request(struct worker *worker, struct wsession *s,
			 const void *message, size_t length)
{
	const size_t around = sizeof(struct sivp_hdr) + SIVP_TAG_LEN;
	struct sivp_long_request request;
	static struct sivp_long_result result;
	static uint8_t record[SIVP_MSG_MAX];
	size_t sealed, tail = length - around - sizeof(request.head);

	if (length < around + sizeof(request.head) || tail > WMEMBER_TAIL_MAX) {
		refuse(worker, s, PRIV_WHY_MALFORMED, SIVP_REFUSED);
		return;
	}
	if (sivshmem_record_open(&s->keys, SIVP_REQUEST, message, length, &request,
				 length - around)) {
		refuse(worker, s, PRIV_WHY_SEAL, SIVP_REFUSED);
		return;
	}
	if (tail != wmember_tail(request.head.op) ||
	    wrequest_run(worker, s, &request, &result, &length)) {
		refuse(worker, s, PRIV_WHY_MALFORMED, SIVP_REFUSED);
		return;
	}
	sealed = sivshmem_record_seal(&s->keys, SIVP_RESULT, &result, length, record);
	worker->carrier->send(worker, s, record, sealed);
}

void wsession_message(struct worker *worker, struct wsession *session,
		      const void *message, size_t length)
{
	struct sivp_hdr hdr = { 0 };

	if (session->state == STATE_DEAD) {
		send_abort(worker, session);
		return;
	}
	if (length >= sizeof(hdr))
		memcpy(&hdr, message, sizeof(hdr));
	if (hdr.flags || length > SIVP_MSG_MAX || hdr.length != length - sizeof(hdr))
		refuse(worker, session, PRIV_WHY_MALFORMED, SIVP_REFUSED);
	else if (session->state == STATE_NEW && hdr.type == SIVP_HELLO)
		take_hello(worker, session, message, length);
	else if (session->state == STATE_HELLO && hdr.type == SIVP_AUTH)
		take_auth(worker, session, message, length);
	else if (session->state == STATE_READY && hdr.type == SIVP_REQUEST)
		take_request(worker, session, message, length);
	else
		refuse(worker, session, PRIV_WHY_ORDER, SIVP_REFUSED);
}
