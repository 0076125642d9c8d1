/* SPDX-License-Identifier: MIT */
/*
 * The signer: the one process that has the host's key in its memory. It is this
 * same binary, executed again by the monitor with nothing open but SIGNER_FD
 * (SOCK_SEQPACKET: one request, one reply, in turn), as
 *
 *	sivshmem-cad --signer KEYFILE PASSPHRASEFILE UID GID CHROOTDIR
 *
 * with the last three as in worker.h; PASSPHRASEFILE is empty where there is none. It reads the key, gives up everything
 * else, says hello, and then signs. No message that it reads comes from a guest
 * or a process, and all have one size.
 */
#ifndef SIVSHMEM_CA_SIGNER_PROCESS_H
#define SIVSHMEM_CA_SIGNER_PROCESS_H

#include <stdint.h>

#include "host_sign.h"

#define SIGNER_ARG	"--signer"
#define SIGNER_FD	3

struct signer_hello {
	int32_t error;		/* 0, or a positive errno: text says what */
	uint8_t public_key[32];
	char text[512];
};

struct signer_request {
	uint32_t context;	/* enum host_context */
	uint32_t pad;
	uint64_t number;
	uint8_t hash[HOST_SIGN_LEN];
};

struct signer_reply {
	int32_t error;
	uint32_t pad;
	uint64_t number;	/* of the request */
	uint8_t signature[64];
};

/* What is signed before the hash, with its NUL; NULL: no such context. */
const char *signer_context(uint32_t context);

/* Returns the exit code: 0 the monitor is gone, 2 usage, 3 no key or no sandbox. */
int signer_main(int argc, char **argv);

#endif
