/* SPDX-License-Identifier: MIT */
/*
 * The revocation list: any bytes, and bytes that the root or the host's intermediate
 * has signed, since they may err too. What is taken is in order, and found again.
 */
#include "fuzz.h"

#include "../../ca-host/crl.h"
#include "../unit/party.h"

#define HEADER	"sivshmem revocation list v1"

static struct party root, issuer;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	atexit(drop_file);
	if (sodium_init() < 0)
		return 1;
	make_party(&root, 1, SIVP_CERT_ROOT, "root", &root);
	make_party(&issuer, 2, SIVP_CERT_INTERMEDIATE, "fleet", &root);
	return 0;
}

/* The context with its NUL, then the body: both begin with the same words. */
static size_t sign(const struct party *by, const char *body, size_t length, char *text)
{
	uint8_t message[8192], signature[SIVP_SIG_LEN];
	char base64[sodium_base64_ENCODED_LEN(SIVP_SIG_LEN, sodium_base64_VARIANT_ORIGINAL)];

	memcpy(message, HEADER, sizeof(HEADER));
	memcpy(message + sizeof(HEADER), body, length);
	crypto_sign_detached(signature, NULL, message, sizeof(HEADER) + length, by->secret);
	sodium_bin2base64(base64, sizeof(base64), signature, sizeof(signature),
			  sodium_base64_VARIANT_ORIGINAL);
	memcpy(text, body, length);
	return length + (size_t)sprintf(text + length, "signature %s\n", base64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	char body[4096], text[8192];
	uint8_t how = take_uint8(&in);
	size_t length = in.left < sizeof(body) ? in.left : sizeof(body);
	struct sivshmem_error err;
	struct crl crl;

	take(&in, body, length);
	memcpy(text, body, length);
	if (how & 3)
		length = sign(how & 1 ? &root : &issuer, body, length, text);
	if (crl_read(file_with(text, length), &root.cert, how & 4 ? &issuer.cert : NULL, &crl,
		     &err)) {
		ALWAYS(!crl.count && !crl.epoch && err.text[0]);
		return 0;
	}
	ALWAYS((how & 1 || (how & 6) == 6) && crl.epoch);
	for (size_t i = 0; i < crl.count; i++) {
		ALWAYS(crl_has(&crl, crl.serial[i]));
		ALWAYS(!i || crl.serial[i - 1] < crl.serial[i]);
	}
	crl_free(&crl);
	return 0;
}
