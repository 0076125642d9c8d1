/* SPDX-License-Identifier: MIT */
/* A key and its certificate, the same ones in every run. */
#ifndef SIVSHMEM_TEST_PARTY_H
#define SIVSHMEM_TEST_PARTY_H

#include <stdio.h>
#include <string.h>
#include <sodium.h>

#include "../../shim/lib/cert.h"
#include "../../shim/lib/handshake.h"
#include "../../shim/lib/join.h"

struct party {
	uint8_t public_key[32], secret[64];
	struct sivp_cert cert;
};

static inline void make_party(struct party *party, int seed,
			      enum sivp_cert_kind kind, const char *subject,
			      const struct party *issuer)
{
	uint8_t bytes[32];

	memset(bytes, seed, sizeof(bytes));
	crypto_sign_seed_keypair(party->public_key, party->secret, bytes);
	party->cert = (struct sivp_cert){
		.kind = (uint8_t)kind,
		.path_len = kind == SIVP_CERT_ROOT,
		.serial = (uint64_t)seed,
		.not_before = 1000,
		.uid = SIVP_ANY_ID,
		.gid = SIVP_ANY_ID,
	};
	snprintf(party->cert.subject, sizeof(party->cert.subject), "%s", subject);
	memcpy(party->cert.public_key, party->public_key, 32);
	sivshmem_cert_sign(&party->cert, issuer->secret);
}

/* As the monitor and its signer do. */
static inline int party_prove(const struct party *party, struct sivshmem_proof *proof,
			      const struct sivp_hello *hello, const uint8_t eh[32],
			      uint64_t session, const uint8_t epoch[16],
			      struct sivp_host_body *body)
{
	int r = sivshmem_hs_prove(proof, hello, eh, session, epoch, body);

	if (r)
		return r;
	sivshmem_sign_hash(body->signature, SIVP_CTX_HOST_AUTH, proof->th, party->secret);
	sivshmem_hs_proof_signed(proof, body);
	return 0;
}

static inline void party_attest(const struct party *party, struct sivp_attest *attest,
				const struct sivp_join *join)
{
	uint8_t hash[32];

	sivshmem_attest_hash(attest, join, hash);
	sivshmem_sign_hash(attest->signature, SIVP_CTX_ATTEST, hash, party->secret);
}

#endif
