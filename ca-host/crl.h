/* SPDX-License-Identifier: MIT */
/*
 * The revocation list: serials of certificates that are not to be believed any
 * more, signed by the root or by the host's intermediate. A text file:
 *
 *	sivshmem revocation list v1
 *	epoch 7
 *	01a209b54e12e2a3
 *	...
 *	signature BASE64
 *
 * Serials are 16 hex digits, ascending. The signature is Ed25519
 * over "sivshmem revocation list v1\0" and all lines before its own. The epoch
 * grows with each list: a lower one is an old list that somebody brought back.
 */
#ifndef SIVSHMEM_CA_CRL_H
#define SIVSHMEM_CA_CRL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sivshmem/proto.h>
#include "../shim/lib/keyfile.h"

#define CRL_FILE	"revoked.list"
#define CRL_SEEN_FILE	"revoked.epoch"	/* the daemon's: the highest that it has believed */
#define CRL_MAX		65536		/* serials */

struct crl {
	uint64_t epoch;			/* 0: there is no list yet */
	size_t count;
	uint64_t *serial;		/* ascending; the caller frees by crl_free() */
};

/*
 * Signed by the root, or by this host's intermediate unless that is NULL.
 * 0, also where there is no file; else -errno, and *crl is empty.
 */
int crl_read(const char *path, const struct sivp_cert *root, const struct sivp_cert *issuer,
	struct crl *crl, struct sivshmem_error *err);
/* -ESTALE: the daemon of the CA's directory has believed a newer list than this one. */
int crl_newest(const char *dir, const struct crl *crl, struct sivshmem_error *err);
/* In the place of the file that is there, whole or not at all. */
int crl_write(const char *path, const struct crl *crl, const uint8_t secret[64],
	struct sivshmem_error *err);
bool crl_has(const struct crl *crl, uint64_t serial);
/* The leaf, or the intermediate that signed it; false for no chain. */
bool crl_has_chain(const struct crl *crl, const struct sivp_chain *chain);
/* 1 added, 0 there already, -ENOMEM, -ENOSPC */
int crl_add(struct crl *crl, uint64_t serial);
void crl_free(struct crl *crl);

#endif
