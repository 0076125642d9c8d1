/* SPDX-License-Identifier: MIT */
/* Signatures by the host's key, which the monitor itself has not: signer_process.h. */
#ifndef SIVSHMEM_CA_HOST_SIGN_H
#define SIVSHMEM_CA_HOST_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../shim/lib/keyfile.h"

/*
 * What the key may be used for. The signed bytes begin with a string for each;
 * certificates and revocation lists have others, so that whoever can ask the
 * signer can make none.
 */
enum host_context {
	HOST_SIGN_HANDSHAKE = 1,	/* SIVP_CTX_HOST_AUTH */
	HOST_SIGN_ATTEST,		/* SIVP_CTX_ATTEST */
	HOST_SIGN_AUDIT,		/* AUDIT_CONTEXT of audit_chain.h */
};

#define HOST_SIGN_LEN	32

/*
 * msg is a hash, len HOST_SIGN_LEN. Waits for the signer, for half a second at
 * most; one that is gone or silent is replaced. 0 or -errno.
 */
int host_sign(enum host_context context, const uint8_t *msg, size_t len, uint8_t sig[64]);

/*
 * Start a signer with the key of that file, which must be that of public_key.
 * One that runs is replaced only when the new one is ready: call it again when
 * the key was changed. 0 or -errno.
 */
int host_signer_start(const char *key_path, const uint8_t public_key[32],
	struct sivshmem_error *err);
/* A child has ended: true if it was a signer. */
bool host_signer_reaped(pid_t pid, int status);

#endif
