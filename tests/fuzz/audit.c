/* SPDX-License-Identifier: MIT */
/*
 * `sivshmem-ca audit verify`: a log that is made here, with the steps of the
 * input done to it. A log that nothing was done to is whole; one in which a line
 * that counts is another is not.
 */
#include "fuzz.h"

#include <sodium.h>

#include "../../ca-host/audit_verify.h"
#include "../unit/party.h"

#define LINES	8
#define ROOM	2048

static struct party root, host;
static struct line {
	char text[ROOM];
	size_t length;
	bool newline;
} good[LINES], lines[LINES];

static void put(struct line *l, uint8_t chain[AUDIT_CHAIN_LEN], const char *text)
{
	char hex[2 * AUDIT_CHAIN_LEN + 1];

	audit_chain_next(chain, text, strlen(text));
	sodium_bin2hex(hex, sizeof(hex), chain, AUDIT_CHAIN_LEN);
	l->length = (size_t)snprintf(l->text, ROOM, "%s,\"chain\":\"%s\"}", text, hex);
	l->newline = true;
}

static void make_line(int i, uint8_t chain[AUDIT_CHAIN_LEN])
{
	char text[ROOM], base64[1024], hex[2 * AUDIT_CHAIN_LEN + 1];
	uint8_t message[AUDIT_SIGN_LEN], signature[SIVP_SIG_LEN];

	if (i == 0) {
		sodium_bin2base64(base64, sizeof(base64), (uint8_t *)&host.cert, sizeof(host.cert),
				  sodium_base64_VARIANT_ORIGINAL);
		sodium_bin2hex(hex, sizeof(hex), chain, AUDIT_CHAIN_LEN);
		snprintf(text, sizeof(text), "{\"n\":1,\"time\":\"2026-01-01T00:00:00.000Z\","
			 "\"event\":\"start\",\"prev\":\"%s\","
			 "\"host_chain\":\"%s\"", hex, base64);
	} else if (i == LINES - 1) {
		audit_chain_signed(chain, message);
		crypto_sign_detached(signature, NULL, message, sizeof(message), host.secret);
		sodium_bin2base64(base64, sizeof(base64), signature, sizeof(signature),
				  sodium_base64_VARIANT_ORIGINAL);
		snprintf(text, sizeof(text), "{\"n\":%d,\"event\":\"checkpoint\",\"signature\":\"%s\"",
			 i + 1, base64);
	} else {
		snprintf(text, sizeof(text), "{\"n\":%d,\"event\":\"open\",\"result\":\"granted\"",
			 i + 1);
	}
	put(&good[i], chain, text);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	uint8_t chain[AUDIT_CHAIN_LEN] = { 0 };

	(void)argc;
	(void)argv;
	if (sodium_init() < 0)
		return 1;
	make_party(&root, 1, SIVP_CERT_ROOT, "root", &root);
	make_party(&host, 2, SIVP_CERT_HOST, "host-a", &root);
	for (int i = 0; i < LINES; i++)
		make_line(i, chain);
	return 0;
}

static void say(void *context, bool fault, const char *text)
{
	(void)context;
	(void)fault;
	ALWAYS(text[0] && strlen(text) < 512);
}

static void step(struct input *in)
{
	struct line *l = &lines[take_uint8(in) % LINES], *other = &lines[take_uint8(in) % LINES];
	struct line kept = *l;

	switch (take_uint8(in) % 6) {
	case 0:
		patch(in, l->text, l->length ? l->length : 1);
		break;
	case 1:
		*l = *other;
		*other = kept;
		break;
	case 2:
		l->length = 0;		/* not handed over */
		break;
	case 3:
		*other = *l;
		break;
	case 4:
		l->length = take_uint16(in) % (l->length + 1);
		l->newline = take_uint8(in) & 1;
		break;
	default:
		l->length = take(in, l->text, take_uint16(in) % ROOM);
	}
}

static bool same(void)
{
	for (int i = 0; i < LINES; i++)
		if (lines[i].length != good[i].length || !lines[i].newline ||
		    memcmp(lines[i].text, good[i].text, good[i].length))
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct audit_verify v = { .root = root.cert, .say = say };
	struct input in = { data, size };
	char head[128];

	memcpy(lines, good, sizeof(lines));
	snprintf(head, sizeof(head), "%020d %.64s\n", LINES, good[LINES - 1].text +
		 good[LINES - 1].length - 66);
	while (in.left)
		step(&in);
	for (int i = 0; i < LINES; i++)
		if (lines[i].length)
			audit_verify_line(&v, lines[i].text, lines[i].length, lines[i].newline);
	audit_verify_end(&v, head);
	/* a line that was being written is a note, and nobody can tell it from one that was cut */
	if (same())
		ALWAYS(!v.faults && v.lines == LINES && v.checkpoints == 1);
	else
		ALWAYS(v.faults || v.lines == LINES);
	if (!v.faults)
		ALWAYS(v.last == LINES && !strcmp(v.host, "host-a"));
	return 0;
}
