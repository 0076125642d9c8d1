/* SPDX-License-Identifier: MIT */
#include "audit_verify.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sodium.h>

#include "../shim/lib/cert.h"

#define FOREIGN		"the line before is none of this log: altered or added"
#define UNSIGNED_MAX	(2 * AUDIT_CHECKPOINT_LINES)
#define DUE		10		/* s: a living daemon has signed by then */

__attribute__((format(printf, 3, 4)))
static void say(struct audit_verify *v, bool fault, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	v->faults += fault;
	v->say(v->context, fault, text);
}

/* Lines from `first` on: not wrong, but anybody can have written them. */
static void unproven(struct audit_verify *v, uint64_t first, uint64_t end)
{
	char text[256];

	v->unproven += end - first + 1;
	snprintf(text, sizeof(text), "unproven: lines %" PRIu64 " to %" PRIu64 ", which the daemon"
		 " that wrote them did not sign: it was killed, or somebody else wrote them",
		 first, end);
	v->say(v->context, true, text);
}

/* --- of one line --- */

static const char *string(const json_t *line, const char *key)
{
	return json_string_value(json_object_get(line, key));
}

/* 0: it says not when */
static int64_t when(const json_t *line)
{
	const char *text = string(line, "time");
	struct tm tm = { 0 };

	return text && strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ? timegm(&tm) : 0;
}

/* --- who signs --- */

static bool get_chain(const char *text, struct sivp_chain *chain)
{
	size_t n;

	memset(chain, 0, sizeof(*chain));
	if (!text || sodium_base642bin((uint8_t *)chain->cert, sizeof(chain->cert), text,
			strlen(text), NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) ||
	    !n || n % sizeof(chain->cert[0]))
		return false;
	chain->count = (uint32_t)(n / sizeof(chain->cert[0]));
	return true;
}

/* Who has a revoked key, or one that is over, could have written all of it. */
static void judge_certs(struct audit_verify *v, const struct sivp_chain *chain, int64_t then)
{
	struct sivshmem_cert_context ctx = { .now = then };
	enum sivshmem_cert_error bad = sivshmem_chain_verify(chain, SIVP_CERT_HOST, &v->root, &ctx);

	if (bad)
		say(v, true, "the host's certificate %016" PRIx64 " at the time of this line: %s",
		    chain->cert[0].serial, sivshmem_cert_reason(bad));
	for (uint32_t i = 0; v->crl && i < chain->count; i++) {
		if (crl_has(v->crl, chain->cert[i].serial))
			say(v, true, "the host's certificate %016" PRIx64 " is revoked:"
			    " what its key signs from here on proves nothing",
			    chain->cert[i].serial);
	}
}

static void origin(struct audit_verify *v, const char *text, int64_t then)
{
	struct sivshmem_cert_context ctx = { 0 };
	enum sivshmem_cert_error bad;
	struct sivp_chain chain;
	char host[SIVP_NAME_LEN + 1] = "";

	if (!get_chain(text, &chain)) {
		say(v, true, "host_chain holds no certificates");
		return;
	}
	/* its time is judged after it: the line says who signs also where that is bad */
	ctx.now = chain.cert[0].not_before;
	bad = sivshmem_chain_verify(&chain, SIVP_CERT_HOST, &v->root, &ctx);
	if (bad) {
		say(v, true, "the host's certificate: %s", sivshmem_cert_reason(bad));
		return;
	}
	judge_certs(v, &chain, then);
	snprintf(host, sizeof(host), "%s", chain.cert[0].host[0] ? chain.cert[0].host :
		 chain.cert[0].subject);
	if (v->host[0] && strcmp(v->host, host))
		say(v, true, "goes on by host '%s'; what is before is of host '%s'", host,
		    v->host);
	memcpy(v->host, host, sizeof(host));
	memcpy(v->key, chain.cert[0].public_key, sizeof(v->key));
}

static void checkpoint(struct audit_verify *v, uint64_t number,
		       const uint8_t before[AUDIT_CHAIN_LEN], const char *text)
{
	uint8_t signature[SIVP_SIG_LEN], message[AUDIT_SIGN_LEN];
	size_t n;

	audit_chain_signed(before, message);
	if (!v->host[0])
		say(v, true, "a signature, but nothing says of which host");
	else if (!text || sodium_base642bin(signature, sizeof(signature), text, strlen(text),
			NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) ||
		 n != sizeof(signature) ||
		 crypto_sign_verify_detached(signature, message, sizeof(message), v->key))
		say(v, true, "the signature is not of host '%s': lines before this one are forged",
		    v->host);
	else {
		v->checkpoints++;
		v->signed_last = number;
		v->stopped = v->stopping;
	}
}

/* --- lines --- */

static void place(struct audit_verify *v, uint64_t number, const json_t *line)
{
	uint8_t before[AUDIT_CHAIN_LEN];
	const char *prev = string(line, "prev");
	bool known = prev && !sodium_hex2bin(before, sizeof(before), prev,
		2 * AUDIT_CHAIN_LEN, NULL, &(size_t){ 0 }, NULL);

	if (!v->last) {
		v->first = number;
		v->signed_last = number - 1;
		if (number == 1)
			return;
		say(v, !known, known ? "the log begins with line %" PRIu64 "; those before are not here" :
		    "begins in the middle: the lines before line %" PRIu64 " are missing", number);
		if (known)
			memcpy(v->chain, before, sizeof(before));
		return;
	}
	if (number == v->last + 1)
		return;
	if (number <= v->last)
		say(v, true, "line %" PRIu64 " comes after line %" PRIu64
		    ": added, doubled or out of order", number, v->last);
	else if (number == v->last + 2)
		say(v, true, "line %" PRIu64 " is missing", v->last + 1);
	else
		say(v, true, "lines %" PRIu64 " to %" PRIu64 " are missing", v->last + 1,
		    number - 1);
	if (known)
		memcpy(v->chain, before, sizeof(before));
}

/* A daemon goes on from what there is, and has signed nothing of it. */
static void start(struct audit_verify *v, uint64_t number, bool stopped)
{
	if (number > v->signed_last + 1)
		unproven(v, v->signed_last + 1, number - 1);
	else if (v->last && !stopped)
		say(v, false, "the daemon before this one did not stop: it was killed after line %"
		    PRIu64 ", or what it wrote then is cut off", v->last);
}

/* What the line says of the log itself */
static void meaning(struct audit_verify *v, uint64_t number, const json_t *line,
		    const uint8_t before[AUDIT_CHAIN_LEN])
{
	const char *event = string(line, "event"), *reason = string(line, "reason");
	json_int_t lost = json_integer_value(json_object_get(line, "lost"));
	bool stopped = v->stopped, starts;

	if (!event)
		event = "";
	starts = !strcmp(event, "start");
	if (stopped && !starts)
		say(v, true, "added: the daemon had stopped before");
	v->stopped = false;
	if (!strcmp(event, "checkpoint"))
		checkpoint(v, number, before, string(line, "signature"));
	v->stopping = !strcmp(event, "stop");
	if (json_object_get(line, "host_chain"))
		origin(v, string(line, "host_chain"), when(line));
	if (starts)
		start(v, number, stopped);
	if (starts && reason)
		say(v, true, "found when the daemon started: %s", reason);
	if (lost > 0)
		say(v, false, "%" JSON_INTEGER_FORMAT " lines could not be written before this one: "
		    "there was no room", lost);
}

static void judge_torn(struct audit_verify *v, const json_t *line)
{
	bool said = json_is_true(json_object_get(line, "torn"));

	if (v->foreign)
		say(v, !said, said ? "the line before was being written when the daemon died" : FOREIGN);
	v->foreign = false;
}

static void chained(struct audit_verify *v, uint64_t number, const char *text, size_t length,
		    const uint8_t chain[AUDIT_CHAIN_LEN], const json_t *line)
{
	uint8_t before[AUDIT_CHAIN_LEN], next[AUDIT_CHAIN_LEN];
	bool linked = !v->last || number == v->last + 1 || string(line, "prev");

	judge_torn(v, line);
	place(v, number, line);
	memcpy(before, v->chain, sizeof(before));
	memcpy(next, v->chain, sizeof(next));
	audit_chain_next(next, text, length);
	/* where lines are missing nothing but `prev` tells what was before */
	if (linked && memcmp(next, chain, sizeof(next)))
		say(v, true, "line %" PRIu64 " is altered, or the one before it was replaced",
		    number);
	else if (linked)
		meaning(v, number, line, before);
	if (number == v->signed_last + UNSIGNED_MAX)
		say(v, true, "no signature in %d lines: signatures were removed", UNSIGNED_MAX);
	memcpy(v->chain, chain, sizeof(v->chain));
	v->last = number;
	v->when = when(line);
	v->lines++;
	snprintf(v->time, sizeof(v->time), "%s", string(line, "time") ? string(line, "time") : "");
}

void audit_verify_line(struct audit_verify *v, const char *line, size_t length, bool whole)
{
	uint8_t chain[AUDIT_CHAIN_LEN];
	uint64_t number;
	size_t text;
	json_t *json;

	json = whole ? json_loadb(line, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (!json || !audit_chain_split(line, length, &number, chain, &text) || !number) {
		if (v->foreign)
			say(v, true, FOREIGN);
		v->foreign = true;
		v->torn = !whole;
	} else {
		chained(v, number, line, text, chain, json);
	}
	json_decref(json);
}

/* --- the end --- */

static void judge_head(struct audit_verify *v, const char *head)
{
	uint8_t chain[AUDIT_CHAIN_LEN];
	uint64_t number;
	char hex[65];

	if (sscanf(head, "%20" SCNu64 " %64[0-9a-f]", &number, hex) != 2 || strlen(hex) != 64 ||
	    sodium_hex2bin(chain, sizeof(chain), hex, 64, NULL, &(size_t){ 0 }, NULL))
		say(v, true, "the head file beside the log is not what the daemon writes");
	else if (number > v->last)
		say(v, true, "lines are missing at the end: the daemon wrote line %" PRIu64
		    ", the last one here is %" PRIu64, number, v->last);
	else if (number == v->last && memcmp(chain, v->chain, sizeof(chain)))
		say(v, true, "the last line is not the one that the daemon wrote");
}

void audit_verify_end(struct audit_verify *v, const char *head)
{
	if (v->foreign)
		say(v, !v->torn, v->torn ? "the last line is not whole: being written now, or when"
		    " the daemon died" : "the last line is none of this log: altered or added");
	if (head)
		judge_head(v, head);
	if (v->lines && !v->checkpoints)
		say(v, true, "no signature of the host is in it: nothing proves it");
	else if (v->last > v->signed_last && v->now && llabs(v->now - v->when) > DUE)
		unproven(v, v->signed_last + 1, v->last);
	else if (v->last > v->signed_last)
		say(v, false, "no signature covers the last %" PRIu64 " lines (one is due within a second)",
		    v->last - v->signed_last);
}
