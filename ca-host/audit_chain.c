/* SPDX-License-Identifier: MIT */
#include "audit_chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>

#define BEFORE	",\"chain\":\""
#define AFTER	"\"}"
#define FIRST	"{\"n\":"
#define TAIL	(strlen(BEFORE) + 2 * AUDIT_CHAIN_LEN + strlen(AFTER))

void audit_chain_next(uint8_t chain[AUDIT_CHAIN_LEN], const char *text, size_t length)
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, NULL, 0, AUDIT_CHAIN_LEN);
	crypto_generichash_update(&st, (const uint8_t *)AUDIT_CONTEXT, sizeof(AUDIT_CONTEXT));
	crypto_generichash_update(&st, chain, AUDIT_CHAIN_LEN);
	crypto_generichash_update(&st, (const uint8_t *)text, length);
	crypto_generichash_final(&st, chain, AUDIT_CHAIN_LEN);
}

static bool parse_number(const char *line, uint64_t *number)
{
	const char *digits = line + strlen(FIRST);
	char again[24], *end;

	*number = strtoull(digits, &end, 10);
	snprintf(again, sizeof(again), "%" PRIu64, *number);
	return *end == ',' && strlen(again) == (size_t)(end - digits) &&
	       !memcmp(again, digits, strlen(again));
}

bool audit_chain_split(const char *line, size_t length, uint64_t *number,
		       uint8_t chain[AUDIT_CHAIN_LEN], size_t *text)
{
	const char *tail;
	size_t got;

	if (length < TAIL + strlen(FIRST) + 2 || length > AUDIT_LINE_MAX ||
	    memcmp(line, FIRST, strlen(FIRST)))
		return false;
	*text = length - TAIL;
	tail = line + *text;
	return !memcmp(tail, BEFORE, strlen(BEFORE)) &&
	       !memcmp(line + length - strlen(AFTER), AFTER, strlen(AFTER)) &&
	       !sodium_hex2bin(chain, AUDIT_CHAIN_LEN, tail + strlen(BEFORE),
			       2 * AUDIT_CHAIN_LEN, NULL, &got, NULL) &&
	       got == AUDIT_CHAIN_LEN && parse_number(line, number);
}

void audit_chain_signed(const uint8_t chain[AUDIT_CHAIN_LEN], uint8_t out[AUDIT_SIGN_LEN])
{
	memcpy(out, AUDIT_CONTEXT, sizeof(AUDIT_CONTEXT));
	memcpy(out + sizeof(AUDIT_CONTEXT), chain, AUDIT_CHAIN_LEN);
}
