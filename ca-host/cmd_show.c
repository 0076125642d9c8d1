/* SPDX-License-Identifier: MIT */
/* sivshmem-ca show: one certificate in full, and whether it holds. */
#include "ca.h"

#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <sodium.h>

#include "crl.h"
#include "signer.h"

/* A serial, a bundle directory, or a file */
static const char *locate(const struct ca *ca, const char *name, char path[PATH_MAX])
{
	char file[64];
	struct stat st;

	if (strlen(name) == 16 && strspn(name, "0123456789abcdef") == 16) {
		snprintf(file, sizeof(file), "issued/%s.cert", name);
		if (!access(ca_path(ca, file, path), F_OK))
			return path;
	}
	snprintf(path, PATH_MAX, "%s", name);
	if (!stat(name, &st) && S_ISDIR(st.st_mode))
		snprintf(path, PATH_MAX, "%s/" SIVSHMEM_CERT_FILE, name);
	return path;
}

static void print_hex(const char *name, const uint8_t *bytes, size_t length)
{
	char text[2 * 64 + 1];

	printf("  %-11s %s\n", name, sodium_bin2hex(text, sizeof(text), bytes, length));
}

static void print_cert(const struct sivp_cert *cert)
{
	char from[32], to[32], uid[16], gid[16];

	printf("%s certificate of %s\n", ca_kind_text(cert->kind), cert->subject);
	printf("  %-11s %016" PRIx64 "\n", "serial", cert->serial);
	printf("  %-11s %s\n", "vm", cert->vm[0] ? cert->vm : "any");
	printf("  %-11s %s\n", "host", cert->host[0] ? cert->host : "any");
	printf("  %-11s %s\n", "uid", ca_id_text(cert->uid, uid));
	printf("  %-11s %s\n", "gid", ca_id_text(cert->gid, gid));
	printf("  %-11s %s\n", "not before", ca_time_text(cert->not_before, from));
	printf("  %-11s %s\n", "not after", ca_time_text(cert->not_after, to));
	print_hex("public key", cert->public_key, sizeof(cert->public_key));
	print_hex("issuer", cert->issuer, sizeof(cert->issuer));
}

static int print_json(const struct sivp_chain *chain, bool holds, const char *state)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < chain->count; i++)
		json_array_append_new(list, ca_cert_json(&chain->cert[i]));
	return ca_json_print(json_pack("{s:b, s:s, s:o}", "verified", holds, "state", state,
				       "chain", list));
}

static int show(const struct ca *ca, const char *name, bool json)
{
	struct sivshmem_error err = { 0 };
	enum sivshmem_cert_error error;
	struct sivp_chain chain;
	struct sivp_cert root;
	char path[PATH_MAX];
	struct crl crl;
	bool revoked;
	int rc, stale;

	rc = sivshmem_chain_look(locate(ca, name, path), &chain, &err);
	if (!rc)
		rc = signer_trust(ca, &root, &crl, &err);
	if (rc)
		return ca_fail(rc, &err);
	error = ca_verify(&chain, &root, time(NULL));
	revoked = crl_has_chain(&crl, &chain);
	/* whatever it says, a list that was put back to an older one says too little */
	stale = crl_newest(ca->dir, &crl, &err);
	crl_free(&crl);
	if (json) {
		rc = print_json(&chain, !error && !revoked,
				revoked ? "revoked" : ca_state_text(error));
	} else {
		for (uint32_t i = 0; i < chain.count; i++)
			print_cert(&chain.cert[i]);
		printf("  %-11s %s (against %s)\n", "verified",
		       revoked ? "it is revoked" : error ? sivshmem_cert_reason(error) : "yes",
		       ca_path(ca, revoked ? CRL_FILE : "root.cert", path));
	}
	if (stale)
		return ca_fail(stale, &err);
	return rc ? rc : error || revoked ? EXIT_REFUSED : EXIT_OK;
}

int cmd_show(const struct ca *ca, int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { 0 } };
	bool json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "j", options, NULL)) != -1) {
		if (opt != 'j')
			return ca_usage(ca, "bad option");
		json = true;
	}
	if (argc - optind != 1)
		return ca_usage(ca, "name one file, bundle or serial");
	return show(ca, argv[optind], json);
}
