/* SPDX-License-Identifier: MIT */
/* Groups of the policy's file: which keys they have, of which type; values in words. */
#include "policy_parse.h"

#include <stdio.h>
#include <string.h>
#include <bsd/string.h>

static int value_type(const config_setting_t *s)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_STRING: return POLICY_STRING;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64: return POLICY_INTEGER;
	case CONFIG_TYPE_LIST: return POLICY_LIST;
	case CONFIG_TYPE_GROUP: return POLICY_GROUP;
	default: return 0;
	}
}

static const char *type_name(int types)
{
	switch (types) {
	case POLICY_STRING: return "a string \"...\"";
	case POLICY_INTEGER: return "an integer";
	case POLICY_LIST: return "a list ( ... )";
	case POLICY_GROUP: return "a group { ... }";
	default: return "a string or an integer";
	}
}

/* A value as people know it from the file; printable, cut to fit. */
const char *policy_value_text(const config_setting_t *s, char out[64])
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_STRING:
		snprintf(out, 64, "%s", config_setting_get_string(s));
		for (char *c = out; *c; c++)
			*c = *c >= ' ' && *c <= '~' ? *c : '?';
		return out;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		snprintf(out, 64, "%lld", config_setting_get_int64(s));
		return out;
	case CONFIG_TYPE_FLOAT:
		snprintf(out, 64, "%g", config_setting_get_float(s));
		return out;
	case CONFIG_TYPE_BOOL:
		return config_setting_get_bool(s) ? "true" : "false";
	case CONFIG_TYPE_GROUP: return "{ ... }";
	case CONFIG_TYPE_ARRAY: return "[ ... ]";
	default: return "( ... )";
	}
}

uint32_t policy_line_of(const config_setting_t *s)
{
	return s->line;
}

static const struct policy_key *find_key(const struct policy_key *keys, const char *name)
{
	for (; keys->name; keys++) {
		if (!strcmp(keys->name, name))
			return keys;
	}
	return NULL;
}

static void key_names(const struct policy_key *keys, char *out, size_t size)
{
	*out = '\0';
	for (; keys->name; keys++) {
		strlcat(out, keys->name, size);
		if (keys[1].name)
			strlcat(out, ", ", size);
	}
}

/* The group has only these keys, each of its type, and all required ones. */
int policy_check_keys(const struct policy_parser *ps, config_setting_t *group,
		      const char *what, const struct policy_key *keys)
{
	char known[128], text[64];

	key_names(keys, known, sizeof(known));
	if (!config_setting_is_group(group))
		return policy_bad(ps, policy_line_of(group), "%s is a group { ... } of %s, got '%s'",
				  what, known, policy_value_text(group, text));
	for (int i = 0; i < config_setting_length(group); i++) {
		config_setting_t *s = config_setting_get_elem(group, (unsigned int)i);
		const struct policy_key *key = find_key(keys, config_setting_name(s));

		if (!key)
			return policy_bad(ps, policy_line_of(s), "unknown key in %s, got '%s'; known are %s",
					  what, config_setting_name(s), known);
		if (!(value_type(s) & key->types))
			return policy_bad(ps, policy_line_of(s), "%s must be %s, got '%s'", key->name,
					  type_name(key->types), policy_value_text(s, text));
	}
	for (; keys->name; keys++) {
		if (keys->required && !config_setting_get_member(group, keys->name))
			return policy_bad(ps, policy_line_of(group), "%s lacks '%s', got only what is there; add %s = ...;",
					  what, keys->name, keys->name);
	}
	return 0;
}

uint64_t policy_bytes(const char *text)
{
	uint64_t value = 0;
	unsigned int shift = 0;

	if (*text < '0' || *text > '9')
		return 0;
	for (; *text >= '0' && *text <= '9'; text++) {
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > POLICY_MEMORY_MAX)
			return 0;
	}
	if (*text == 'K')
		shift = 10;
	else if (*text == 'M')
		shift = 20;
	else if (*text == 'G')
		shift = 30;
	if (text[shift ? 1 : 0] || value > POLICY_MEMORY_MAX >> shift)
		return 0;
	return value << shift;
}
