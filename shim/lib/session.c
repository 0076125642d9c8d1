/* SPDX-License-Identifier: MIT */
/* Connecting: identity, handshake, and what to tell the one who is refused. */
#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sodium.h>

#include "join.h"

#define BUSY_FIRST_MS	5
#define BUSY_MAX_MS	200

static const char *when(int64_t seconds, char text[32])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(text, 32, "%" PRId64, seconds);
	return text;
}

/* What this side can tell by itself of why its certificate is not taken. */
static void own_fault(const struct sivp_cert *cert, int64_t host_time,
		      const struct sivp_ready_body *ready, const char *vm,
		      char *text, size_t size)
{
	char t[32], now[32];

	text[0] = '\0';
	if (cert->not_after && host_time > cert->not_after)
		snprintf(text, size, "its certificate expired at %s and the host's clock says %s; "
			 "issue a new one", when(cert->not_after, t), when(host_time, now));
	else if (host_time < cert->not_before)
		snprintf(text, size, "its certificate is not valid before %s and the host's clock "
			 "says %s", when(cert->not_before, t), when(host_time, now));
	else if (cert->vm[0] && vm[0] && strncmp(cert->vm, vm, SIVP_VM_LEN))
		snprintf(text, size, "its certificate is bound to VM '%.*s' and this is VM '%s'; "
			 "issue one for this VM", SIVP_VM_LEN, cert->vm, vm);
	else if (cert->uid != SIVP_ANY_ID && cert->uid != ready->uid)
		snprintf(text, size, "its certificate is bound to uid %" PRIu32 " and this process "
			 "has uid %" PRIu32, cert->uid, ready->uid);
	else if (cert->gid != SIVP_ANY_ID && cert->gid != ready->gid)
		snprintf(text, size, "its certificate is bound to gid %" PRIu32 " and this process "
			 "has gid %" PRIu32, cert->gid, ready->gid);
}

static int refused(struct sivshmem_session *s, const struct sivp_cert *cert,
		   int64_t host_time, const struct sivp_ready_body *ready)
{
	char vm[SIVP_VM_LEN + 1] = "", why[256];
	struct sivp_ready_body seen = *ready;

	memcpy(vm, ready->vm, SIVP_VM_LEN);
	if (!vm[0])
		memcpy(vm, s->transport.vm, sizeof(vm));
	/* a host that tells a refused service nothing leaves these zero */
	if (!seen.pid) {
		seen.uid = geteuid();
		seen.gid = getegid();
	}
	own_fault(cert, host_time, &seen, vm, why, sizeof(why));
	return sivshmem_error_set(&s->err, -EACCES,
		"the host refused service '%.*s': %s%sthe host's audit log has the reason "
		"(session %" PRIu64 ")", SIVP_NAME_LEN, cert->subject, why,
		why[0] ? "; " : "", s->info.id);
}

static int status_error(struct sivshmem_session *s, uint32_t status)
{
	if (status == SIVP_BUSY)
		return sivshmem_error_set(&s->err, -EBUSY,
			"the host is busy with other handshakes");
	if (status == SIVP_BAD_VERSION)
		return sivshmem_error_set(&s->err, -EPROTONOSUPPORT,
			"the host speaks another version of the protocol; "
			"install matching versions");
	if (!s->info.id)
		return sivshmem_error_set(&s->err, -EACCES,
			"the host refused the handshake; its audit log has the reason");
	return sivshmem_error_set(&s->err, -EACCES,
		"the host ended the session; its audit log has the reason "
		"(session %" PRIu64 ")", s->info.id);
}

/* The next message; ABORT, which anybody could have sent, ends the attempt. */
static ssize_t receive(struct sivshmem_session *s, void *message, size_t size,
		       int64_t deadline)
{
	ssize_t n = sivshmem_transport_receive(&s->transport, message, size, deadline);
	struct sivp_abort abort_message;

	if (n != (ssize_t)sizeof(abort_message))
		return n;
	memcpy(&abort_message, message, sizeof(abort_message));
	if (abort_message.hdr.type != SIVP_ABORT)
		return n;
	return status_error(s, abort_message.status);
}

static int bad_host(struct sivshmem_session *s, int rc,
		    enum sivshmem_cert_error reason, const struct sivp_cert *own)
{
	char t[32];

	/* no host gets AUTH that may have been set back to an old time */
	if (rc == -EKEYREJECTED && reason == SIVSHMEM_CERT_NOT_YET_VALID)
		return sivshmem_error_set(&s->err, rc,
			"by the host's clock a certificate is not valid yet: this service's is "
			"not valid before %s; wait, or set the host's clock",
			when(own->not_before, t));
	if (rc == -EKEYREJECTED)
		return sivshmem_error_set(&s->err, rc,
			"the host is not the one that %s/" SIVSHMEM_ROOT_FILE
			" vouches for: its certificate: %s", s->identity,
			reason ? sivshmem_cert_reason(reason) : "the signature is not its own");
	return sivshmem_error_set(&s->err, rc,
		"the host's answer to the handshake is not the protocol");
}

/* What members of an object are judged by later on. */
static void remember(struct sivshmem_session *s, const struct sivshmem_handshake *hs,
		     const struct sivshmem_bundle *bundle)
{
	s->root = bundle->root;
	s->host_cert = hs->host;
	memcpy(s->epoch, hs->epoch, sizeof(s->epoch));
	memcpy(s->binder, hs->binder, sizeof(s->binder));
	sivshmem_hash(s->cert_id, &bundle->chain.cert[0], sizeof(bundle->chain.cert[0]));
	s->connected = sivshmem_now_ms();
}

static int handshake(struct sivshmem_session *s,
		     const struct sivshmem_bundle *bundle, int64_t deadline)
{
	struct sivshmem_handshake *hs = &s->secret->hs;
	enum sivshmem_cert_error reason = SIVSHMEM_CERT_OK;
	struct sivp_ready_body ready;
	struct sivp_hello hello;
	struct sivp_auth auth;
	char message[SIVP_MSG_MAX];
	ssize_t n;
	int rc;

	rc = sivshmem_hs_client_hello(hs, &hello);
	if (!rc)
		rc = sivshmem_transport_send(&s->transport, &hello, sizeof(hello), deadline);
	if (rc)
		return rc;
	n = receive(s, message, sizeof(message), deadline);
	if (n < 0)
		return (int)n;
	rc = sivshmem_hs_client_auth(hs, message, (size_t)n, bundle, s->host,
				     &auth, &s->info.host_time, &reason);
	if (rc)
		return bad_host(s, rc, reason, &bundle->chain.cert[0]);
	s->info.id = hs->session;
	remember(s, hs, bundle);
	rc = sivshmem_transport_send(&s->transport, &auth, sizeof(auth), deadline);
	if (rc)
		return rc;
	n = receive(s, message, sizeof(message), deadline);
	if (n < 0)
		return (int)n;
	rc = sivshmem_hs_client_ready(hs, message, (size_t)n, &ready, &s->secret->keys);
	if (rc)
		return bad_host(s, rc, reason, &bundle->chain.cert[0]);
	if (ready.status == SIVP_REFUSED)
		return refused(s, &bundle->chain.cert[0], s->info.host_time, &ready);
	if (ready.status != SIVP_OK)
		return status_error(s, ready.status);
	s->info.uid = ready.uid;
	s->info.gid = ready.gid;
	s->info.pid = ready.pid;
	s->info.local = s->transport.carrier->local;
	memcpy(s->info.vm, ready.vm, sizeof(s->info.vm));
	s->info.vm[sizeof(s->info.vm) - 1] = '\0';
	memcpy(s->info.service, bundle->chain.cert[0].subject, sizeof(s->info.service));
	s->info.service[sizeof(s->info.service) - 1] = '\0';
	return 0;
}

static int attempt(struct sivshmem_session *s,
		   const struct sivshmem_bundle *bundle, int64_t deadline)
{
	int rc = sivshmem_transport_open(&s->transport, s->where, deadline, &s->err);

	if (rc)
		return rc;
	s->info.id = 0;
	rc = handshake(s, bundle, deadline);
	sivshmem_hs_wipe(&s->secret->hs);
	if (rc) {
		sivshmem_session_drop(s);
		return rc;
	}
	s->secret->owner = getpid();
	s->serial++;
	return 0;
}

bool sivshmem_session_pause(unsigned int *pause, int64_t deadline)
{
	if (!*pause)
		*pause = BUSY_FIRST_MS;
	if (sivshmem_now_ms() + *pause >= deadline)
		return false;
	/* not all of those who wait at the same moment */
	sivshmem_sleep_ms(*pause + randombytes_uniform(*pause));
	if (*pause < BUSY_MAX_MS)
		*pause *= 2;
	return true;
}

/* A host that restarts is met again, with pauses; one that is busy, until the deadline. */
static int connect_retry(struct sivshmem_session *s,
			 const struct sivshmem_bundle *bundle)
{
	int64_t deadline = sivshmem_now_ms() + SIVSHMEM_TIMEOUT_MS;
	unsigned int pause = 0;
	int rc, losses = 0;

	for (;;) {
		rc = attempt(s, bundle, deadline);
		if (rc == -EBUSY && sivshmem_session_pause(&pause, deadline))
			continue;
		if (!sivshmem_session_lost(rc) || ++losses == SIVSHMEM_LOSSES)
			break;
		if (losses > 1)
			sivshmem_sleep_ms(25u << losses);
	}
	return sivshmem_session_down(s, rc);
}

static int session_connect(struct sivshmem_session *s)
{
	struct sivshmem_bundle bundle = { 0 };
	int rc;

	if (sodium_init() < 0)
		return sivshmem_error_set(&s->err, -ENOSYS, "libsodium does not start");
	rc = sivshmem_bundle_load(&bundle, s->identity, &s->err);
	if (!rc)
		rc = connect_retry(s, &bundle);
	else if (rc != -ENOMEM && rc != -EMFILE && rc != -ENFILE)
		rc = -EACCES;
	sivshmem_bundle_free(&bundle);
	return rc;
}

bool sivshmem_session_lost(int rc)
{
	/* ESTALE: a host that was not told of the session, and then was another */
	return rc == -ECONNRESET || rc == -EPIPE || rc == -ENOTCONN || rc == -ESTALE;
}

int sivshmem_session_down(struct sivshmem_session *s, int rc)
{
	switch (rc) {
	case -ECONNRESET:
	case -EPIPE:
	case -ENOTCONN:
	case -ESTALE:
		return sivshmem_error_set(&s->err, -EHOSTDOWN,
			"the host hung up again and again; see the log of sivshmem-cad");
	case -ETIMEDOUT:
		return sivshmem_error_set(&s->err, -EHOSTDOWN,
			"the host did not answer within %d s; see that sivshmem-cad runs",
			SIVSHMEM_TIMEOUT_MS / 1000);
	case -EBUSY:
		return sivshmem_error_set(&s->err, -EHOSTDOWN,
			"the host was busy for %d s; try again later",
			SIVSHMEM_TIMEOUT_MS / 1000);
	case -EHOSTDOWN:
		if (s->err.text[0])
			return rc;
		return sivshmem_error_set(&s->err, rc,
			"the host does not answer; see that sivshmem-cad runs");
	case -EKEYREVOKED:
		return sivshmem_error_set(&s->err, rc,
			"the host ended session %" PRIu64 "; its audit log has the reason",
			s->info.id);
	default:
		if (rc && !s->err.text[0])
			sivshmem_error_set(&s->err, rc, "talking to the host: %s",
					   strerrordesc_np(-rc));
		return rc;
	}
}

void sivshmem_session_drop(struct sivshmem_session *s)
{
	sodium_memzero(s->secret, sizeof(*s->secret));
	sivshmem_transport_close(&s->transport);
}

int sivshmem_session_ensure(struct sivshmem_session *s)
{
	pid_t owner = s->secret->owner;

	/* keys that are not wiped, and not ours: memory shared with the parent */
	if (owner && owner != getpid())
		return sivshmem_error_set(&s->err, -EPERM,
			"a child of vfork may not open shared memory; fork, or exec first");
	if (owner && sivshmem_transport_alive(&s->transport))
		return 0;
	sivshmem_session_drop(s);
	return session_connect(s);
}

static int result_valid(const struct sivp_result *result, uint32_t op)
{
	return result->op == op && result->error <= 4095 ? 0 : -EPROTO;
}

int sivshmem_session_exchange_long(struct sivshmem_session *s,
				   const struct sivp_long_request *request,
				   size_t request_length,
				   struct sivp_long_result *result, size_t *length)
{
	int64_t deadline = sivshmem_now_ms() + SIVSHMEM_TIMEOUT_MS;
	const size_t around = sizeof(struct sivp_hdr) + SIVP_TAG_LEN, room = *length;
	struct sivshmem_keys *keys = &s->secret->keys;
	char message[SIVP_MSG_MAX];
	ssize_t n;
	int rc;

	*length = sivshmem_record_seal(keys, SIVP_REQUEST, request, request_length, message);
	rc = sivshmem_transport_send(&s->transport, message, *length, deadline);
	if (rc)
		goto drop;
	n = receive(s, message, sizeof(message), deadline);
	rc = n < 0 ? (int)n : -EPROTO;
	if (n >= (ssize_t)(around + sizeof(result->head)) && (size_t)n <= around + room) {
		*length = (size_t)n - around;
		rc = sivshmem_record_open(keys, SIVP_RESULT, message, (size_t)n, result, *length);
	}
	if (!rc)
		rc = result_valid(&result->head, request->head.op);
	if (!rc)
		return 0;
	if (rc == -EPROTO)
		sivshmem_error_set(&s->err, rc,
			"the host's answer is not the protocol; see its audit log (session %"
			PRIu64 ")", s->info.id);
drop:
	sivshmem_session_drop(s);
	return rc;
}

int sivshmem_session_exchange(struct sivshmem_session *s,
			      const struct sivp_request *request,
			      struct sivp_result *result)
{
	const struct sivp_long_request r = { .head = *request };
	struct sivp_long_result answer;
	size_t length = sizeof(*result);
	int rc = sivshmem_session_exchange_long(s, &r, sizeof(*request), &answer, &length);

	if (!rc)
		*result = answer.head;
	return rc;
}
