/* SPDX-License-Identifier: MIT */
#include "signer_process.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <sodium.h>

#include "../shim/lib/handshake.h"
#include "../shim/lib/keyfile.h"
#include "audit_chain.h"
#include "sandbox.h"
#include "sealed.h"

#define MEMORY_MAX	(8u << 20)

const char *signer_context(uint32_t context)
{
	static const char *const contexts[] = {
		[HOST_SIGN_HANDSHAKE] = SIVP_CTX_HOST_AUTH,
		[HOST_SIGN_ATTEST] = SIVP_CTX_ATTEST,
		[HOST_SIGN_AUDIT] = AUDIT_CONTEXT,
	};

	return context < sizeof(contexts) / sizeof(*contexts) ? contexts[context] : NULL;
}

static int read_key(const char *path, const char *passphrase_file, uint8_t *secret,
		    struct sivshmem_error *err)
{
	if (sealed_is(path) && !*passphrase_file)
		return sivshmem_error_set(err, -EKEYREJECTED, "%s: sealed under a passphrase; "
			"give sivshmem-cad --passphrase-file FILE, or take it off by "
			"`sivshmem-ca passphrase host --remove`", path);
	return sealed_key_read(path, passphrase_file, secret, err);
}

static int load(const char *path, const char *passphrase_file, uint8_t **secret,
		struct signer_hello *hello)
{
	struct sivshmem_error e;
	int r;

	*secret = sodium_malloc(64);
	/* sodium_malloc goes on without the lock */
	if (!*secret || sodium_mlock(*secret, 64)) {
		snprintf(hello->text, sizeof(hello->text),
			 "no locked memory for the host key; raise ulimit -l");
		return ENOMEM;
	}
	r = read_key(path, passphrase_file, *secret, &e);
	if (r) {
		memcpy(hello->text, e.text, sizeof(hello->text));
		return -r;
	}
	crypto_sign_ed25519_sk_to_pk(hello->public_key, *secret);
	sodium_mprotect_readonly(*secret);
	return 0;
}

/* No call of these reaches anything but the monitor. */
static int allow_signer(void *filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(exit_group), 0);

	if (!r)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(recvfrom), 1,
				     SCMP_A0(SCMP_CMP_EQ, SIGNER_FD));
	if (!r)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sendto), 2,
				     SCMP_A0(SCMP_CMP_EQ, SIGNER_FD),
				     SCMP_A4(SCMP_CMP_EQ, 0));
	return r;
}

static int lock_in(char **ids, struct signer_hello *hello)
{
	const struct sandbox sandbox = {
		.uid = ids[0], .gid = ids[1], .dir = ids[2],
		.memory = MEMORY_MAX, .allow = allow_signer,
	};
	const char *what;
	int r = sandbox_enter(&sandbox, &what);

	if (r)
		snprintf(hello->text, sizeof(hello->text),
			 "the signer cannot lock itself in: %s: %s", what, strerror(-r));
	return -r;
}

static void answer(const struct signer_request *q, const uint8_t secret[64])
{
	struct signer_reply reply = { .number = q->number };
	const char *context = signer_context(q->context);

	if (context)
		sivshmem_sign_hash(reply.signature, context, q->hash, secret);
	else
		reply.error = EPERM;
	if (send(SIGNER_FD, &reply, sizeof(reply), MSG_NOSIGNAL) != sizeof(reply))
		_exit(0);
}

static _Noreturn void serve(const uint8_t secret[64])
{
	struct signer_request q;
	ssize_t n;

	for (;;) {
		n = recv(SIGNER_FD, &q, sizeof(q), MSG_TRUNC);
		if (n == sizeof(q))
			answer(&q, secret);
		else if (n >= 0 || errno != EINTR)
			_exit(n ? 3 : 0);
	}
}

int signer_main(int argc, char **argv)
{
	struct signer_hello hello = { 0 };
	uint8_t *secret = NULL;

	if (argc != 7 || strcmp(argv[1], SIGNER_ARG)) {
		fprintf(stderr, "usage: sivshmem-cad --signer KEYFILE PASSPHRASEFILE UID GID CHROOTDIR\n"
			"only the daemon itself starts its signer\n");
		return 2;
	}
	/* before there is a key that another process of the user could look for */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || sodium_init() < 0)
		return 3;
	hello.error = load(argv[2], argv[3], &secret, &hello);
	if (!hello.error)
		hello.error = lock_in(argv + 4, &hello);
	if (send(SIGNER_FD, &hello, sizeof(hello), MSG_NOSIGNAL) != sizeof(hello) ||
	    hello.error)
		_exit(3);
	serve(secret);
}
