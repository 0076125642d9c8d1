/* SPDX-License-Identifier: MIT */
/*
 * Chains: bytes of anybody's, and real certificates with patches, signed
 * again or not. What is valid must be what this CA has signed.
 */
#include "fuzz.h"

#include "../unit/party.h"

static struct party root, other, middle, host, service;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (sodium_init() < 0)
		return 1;
	make_party(&root, 1, SIVP_CERT_ROOT, "root", &root);
	make_party(&other, 2, SIVP_CERT_ROOT, "root", &other);
	make_party(&middle, 3, SIVP_CERT_INTERMEDIATE, "fleet", &root);
	make_party(&host, 4, SIVP_CERT_HOST, "host-a", &root);
	make_party(&service, 5, SIVP_CERT_SERVICE, "app/cam", &middle);
	return 0;
}

enum { SIGN_LEAF = 1, SIGN_MIDDLE = 2, PATCH_ROOT = 4, PATCH_CHAIN = 8, OTHER_ROOT = 16 };

/* How: bits above. True: every signature is made by its issuer's key here. */
static bool build(struct input *in, uint8_t how, struct sivp_chain *chain,
		  struct sivp_cert *ca)
{
	const struct party *leaf = how & 32 ? &host : &service;
	const struct party *issuer = how & 64 ? &root : &middle;

	memset(chain, 0, sizeof(*chain));
	chain->count = how & 64 ? 1 : 2;
	chain->cert[0] = leaf->cert;
	if (chain->count == 2)
		chain->cert[1] = middle.cert;
	*ca = how & OTHER_ROOT ? other.cert : root.cert;
	patch(in, &chain->cert[0], sizeof(chain->cert[0]));
	if (how & SIGN_LEAF)
		sivshmem_cert_sign(&chain->cert[0], issuer->secret);
	if (how & SIGN_MIDDLE && chain->count == 2) {
		patch(in, &chain->cert[1], sizeof(chain->cert[1]));
		sivshmem_cert_sign(&chain->cert[1], root.secret);
	}
	if (how & PATCH_ROOT)
		patch(in, ca, sizeof(*ca));
	if (how & PATCH_CHAIN)
		patch(in, chain, sizeof(*chain));
	return !(how & (OTHER_ROOT | PATCH_ROOT | PATCH_CHAIN));
}

static bool same_cert(const struct sivp_cert *a, const struct sivp_cert *b)
{
	return !memcmp(a, b, sizeof(*a));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t how = take_uint8(&in), flags = take_uint8(&in);
	struct sivshmem_cert_context ctx = {
		.now = (int64_t)take_uint32(&in), .check_ids = flags & 4,
		.vm = flags & 1 ? "vm1" : NULL, .host = flags & 2 ? "host-a" : NULL,
		.uid = take_uint8(&in), .gid = take_uint8(&in),
	};
	enum sivshmem_cert_error error;
	struct sivp_chain chain;
	struct sivp_cert ca;
	bool ours = false;

	if (how & 128)
		take(&in, &chain, sizeof(chain));
	if (how & 128)
		ca = root.cert;
	else
		ours = build(&in, how, &chain, &ca);
	error = sivshmem_chain_verify(&chain, flags & 8 ? SIVP_CERT_HOST : SIVP_CERT_SERVICE,
				      &ca, &ctx);
	ALWAYS(sivshmem_cert_reason(error)[0]);
	sivshmem_chain_not_after(&chain, &ca);
	if (error)
		return 0;
	ALWAYS(sivshmem_name_valid(chain.cert[0].subject, sizeof(chain.cert[0].subject)));
	ALWAYS(ctx.now >= chain.cert[0].not_before);
	/* without a key of ours nothing but what we signed is valid */
	ALWAYS(ours || same_cert(&chain.cert[0], &service.cert) ||
	       same_cert(&chain.cert[0], &host.cert) || how & (SIGN_LEAF | SIGN_MIDDLE));
	return 0;
}
