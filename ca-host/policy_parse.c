/* SPDX-License-Identifier: MIT */
/* From libconfig's tree to VMs, services and channels; refuses all it does not know. */
#include "policy_parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bsd/string.h>

#include "../shim/lib/cert.h"

#define OBJECTS_MAX	4096
#define OBJECTS_DEFAULT	64

static int parse_name(const struct policy_parser *ps, config_setting_t *s,
		      char *out, size_t size)
{
	const char *name = config_setting_get_string(s);
	char text[64];

	memset(out, 0, size);	/* NOLINT(clang-analyzer-core.NonNullParamChecker): counted before */
	if (strlcpy(out, name, size) >= size || !sivshmem_name_valid(out, size))
		return policy_bad(ps, policy_line_of(s),
			"%s must be 1 to %zu of [A-Za-z0-9._/:-], no '..', no leading '/', got '%s'",
			config_setting_name(s), size - 1, policy_value_text(s, text));
	return 0;
}

static int parse_uid(const struct policy_parser *ps, config_setting_t *group,
		     bool *any, uint32_t *uid)
{
	config_setting_t *s = config_setting_get_member(group, "uid");
	long long value;

	*any = !s;
	*uid = SIVP_ANY_ID;
	if (!s)
		return 0;
	value = config_setting_get_int64(s);
	if (value < 0 || value >= SIVP_ANY_ID)
		return policy_bad(ps, policy_line_of(s), "uid must be 0 to 4294967294, got '%lld'", value);
	*uid = (uint32_t)value;
	return 0;
}

/* --- VMs --- */

static int parse_vm(const struct policy_parser *ps, config_setting_t *group,
		    struct policy_vm *vm)
{
	static const struct policy_key keys[] = {
		{ "name", POLICY_STRING, true }, { "uid", POLICY_INTEGER, false },
		{ "limits", POLICY_GROUP, false }, { 0 },
	};
	config_setting_t *name;
	int rc;

	rc = policy_check_keys(ps, group, "a VM", keys);
	if (rc)
		return rc;
	name = config_setting_get_member(group, "name");
	rc = parse_name(ps, name, vm->name, sizeof(vm->name));
	if (rc)
		return rc;
	/* it is a directory of the run directory too */
	if (strpbrk(vm->name, "/:") || vm->name[0] == '.')
		return policy_bad(ps, policy_line_of(name),
			"a VM's name must be of [A-Za-z0-9._-] and begin with no '.', got '%s'", vm->name);
	if (!strcmp(vm->name, POLICY_HOST_VM))
		return policy_bad(ps, policy_line_of(name),
			"the name stands for the host's own processes, got '%s'; name the VM otherwise", vm->name);
	if (policy_find_vm(ps->policy, vm->name))
		return policy_bad(ps, policy_line_of(name), "two VMs of one name, got '%s'; it is in line %u too",
				  vm->name, policy_find_vm(ps->policy, vm->name)->line);
	vm->line = policy_line_of(name);
	vm->limits = ps->policy->limits;
	rc = policy_parse_limits(ps, group, &vm->limits);
	return rc ? rc : parse_uid(ps, group, &vm->any_uid, &vm->uid);
}

/* --- services --- */

static int parse_service_vm(const struct policy_parser *ps, config_setting_t *s,
			    struct policy_service *service)
{
	const char *name = config_setting_get_string(s);
	const struct policy_vm *vm = policy_find_vm(ps->policy, name);
	char text[64];

	if (vm)
		service->vm = (uint32_t)(vm - ps->policy->vms);
	else if (!strcmp(name, POLICY_HOST_VM))
		service->vm = POLICY_ON_HOST;
	else
		return policy_bad(ps, policy_line_of(s), "no such VM, got '%s'; list it in vms or say \"host\"",
				  policy_value_text(s, text));
	return 0;
}

static int parse_service(const struct policy_parser *ps, config_setting_t *group,
			 struct policy_service *service)
{
	static const struct policy_key keys[] = {
		{ "name", POLICY_STRING, true }, { "vm", POLICY_STRING, true },
		{ "uid", POLICY_INTEGER, false }, { "limits", POLICY_GROUP, false }, { 0 },
	};
	const struct policy_service *other;
	config_setting_t *name;
	int rc;

	rc = policy_check_keys(ps, group, "a service", keys);
	if (rc)
		return rc;
	name = config_setting_get_member(group, "name");
	rc = parse_name(ps, name, service->name, sizeof(service->name));
	if (rc)
		return rc;
	other = policy_find_service(ps->policy, service->name);
	if (other)
		return policy_bad(ps, policy_line_of(name), "two services of one name, got '%s'; it is in line %u too",
				  service->name, other->line);
	service->line = policy_line_of(name);
	rc = parse_service_vm(ps, config_setting_get_member(group, "vm"), service);
	if (!rc)
		rc = policy_parse_limits(ps, group, &service->limits);
	return rc ? rc : parse_uid(ps, group, &service->any_uid, &service->uid);
}

/* --- channels --- */

static const struct {
	const char *name;
	uint32_t bits;
} right_names[] = {
	{ "ro", SIVSHMEM_RIGHT_READ },
	{ "rw", SIVSHMEM_RIGHT_READ | SIVSHMEM_RIGHT_WRITE },
	{ "create", SIVSHMEM_RIGHT_CREATE },
	{ "resize", SIVSHMEM_RIGHT_RESIZE },
};

static uint32_t right_bits(const char *word, size_t length)
{
	for (size_t i = 0; i < sizeof(right_names) / sizeof(right_names[0]); i++) {
		if (strlen(right_names[i].name) == length &&
		    !memcmp(right_names[i].name, word, length))
			return right_names[i].bits;
	}
	return 0;
}

static int parse_rights(const struct policy_parser *ps, config_setting_t *s,
			uint32_t *rights)
{
	const char *at = config_setting_get_string(s);
	char text[64];

	policy_value_text(s, text);
	*rights = 0;
	for (bool more = true; more; ) {
		size_t n = strcspn(at, ", \t");
		uint32_t bits = right_bits(at, n);

		/* ro and rw share the bit for reading: one of them, once */
		if (!bits || (*rights & bits))
			return policy_bad(ps, policy_line_of(s),
				"rights are ro or rw, then create, resize, each once, got '%s'", text);
		*rights |= bits;
		at += n;
		at += strspn(at, " \t");
		more = *at == ',';
		if (more)
			at += 1 + strspn(at + 1, " \t");
		else if (*at)
			return policy_bad(ps, policy_line_of(s), "rights are separated by ',', got '%s'", text);
	}
	if (!(*rights & SIVSHMEM_RIGHT_READ))
		return policy_bad(ps, policy_line_of(s), "rights lack ro or rw, got '%s'", text);
	if (!(*rights & SIVSHMEM_RIGHT_WRITE) && *rights != SIVSHMEM_RIGHT_READ)
		return policy_bad(ps, policy_line_of(s), "create and resize need rw, got '%s'", text);
	return 0;
}

static int parse_quota(const struct policy_parser *ps, config_setting_t *s,
		       uint64_t *quota)
{
	char text[64];

	*quota = policy_bytes(policy_value_text(s, text));
	if (!*quota)
		return policy_bad(ps, policy_line_of(s),
			"quota must be 1 to 64G bytes, with K, M or G if you like, got '%s'", text);
	*quota = (*quota + POLICY_PAGE - 1) & ~(uint64_t)(POLICY_PAGE - 1);
	return 0;
}

static int parse_objects(const struct policy_parser *ps, config_setting_t *s,
			 uint32_t *objects)
{
	long long value = s ? config_setting_get_int64(s) : OBJECTS_DEFAULT;

	if (value < 1 || value > OBJECTS_MAX)
		return policy_bad(ps, policy_line_of(s), "objects must be 1 to %d, got '%lld'",
				  OBJECTS_MAX, value);
	*objects = (uint32_t)value;
	return 0;
}

static int parse_member(const struct policy_parser *ps, config_setting_t *group,
			struct policy_channel *channel)
{
	static const struct policy_key keys[] = {
		{ "service", POLICY_STRING, true }, { "rights", POLICY_STRING, true }, { 0 },
	};
	struct policy_member *member = &channel->members[channel->member_count];
	const struct policy *p = ps->policy;
	const struct policy_service *service;
	config_setting_t *name;
	char text[64];
	int rc;

	rc = policy_check_keys(ps, group, "a member", keys);
	if (rc)
		return rc;
	name = config_setting_get_member(group, "service");
	service = policy_find_service(p, config_setting_get_string(name));
	if (!service)
		return policy_bad(ps, policy_line_of(name), "no such service, got '%s'; list it in services",
				  policy_value_text(name, text));
	if (policy_rights(p, channel, service))
		return policy_bad(ps, policy_line_of(name), "member twice in channel '%s', got '%s'",
				  channel->name, service->name);
	if (channel->member_count && (service->vm == POLICY_ON_HOST) !=
	    (p->services[channel->members[0].service].vm == POLICY_ON_HOST))
		return policy_bad(ps, policy_line_of(name),
			"channel '%s' mixes services on the host and in VMs, which is not supported yet, got '%s'; use two channels",
			channel->name, service->name);
	member->service = (uint32_t)(service - p->services);
	rc = parse_rights(ps, config_setting_get_member(group, "rights"), &member->rights);
	if (!rc)
		channel->member_count++;
	return rc;
}

static int parse_members(const struct policy_parser *ps, config_setting_t *list,
			 struct policy_channel *channel)
{
	int n = config_setting_length(list), rc = 0;

	if (n == 0)
		return policy_bad(ps, policy_line_of(list), "channel '%s' has no members, got '()'; add one or remove it",
				  channel->name);
	channel->members = calloc((size_t)n, sizeof(*channel->members));
	if (!channel->members)
		return sivshmem_error_set(ps->err, -ENOMEM, "%s: no memory for the policy", ps->path);
	for (int i = 0; !rc && i < n; i++)
		rc = parse_member(ps, config_setting_get_elem(list, (unsigned int)i), channel);
	if (!rc && ps->policy->services[channel->members[0].service].vm == POLICY_ON_HOST)
		channel->link = POLICY_ON_HOST;
	return rc;
}

static int parse_channel(const struct policy_parser *ps, config_setting_t *group,
			 struct policy_channel *channel)
{
	static const struct policy_key keys[] = {
		{ "name", POLICY_STRING, true }, { "quota", POLICY_STRING | POLICY_INTEGER, true },
		{ "objects", POLICY_INTEGER, false }, { "members", POLICY_LIST, true }, { 0 },
	};
	const struct policy_channel *other;
	config_setting_t *name;
	int rc;

	rc = policy_check_keys(ps, group, "a channel", keys);
	if (rc)
		return rc;
	name = config_setting_get_member(group, "name");
	rc = parse_name(ps, name, channel->name, sizeof(channel->name));
	if (rc)
		return rc;
	other = policy_find_channel(ps->policy, channel->name);
	if (other)
		return policy_bad(ps, policy_line_of(name), "two channels of one name, got '%s'; it is in line %u too",
				  channel->name, other->line);
	channel->line = policy_line_of(name);
	rc = parse_quota(ps, config_setting_get_member(group, "quota"), &channel->quota);
	if (!rc)
		rc = parse_objects(ps, config_setting_get_member(group, "objects"), &channel->objects);
	if (!rc)
		rc = parse_members(ps, config_setting_get_member(group, "members"), channel);
	return rc;
}

/* --- the file --- */

static size_t list_length(config_setting_t *root, const char *name)
{
	config_setting_t *list = config_setting_get_member(root, name);

	return list ? (size_t)config_setting_length(list) : 0;
}

static int allocate(const struct policy_parser *ps, config_setting_t *root)
{
	struct policy *p = ps->policy;

	/* one more than there are: an empty list is no failure */
	p->vms = calloc(list_length(root, "vms") + 1, sizeof(*p->vms));
	p->services = calloc(list_length(root, "services") + 1, sizeof(*p->services));
	p->channels = calloc(list_length(root, "channels") + 1, sizeof(*p->channels));
	if (!p->vms || !p->services || !p->channels)
		return sivshmem_error_set(ps->err, -ENOMEM, "%s: no memory for the policy", ps->path);
	return 0;
}

static int parse_vms(const struct policy_parser *ps, config_setting_t *root)
{
	config_setting_t *list = config_setting_get_member(root, "vms");
	size_t n = list_length(root, "vms");
	struct policy *p = ps->policy;

	for (size_t i = 0; i < n; i++) {
		config_setting_t *group = config_setting_get_elem(list, (unsigned int)i);
		int rc;

		if (i == POLICY_MAX_VMS)
			return policy_bad(ps, policy_line_of(group), "more than %d VMs, got '%zu'", POLICY_MAX_VMS, n);
		rc = parse_vm(ps, group, &p->vms[i]);
		if (rc)
			return rc;
		p->vms[i].index = p->vm_count++;
	}
	return 0;
}

static int parse_services(const struct policy_parser *ps, config_setting_t *root)
{
	config_setting_t *list = config_setting_get_member(root, "services");
	size_t n = list_length(root, "services");
	struct policy *p = ps->policy;
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++) {
		rc = parse_service(ps, config_setting_get_elem(list, (unsigned int)i), &p->services[i]);
		if (!rc)
			p->service_count++;
	}
	return rc;
}

static int parse_channels(const struct policy_parser *ps, config_setting_t *root)
{
	config_setting_t *list = config_setting_get_member(root, "channels");
	size_t n = list_length(root, "channels");
	struct policy *p = ps->policy;
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++) {
		rc = parse_channel(ps, config_setting_get_elem(list, (unsigned int)i), &p->channels[i]);
		if (!rc)
			p->channel_count++;
		else
			free(p->channels[i].members);
	}
	return rc;
}

static int parse_head(const struct policy_parser *ps, config_setting_t *root)
{
	config_setting_t *version = config_setting_get_member(root, "version");
	config_setting_t *host = config_setting_get_member(root, "host");

	if (config_setting_get_int64(version) != 1)
		return policy_bad(ps, policy_line_of(version), "version must be 1, got '%lld'",
				  config_setting_get_int64(version));
	return host ? parse_name(ps, host, ps->policy->host, sizeof(ps->policy->host)) : 0;
}

int policy_parse(const struct policy_parser *ps, config_setting_t *root)
{
	static const struct policy_key keys[] = {
		{ "version", POLICY_INTEGER, true }, { "host", POLICY_STRING, false },
		{ "limits", POLICY_GROUP, false }, { "vms", POLICY_LIST, false },
		{ "services", POLICY_LIST, false }, { "channels", POLICY_LIST, false }, { 0 },
	};
	int rc;

	rc = policy_check_keys(ps, root, "the policy", keys);
	if (!rc)
		rc = parse_head(ps, root);
	ps->policy->limits = policy_default_limits;
	if (!rc)
		rc = policy_parse_limits(ps, root, &ps->policy->limits);
	if (!rc)
		rc = allocate(ps, root);
	if (!rc)
		rc = parse_vms(ps, root);
	if (!rc)
		rc = parse_services(ps, root);
	return rc ? rc : parse_channels(ps, root);
}
