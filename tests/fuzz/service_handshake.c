/* SPDX-License-Identifier: MIT */
/*
 * The service's end: HOST and READY with anything inside their seals, from a
 * host that has the keys of its certificate, and from one that has not.
 */
#include "fuzz.h"
#include "handshake.h"

static uint8_t shared[32];		/* X25519 of the two fixed keys */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return hs_setup() || crypto_scalarmult(shared, host_secret, real.hello.ec);
}

enum { RAW = 2, SIGN = 4, CLEAR = 8, SEALED = 16, PIN = 32, BODY = 64 };

/* th2p and the key, as a host that sent this clear part has them */
static void host_keys(const struct sivp_host *host, uint8_t th[32], uint8_t key[32])
{
	uint8_t hk[32];

	memcpy(th, real.client_hello.th, 32);
	hs_mix(th, &host->clear, sizeof(host->clear));
	crypto_generichash(hk, 32, th, 32, shared, sizeof(shared));
	hs_key(key, hk, 1);
}

static void make_host(struct input *in, uint8_t how, struct sivp_host *host,
		      struct sivp_host_body *body)
{
	uint8_t th[32], key[32];

	host->clear = real.host.clear;
	*body = real.host_body;
	if (how & CLEAR)
		patch(in, &host->clear, sizeof(host->clear));
	host_keys(host, th, key);
	if (how & BODY)
		patch(in, body, sizeof(*body));
	if (how & SIGN) {
		hs_mix(th, body, offsetof(struct sivp_host_body, signature));
		sivshmem_sign_hash(body->signature, SIVP_CTX_HOST_AUTH, th, host_party.secret);
	}
	sivshmem_seal(key, 0, &host->clear.hdr, body, sizeof(*body), host->sealed);
	if (how & SEALED)
		patch(in, host->sealed, sizeof(host->sealed));
}

static void fuzz_host(struct input *in, uint8_t how)
{
	struct sivshmem_handshake hs = real.client_hello;
	enum sivshmem_cert_error reason;
	struct sivp_host_body body;
	struct sivp_host host;
	struct sivp_auth auth;
	size_t length = sizeof(host);
	int64_t when;
	int rc;

	memset(&host, 0, sizeof(host));
	if (how & RAW)
		length = take(in, &host, sizeof(host));
	else
		make_host(in, how, &host, &body);
	rc = sivshmem_hs_client_auth(&hs, &host, length, &bundle,
				     how & PIN ? "host-b" : NULL, &auth, &when, &reason);
	if (!rc) {
		/* of the host's body every byte is signed by the real host */
		ALWAYS(!(how & PIN));
		ALWAYS(how & SIGN || !memcmp(&host, &real.host, sizeof(host)));
		return;
	}
	ALWAYS(sodium_is_zero((uint8_t *)&hs, sizeof(hs)));
	ALWAYS(rc == -EPROTO ? !reason : rc == -EKEYREJECTED && reason);
}

static void fuzz_ready(struct input *in, uint8_t how)
{
	struct sivshmem_handshake hs = real.client_auth, host = real.host_auth;
	struct sivp_ready_body body = { .uid = 5, .gid = 6, .pid = 7, .session = 77,
		.start_time = 99, .vm = "vm1" }, got;
	struct sivshmem_keys keys, mine;
	struct sivp_ready ready;
	size_t length = sizeof(ready);

	ALWAYS(!sivshmem_hs_host_ready(&host, &body, &ready, &keys));
	keys.sent = how & CLEAR;
	if (how & BODY)
		patch(in, &body, sizeof(body));
	sivshmem_record_seal(&keys, SIVP_READY, &body, sizeof(body), &ready);
	if (how & SEALED)
		patch(in, &ready, sizeof(ready));
	if (how & RAW)
		length = take(in, &ready, sizeof(ready));
	if (sivshmem_hs_client_ready(&hs, &ready, length, &got, &mine)) {
		ALWAYS(sodium_is_zero((uint8_t *)&mine, sizeof(mine)));
		return;
	}
	ALWAYS(!memcmp(got.binder, real.host_auth.binder, 32) && got.session == 77);
	ALWAYS(memchr(got.vm, 0, sizeof(got.vm)));
	ALWAYS(got.status || (!memcmp(mine.send, keys.receive, 32) && mine.received == 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t how = take_uint8(&in);

	if (how & 1)
		fuzz_ready(&in, how);
	else
		fuzz_host(&in, how);
	return 0;
}
