/* SPDX-License-Identifier: MIT */
/* sivshmem-ca renew, rotate-host: new certificates in the place of old ones. */
#include "ca.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sodium.h>
#include <bsd/stdlib.h>

#include "bundle.h"
#include "crl.h"
#include "signer.h"

#define DAY		86400
#define DAYS_SERVICE	365
#define DAYS_HOST	3650
#define DAYS_MAX	36500

struct wish {
	const char *bundle, *run_dir;
	int64_t days;
	bool new_key, revoke;
};

static void set_times(struct sivp_cert *cert, const struct signer *signer, int64_t days)
{
	cert->not_before = time(NULL);
	cert->not_after = cert->not_before + days * DAY;
	/* it would end with its issuer anyway: let the file say so */
	if (signer->cert.not_after && cert->not_after > signer->cert.not_after)
		cert->not_after = signer->cert.not_after;
}

/* --- a bundle --- */

/*
 * The bundle says only which certificate it is: what goes into the new one is
 * what this CA has recorded, since whoever owns the bundle can write anything.
 */
static int read_record(const struct ca *ca, const struct wish *w, const struct bundle *old,
		       struct sivp_chain *chain, struct sivshmem_error *err)
{
	char path[PATH_MAX], file[64];
	struct sivp_chain there;
	int rc = bundle_look_cert(old, &there, err);

	if (rc)
		return rc;
	snprintf(file, sizeof(file), "issued/%016" PRIx64 ".cert", there.cert[0].serial);
	ca_path(ca, file, path);
	if (access(path, F_OK))
		return sivshmem_error_set(err, -EKEYREJECTED,
			"%s: is of another CA; renew it there", w->bundle);
	rc = sivshmem_chain_read(path, chain, err);
	if (rc)
		return rc;
	if (memcmp(&chain->cert[0], &there.cert[0], sizeof(there.cert[0])) ||
	    there.cert[0].kind != SIVP_CERT_SERVICE)
		return sivshmem_error_set(err, -EKEYREJECTED,
			"%s: is not the certificate that this CA issued under its serial", w->bundle);
	return 0;
}

/* Certificates are public: who has none but this one's key gets another of its name. */
static int check_key(const struct bundle *old, const struct stat *st, const struct sivp_cert *cert,
		     uint8_t secret[64], struct sivshmem_error *err)
{
	uint8_t public_key[SIVP_KEY_LEN];
	int rc = bundle_look_key(old, st, secret, err);

	if (rc)
		return rc;
	/* reading it has refused one whose public half does not follow from its seed */
	crypto_sign_ed25519_sk_to_pk(public_key, secret);
	sodium_memzero(secret, 64);
	if (memcmp(public_key, cert->public_key, sizeof(public_key)))
		return sivshmem_error_set(err, -EKEYREJECTED,
			"%s/" SIVSHMEM_KEY_FILE ": does not belong to " SIVSHMEM_CERT_FILE
			"; restore both, or make another bundle by `sivshmem-ca issue`", old->path);
	return 0;
}

static int check_revoked(const struct ca *ca, const struct wish *w, const struct signer *signer,
			 uint64_t serial, struct sivshmem_error *err)
{
	char path[PATH_MAX];
	struct crl crl;
	bool revoked;
	int rc = crl_read(ca_path(ca, CRL_FILE, path), &signer->root, &signer->cert, &crl, err);

	if (rc)
		return rc;
	rc = crl_newest(ca->dir, &crl, err);
	revoked = crl_has(&crl, serial);
	crl_free(&crl);
	if (rc)
		return rc;
	/* who has its key would have the new one's too */
	if (revoked && !w->new_key)
		return sivshmem_error_set(err, -EKEYREJECTED,
			"%s: was revoked; give it a new key by --new-key", w->bundle);
	return 0;
}

static int record(const struct ca *ca, const struct sivp_chain *chain, char path[PATH_MAX],
		  struct sivshmem_error *err)
{
	char file[64];

	snprintf(file, sizeof(file), "issued/%016" PRIx64 ".cert", chain->cert[0].serial);
	return sivshmem_chain_write(ca_path(ca, file, path), chain, err);
}

/* A whole directory beside the old one, then both change places at once. */
static int exchange(struct bundle *old, const struct stat *owner, const uint8_t secret[64],
		    const struct sivp_chain *chain, const struct sivp_cert *root,
		    struct sivshmem_error *err)
{
	struct bundle b;
	int rc = bundle_create(&b, old->path, err);

	if (rc)
		goto out;
	rc = bundle_write(&b, secret, chain, root, err);
	if (!rc)
		rc = bundle_give(&b, owner->st_uid, owner->st_gid, owner->st_mode & 0777, err);
	if (!rc)
		rc = bundle_exchange(&b, old, err);
	bundle_remove(rc ? &b : old);
out:
	bundle_close(&b);
	return rc;
}

static void report(const struct wish *w, const struct sivp_cert *cert, const char *old)
{
	char from[32], to[32];

	printf("renewed %s in %s\n  serial  %016" PRIx64 ", was %s\n"
	       "  key     %s\n  valid   %s to %s\n", cert->subject, w->bundle, cert->serial,
	       old, w->new_key ? "new" : "as before", ca_time_text(cert->not_before, from),
	       ca_time_text(cert->not_after, to));
}

static void make(struct sivp_chain *chain, const struct wish *w, const struct signer *signer,
		 uint8_t secret[64])
{
	set_times(&chain->cert[0], signer, w->days ? w->days : DAYS_SERVICE);
	memset(&chain->cert[1], 0, sizeof(chain->cert[1]));
	if (w->new_key) {
		signer_make(signer, chain, secret);
	} else {
		chain->cert[0].serial = ca_new_serial();
		signer_sign(signer, chain);
	}
}

static int renew(const struct ca *ca, const struct wish *w, const struct signer *signer,
		 char serial[20], struct sivshmem_error *err)
{
	uint8_t *secret = sodium_malloc(64);
	struct sivp_chain chain = { 0 };
	char path[PATH_MAX];
	struct bundle old;
	struct stat owner;
	int rc = -ENOMEM;

	sivshmem_error_set(err, rc, "no locked memory for keys; raise ulimit -l");
	if (!secret)
		return rc;
	rc = bundle_open(&old, w->bundle, &owner, err);
	if (!rc)
		rc = read_record(ca, w, &old, &chain, err);
	if (!rc)
		rc = check_key(&old, &owner, &chain.cert[0], secret, err);
	if (!rc)
		rc = check_revoked(ca, w, signer, chain.cert[0].serial, err);
	if (rc)
		goto out;
	snprintf(serial, 20, "%016" PRIx64, chain.cert[0].serial);
	make(&chain, w, signer, secret);
	rc = record(ca, &chain, path, err);
	if (rc)
		goto out;
	if (w->new_key)
		rc = exchange(&old, &owner, secret, &chain, &signer->root, err);
	else
		rc = bundle_replace_cert(&old, &chain, owner.st_uid, owner.st_gid, err);
	if (rc)
		unlink(path);
	else
		report(w, &chain.cert[0], serial);
out:
	bundle_close(&old);
	sodium_free(secret);
	return rc;
}

/* --- the host --- */

static int rotate(const struct ca *ca, int64_t days, const struct signer *signer,
		  struct sivshmem_error *err)
{
	uint8_t *secret = sodium_malloc(64);
	struct sivp_chain chain;
	char path[PATH_MAX], to[32];
	int rc;

	if (!secret)
		return sivshmem_error_set(err, -ENOMEM, "no locked memory for keys; raise ulimit -l");
	rc = sivshmem_chain_read(ca_path(ca, "host.cert", path), &chain, err);
	if (!rc) {
		memset(&chain.cert[1], 0, sizeof(chain.cert[1]));
		set_times(&chain.cert[0], signer, days ? days : DAYS_HOST);
		signer_make(signer, &chain, secret);
		rc = signer_replace(ca, "host", secret, &chain, err);
	}
	if (!rc)
		printf("host '%s' has a new key\n  serial  %016" PRIx64 "\n  valid   to %s\n",
		       chain.cert[0].host, chain.cert[0].serial,
		       ca_time_text(chain.cert[0].not_after, to));
	sodium_free(secret);
	return rc;
}

/* --- the command lines --- */

static int parse(const struct ca *ca, struct wish *w, bool host, int argc, char **argv)
{
	static const struct option options[] = {
		{ "days", required_argument, NULL, 'n' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "new-key", no_argument, NULL, 'k' },
		{ "revoke", no_argument, NULL, 'R' }, { 0 },
	};
	const char *error = NULL;
	int opt;

	w->run_dir = CA_RUN_DIR;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'n')
			w->days = strtonum(optarg, 1, DAYS_MAX, &error);
		else if (opt == 'r')
			w->run_dir = optarg;
		else if (opt == 'k' && !host)
			w->new_key = true;
		else if (opt == 'R' && !host)
			w->revoke = true;
		else
			return ca_usage(ca, "bad option");
		if (error)
			return ca_usage(ca, "--days is 1 to %d, got '%s' (%s)", DAYS_MAX, optarg, error);
	}
	return 0;
}

int cmd_renew(const struct ca *ca, int argc, char **argv)
{
	struct sivshmem_error err = { 0 };
	struct wish w = { 0 };
	struct signer signer;
	char old[20];
	int rc = parse(ca, &w, false, argc, argv);

	if (rc)
		return rc;
	if (argc - optind != 1)
		return ca_usage(ca, "name one bundle");
	w.bundle = argv[optind];
	rc = signer_load(ca, &signer, &err);
	if (!rc)
		rc = renew(ca, &w, &signer, old, &err);
	signer_free(&signer);
	if (rc)
		return ca_fail(rc, &err);
	if (!w.revoke)
		return EXIT_OK;
	rc = ca_revoke(ca, old);
	return rc ? rc : ca_reload(w.run_dir);
}

int cmd_rotate_host(const struct ca *ca, int argc, char **argv)
{
	struct sivshmem_error err = { 0 };
	struct wish w = { 0 };
	struct signer signer;
	int rc = parse(ca, &w, true, argc, argv);

	if (rc)
		return rc;
	if (optind != argc)
		return ca_usage(ca, "unexpected argument '%s'", argv[optind]);
	rc = signer_load(ca, &signer, &err);
	if (!rc)
		rc = rotate(ca, w.days, &signer, &err);
	signer_free(&signer);
	return rc ? ca_fail(rc, &err) : ca_reload(w.run_dir);
}
