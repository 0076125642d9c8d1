/* SPDX-License-Identifier: MIT */
/* sivshmem-ca check: the policy, its links, and who may reach what. */
#include "ca.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <bsd/string.h>

#define SET_TEXT	4096

static const char *vm_name(const struct policy *p, const struct policy_service *s)
{
	return s->vm == POLICY_ON_HOST ? POLICY_HOST_VM : p->vms[s->vm].name;
}

static const char *set_text(const struct policy *p, uint64_t set, char text[SET_TEXT])
{
	text[0] = '\0';
	for (uint32_t i = 0; i < p->vm_count; i++) {
		if (!(set & (1ull << i)))
			continue;
		if (text[0])
			strlcat(text, ",", SET_TEXT);
		strlcat(text, p->vms[i].name, SET_TEXT);
	}
	return text[0] ? text : "nobody";
}

static const char *number(uint32_t n, char text[16])
{
	snprintf(text, 16, "%u", n);
	return text;
}

/* --- for people --- */

static void print_vms(const struct policy *p)
{
	struct ca_table table = { .columns = 3 };
	char uid[16], count[16];

	ca_table_row(&table, "VM", "QEMU UID", "LINKS");
	for (uint32_t i = 0; i < p->vm_count; i++) {
		uint32_t links = 0;

		for (uint32_t l = 0; l < p->link_count; l++)
			links += p->links[l].position[i] != 0;
		ca_table_row(&table, p->vms[i].name,
			     p->vms[i].any_uid ? "any" : ca_id_text(p->vms[i].uid, uid),
			     number(links, count));
	}
	ca_table_print(&table, "");
	putchar('\n');
}

static void print_services(const struct policy *p)
{
	struct ca_table table = { .columns = 5 };
	char uid[16], rights[32];

	ca_table_row(&table, "SERVICE", "VM", "UID", "CHANNEL", "RIGHTS");
	for (uint32_t i = 0; i < p->service_count; i++) {
		const struct policy_service *s = &p->services[i];
		const char *id = s->any_uid ? "any" : ca_id_text(s->uid, uid);
		uint32_t reached = 0;

		for (uint32_t c = 0; c < p->channel_count; c++) {
			uint32_t r = policy_rights(p, &p->channels[c], s);

			if (!r)
				continue;
			reached++;
			ca_table_row(&table, s->name, vm_name(p, s), id, p->channels[c].name,
				     ca_rights_text(r, rights));
		}
		if (!reached)
			ca_table_row(&table, s->name, vm_name(p, s), id, "-", "none");
	}
	ca_table_print(&table, "");
	putchar('\n');
}

static void print_channels(const struct policy *p)
{
	struct ca_table table = { .columns = 5 };
	char quota[32], objects[16], link[16], members[16];

	ca_table_row(&table, "CHANNEL", "QUOTA", "OBJECTS", "MEMBERS", "LINK");
	for (uint32_t i = 0; i < p->channel_count; i++) {
		const struct policy_channel *c = &p->channels[i];

		ca_table_row(&table, c->name, ca_size_text(c->quota, quota),
			     number(c->objects, objects), number(c->member_count, members),
			     c->link == POLICY_ON_HOST ? "local" : number(c->link, link));
	}
	ca_table_print(&table, "");
	putchar('\n');
}

static void print_links(const struct policy *p)
{
	struct ca_table table = { .columns = 5 };
	char writers[SET_TEXT], readers[SET_TEXT], only[SET_TEXT], memory[32], n[16];

	ca_table_row(&table, "LINK", "MEMORY", "VMS THAT WRITE", "VMS THAT REACH IT",
		     "READ-ONLY FOR");
	for (uint32_t i = 0; i < p->link_count; i++) {
		const struct policy_link *l = &p->links[i];

		ca_table_row(&table, number(i, n), ca_size_text(l->memory, memory),
			     set_text(p, l->writers, writers), set_text(p, l->readers, readers),
			     set_text(p, policy_only_read(l), only));
	}
	ca_table_print(&table, "");
	putchar('\n');
}

static const char *limit(uint32_t n, char text[16])
{
	return n ? number(n, text) : "-";
}

static void limits_row(struct ca_table *table, const char *of, const struct policy_limits *l)
{
	char bytes[32], objects[16], sessions[16], handshakes[16], lines[16];

	ca_table_row(table, of, l->bytes ? ca_size_text(l->bytes, bytes) : "-",
		     limit(l->objects, objects), limit(l->sessions, sessions),
		     limit(l->handshakes, handshakes), limit(l->log, lines));
}

/* A VM always has some; a service only what the policy says. */
static void print_limits(const struct policy *p)
{
	static const struct policy_limits none;
	struct ca_table table = { .columns = 6 };

	ca_table_row(&table, "LIMITS OF", "BYTES", "OBJECTS", "SESSIONS", "HANDSHAKES/S",
		     "LOG LINES/S");
	for (uint32_t i = 0; i < p->vm_count; i++)
		limits_row(&table, p->vms[i].name, &p->vms[i].limits);
	limits_row(&table, POLICY_HOST_VM, &p->limits);
	for (uint32_t i = 0; i < p->service_count; i++) {
		if (memcmp(&p->services[i].limits, &none, sizeof(none)))
			limits_row(&table, p->services[i].name, &p->services[i].limits);
	}
	ca_table_print(&table, "");
	putchar('\n');
}

static uint64_t total_memory(const struct policy *p)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < p->link_count; i++)
		total += p->links[i].memory;
	return total;
}

static void print_policy(const struct policy *p, const char *path)
{
	char total[32];

	if (p->vm_count)
		print_vms(p);
	if (p->service_count)
		print_services(p);
	if (p->channel_count)
		print_channels(p);
	if (p->link_count)
		print_links(p);
	if (p->service_count)
		print_limits(p);
	printf("%s: good: VMs %u, services %u, channels %u, links %u with %s\n", path,
	       p->vm_count, p->service_count, p->channel_count, p->link_count,
	       ca_size_text(total_memory(p), total));
}

/* --- for scripts --- */

static json_t *set_json(const struct policy *p, uint64_t set)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < p->vm_count; i++) {
		if (set & (1ull << i))
			json_array_append_new(list, json_string(p->vms[i].name));
	}
	return list;
}

static json_t *uid_json(bool any, uint32_t uid)
{
	return any ? json_null() : json_integer(uid);
}

static json_t *limit_json(uint64_t n)
{
	return n ? json_integer((json_int_t)n) : json_null();
}

static json_t *limits_json(const struct policy_limits *l)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "bytes", limit_json(l->bytes),
		"objects", limit_json(l->objects), "sessions", limit_json(l->sessions),
		"handshakes", limit_json(l->handshakes), "log", limit_json(l->log));
}

static json_t *vms_json(const struct policy *p)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < p->vm_count; i++)
		json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "name", p->vms[i].name,
			"uid", uid_json(p->vms[i].any_uid, p->vms[i].uid),
			"limits", limits_json(&p->vms[i].limits)));
	return list;
}

static json_t *services_json(const struct policy *p)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < p->service_count; i++) {
		const struct policy_service *s = &p->services[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o}", "name", s->name,
			"vm", vm_name(p, s), "uid", uid_json(s->any_uid, s->uid),
			"limits", limits_json(&s->limits)));
	}
	return list;
}

static json_t *members_json(const struct policy *p, const struct policy_channel *c)
{
	json_t *list = json_array();
	char rights[32];

	for (uint32_t i = 0; i < c->member_count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s}",
			"service", p->services[c->members[i].service].name,
			"rights", ca_rights_text(c->members[i].rights, rights)));
	return list;
}

static json_t *channels_json(const struct policy *p)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < p->channel_count; i++) {
		const struct policy_channel *c = &p->channels[i];

		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:o, s:o}",
			"name", c->name, "quota", (json_int_t)c->quota,
			"objects", (json_int_t)c->objects,
			"link", c->link == POLICY_ON_HOST ? json_null() : json_integer(c->link),
			"members", members_json(p, c)));
	}
	return list;
}

static json_t *links_json(const struct policy *p)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < p->link_count; i++)
		json_array_append_new(list, json_pack("{s:I, s:o, s:o, s:o}",
			"memory", (json_int_t)p->links[i].memory,
			"writers", set_json(p, p->links[i].writers),
			"readers", set_json(p, p->links[i].readers),
			"read_only", set_json(p, policy_only_read(&p->links[i]))));
	return list;
}

static int print_json(const struct policy *p)
{
	return ca_json_print(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}",
		"host", p->host[0] ? json_string(p->host) : json_null(),
		"limits", limits_json(&p->limits),
		"vms", vms_json(p), "services", services_json(p),
		"channels", channels_json(p), "links", links_json(p)));
}

/* --- the command --- */

/* A policy for another host is well-formed, but hardly meant for this CA. */
static void compare_host(const struct ca *ca, const struct policy *p)
{
	struct sivp_chain chain;
	char path[PATH_MAX];

	if (!p->host[0] || sivshmem_chain_read(ca_path(ca, "host.cert", path), &chain, NULL))
		return;
	if (strcmp(p->host, chain.cert[0].host))
		warnx("note: the policy is for host '%s', but %s is for '%s'", p->host, path,
		      chain.cert[0].host);
}

int cmd_check(const struct ca *ca, int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
	struct sivshmem_error err = { 0 };
	struct policy *policy;
	char path[PATH_MAX];
	bool json = false;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "j", options, NULL)) != -1) {
		if (opt != 'j')
			return ca_usage(ca, "bad option");
		json = true;
	}
	if (argc - optind > 1)
		return ca_usage(ca, "unexpected argument '%s'", argv[optind + 1]);
	ca_path(ca, "policy.conf", path);
	if (optind < argc)
		strlcpy(path, argv[optind], sizeof(path));
	rc = policy_load(path, &policy, &err);
	if (rc)
		return ca_fail(rc, &err);
	rc = EXIT_OK;
	if (json)
		rc = print_json(policy);
	else
		print_policy(policy, path);
	compare_host(ca, policy);
	policy_free(policy);
	return rc;
}
