/* SPDX-License-Identifier: MIT */
/* A key and its certificate, the same ones in every run. */
#ifndef SIVSHMEM_TEST_PARTY_H
#define SIVSHMEM_TEST_PARTY_H

#include <stdio.h>
#include <string.h>
#include <sodium.h>

#include "../../shim/lib/cert.h"

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

#endif
