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
