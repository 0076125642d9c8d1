/* SPDX-License-Identifier: MIT */
#include "handshake.h"

#include <errno.h>
#include <string.h>
#include <sodium.h>

#include "handshake_internal.h"

_Static_assert(SIVP_TAG_LEN == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");

#define NONCE_LEN	crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

static void make_nonce(uint8_t nonce[NONCE_LEN], uint64_t counter)
{
	memset(nonce, 0, NONCE_LEN);
	memcpy(nonce, &counter, sizeof(counter));
}

void sivshmem_seal(const uint8_t key[32], uint64_t counter,
		   const struct sivp_hdr *hdr, const void *plain, size_t length,
		   void *sealed)
{
	uint8_t nonce[NONCE_LEN];

	make_nonce(nonce, counter);
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, plain, length,
						   (const uint8_t *)hdr, sizeof(*hdr),
						   NULL, nonce, key);
}

bool sivshmem_unseal(const uint8_t key[32], uint64_t counter,
		     const struct sivp_hdr *hdr, const void *sealed, void *plain,
		     size_t length)
{
	uint8_t nonce[NONCE_LEN];

	make_nonce(nonce, counter);
	if (!crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, sealed,
							length + SIVP_TAG_LEN,
							(const uint8_t *)hdr,
							sizeof(*hdr), nonce, key))
		return true;
	sodium_memzero(plain, length);
	return false;
}

size_t sivshmem_record_seal(struct sivshmem_keys *keys, enum sivp_type type,
			    const void *plain, size_t length, void *out)
{
	struct sivp_hdr hdr = {
		.type = (uint16_t)type,
		.length = (uint32_t)(length + SIVP_TAG_LEN),
	};

	memcpy(out, &hdr, sizeof(hdr));
	sivshmem_seal(keys->send, keys->sent++, &hdr, plain, length,
		      (uint8_t *)out + sizeof(hdr));
	return sizeof(hdr) + length + SIVP_TAG_LEN;
}

int sivshmem_record_open(struct sivshmem_keys *keys, enum sivp_type type,
			 const void *message, size_t message_length,
			 void *plain, size_t length)
{
	struct sivp_hdr hdr;

	if (message_length != sizeof(hdr) + length + SIVP_TAG_LEN)
		return -EPROTO;
	memcpy(&hdr, message, sizeof(hdr));
	if (hdr.type != type || hdr.flags || hdr.length != length + SIVP_TAG_LEN)
		return -EPROTO;
	if (!sivshmem_unseal(keys->receive, keys->received, &hdr,
			     (const uint8_t *)message + sizeof(hdr), plain, length))
		return -EPROTO;
	keys->received++;
	return 0;
}
