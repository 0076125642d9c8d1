/* SPDX-License-Identifier: MIT */
/* What libconfig would let pass: other files, NUL bytes, numbers that wrap. */
#include "policy_parse.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Copy the given line without its indentation, printable only. */
void policy_line_text(const char *text, uint32_t line, char *out, size_t size)
{
	size_t n;

	for (; line > 1 && text; line--) {
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	if (!text || !*text)
		text = "end of file";
	text += strspn(text, " \t");
	n = strcspn(text, "\r\n");
	if (n >= size)
		n = size - 1;
	for (size_t i = 0; i < n; i++)
		out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	out[n] = '\0';
}

/* libconfig would open whatever file an @include names, and stop at a NUL. */
static int check_lines(const struct policy_parser *parser, const char *text,
		      size_t length)
{
	const char *at = text;

	for (uint32_t line = 1; at < text + length; line++) {
		const char *end = memchr(at, '\n', (size_t)(text + length - at));
		const char *word = at + strspn(at, " \t");

		if (!strncmp(word, "@include", strlen("@include"))) {
			char got[64];

			policy_line_text(text, line, got, sizeof(got));
			return policy_bad(parser, line,
				"a policy is one file, got '%s'; put the text here instead", got);
		}
		if (!end)
			end = text + length;
		if (memchr(at, '\0', (size_t)(end - at)))
			return policy_bad(parser, line,
				"not text, got a byte of value '0'; remove it");
		at = end + 1;
	}
	return 0;
}

/* Where the string or comment that begins at `at` ends, or `at` itself. */
static const char *skip_quoted(const char *at)
{
	if (*at == '"') {
		for (at++; *at && *at != '"'; at++) {
			if (*at == '\\' && at[1])
				at++;
		}
		return *at ? at + 1 : at;
	}
	if (*at == '#' || (at[0] == '/' && at[1] == '/'))
		return at + strcspn(at, "\n");
	if (at[0] == '/' && at[1] == '*') {
		const char *end = strstr(at + 2, "*/");

		return end ? end + 2 : at + strlen(at);
	}
	return at;
}

static size_t word_length(const char *at)
{
	size_t n = 0;

	while (isalnum((unsigned char)at[n]) || at[n] == '_' || at[n] == '*' ||
	       (n && at[n] == '-'))
		n++;
	return n;
}

static bool number_fits(const char *word, size_t length)
{
	bool hex = word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
	bool wide = word[length - 1] == 'L';
	long long value;

	errno = 0;
	value = strtoll(word, NULL, hex ? 16 : 10);
	return !errno && (wide || value <= INT_MAX);
}

/* libconfig reads 4294968296 as 1000: such a uid must not pass. */
static int check_numbers(const struct policy_parser *parser, const char *text)
{
	const char *at = text, *counted = text;
	uint32_t line = 1;

	while (*at) {
		const char *next = skip_quoted(at);
		size_t n = word_length(at);

		if (next == at && isdigit((unsigned char)*at) && !number_fits(at, n)) {
			for (; counted < at; counted++)
				line += *counted == '\n';
			return policy_bad(parser, line,
				"number too large, got '%.*s'; one above %d needs an L behind it",
				(int)(n < 40 ? n : 40), at, INT_MAX);
		}
		at = next != at ? next : at + (n ? n : 1);
	}
	return 0;
}

int policy_check_text(const struct policy_parser *parser, const char *text,
		      size_t length)
{
	int rc = check_lines(parser, text, length);

	return rc ? rc : check_numbers(parser, text);
}
