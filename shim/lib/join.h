/* SPDX-License-Identifier: MIT */
/*
 * What the members of an object prove to each other, whatever the host says:
 * JOIN, ATTEST, pair keys and CONFIRM of sivshmem-protocol(7). No I/O.
 */
#ifndef SIVSHMEM_LIB_JOIN_H
#define SIVSHMEM_LIB_JOIN_H

#include <stddef.h>
#include <sivshmem/proto.h>
#include "cert.h"

enum sivshmem_member_error {
	SIVSHMEM_MEMBER_OK = 0,
	SIVSHMEM_MEMBER_MALFORMED,
	SIVSHMEM_MEMBER_CERT,		/* *cert says what */
	SIVSHMEM_MEMBER_OTHER_CERT,	/* the JOIN is another certificate's */
	SIVSHMEM_MEMBER_SIGNATURE,
	SIVSHMEM_MEMBER_EXPIRED,
	SIVSHMEM_MEMBER_CHANNEL,
	SIVSHMEM_MEMBER_OBJECT,
	SIVSHMEM_MEMBER_GENERATION,
	SIVSHMEM_MEMBER_EPOCH,
	SIVSHMEM_MEMBER_HOST,
	SIVSHMEM_MEMBER_ATTEST,		/* not this host's signature */
	SIVSHMEM_MEMBER_OTHER_JOIN,	/* the ATTEST is for another JOIN or member */
	SIVSHMEM_MEMBER_RIGHTS,
	SIVSHMEM_MEMBER_REFLECTED,
};
const char *sivshmem_member_reason(enum sivshmem_member_error error);

/* What a member knows by itself of where it takes part. */
struct sivshmem_place {
	struct sivp_cert root;
	uint8_t host_key[SIVP_KEY_LEN];	/* of HOST's certificate */
	uint8_t epoch[16];
	char host[SIVP_HOST_LEN];
	char channel[SIVP_NAME_LEN];
	char object[SIVP_NAME_LEN];
	uint64_t generation;
	int64_t now;			/* the host's clock */
};

void sivshmem_hash(uint8_t hash[32], const void *data, size_t length);

/* Fill magic, version, cert_id and signature; the caller has set the rest. */
void sivshmem_join_sign(struct sivp_join *join, const struct sivp_cert *leaf,
	const uint8_t secret[64]);
/* Is it by the holder of leaf's key, and of a shape that can be? */
enum sivshmem_member_error sivshmem_join_check(const struct sivp_join *join,
	const struct sivp_cert *leaf);
/* The monitor's: fills magic, version, join_hash; the host signs hash (CTX_ATTEST). */
void sivshmem_attest_hash(struct sivp_attest *attest, const struct sivp_join *join,
	uint8_t hash[32]);

/*
 * Is this a member of `place`, by the CA's word and the service's own, as the
 * host saw it? `number` is what the roster calls it. Not whether it is alive:
 * that is what CONFIRM is for.
 */
enum sivshmem_member_error sivshmem_member_verify(const struct sivshmem_place *place,
	const struct sivp_member *member, uint32_t number,
	enum sivshmem_cert_error *cert);

/* What a member is in pair keys. */
void sivshmem_member_hash(uint8_t mh[32], const struct sivp_member *member);

/* Of two members; false: one's own JOIN, or a key that is none. */
bool sivshmem_pair_key(uint8_t pk[32], const uint8_t secret[32],
	const uint8_t peer[SIVP_KEY_LEN], const uint8_t own[32], const uint8_t other[32]);
/* The MAC that `from` sends to `to`. */
void sivshmem_confirm_mac(uint8_t mac[32], const uint8_t pk[32],
	const uint8_t from[32], const uint8_t to[32]);
/* For the application. */
void sivshmem_pair_app_key(uint8_t key[32], const uint8_t pk[32]);

#endif
