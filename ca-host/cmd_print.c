/* SPDX-License-Identifier: MIT */
/* Tables for people and JSON for scripts. */
#include "ca.h"

#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>
#include <bsd/stdlib.h>

static json_t *id_json(uint32_t id)
{
	return id == SIVP_ANY_ID ? json_null() : json_integer(id);
}

static json_t *binding_json(const char *text)
{
	return text[0] ? json_string(text) : json_null();
}

static json_t *hex_json(const uint8_t *bytes, size_t length)
{
	char text[2 * 64 + 1];

	return json_string(sodium_bin2hex(text, sizeof(text), bytes, length));
}

static json_t *time_json(int64_t t)
{
	char text[32];

	return t ? json_string(ca_time_text(t, text)) : json_null();
}

json_t *ca_cert_json(const struct sivp_cert *cert)
{
	uint8_t id[32];
	char serial[20];

	snprintf(serial, sizeof(serial), "%016" PRIx64, cert->serial);
	sivshmem_key_id(id, cert->public_key);
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:o}",
		"serial", serial, "kind", ca_kind_text(cert->kind),
		"subject", cert->subject,
		"vm", binding_json(cert->vm), "host", binding_json(cert->host),
		"uid", id_json(cert->uid), "gid", id_json(cert->gid),
		"not_before", json_string(cert->not_before ?
			ca_time_text(cert->not_before, (char[32]){ 0 }) :
			"1970-01-01T00:00:00Z"),
		"not_after", time_json(cert->not_after),
		"path_len", cert->path_len,
		"public_key", hex_json(cert->public_key, sizeof(cert->public_key)),
		"key_id", hex_json(id, sizeof(id)),
		"issuer", hex_json(cert->issuer, sizeof(cert->issuer)));
}

int ca_json_print(json_t *json)
{
	int failed = !json || json_dumpf(json, stdout, JSON_INDENT(2)) ||
		     putchar('\n') == EOF;

	json_decref(json);
	if (failed)
		warnx("cannot print JSON: out of memory, or the output is closed");
	return failed ? EXIT_SYSTEM : EXIT_OK;
}

void ca_table_cell(struct ca_table *table, const char *text)
{
	char *copy = strdup(text);

	table->cell = reallocarray(table->cell, table->cells + 1, sizeof(*table->cell));
	if (!copy || !table->cell)
		err(EXIT_SYSTEM, NULL);
	/* texts of guests reach a terminal here */
	for (char *c = copy; *c; c++)
		*c = *c >= ' ' && *c <= '~' ? *c : '?';
	table->cell[table->cells++] = copy;
}

void ca_table_cells(struct ca_table *table, const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ca_table_cell(table, texts[i]);
}

static int width(const struct ca_table *table, size_t column)
{
	size_t widest = 0;

	for (size_t i = column; i < table->cells; i += table->columns) {
		if (strlen(table->cell[i]) > widest)
			widest = strlen(table->cell[i]);
	}
	return (int)widest;
}

void ca_table_print(struct ca_table *table, const char *indent)
{
	for (size_t i = 0; i < table->cells; i++) {
		size_t column = i % table->columns;

		if (column == 0)
			fputs(indent, stdout);
		if (column == table->columns - 1)
			printf("%s\n", table->cell[i]);
		else
			printf("%-*s  ", width(table, column), table->cell[i]);
	}
	ca_table_free(table);
}

void ca_table_free(struct ca_table *table)
{
	for (size_t i = 0; i < table->cells; i++)
		free(table->cell[i]);
	free(table->cell);
	table->cell = NULL;
	table->cells = 0;
}
