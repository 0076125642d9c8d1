/* SPDX-License-Identifier: MIT */
/*
 * others TRANSPORT IDENTITY CHANNEL COUNT: a service with a session of its own
 * names grants 1 to COUNT, which are other sessions', in each request that takes
 * one. Prints which were served; exits 1 if any was.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>

#include "../../shim/lib/session.h"

static int served(struct sivshmem_session *s, const char *channel, uint32_t op, uint64_t grant)
{
	struct sivp_request q = { .op = op, .grant = grant };
	struct sivp_result result;

	snprintf(q.channel, sizeof(q.channel), "%s", channel);
	strcpy(q.object, "any");
	if (sivshmem_session_exchange(s, &q, &result))
		errx(3, "grant %llu: %s", (unsigned long long)grant, sivshmem_error_text(s));
	if (result.error == EBADF)
		return 0;
	printf("grant %llu: op %u says %u\n", (unsigned long long)grant, op, result.error);
	return 1;
}

int main(int argc, char **argv)
{
	struct sivshmem_options options = { 0 };
	char text[SIVSHMEM_ERROR_MAX];
	struct sivshmem_session *s;
	int i, wrong = 0;

	if (argc != 5 || sodium_init() < 0)
		errx(2, "usage: others TRANSPORT IDENTITY CHANNEL COUNT");
	options.transport = argv[1];
	options.identity = argv[2];
	if (sivshmem_connect(&s, &options, text, sizeof(text)))
		errx(3, "%s", text);
	for (i = 1; i <= atoi(argv[4]); i++) {
		wrong += served(s, argv[3], SIVP_OP_RESIZE, (uint64_t)i);
		wrong += served(s, argv[3], SIVP_OP_RELEASE, (uint64_t)i);
	}
	printf("others: %d grants named, %d served\n", atoi(argv[4]), wrong);
	return wrong != 0;
}
