/* SPDX-License-Identifier: MIT */
#include "join.h"

#include <string.h>
#include <sodium.h>

#include <sivshmem/uapi.h>

#include "handshake.h"

#define JOINED		offsetof(struct sivp_join, signature)
#define ATTESTED	offsetof(struct sivp_attest, signature)

enum { KEY_CONFIRM = 1, KEY_APPLICATION };

const char *sivshmem_member_reason(enum sivshmem_member_error error)
{
	static const char *const text[] = {
		[SIVSHMEM_MEMBER_OK] = "valid",
		[SIVSHMEM_MEMBER_MALFORMED] = "its JOIN is malformed",
		[SIVSHMEM_MEMBER_CERT] = "its certificate is not valid here",
		[SIVSHMEM_MEMBER_OTHER_CERT] = "its JOIN is of another certificate",
		[SIVSHMEM_MEMBER_SIGNATURE] = "its JOIN is not signed by its own key",
		[SIVSHMEM_MEMBER_EXPIRED] = "its JOIN has expired",
		[SIVSHMEM_MEMBER_CHANNEL] = "its JOIN is for another channel",
		[SIVSHMEM_MEMBER_OBJECT] = "its JOIN is for another object, or for this one's former name",
		[SIVSHMEM_MEMBER_GENERATION] = "its JOIN is for a former object of this name",
		[SIVSHMEM_MEMBER_EPOCH] = "its JOIN is from before a restart of the daemon",
		[SIVSHMEM_MEMBER_HOST] = "its JOIN is for another host",
		[SIVSHMEM_MEMBER_ATTEST] = "what attests it is not signed by this host's key",
		[SIVSHMEM_MEMBER_OTHER_JOIN] = "what attests it is for another JOIN",
		[SIVSHMEM_MEMBER_RIGHTS] = "it claims other rights than it was granted",
		[SIVSHMEM_MEMBER_REFLECTED] = "its JOIN is one's own, or one seen before",
	};

	return error < sizeof(text) / sizeof(*text) ? text[error] : "unknown";
}

void sivshmem_hash(uint8_t hash[32], const void *data, size_t length)
{
	crypto_generichash(hash, 32, data, length, NULL, 0);
}

/* --- JOIN and ATTEST --- */

void sivshmem_join_sign(struct sivp_join *join, const struct sivp_cert *leaf,
			const uint8_t secret[64])
{
	uint8_t hash[32];

	memcpy(join->magic, "SIVJ", 4);
	join->version = 1;
	sivshmem_hash(join->cert_id, leaf, sizeof(*leaf));
	sivshmem_hash(hash, join, JOINED);
	sivshmem_sign_hash(join->signature, SIVP_CTX_JOIN, hash, secret);
}

void sivshmem_attest_hash(struct sivp_attest *attest, const struct sivp_join *join,
			  uint8_t hash[32])
{
	memcpy(attest->magic, "SIVA", 4);
	attest->version = 1;
	sivshmem_hash(attest->join_hash, join, sizeof(*join));
	sivshmem_hash(hash, attest, ATTESTED);
}

/* NUL-terminated, not empty, and zero after the NUL */
static bool text_valid(const char *text, size_t size)
{
	size_t used = strnlen(text, size);

	return used && used < size &&
	       sodium_is_zero((const unsigned char *)text + used, size - used);
}

static bool role_fits(const struct sivp_join *join)
{
	bool writes = join->rights & SIVSHMEM_RIGHT_WRITE;

	return join->role == SIVP_ROLE_READER ? !writes :
	       join->role == SIVP_ROLE_WRITER ? writes : join->role == SIVP_ROLE_CREATOR;
}

static bool join_well_formed(const struct sivp_join *join)
{
	return !memcmp(join->magic, "SIVJ", 4) && join->version == 1 && !join->pad &&
	       !join->flags && role_fits(join) && (join->rights & SIVSHMEM_RIGHT_READ) &&
	       join->expires >= 0 &&
	       sivshmem_name_valid(join->host, sizeof(join->host)) &&
	       sivshmem_name_valid(join->channel, sizeof(join->channel)) &&
	       text_valid(join->object, sizeof(join->object));
}

static bool attest_well_formed(const struct sivp_attest *attest)
{
	static const uint8_t none[sizeof(attest->pad0)];

	return !memcmp(attest->magic, "SIVA", 4) && attest->version == 1 &&
	       !memcmp(attest->pad0, none, sizeof(none)) && !attest->pad1 && attest->member &&
	       sivshmem_name_valid(attest->vm, sizeof(attest->vm));
}

enum sivshmem_member_error sivshmem_join_check(const struct sivp_join *join,
					       const struct sivp_cert *leaf)
{
	uint8_t hash[32];

	if (!join_well_formed(join))
		return SIVSHMEM_MEMBER_MALFORMED;
	sivshmem_hash(hash, leaf, sizeof(*leaf));
	if (memcmp(hash, join->cert_id, sizeof(hash)))
		return SIVSHMEM_MEMBER_OTHER_CERT;
	sivshmem_hash(hash, join, JOINED);
	if (!sivshmem_verify_hash(join->signature, SIVP_CTX_JOIN, hash, leaf->public_key))
		return SIVSHMEM_MEMBER_SIGNATURE;
	return SIVSHMEM_MEMBER_OK;
}

static enum sivshmem_member_error check_place(const struct sivshmem_place *place,
					      const struct sivp_join *join)
{
	if (memcmp(join->channel, place->channel, sizeof(join->channel)))
		return SIVSHMEM_MEMBER_CHANNEL;
	if (memcmp(join->object, place->object, sizeof(join->object)))
		return SIVSHMEM_MEMBER_OBJECT;
	if (memcmp(join->epoch, place->epoch, sizeof(join->epoch)))
		return SIVSHMEM_MEMBER_EPOCH;
	if (join->generation != place->generation)
		return SIVSHMEM_MEMBER_GENERATION;
	if (memcmp(join->host, place->host, sizeof(join->host)))
		return SIVSHMEM_MEMBER_HOST;
	if (join->expires && join->expires < place->now)
		return SIVSHMEM_MEMBER_EXPIRED;
	return SIVSHMEM_MEMBER_OK;
}

static enum sivshmem_member_error check_attest(const struct sivshmem_place *place,
					       const struct sivp_member *m, uint32_t number)
{
	uint8_t hash[32];

	sivshmem_hash(hash, &m->attest, ATTESTED);
	if (!sivshmem_verify_hash(m->attest.signature, SIVP_CTX_ATTEST, hash, place->host_key))
		return SIVSHMEM_MEMBER_ATTEST;
	sivshmem_hash(hash, &m->join, sizeof(m->join));
	if (memcmp(hash, m->attest.join_hash, sizeof(hash)) || m->attest.member != number)
		return SIVSHMEM_MEMBER_OTHER_JOIN;
	if (m->attest.rights != m->join.rights)
		return SIVSHMEM_MEMBER_RIGHTS;
	return SIVSHMEM_MEMBER_OK;
}

enum sivshmem_member_error sivshmem_member_verify(const struct sivshmem_place *place,
						  const struct sivp_member *m, uint32_t number,
						  enum sivshmem_cert_error *cert)
{
	const struct sivshmem_cert_context ctx = {
		.now = place->now, .vm = m->attest.vm, .host = place->host,
		.check_ids = true, .uid = m->attest.uid, .gid = m->attest.gid,
	};
	enum sivshmem_member_error error;

	*cert = SIVSHMEM_CERT_OK;
	if (!attest_well_formed(&m->attest))
		return SIVSHMEM_MEMBER_MALFORMED;
	*cert = sivshmem_chain_verify(&m->chain, SIVP_CERT_SERVICE, &place->root, &ctx);
	if (*cert)
		return SIVSHMEM_MEMBER_CERT;
	error = sivshmem_join_check(&m->join, &m->chain.cert[0]);
	if (!error)
		error = check_place(place, &m->join);
	if (!error)
		error = check_attest(place, m, number);
	return error;
}

/* --- pairs --- */

void sivshmem_member_hash(uint8_t mh[32], const struct sivp_member *m)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, 32);
	crypto_generichash_update(&state, (const uint8_t *)SIVP_CTX_MEMBER,
				  sizeof(SIVP_CTX_MEMBER));
	crypto_generichash_update(&state, m->join.cert_id, sizeof(m->join.cert_id));
	crypto_generichash_update(&state, (const uint8_t *)&m->join, sizeof(m->join));
	crypto_generichash_update(&state, (const uint8_t *)&m->attest, sizeof(m->attest));
	crypto_generichash_final(&state, mh, 32);
}

bool sivshmem_pair_key(uint8_t pk[32], const uint8_t secret[32],
		       const uint8_t peer[SIVP_KEY_LEN], const uint8_t own[32],
		       const uint8_t other[32])
{
	uint8_t shared[32], input[sizeof(SIVP_CTX_PAIR) + 64];
	int order = memcmp(own, other, 32);
	bool ok = order && !crypto_scalarmult(shared, secret, peer) &&
		  !sodium_is_zero(shared, sizeof(shared));

	memcpy(input, SIVP_CTX_PAIR, sizeof(SIVP_CTX_PAIR));
	memcpy(input + sizeof(SIVP_CTX_PAIR), order < 0 ? own : other, 32);
	memcpy(input + sizeof(SIVP_CTX_PAIR) + 32, order < 0 ? other : own, 32);
	if (ok)
		crypto_generichash(pk, 32, input, sizeof(input), shared, sizeof(shared));
	sodium_memzero(shared, sizeof(shared));
	return ok;
}

void sivshmem_confirm_mac(uint8_t mac[32], const uint8_t pk[32], const uint8_t from[32],
			  const uint8_t to[32])
{
	uint8_t key[32], input[sizeof(SIVP_CTX_CONFIRM) + 64];

	crypto_kdf_derive_from_key(key, sizeof(key), KEY_CONFIRM, SIVP_KDF_PAIR, pk);
	memcpy(input, SIVP_CTX_CONFIRM, sizeof(SIVP_CTX_CONFIRM));
	memcpy(input + sizeof(SIVP_CTX_CONFIRM), from, 32);
	memcpy(input + sizeof(SIVP_CTX_CONFIRM) + 32, to, 32);
	crypto_generichash(mac, 32, input, sizeof(input), key, sizeof(key));
	sodium_memzero(key, sizeof(key));
}

void sivshmem_pair_app_key(uint8_t key[32], const uint8_t pk[32])
{
	crypto_kdf_derive_from_key(key, 32, KEY_APPLICATION, SIVP_KDF_PAIR, pk);
}
