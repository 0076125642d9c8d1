/* SPDX-License-Identifier: MIT */
/* Between the files of the policy's loader; others use policy.h. */
#ifndef SIVSHMEM_CA_POLICY_PARSE_H
#define SIVSHMEM_CA_POLICY_PARSE_H

#include <libconfig.h>
#include "policy.h"

#define POLICY_PAGE		4096u
#define POLICY_MEMORY_MAX	(64ull << 30)	/* bytes: all links; each quota */

struct policy_parser {
	const char *path;
	struct policy *policy;
	struct sivshmem_error *err;
};

/* Say "path:line: ..." in parser->err; returns -EINVAL. */
int policy_bad(const struct policy_parser *parser, uint32_t line,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

/* --- policy_keys.c --- */
enum policy_type {	/* that a key may have */
	POLICY_STRING = 1,
	POLICY_INTEGER = 2,
	POLICY_LIST = 4,
	POLICY_GROUP = 8,
};

struct policy_key {
	const char *name;
	int types;
	bool required;
};

/* The group has only these keys, each of its type, and all required ones. */
int policy_check_keys(const struct policy_parser *parser, config_setting_t *group,
	const char *what, const struct policy_key *keys);
uint32_t policy_line_of(const config_setting_t *setting);
/* A value as people know it from the file; printable, cut to fit. */
const char *policy_value_text(const config_setting_t *setting, char out[64]);
/* Digits and at most one of K, M, G; 0 when it is anything else or too large. */
uint64_t policy_bytes(const char *text);

/* --- policy_limits.c: what the group has under "limits" replaces what is there --- */
extern const struct policy_limits policy_default_limits;
int policy_parse_limits(const struct policy_parser *parser, config_setting_t *group,
	struct policy_limits *limits);

/* Copy a line of text without its indentation, printable only. */
void policy_line_text(const char *text, uint32_t line, char *out, size_t size);

/* Refuse text (NUL-terminated at length) that must not reach libconfig. */
int policy_check_text(const struct policy_parser *parser, const char *text,
	size_t length);

/* Fill everything but the links from the root of a parsed file. */
int policy_parse(const struct policy_parser *parser, config_setting_t *root);

/* Group the channels into links and number them. */
int policy_make_links(const struct policy_parser *parser);

#endif
