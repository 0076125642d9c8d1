/* SPDX-License-Identifier: MIT */
/*
 * A handshake with keys that never change, stopped after each message: fuzz
 * targets go on from a copy of the state, and seal what they make up with the
 * keys that the other end would have.
 */
#ifndef SIVSHMEM_FUZZ_HANDSHAKE_H
#define SIVSHMEM_FUZZ_HANDSHAKE_H

#include <errno.h>

#include "../unit/party.h"
#include "../../shim/lib/handshake.h"
#include "../../shim/lib/handshake_internal.h"

#define HS_NOW	2000		/* the certificates begin at 1000 */

static struct party root, host_party, service;
static struct sivshmem_bundle bundle;
static const uint8_t client_secret[32] = { 8, 1 }, host_secret[32] = { 16, 2 };
static const uint8_t epoch_id[16] = "an epoch of it";

static struct {
	struct sivshmem_handshake client_hello, client_auth;	/* the service's, after these */
	struct sivshmem_handshake host_hello, host_host, host_auth;
	struct sivshmem_proof proof;		/* the monitor's, after HOST */
	struct sivp_hello hello;
	struct sivp_host host;
	struct sivp_host_body host_body;
	struct sivp_auth auth;
	struct sivp_auth_body auth_body;
} real;

static inline void hs_run(void)
{
	enum sivshmem_cert_error reason;
	struct sivshmem_handshake hs;
	int64_t when;

	ALWAYS(!sivshmem_hs_client_hello_with(&real.client_hello, client_secret, &real.hello));
	ALWAYS(!sivshmem_hs_host_hello_with(&real.host_hello, host_secret, &real.hello,
					    sizeof(real.hello), 77, epoch_id, &real.host));
	real.host_body = (struct sivp_host_body){
		.host_time = HS_NOW, .chain = { .count = 1, .cert[0] = host_party.cert } };
	ALWAYS(!party_prove(&host_party, &real.proof, &real.hello, real.host.clear.eh, 77,
			    epoch_id, &real.host_body));
	real.host_host = real.host_hello;
	ALWAYS(!sivshmem_hs_host_finish(&real.host_host, &real.host, &real.host_body));
	hs = real.client_hello;
	ALWAYS(!sivshmem_hs_client_auth(&hs, &real.host, sizeof(real.host), &bundle, NULL,
					&real.auth, &when, &reason));
	real.client_auth = hs;
	real.host_auth = real.host_host;
	ALWAYS(!sivshmem_hs_host_auth(&real.host_auth, &real.auth, sizeof(real.auth),
				      &real.auth_body));
}

static inline int hs_setup(void)
{
	if (sodium_init() < 0)
		return 1;
	make_party(&root, 1, SIVP_CERT_ROOT, "root", &root);
	make_party(&host_party, 2, SIVP_CERT_HOST, "host-a", &root);
	make_party(&service, 3, SIVP_CERT_SERVICE, "app/cam", &root);
	bundle.secret = service.secret;
	bundle.chain = (struct sivp_chain){ .count = 1, .cert[0] = service.cert };
	bundle.root = root.cert;
	hs_run();
	return 0;
}

/* MIX of doc/PROTOCOL.md */
static inline void hs_mix(uint8_t th[32], const void *message, uint64_t length)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, 32);
	crypto_generichash_update(&state, (const uint8_t *)SIVP_CTX_TRANSCRIPT,
				  sizeof(SIVP_CTX_TRANSCRIPT));
	crypto_generichash_update(&state, th, 32);
	crypto_generichash_update(&state, (const uint8_t *)&length, sizeof(length));
	crypto_generichash_update(&state, message, length);
	crypto_generichash_final(&state, th, 32);
}

/* The key that seals HOST (1) or AUTH (2). */
static inline void hs_key(uint8_t key[32], const uint8_t hk[32], int direction)
{
	crypto_kdf_derive_from_key(key, 32, (uint64_t)direction, SIVP_KDF_HANDSHAKE, hk);
}

#endif
