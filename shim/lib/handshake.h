/* SPDX-License-Identifier: MIT */
/*
 * Both ends of the handshake of sivshmem-protocol(7), and the sealed records
 * after it. No I/O: bytes in, bytes out. A state is used by one end of one
 * session and never again after an error.
 *
 * The service's end:   hello -> [HOST arrives] host -> [READY arrives] ready
 * The host's end:      hello -> host_finish -> auth -> ready
 * The host's end runs in the worker, which holds no signing key and judges no
 * certificate. The monitor keeps a transcript of its own: it makes and signs
 * HOST's body (`prove`) from HELLO and the worker's ephemeral key, and checks
 * the service's signature (`proven`) under what it signed itself.
 */
#ifndef SIVSHMEM_LIB_HANDSHAKE_H
#define SIVSHMEM_LIB_HANDSHAKE_H

#include <stddef.h>
#include <sivshmem/proto.h>
#include "cert.h"
#include "keyfile.h"

struct sivshmem_keys {			/* of the record layer */
	uint8_t send[32], receive[32];
	uint64_t sent, received;	/* record counters, each a nonce */
};

struct sivshmem_handshake {
	uint8_t th[32];			/* running transcript hash */
	uint8_t secret[32];		/* own ephemeral X25519 key */
	uint8_t hk[32];
	uint8_t binder[32];
	uint8_t epoch[16];		/* service: HOST's, */
	struct sivp_cert host;		/* and its certificate, once it is verified */
	struct sivp_hello hello;
	uint64_t session;
	uint32_t step;
};

/* --- service --- */
int sivshmem_hs_client_hello(struct sivshmem_handshake *hs,
	struct sivp_hello *hello);
/*
 * Verify HOST and make AUTH. `host` says which host name to insist on, NULL
 * for any that root certifies. *host_time: the host's signed clock. -EPROTO:
 * not the protocol; -EKEYREJECTED: the host's proof failed (*reason says why).
 */
int sivshmem_hs_client_auth(struct sivshmem_handshake *hs,
	const void *message, size_t length,
	const struct sivshmem_bundle *bundle, const char *host,
	struct sivp_auth *auth, int64_t *host_time,
	enum sivshmem_cert_error *reason);
/* READY: fills body and, when body->status is SIVP_OK, keys. */
int sivshmem_hs_client_ready(struct sivshmem_handshake *hs,
	const void *message, size_t length, struct sivp_ready_body *body,
	struct sivshmem_keys *keys);

/* --- host (worker) --- */
/*
 * Take HELLO, fill host->clear.
 * -EPROTONOSUPPORT: no common version or suite; -EPROTO: malformed.
 */
int sivshmem_hs_host_hello(struct sivshmem_handshake *hs,
	const void *message, size_t length, uint64_t session,
	const uint8_t epoch[16], struct sivp_host *host);
/* The monitor's body, signed: seal it into host. */
int sivshmem_hs_host_finish(struct sivshmem_handshake *hs,
	struct sivp_host *host, const struct sivp_host_body *body);
/* Open AUTH. Judges nothing. */
int sivshmem_hs_host_auth(struct sivshmem_handshake *hs,
	const void *message, size_t length, struct sivp_auth_body *body);
/* Seal READY; keys are filled when body->status is SIVP_OK. Sets body->binder. */
int sivshmem_hs_host_ready(struct sivshmem_handshake *hs,
	struct sivp_ready_body *body, struct sivp_ready *ready,
	struct sivshmem_keys *keys);

/* --- host (monitor) --- */
struct sivshmem_proof {			/* zeroed: HELLO has not come */
	uint8_t th[32];
	uint8_t binder[32];		/* once proven */
	enum { SIVSHMEM_PROOF_NONE, SIVSHMEM_PROOF_SIGNED, SIVSHMEM_PROOF_SPENT } state;
};
/*
 * What is to be signed for body, whose other fields are filled, into proof->th;
 * then body is signed (SIVP_CTX_HOST_AUTH) and goes into the transcript too.
 * Once per session, which is never used again: no signature serves another
 * handshake. -EPROTO otherwise, or if hello is malformed.
 */
int sivshmem_hs_prove(struct sivshmem_proof *proof, const struct sivp_hello *hello,
	const uint8_t eh[SIVP_KEY_LEN], uint64_t session, const uint8_t epoch[16],
	const struct sivp_host_body *body);
void sivshmem_hs_proof_signed(struct sivshmem_proof *proof, const struct sivp_host_body *body);
/* Did the holder of chain.cert[0]'s key answer that very HOST? Asked once. */
bool sivshmem_hs_proven(struct sivshmem_proof *proof, const struct sivp_auth_body *body);

void sivshmem_hs_wipe(struct sivshmem_handshake *hs);

/* The two signatures: BLAKE2b transcript hash under a context string. */
void sivshmem_sign_hash(uint8_t signature[SIVP_SIG_LEN], const char *context,
	const uint8_t hash[32], const uint8_t secret[64]);
bool sivshmem_verify_hash(const uint8_t signature[SIVP_SIG_LEN],
	const char *context, const uint8_t hash[32],
	const uint8_t public_key[SIVP_KEY_LEN]);

/* --- records --- */
/* out needs sizeof(struct sivp_hdr) + length + SIVP_TAG_LEN bytes; returns that. */
size_t sivshmem_record_seal(struct sivshmem_keys *keys, enum sivp_type type,
	const void *plain, size_t length, void *out);
/*
 * Open exactly `length` bytes of plaintext of the given type. -EPROTO on
 * anything else, and the session must end.
 */
int sivshmem_record_open(struct sivshmem_keys *keys, enum sivp_type type,
	const void *message, size_t message_length, void *plain, size_t length);

#endif
