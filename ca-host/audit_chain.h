/* SPDX-License-Identifier: MIT */
/*
 * The chain of the audit log. Each line is a JSON object that begins with its
 * number, {"n":N, and ends with ,"chain":"HEX"}: BLAKE2b-256 over the context
 * "sivshmem audit v1\0", the 32 bytes of the line before (zeros before the
 * first), and the line's text up to its own chain. A `checkpoint` line has a
 * signature of the host's key over the context and the chain of the line before
 * it; `start` and `rotate` have that chain in "prev", and the host's
 * certificates, so that the root alone is needed to verify a file.
 */
#ifndef SIVSHMEM_CA_AUDIT_CHAIN_H
#define SIVSHMEM_CA_AUDIT_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sivshmem/proto.h>

#define AUDIT_CHAIN_LEN	32
#define AUDIT_LINE_MAX	16384		/* bytes */
#define AUDIT_CHECKPOINT_LINES	256	/* at most, without one */
#define AUDIT_CONTEXT	"sivshmem audit v1"
#define AUDIT_SIGN_LEN	(sizeof(AUDIT_CONTEXT) + AUDIT_CHAIN_LEN)

/* chain becomes that of the next line, whose text (without its chain) this is. */
void audit_chain_next(uint8_t chain[AUDIT_CHAIN_LEN], const char *text, size_t length);

/*
 * Take a line apart (length without its newline): its number, its chain, and
 * how long its text is without it. false: it has not the form.
 */
bool audit_chain_split(const char *line, size_t length, uint64_t *number,
	uint8_t chain[AUDIT_CHAIN_LEN], size_t *text);

/* What a checkpoint signs. */
void audit_chain_signed(const uint8_t chain[AUDIT_CHAIN_LEN], uint8_t out[AUDIT_SIGN_LEN]);

#endif
