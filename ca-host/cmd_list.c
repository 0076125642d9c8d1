/* SPDX-License-Identifier: MIT */
/* sivshmem-ca list: what was issued. */
#include "ca.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crl.h"
#include "signer.h"

static int is_cert(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	/* 16 digits: what is being written has a longer name */
	return n == 21 && !strcmp(entry->d_name + 16, ".cert") &&
	       strspn(entry->d_name, "0123456789abcdef") == 16;
}

static void add_row(struct ca_table *table, const struct sivp_cert *cert, const char *state)
{
	char serial[20], uid[16], gid[16], from[32], to[32];

	snprintf(serial, sizeof(serial), "%016" PRIx64, cert->serial);
	ca_table_row(table, serial, cert->subject, cert->vm[0] ? cert->vm : "any",
		     ca_id_text(cert->uid, uid), ca_id_text(cert->gid, gid),
		     ca_time_text(cert->not_before, from), ca_time_text(cert->not_after, to),
		     state);
}

static void add_json(json_t *list, const struct sivp_cert *cert, const char *state)
{
	json_t *item = ca_cert_json(cert);

	json_object_set_new(item, "state", json_string(state));
	json_array_append_new(list, item);
}

/* The state of each file goes to both; unreadable ones are named, and count. */
static int collect(const struct ca *ca, const struct sivp_cert *root, const struct crl *crl,
		   struct ca_table *table, json_t *list)
{
	char dir[PATH_MAX], path[PATH_MAX + 300];
	struct sivshmem_error err;
	struct sivp_chain chain;
	struct dirent **entries;
	int rc = EXIT_OK, n;

	n = scandir(ca_path(ca, "issued", dir), &entries, is_cert, alphasort);
	if (n < 0) {
		warn("%s", dir);
		return EXIT_SYSTEM;
	}
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
		free(entries[i]);
		if (sivshmem_chain_read(path, &chain, &err)) {
			warnx("%s", err.text);
			rc = EXIT_REFUSED;
			continue;
		}
		const char *state = crl_has(crl, chain.cert[0].serial) ? "revoked" :
			ca_state_text(ca_verify(&chain, root, time(NULL)));

		add_row(table, &chain.cert[0], state);
		add_json(list, &chain.cert[0], state);
	}
	free(entries);
	return rc;
}

static int list(const struct ca *ca, const struct sivp_cert *root, const struct crl *crl,
		bool json)
{
	struct ca_table table = { .columns = 8 };
	json_t *items = json_array();
	int rc, printed = EXIT_OK;

	ca_table_row(&table, "SERIAL", "SERVICE", "VM", "UID", "GID", "NOT BEFORE",
		     "NOT AFTER", "STATE");
	rc = collect(ca, root, crl, &table, items);
	if (json)
		printed = ca_json_print(json_incref(items));
	else if (json_array_size(items))
		ca_table_print(&table, "");
	else if (rc == EXIT_OK)
		puts("nothing issued yet; `sivshmem-ca issue` does it");
	ca_table_free(&table);
	json_decref(items);
	return rc ? rc : printed;
}

int cmd_list(const struct ca *ca, int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
	struct sivshmem_error err = { 0 };
	struct sivp_cert root;
	struct crl crl;
	bool json = false;
	int opt, rc, stale;

	while ((opt = getopt_long(argc, argv, "j", options, NULL)) != -1) {
		if (opt != 'j')
			return ca_usage(ca, "bad option");
		json = true;
	}
	if (optind != argc)
		return ca_usage(ca, "unexpected argument '%s'", argv[optind]);
	rc = signer_trust(ca, &root, &crl, &err);
	if (rc)
		return ca_fail(rc, &err);
	/* what to revoke again can be seen all the same */
	stale = crl_newest(ca->dir, &crl, &err);
	rc = list(ca, &root, &crl, json);
	crl_free(&crl);
	return stale ? ca_fail(stale, &err) : rc;
}
