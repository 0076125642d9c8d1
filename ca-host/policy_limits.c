/* SPDX-License-Identifier: MIT */
/* `limits = { ... };` of the policy, of a VM, of a service. */
#include "policy_parse.h"

#define OBJECTS_MAX	1000000

const struct policy_limits policy_default_limits = {
	.sessions = POLICY_SESSIONS_MAX,
	.handshakes = 200,
	.log = 1000,
};

static int parse_count(const struct policy_parser *ps, config_setting_t *group,
		       const char *key, uint32_t max, uint32_t *count)
{
	config_setting_t *s = config_setting_get_member(group, key);
	long long value;

	if (!s)
		return 0;
	value = config_setting_get_int64(s);
	if (value < 1 || value > max)
		return policy_bad(ps, policy_line_of(s), "%s must be 1 to %u, got '%lld'",
				  key, max, value);
	*count = (uint32_t)value;
	return 0;
}

static int parse_bytes(const struct policy_parser *ps, config_setting_t *group,
		       uint64_t *bytes)
{
	config_setting_t *s = config_setting_get_member(group, "bytes");
	char text[64];

	if (!s)
		return 0;
	*bytes = policy_bytes(policy_value_text(s, text));
	if (!*bytes)
		return policy_bad(ps, policy_line_of(s),
			"bytes must be 1 to 64G, with K, M or G if you like, got '%s'", text);
	*bytes = (*bytes + POLICY_PAGE - 1) & ~(uint64_t)(POLICY_PAGE - 1);
	return 0;
}

int policy_parse_limits(const struct policy_parser *ps, config_setting_t *group,
			struct policy_limits *l)
{
	static const struct policy_key keys[] = {
		{ "bytes", POLICY_STRING | POLICY_INTEGER, false },
		{ "objects", POLICY_INTEGER, false }, { "sessions", POLICY_INTEGER, false },
		{ "handshakes", POLICY_INTEGER, false }, { "log", POLICY_INTEGER, false }, { 0 },
	};
	config_setting_t *s = config_setting_get_member(group, "limits");
	int rc;

	if (!s)
		return 0;
	rc = policy_check_keys(ps, s, "limits", keys);
	if (!rc)
		rc = parse_bytes(ps, s, &l->bytes);
	if (!rc)
		rc = parse_count(ps, s, "objects", OBJECTS_MAX, &l->objects);
	if (!rc)
		rc = parse_count(ps, s, "sessions", POLICY_SESSIONS_MAX, &l->sessions);
	if (!rc)
		rc = parse_count(ps, s, "handshakes", POLICY_RATE_MAX, &l->handshakes);
	return rc ? rc : parse_count(ps, s, "log", POLICY_RATE_MAX, &l->log);
}
