/* SPDX-License-Identifier: MIT */
/* What handshake.c shares with record.c, and with its known-answer test. */
#ifndef SIVSHMEM_LIB_HANDSHAKE_INTERNAL_H
#define SIVSHMEM_LIB_HANDSHAKE_INTERNAL_H

#include "handshake.h"

/*
 * XChaCha20-Poly1305 of libsodium under nonce le64 counter | 16 zeros, the
 * header as it is on the wire as additional data.
 */
void sivshmem_seal(const uint8_t key[32], uint64_t counter,
	const struct sivp_hdr *hdr, const void *plain, size_t length,
	void *sealed);
/* false: forged; plain is zeroed then */
bool sivshmem_unseal(const uint8_t key[32], uint64_t counter,
	const struct sivp_hdr *hdr, const void *sealed, void *plain,
	size_t length);

/*
 * The handshake with a given ephemeral key: the public functions draw one and
 * come here, the known-answer test brings its own.
 */
int sivshmem_hs_client_hello_with(struct sivshmem_handshake *hs,
	const uint8_t secret[32], struct sivp_hello *hello);
int sivshmem_hs_host_hello_with(struct sivshmem_handshake *hs,
	const uint8_t secret[32], const void *message, size_t length,
	uint64_t session, const uint8_t epoch[16], struct sivp_host *host);

#endif
