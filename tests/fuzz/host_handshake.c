/* SPDX-License-Identifier: MIT */
/*
 * The host's end of the handshake, worker and monitor: HELLO, and AUTH with
 * anything inside its seal.
 */
#include "fuzz.h"
#include "handshake.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return hs_setup();
}

static void fuzz_hello(struct input *in, bool raw)
{
	struct sivshmem_proof proof = { 0 };
	struct sivp_host_body body = real.host_body;
	struct sivp_hello hello = real.hello;
	struct sivshmem_handshake hs;
	struct sivp_host host;
	size_t length = sizeof(hello);
	bool changed;

	if (raw)
		length = take(in, &hello, sizeof(hello));
	else
		patch(in, &hello, sizeof(hello));
	changed = memcmp(&hello, &real.hello, sizeof(hello));
	if (sivshmem_hs_host_hello_with(&hs, host_secret, &hello, length, 77, epoch_id, &host)) {
		ALWAYS(changed || length != sizeof(hello));
		ALWAYS(sodium_is_zero((uint8_t *)&hs, sizeof(hs)));
		return;
	}
	ALWAYS(!party_prove(&host_party, &proof, &hello, host.clear.eh, 77, epoch_id, &body));
	/* one signature for one session */
	ALWAYS(party_prove(&host_party, &proof, &hello, host.clear.eh, 77, epoch_id, &body));
	ALWAYS(!sivshmem_hs_host_finish(&hs, &host, &body));
}

static void sign_again(struct sivp_auth_body *body)
{
	uint8_t th[32];

	memcpy(th, real.proof.th, sizeof(th));
	hs_mix(th, body, offsetof(struct sivp_auth_body, signature));
	sivshmem_sign_hash(body->signature, SIVP_CTX_SERVICE_AUTH, th, service.secret);
}

static void judge(const struct sivp_auth_body *body, bool changed, bool is_signed)
{
	const struct sivshmem_cert_context ctx = { .now = HS_NOW, .vm = "vm1", .host = "host-a",
		.check_ids = true, .uid = 5, .gid = 6 };
	struct sivshmem_proof proof = real.proof;
	bool proven = sivshmem_hs_proven(&proof, body);

	ALWAYS(!sivshmem_hs_proven(&proof, body));
	if (!sivshmem_chain_verify(&body->chain, SIVP_CERT_SERVICE, &root.cert, &ctx))
		ALWAYS(!proven || !changed || is_signed);
	else
		ALWAYS(changed);
	ALWAYS(changed || proven);
}

static void fuzz_auth(struct input *in, uint8_t how)
{
	struct sivp_auth_body body = real.auth_body, opened;
	struct sivshmem_handshake hs = real.host_host;
	struct sivp_auth auth = { .hdr = real.auth.hdr };
	struct sivp_ready_body ready = { .status = how >> 6 & 1 };
	struct sivshmem_keys keys;
	struct sivp_ready sealed;
	uint8_t key[32];
	bool changed;

	patch(in, &body, sizeof(body));
	if (how & 8)
		sign_again(&body);
	hs_key(key, real.host_host.hk, 2);
	if (how & 16)
		patch(in, &auth.hdr, sizeof(auth.hdr));
	sivshmem_seal(key, 0, &auth.hdr, &body, sizeof(body), auth.sealed);
	if (how & 32)
		patch(in, auth.sealed, sizeof(auth.sealed));
	changed = memcmp(&auth, &real.auth, sizeof(auth));
	if (sivshmem_hs_host_auth(&hs, &auth, sizeof(auth), &opened)) {
		ALWAYS(changed && how & (16 | 32));
		return;
	}
	ALWAYS(!memcmp(&opened, &body, sizeof(body)));
	judge(&opened, memcmp(&body, &real.auth_body, sizeof(body)), how & 8);
	ALWAYS(!sivshmem_hs_host_ready(&hs, &ready, &sealed, &keys));
	ALWAYS(!ready.status || sodium_is_zero((uint8_t *)&keys, sizeof(keys)));
}

/* Bytes of anybody's, at any step. */
static void fuzz_raw(struct input *in, uint8_t how)
{
	const struct sivshmem_handshake *const states[] = {
		&real.host_hello, &real.host_host, &real.host_auth, &real.client_hello };
	struct sivshmem_handshake hs = *states[how >> 3 & 3];
	struct sivp_auth_body body;
	uint8_t message[1024];
	size_t n = take(in, message, sizeof(message));

	ALWAYS(sivshmem_hs_host_auth(&hs, message, n, &body) ||
	       !memcmp(message, &real.auth, sizeof(real.auth)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t how = take_uint8(&in);

	switch (how & 3) {
	case 0:
	case 1:
		fuzz_hello(&in, how & 1);
		break;
	case 2:
		fuzz_auth(&in, how);
		break;
	default:
		fuzz_raw(&in, how);
	}
	return 0;
}
