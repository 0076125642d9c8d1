/* SPDX-License-Identifier: MIT */
/* sivshmem-ca intermediate: the CA directory of one host of a fleet. */
#include "ca.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <sodium.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>

#include "bundle.h"
#include "signer.h"

#define DAY	86400
#define DAYS	1825
#define DAYS_MAX	36500

static const char *const made[] = {
	"root.cert", "intermediate.key", "intermediate.cert", "host.key", "host.cert",
	"policy.conf",
};

/* Both are bound to the host; the intermediate passes that on to what it issues. */
static void prepare(struct sivp_chain *chain, enum sivp_cert_kind kind, const char *host,
		    int64_t days, const struct signer *signer)
{
	struct sivp_cert *cert = &chain->cert[0];

	memset(chain, 0, sizeof(*chain));
	cert->kind = kind;
	cert->not_before = time(NULL);
	cert->not_after = cert->not_before + days * DAY;
	if (signer->cert.not_after && cert->not_after > signer->cert.not_after)
		cert->not_after = signer->cert.not_after;
	snprintf(cert->subject, sizeof(cert->subject), "%s/%s", ca_kind_text(kind), host);
	strlcpy(cert->host, host, sizeof(cert->host));
	cert->uid = cert->gid = SIVP_ANY_ID;
}

static int write_pair(const struct ca *to, const char *name, const uint8_t *secret,
		      const struct sivp_chain *chain, struct sivshmem_error *err)
{
	char file[64], path[PATH_MAX];
	int rc;

	snprintf(file, sizeof(file), "%s.key", name);
	rc = sivshmem_key_write(ca_path(to, file, path), secret, err);
	snprintf(file, sizeof(file), "%s.cert", name);
	return rc ? rc : sivshmem_chain_write(ca_path(to, file, path), chain, err);
}

static int record(const struct ca *ca, const struct sivp_chain *chain, struct sivshmem_error *err)
{
	char file[64], path[PATH_MAX];

	snprintf(file, sizeof(file), "issued/%016" PRIx64 ".cert", chain->cert[0].serial);
	return sivshmem_chain_write(ca_path(ca, file, path), chain, err);
}

static int make(const struct ca *ca, const struct ca *to, const char *host, int64_t days,
		const struct signer *root, uint64_t *serial, struct sivshmem_error *err)
{
	struct signer own = { .secret = sodium_malloc(64), .root = root->root };
	struct sivp_chain chain, top = { .count = 1, .cert = { root->root } };
	uint8_t *secret = sodium_malloc(64);
	char path[PATH_MAX];
	int rc = -ENOMEM;

	sivshmem_error_set(err, rc, "no locked memory for keys; raise ulimit -l");
	if (!own.secret || !secret)
		goto out;
	prepare(&chain, SIVP_CERT_INTERMEDIATE, host, days, root);
	signer_make(root, &chain, own.secret);
	own.cert = chain.cert[0];
	rc = record(ca, &chain, err);
	if (!rc)
		rc = write_pair(to, "intermediate", own.secret, &chain, err);
	if (!rc)
		rc = sivshmem_chain_write(ca_path(to, "root.cert", path), &top, err);
	prepare(&chain, SIVP_CERT_HOST, host, days, &own);
	signer_make(&own, &chain, secret);
	if (!rc)
		rc = write_pair(to, "host", secret, &chain, err);
	if (!rc && ca_example_policy(ca_path(to, "policy.conf", path), host, err) < 0)
		rc = -EIO;
	*serial = own.cert.serial;
out:
	sodium_free(secret);
	signer_free(&own);
	return rc;
}

/* All in a directory beside the final one, which appears whole or not at all. */
static int make_dir(const struct ca *ca, const char *out, const char *host, int64_t days,
		    const struct signer *root, struct sivshmem_error *err)
{
	char dir[PATH_MAX], path[PATH_MAX];
	struct ca to = { .dir = dir };
	struct bundle b;
	uint64_t serial = 0;
	int rc = bundle_create(&b, out, err);

	if (rc)
		goto out;
	bundle_dir(&b, dir);
	if (mkdir(ca_path(&to, "issued", path), 0700))
		rc = sivshmem_error_set(err, -errno, "%s: cannot create: %s", path, strerror(errno));
	if (!rc)
		rc = make(ca, &to, host, days, root, &serial, err);
	if (!rc)
		rc = bundle_place(&b, err);
	bundle_named(&b, rc, err);
	if (!rc) {
		printf("intermediate of host '%s' in %s\n"
		       "  serial  %016" PRIx64 "\n"
		       "copy the directory to the host, as its /etc/sivshmem, and remove it here\n",
		       host, out, serial);
		goto out;
	}
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
		unlink(ca_path(&to, made[i], path));
	rmdir(ca_path(&to, "issued", path));
	bundle_remove(&b);
out:
	bundle_close(&b);
	return rc;
}

static int intermediate(const struct ca *ca, const char *out, const char *host, int64_t days)
{
	struct sivshmem_error err = { 0 };
	struct signer signer;
	struct stat st;
	int rc = signer_load(ca, &signer, &err);

	if (!rc && !signer.is_root)
		rc = sivshmem_error_set(&err, -EINVAL,
			"%s: has an intermediate itself; only a root makes them", ca->dir);
	if (!rc && !lstat(out, &st))
		rc = sivshmem_error_set(&err, -EEXIST,
			"%s: exists and is not overwritten; remove it or name another --out", out);
	if (!rc)
		rc = make_dir(ca, out, host, days, &signer, &err);
	signer_free(&signer);
	return rc ? ca_fail(rc, &err) : EXIT_OK;
}

int cmd_intermediate(const struct ca *ca, int argc, char **argv)
{
	static const struct option options[] = {
		{ "out", required_argument, NULL, 'o' },
		{ "days", required_argument, NULL, 'n' }, { 0 },
	};
	char host[SIVP_HOST_LEN] = "";
	const char *error = NULL;
	const char *out = NULL;
	int64_t days = DAYS;
	int opt;

	while ((opt = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		if (opt == 'o')
			out = optarg;
		else if (opt == 'n')
			days = strtonum(optarg, 1, DAYS_MAX, &error);
		else
			return ca_usage(ca, "bad option");
		if (error)
			return ca_usage(ca, "--days is 1 to %d, got '%s' (%s)", DAYS_MAX, optarg, error);
	}
	if (argc - optind != 1)
		return ca_usage(ca, "name one host");
	if (!out)
		return ca_usage(ca, "--out DIR is missing");
	if (strlcpy(host, argv[optind], sizeof(host)) >= sizeof(host) ||
	    !sivshmem_name_valid(host, sizeof(host)))
		return ca_usage(ca, "a host name is 1 to %d of [A-Za-z0-9._/:-], got '%s'",
				SIVP_HOST_LEN - 1, argv[optind]);
	return intermediate(ca, out, host, days);
}
