/* SPDX-License-Identifier: MIT */
/* sivshmem check: would it work, and what would go where? */
#include "cli.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sodium.h>

#include <sivshmem/sivshmem.h>
#include "../lib/mapfile.h"

struct check {
	const char *map_path;
	struct sivshmem_map *map;
	struct sivshmem_options options;
	bool connect;
};

/* As the shim does: the command line or environment, then the map, then default. */
static const char *pick(const char *given, const char *variable,
			const char *mapped, const char *fallback)
{
	if (given)
		return given;
	if (getenv(variable))
		return getenv(variable);
	return mapped ? mapped : fallback;
}

/* As the map file may say it. */
static void print_rule(const struct sivshmem_map_rule *rule)
{
	printf("          %-24s -> channel %s", rule->pattern, rule->channel);
	if (rule->name)
		printf(" name=%s", rule->name);
	if (rule->identity)
		printf(" identity=%s", rule->identity);
	if (rule->readonly)
		printf(" readonly");
	if (rule->unlink)
		printf(" unlink=%s", rule->unlink == SIVSHMEM_UNLINK_NO ? "no" : "creator");
	if (rule->wait)
		printf(" wait=%u", rule->wait);
	if (rule->peer)
		printf(" peer=%s", rule->peer);
	putchar('\n');
}

static int check_map(struct check *c)
{
	struct sivshmem_error e = { "" };
	const struct sivshmem_map *m;
	size_t i;

	if (sivshmem_map_load(&c->map, c->map_path, &e)) {
		warnx("%s", e.text);
		return EXIT_REFUSED;
	}
	m = c->map;
	printf("map       %s\n", c->map_path);
	for (i = 0; i < m->count; i++)
		print_rule(&m->rules[i]);
	if (!m->count)
		printf("          no map line: nothing is shared\n");
	return EXIT_OK;
}

static void check_name(const struct check *c, const char *name)
{
	const struct sivshmem_map_rule *rule;
	char path[NAME_MAX + 2];

	while (*name == '/')
		name++;
	snprintf(path, sizeof(path), "/%s", name);
	rule = sivshmem_map_find(c->map, path);
	if (rule)
		printf("name      %s -> channel %s, object %s (%s:%u)\n", path,
		       rule->channel, rule->name ? rule->name : name, c->map_path, rule->line);
	else
		printf("name      %s -> not mapped: stays local\n", path);
}

static const char *day(int64_t seconds, char text[32])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!seconds)
		return "no end";
	if (!gmtime_r(&t, &tm) || !strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(text, 32, "%" PRId64, seconds);
	return text;
}

static void print_id(const char *what, uint32_t id)
{
	if (id != SIVP_ANY_ID)
		printf(", %s %" PRIu32, what, id);
}

static int check_identity(const struct check *c)
{
	struct sivshmem_bundle bundle = { 0 };
	struct sivshmem_error e = { "" };
	const struct sivp_cert *cert;
	char from[32], to[32];

	if (sivshmem_bundle_load(&bundle, c->options.identity, &e)) {
		warnx("%s", e.text);
		return EXIT_REFUSED;
	}
	cert = &bundle.chain.cert[0];
	printf("identity  %s: service %.*s\n", c->options.identity, SIVP_NAME_LEN,
	       cert->subject);
	printf("          serial %016" PRIx64 ", bound to VM %.*s, host %.*s",
	       cert->serial, SIVP_VM_LEN, cert->vm[0] ? cert->vm : "any",
	       SIVP_HOST_LEN, cert->host[0] ? cert->host : "any");
	print_id("uid", cert->uid);
	print_id("gid", cert->gid);
	printf("\n          valid %s to %s, by the host's clock\n",
	       day(cert->not_before, from), day(cert->not_after, to));
	sivshmem_bundle_free(&bundle);
	return EXIT_OK;
}

static int check_connect(const struct check *c)
{
	struct sivshmem_session *session;
	struct sivshmem_session_info info;
	char text[SIVSHMEM_ERROR_MAX], at[32];
	int rc = sivshmem_connect(&session, &c->options, text, sizeof(text));

	if (rc) {
		warnx("%s", text);
		return rc == -EACCES || rc == -EKEYREJECTED || rc == -EKEYREVOKED ||
		       rc == -EPROTO ? EXIT_REFUSED : EXIT_SYSTEM;
	}
	sivshmem_session_get(session, &info);
	printf("host      answers, %s: session %" PRIu64 ", service %s, VM %s, uid %" PRIu32
	       ", host's clock %s\n", info.local ? "local mode" : "from a VM", info.id,
	       info.service, info.vm, info.uid, day(info.host_time, at));
	sivshmem_close(session);
	return EXIT_OK;
}

static int check(struct check *c, char **names)
{
	const struct sivshmem_options given = c->options;
	int rc = check_map(c), worse;

	if (rc)
		return rc;
	for (; *names; names++)
		check_name(c, *names);
	c->options.identity = pick(given.identity, "SIVSHMEM_IDENTITY", c->map->identity,
				   SIVSHMEM_DEFAULT_IDENTITY);
	c->options.transport = pick(given.transport, "SIVSHMEM_TRANSPORT",
				    c->map->transport, "auto");
	c->options.host = c->map->host;
	rc = check_identity(c);
	printf("transport %s\n", c->options.transport);
	fflush(stdout);
	if (!rc && c->connect) {
		worse = check_connect(c);
		rc = worse ? worse : rc;
	}
	return rc;
}

int cmd_check(int argc, char **argv)
{
	static const struct option options[] = {
		{ "map", required_argument, NULL, 'm' },
		{ "identity", required_argument, NULL, 'i' },
		{ "transport", required_argument, NULL, 't' },
		{ "connect", no_argument, NULL, 'c' },
		{ 0 },
	};
	struct check c = { .map_path = NULL };
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "m:i:t:c", options, NULL)) != -1) {
		switch (opt) {
		case 'm': c.map_path = optarg; break;
		case 'i': c.options.identity = optarg; break;
		case 't': c.options.transport = optarg; break;
		case 'c': c.connect = true; break;
		default: return cli_usage("check", NULL);
		}
	}
	if (sodium_init() < 0)
		errx(EXIT_SYSTEM, "libsodium does not start");
	c.map_path = pick(c.map_path, "SIVSHMEM_MAP", NULL, SIVSHMEM_MAP_FILE);
	rc = check(&c, argv + optind);
	free(c.map);
	return rc;
}
