/* SPDX-License-Identifier: MIT */
#include "handshake.h"

#include <errno.h>
#include <string.h>
#include <sodium.h>

#include "handshake_internal.h"

/* a wiped state is at STEP_DEAD, from which nothing goes on */
enum step {
	STEP_DEAD,
	STEP_CLIENT_HELLO,		/* sent HELLO */
	STEP_CLIENT_AUTH,		/* sent AUTH */
	STEP_HOST_HELLO,		/* took HELLO */
	STEP_HOST_HOST,			/* sent HOST */
	STEP_HOST_AUTH,			/* took AUTH */
};

/* crypto_kdf subkeys, the same for both phases */
enum { FROM_HOST = 1, FROM_CLIENT };

#define HASH_LEN	32
#define HASHED_HOST	offsetof(struct sivp_host_body, signature)
#define HASHED_AUTH	offsetof(struct sivp_auth_body, signature)
#define CONTEXT_MAX	32

static void mix(uint8_t th[HASH_LEN], const void *message, uint64_t length)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, HASH_LEN);
	crypto_generichash_update(&state, (const uint8_t *)SIVP_CTX_TRANSCRIPT,
				  sizeof(SIVP_CTX_TRANSCRIPT));
	crypto_generichash_update(&state, th, HASH_LEN);
	crypto_generichash_update(&state, (const uint8_t *)&length, sizeof(length));
	crypto_generichash_update(&state, message, length);
	crypto_generichash_final(&state, th, HASH_LEN);
}

static void transcript_start(uint8_t th[HASH_LEN])
{
	crypto_generichash(th, HASH_LEN, (const uint8_t *)SIVP_CTX_HANDSHAKE,
			   sizeof(SIVP_CTX_HANDSHAKE), NULL, 0);
}

static void phase_keys(struct sivshmem_keys *keys, const uint8_t master[32],
		       const char *context, bool is_host)
{
	memset(keys, 0, sizeof(*keys));
	crypto_kdf_derive_from_key(is_host ? keys->send : keys->receive, 32,
				   FROM_HOST, context, master);
	crypto_kdf_derive_from_key(is_host ? keys->receive : keys->send, 32,
				   FROM_CLIENT, context, master);
}

static bool header_is(const void *message, size_t length, enum sivp_type type,
		      size_t wanted)
{
	struct sivp_hdr hdr;

	if (length != wanted)
		return false;
	memcpy(&hdr, message, sizeof(hdr));
	return hdr.type == type && !hdr.flags &&
	       hdr.length == wanted - sizeof(hdr);
}

static struct sivp_hdr make_header(enum sivp_type type, size_t size)
{
	return (struct sivp_hdr){
		.type = (uint16_t)type,
		.length = (uint32_t)(size - sizeof(struct sivp_hdr)),
	};
}

static int fail(struct sivshmem_handshake *hs, int code)
{
	sivshmem_hs_wipe(hs);
	return code;
}

/* hk, from the transcript that now ends with HOST.clear; the key is spent */
static bool agree(struct sivshmem_handshake *hs, const uint8_t peer[SIVP_KEY_LEN])
{
	uint8_t shared[crypto_scalarmult_BYTES];
	bool ok = !crypto_scalarmult(shared, hs->secret, peer) &&
		  !sodium_is_zero(shared, sizeof(shared));

	if (ok)
		crypto_generichash(hs->hk, sizeof(hs->hk), hs->th, HASH_LEN,
				   shared, sizeof(shared));
	sodium_memzero(shared, sizeof(shared));
	sodium_memzero(hs->secret, sizeof(hs->secret));
	return ok;
}

/* th is th4: what follows from it */
static void make_binder(uint8_t binder[HASH_LEN], const uint8_t th[HASH_LEN])
{
	uint8_t input[sizeof(SIVP_CTX_BINDER) + HASH_LEN];

	memcpy(input, SIVP_CTX_BINDER, sizeof(SIVP_CTX_BINDER));
	memcpy(input + sizeof(SIVP_CTX_BINDER), th, HASH_LEN);
	crypto_generichash(binder, HASH_LEN, input, sizeof(input), NULL, 0);
}

static void traffic_keys(const struct sivshmem_handshake *hs,
			 struct sivshmem_keys *keys, bool is_host)
{
	uint8_t master[32];

	crypto_generichash(master, sizeof(master), hs->th, HASH_LEN,
			   hs->hk, sizeof(hs->hk));
	phase_keys(keys, master, SIVP_KDF_TRAFFIC, is_host);
	sodium_memzero(master, sizeof(master));
}

/* HOST and AUTH are each the only message under their key: counter 0 */
static void seal_once(const struct sivshmem_handshake *hs, bool is_host,
		      const struct sivp_hdr *hdr, const void *plain,
		      size_t length, void *sealed)
{
	struct sivshmem_keys keys;

	phase_keys(&keys, hs->hk, SIVP_KDF_HANDSHAKE, is_host);
	sivshmem_seal(keys.send, 0, hdr, plain, length, sealed);
	sodium_memzero(&keys, sizeof(keys));
}

static bool open_once(const struct sivshmem_handshake *hs, bool is_host,
		      const struct sivp_hdr *hdr, const void *sealed,
		      void *plain, size_t length)
{
	struct sivshmem_keys keys;
	bool ok;

	phase_keys(&keys, hs->hk, SIVP_KDF_HANDSHAKE, is_host);
	ok = sivshmem_unseal(keys.receive, 0, hdr, sealed, plain, length);
	sodium_memzero(&keys, sizeof(keys));
	return ok;
}

void sivshmem_hs_wipe(struct sivshmem_handshake *hs)
{
	sodium_memzero(hs, sizeof(*hs));
}

/* --- service --- */

int sivshmem_hs_client_hello_with(struct sivshmem_handshake *hs,
				  const uint8_t secret[32],
				  struct sivp_hello *hello)
{
	memset(hs, 0, sizeof(*hs));
	memset(hello, 0, sizeof(*hello));
	memcpy(hs->secret, secret, sizeof(hs->secret));
	hello->hdr = make_header(SIVP_HELLO, sizeof(*hello));
	hello->version_min = hello->version_max = SIVP_VERSION;
	hello->suites = SIVP_SUITE_1;
	crypto_scalarmult_base(hello->ec, hs->secret);

	hs->hello = *hello;
	transcript_start(hs->th);
	mix(hs->th, hello, sizeof(*hello));
	hs->step = STEP_CLIENT_HELLO;
	return 0;
}

int sivshmem_hs_client_hello(struct sivshmem_handshake *hs,
			     struct sivp_hello *hello)
{
	uint8_t secret[32];
	int r;

	if (sodium_init() < 0)
		return -EIO;
	randombytes_buf(secret, sizeof(secret));
	r = sivshmem_hs_client_hello_with(hs, secret, hello);
	sodium_memzero(secret, sizeof(secret));
	return r;
}

/* HOST opened into body, as far as the protocol goes: trust comes later */
static bool client_open_host(struct sivshmem_handshake *hs, const void *message,
			     size_t length, struct sivp_host_body *body)
{
	struct sivp_host host;

	if (!header_is(message, length, SIVP_HOST, sizeof(host)))
		return false;
	memcpy(&host, message, sizeof(host));
	if (host.clear.version != SIVP_VERSION || host.clear.pad ||
	    host.clear.suite != SIVP_SUITE_1)
		return false;
	hs->session = host.clear.session;
	memcpy(hs->epoch, host.clear.epoch, sizeof(hs->epoch));
	mix(hs->th, &host.clear, sizeof(host.clear));
	return agree(hs, host.clear.eh) &&
	       open_once(hs, false, &host.clear.hdr, host.sealed, body,
			 sizeof(*body));
}

/* The host's clock is the only one: guests' clocks drift and can be set. */
static enum sivshmem_cert_error judge_host(const struct sivp_host_body *body,
					   const uint8_t hash[HASH_LEN],
					   const struct sivshmem_bundle *bundle,
					   const char *host)
{
	const struct sivshmem_cert_context ctx = {
		.now = body->host_time,
		.host = host,
	};
	enum sivshmem_cert_error error;

	error = sivshmem_chain_verify(&body->chain, SIVP_CERT_HOST,
				      &bundle->root, &ctx);
	if (error)
		return error;
	if (!sivshmem_verify_hash(body->signature, SIVP_CTX_HOST_AUTH, hash,
				  body->chain.cert[0].public_key))
		return SIVSHMEM_CERT_BAD_SIGNATURE;
	/* an old clock would bring expired host certificates back to life */
	if (body->host_time < bundle->chain.cert[0].not_before)
		return SIVSHMEM_CERT_NOT_YET_VALID;
	return SIVSHMEM_CERT_OK;
}

static void make_auth(struct sivshmem_handshake *hs,
		      const struct sivshmem_bundle *bundle, struct sivp_auth *auth)
{
	struct sivp_auth_body body = { .chain = bundle->chain };

	mix(hs->th, &body, HASHED_AUTH);
	sivshmem_sign_hash(body.signature, SIVP_CTX_SERVICE_AUTH, hs->th,
			   bundle->secret);
	mix(hs->th, body.signature, sizeof(body.signature));
	make_binder(hs->binder, hs->th);

	auth->hdr = make_header(SIVP_AUTH, sizeof(*auth));
	seal_once(hs, false, &auth->hdr, &body, sizeof(body), auth->sealed);
}

int sivshmem_hs_client_auth(struct sivshmem_handshake *hs, const void *message,
			    size_t length, const struct sivshmem_bundle *bundle,
			    const char *host, struct sivp_auth *auth,
			    int64_t *host_time, enum sivshmem_cert_error *reason)
{
	struct sivp_host_body body;

	memset(auth, 0, sizeof(*auth));
	*reason = SIVSHMEM_CERT_OK;
	*host_time = 0;
	if (hs->step != STEP_CLIENT_HELLO ||
	    !client_open_host(hs, message, length, &body))
		return fail(hs, -EPROTO);
	mix(hs->th, &body, HASHED_HOST);
	*reason = judge_host(&body, hs->th, bundle, host);
	if (*reason)
		return fail(hs, -EKEYREJECTED);
	mix(hs->th, body.signature, sizeof(body.signature));

	*host_time = body.host_time;
	hs->host = body.chain.cert[0];
	make_auth(hs, bundle, auth);
	hs->step = STEP_CLIENT_AUTH;
	return 0;
}

static bool ready_valid(const struct sivshmem_handshake *hs,
			const struct sivp_ready_body *body)
{
	return body->status <= SIVP_BAD_VERSION && body->session == hs->session &&
	       (sodium_is_zero((const uint8_t *)body->vm, sizeof(body->vm)) ||
		sivshmem_name_valid(body->vm, sizeof(body->vm))) &&
	       !sodium_memcmp(body->binder, hs->binder, sizeof(hs->binder));
}

int sivshmem_hs_client_ready(struct sivshmem_handshake *hs, const void *message,
			     size_t length, struct sivp_ready_body *body,
			     struct sivshmem_keys *keys)
{
	struct sivshmem_keys traffic;
	int r;

	memset(body, 0, sizeof(*body));
	memset(keys, 0, sizeof(*keys));
	if (hs->step != STEP_CLIENT_AUTH)
		return fail(hs, -EPROTO);
	traffic_keys(hs, &traffic, false);
	r = sivshmem_record_open(&traffic, SIVP_READY, message, length, body,
				 sizeof(*body));
	if (!r && !ready_valid(hs, body)) {
		memset(body, 0, sizeof(*body));
		r = -EPROTO;
	}
	if (!r && body->status == SIVP_OK)
		*keys = traffic;
	sodium_memzero(&traffic, sizeof(traffic));
	return fail(hs, r);		/* done either way */
}

/* --- host --- */

static int check_hello(const struct sivp_hello *hello)
{
	if (!header_is(hello, sizeof(*hello), SIVP_HELLO, sizeof(*hello)) ||
	    !hello->version_min || !hello->suites ||
	    hello->version_min > hello->version_max)
		return -EPROTO;
	if (hello->version_min > SIVP_VERSION || hello->version_max < SIVP_VERSION ||
	    !(hello->suites & SIVP_SUITE_1))
		return -EPROTONOSUPPORT;
	return 0;
}

static void fill_clear(struct sivp_host_clear *clear, uint64_t session,
		       const uint8_t epoch[16])
{
	memset(clear, 0, sizeof(*clear));
	clear->hdr = make_header(SIVP_HOST, sizeof(struct sivp_host));
	clear->version = SIVP_VERSION;
	clear->suite = SIVP_SUITE_1;
	clear->session = session;
	memcpy(clear->epoch, epoch, sizeof(clear->epoch));
}

int sivshmem_hs_host_hello_with(struct sivshmem_handshake *hs,
				const uint8_t secret[32], const void *message,
				size_t length, uint64_t session,
				const uint8_t epoch[16], struct sivp_host *host)
{
	int r;

	memset(hs, 0, sizeof(*hs));
	memset(host, 0, sizeof(*host));
	if (length != sizeof(hs->hello))
		return fail(hs, -EPROTO);
	memcpy(&hs->hello, message, sizeof(hs->hello));
	r = check_hello(&hs->hello);
	if (r)
		return fail(hs, r);
	memcpy(hs->secret, secret, sizeof(hs->secret));
	hs->session = session;
	fill_clear(&host->clear, session, epoch);
	crypto_scalarmult_base(host->clear.eh, hs->secret);

	transcript_start(hs->th);
	mix(hs->th, &hs->hello, sizeof(hs->hello));
	mix(hs->th, &host->clear, sizeof(host->clear));
	if (!agree(hs, hs->hello.ec))
		return fail(hs, -EPROTO);
	hs->step = STEP_HOST_HELLO;
	return 0;
}

int sivshmem_hs_host_hello(struct sivshmem_handshake *hs, const void *message,
			   size_t length, uint64_t session,
			   const uint8_t epoch[16], struct sivp_host *host)
{
	uint8_t secret[32];
	int r;

	randombytes_buf(secret, sizeof(secret));
	r = sivshmem_hs_host_hello_with(hs, secret, message, length, session,
					epoch, host);
	sodium_memzero(secret, sizeof(secret));
	return r;
}

int sivshmem_hs_host_finish(struct sivshmem_handshake *hs,
			    struct sivp_host *host,
			    const struct sivp_host_body *body)
{
	if (hs->step != STEP_HOST_HELLO)
		return fail(hs, -EPROTO);
	mix(hs->th, body, HASHED_HOST);
	mix(hs->th, body->signature, sizeof(body->signature));
	seal_once(hs, true, &host->clear.hdr, body, sizeof(*body), host->sealed);
	hs->step = STEP_HOST_HOST;
	return 0;
}

int sivshmem_hs_host_auth(struct sivshmem_handshake *hs, const void *message,
			  size_t length, struct sivp_auth_body *body)
{
	struct sivp_auth auth;

	memset(body, 0, sizeof(*body));
	if (hs->step != STEP_HOST_HOST ||
	    !header_is(message, length, SIVP_AUTH, sizeof(auth)))
		return fail(hs, -EPROTO);
	memcpy(&auth, message, sizeof(auth));
	if (!open_once(hs, true, &auth.hdr, auth.sealed, body, sizeof(*body)))
		return fail(hs, -EPROTO);
	mix(hs->th, body, HASHED_AUTH);
	mix(hs->th, body->signature, sizeof(body->signature));
	make_binder(hs->binder, hs->th);
	hs->step = STEP_HOST_AUTH;
	return 0;
}

int sivshmem_hs_host_ready(struct sivshmem_handshake *hs,
			   struct sivp_ready_body *body,
			   struct sivp_ready *ready, struct sivshmem_keys *keys)
{
	struct sivshmem_keys traffic;

	memset(ready, 0, sizeof(*ready));
	memset(keys, 0, sizeof(*keys));
	if (hs->step != STEP_HOST_AUTH)
		return fail(hs, -EPROTO);
	memcpy(body->binder, hs->binder, sizeof(body->binder));
	traffic_keys(hs, &traffic, true);
	sivshmem_record_seal(&traffic, SIVP_READY, body, sizeof(*body), ready);
	if (body->status == SIVP_OK)
		*keys = traffic;
	sodium_memzero(&traffic, sizeof(traffic));
	return fail(hs, 0);		/* done */
}

/* --- the monitor's transcript --- */

int sivshmem_hs_prove(struct sivshmem_proof *proof, const struct sivp_hello *hello,
		      const uint8_t eh[SIVP_KEY_LEN], uint64_t session,
		      const uint8_t epoch[16], const struct sivp_host_body *body)
{
	struct sivp_host_clear clear;

	if (proof->state != SIVSHMEM_PROOF_NONE || check_hello(hello))
		return -EPROTO;
	fill_clear(&clear, session, epoch);
	memcpy(clear.eh, eh, sizeof(clear.eh));
	transcript_start(proof->th);
	mix(proof->th, hello, sizeof(*hello));
	mix(proof->th, &clear, sizeof(clear));
	mix(proof->th, body, HASHED_HOST);
	return 0;
}

void sivshmem_hs_proof_signed(struct sivshmem_proof *proof, const struct sivp_host_body *body)
{
	mix(proof->th, body->signature, sizeof(body->signature));
	proof->state = SIVSHMEM_PROOF_SIGNED;
}

bool sivshmem_hs_proven(struct sivshmem_proof *proof, const struct sivp_auth_body *body)
{
	bool asked = proof->state != SIVSHMEM_PROOF_SIGNED;

	proof->state = SIVSHMEM_PROOF_SPENT;
	if (asked)
		return false;
	mix(proof->th, body, HASHED_AUTH);
	if (!sivshmem_verify_hash(body->signature, SIVP_CTX_SERVICE_AUTH, proof->th,
				  body->chain.cert[0].public_key))
		return false;
	mix(proof->th, body->signature, sizeof(body->signature));
	make_binder(proof->binder, proof->th);
	return true;
}

/* --- signatures --- */

static size_t signed_bytes(uint8_t out[CONTEXT_MAX + HASH_LEN],
			   const char *context, const uint8_t hash[HASH_LEN])
{
	size_t length = strnlen(context, CONTEXT_MAX - 1);

	memcpy(out, context, length);
	out[length++] = 0;
	memcpy(out + length, hash, HASH_LEN);
	return length + HASH_LEN;
}

void sivshmem_sign_hash(uint8_t signature[SIVP_SIG_LEN], const char *context,
			const uint8_t hash[32], const uint8_t secret[64])
{
	uint8_t message[CONTEXT_MAX + HASH_LEN];
	size_t length = signed_bytes(message, context, hash);

	crypto_sign_detached(signature, NULL, message, length, secret);
}

bool sivshmem_verify_hash(const uint8_t signature[SIVP_SIG_LEN],
			  const char *context, const uint8_t hash[32],
			  const uint8_t public_key[SIVP_KEY_LEN])
{
	uint8_t message[CONTEXT_MAX + HASH_LEN];
	size_t length = signed_bytes(message, context, hash);

	return !crypto_sign_verify_detached(signature, message, length, public_key);
}
