/* SPDX-License-Identifier: MIT */
/*
 * Who signs in this CA's directory: its root, or, where the root's key is
 * elsewhere, the intermediate that the root made for this host.
 */
#ifndef SIVSHMEM_CA_SIGNER_H
#define SIVSHMEM_CA_SIGNER_H

#include "ca.h"
#include "crl.h"

#define SIGNER_ROOT		"root.key"
#define SIGNER_INTERMEDIATE	"intermediate.key"

struct signer {
	uint8_t *secret;		/* sodium_malloc */
	struct sivp_cert root;
	struct sivp_cert cert;		/* of the key: the root's, or the intermediate's */
	bool is_root;
};

/* -errno and *err; free in any case. */
int signer_load(const struct ca *ca, struct signer *signer, struct sivshmem_error *err);
void signer_free(struct signer *signer);
/* Sign chain->cert[0], and let the intermediate follow if that is who signs. */
void signer_sign(const struct signer *signer, struct sivp_chain *chain);
/* The CA's root and revocation list, for crl_free(); -errno and *err: *crl is empty. */
int signer_trust(const struct ca *ca, struct sivp_cert *root, struct crl *crl,
	struct sivshmem_error *err);
/* The CA's root, and its intermediate if there is one: else *issuer is zero. */
int signer_certs(const struct ca *ca, struct sivp_cert *root, struct sivp_cert *issuer,
	struct sivshmem_error *err);

/* A new pair; all but serial, key and signature of cert[0] is set already. */
void signer_make(const struct signer *signer, struct sivp_chain *chain, uint8_t secret[64]);
/* In the place of what is there: the key first, then the certificate. */
int signer_replace(const struct ca *ca, const char *name, const uint8_t secret[64],
	const struct sivp_chain *chain, struct sivshmem_error *err);

#endif
