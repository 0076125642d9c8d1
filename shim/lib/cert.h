/* SPDX-License-Identifier: MIT */
/* Certificates: build, sign, validate, print. Layout in sivshmem/proto.h. */
#ifndef SIVSHMEM_LIB_CERT_H
#define SIVSHMEM_LIB_CERT_H

#include <stdbool.h>
#include <stddef.h>
#include <sivshmem/proto.h>

/* Why a certificate or chain was refused; sivshmem_cert_reason() names it. */
enum sivshmem_cert_error {
	SIVSHMEM_CERT_OK = 0,
	SIVSHMEM_CERT_MALFORMED,	/* bytes that no version 1 certificate has */
	SIVSHMEM_CERT_UNKNOWN_CA,	/* not issued by this root */
	SIVSHMEM_CERT_BAD_SIGNATURE,
	SIVSHMEM_CERT_WRONG_KIND,
	SIVSHMEM_CERT_NOT_YET_VALID,
	SIVSHMEM_CERT_EXPIRED,
	SIVSHMEM_CERT_WRONG_VM,
	SIVSHMEM_CERT_WRONG_HOST,
	SIVSHMEM_CERT_WRONG_UID,
	SIVSHMEM_CERT_WRONG_GID,
};

/* What the verifier knows for itself; what is not known is NULL or ANY_ID. */
struct sivshmem_cert_context {
	int64_t now;			/* s since 1970 */
	const char *vm;			/* NULL: do not check */
	const char *host;
	bool check_ids;
	uint32_t uid, gid;
};

/* "expired", "issued by another CA" ...; static, never NULL */
const char *sivshmem_cert_reason(enum sivshmem_cert_error error);

/* [A-Za-z0-9._/:-]+, no "..", no leading '/', NUL-padded to len, at least one NUL */
bool sivshmem_name_valid(const char *name, size_t len);

/* BLAKE2b-256 of a public key: what `issuer` holds */
void sivshmem_key_id(uint8_t id[32], const uint8_t public_key[SIVP_KEY_LEN]);

/*
 * Sign `cert`, whose other fields the caller has set: fills magic, version,
 * issuer and signature. secret is an Ed25519 secret key of 64 bytes.
 */
void sivshmem_cert_sign(struct sivp_cert *cert, const uint8_t secret[64]);

/* Shape only: magic, version, padding, names, kinds. */
bool sivshmem_cert_well_formed(const struct sivp_cert *cert);

/* When the first of them ends, root included; 0: never. */
int64_t sivshmem_chain_not_after(const struct sivp_chain *chain, const struct sivp_cert *root);
/*
 * The whole check: shape, signatures up to root, kind of the leaf, times of
 * each certificate against ctx->now, bindings of the leaf against ctx.
 */
enum sivshmem_cert_error sivshmem_chain_verify(const struct sivp_chain *chain,
	enum sivp_cert_kind leaf, const struct sivp_cert *root,
	const struct sivshmem_cert_context *ctx);

#endif
