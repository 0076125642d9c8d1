/* SPDX-License-Identifier: MIT */
/* sivshmem-ca renew, rotate-host: new certificates in the place of old ones. */
#include "ca.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <sodium.h>
#include <bsd/stdlib.h>

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

static const char *in_bundle(const char *dir, const char *file, char path[PATH_MAX + 32])
{
	snprintf(path, PATH_MAX + 32, "%s/%s", dir, file);
	return path;
}

/*
 * The bundle says only which certificate it is: what goes into the new one is
 * what this CA has recorded, since whoever owns the bundle can write anything.
 */
static int read_record(const struct ca *ca, const struct wish *w, struct sivp_chain *chain,
		       struct sivshmem_error *err)
{
	char path[PATH_MAX + 32], file[64];
	struct sivp_chain there;
	int rc = sivshmem_chain_look(in_bundle(w->bundle, SIVSHMEM_CERT_FILE, path), &there, err);

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

static int check_revoked(const struct ca *ca, const struct wish *w, const struct signer *signer,
			 uint64_t serial, struct sivshmem_error *err)
{
	char path[PATH_MAX];
	struct crl crl;
	bool revoked;
	int rc = crl_read(ca_path(ca, CRL_FILE, path), &signer->root, &signer->cert, &crl, err);

	if (rc)
		return rc;
	revoked = crl_has(&crl, serial);
	crl_free(&crl);
	/* who has its key would have the new one's too */
	if (revoked && !w->new_key)
		return sivshmem_error_set(err, -EKEYREJECTED,
			"%s: was revoked; give it a new key by --new-key", w->bundle);
	return 0;
}

static int record(const struct ca *ca, const struct sivp_chain *chain, struct sivshmem_error *err)
{
	char file[64], path[PATH_MAX];

	snprintf(file, sizeof(file), "issued/%016" PRIx64 ".cert", chain->cert[0].serial);
	return sivshmem_chain_write(ca_path(ca, file, path), chain, err);
}

static int give(const char *path, const struct stat *owner, struct sivshmem_error *err)
{
	if (!lchown(path, owner->st_uid, owner->st_gid))
		return 0;
	return sivshmem_error_set(err, -errno, "%s: cannot chown: %s", path, strerror(errno));
}

static int write_bundle(const char *dir, const uint8_t secret[64], const struct sivp_chain *chain,
			const struct sivp_cert *root, const struct stat *owner,
			struct sivshmem_error *err)
{
	static const char *const files[] = {
		SIVSHMEM_KEY_FILE, SIVSHMEM_CERT_FILE, SIVSHMEM_ROOT_FILE, "",
	};
	const struct sivp_chain top = { .count = 1, .cert = { *root } };
	char path[PATH_MAX + 32];
	int rc;

	rc = sivshmem_key_write(in_bundle(dir, SIVSHMEM_KEY_FILE, path), secret, err);
	if (!rc)
		rc = sivshmem_chain_write(in_bundle(dir, SIVSHMEM_CERT_FILE, path), chain, err);
	if (!rc)
		rc = sivshmem_chain_write(in_bundle(dir, SIVSHMEM_ROOT_FILE, path), &top, err);
	if (!rc && chmod(dir, owner->st_mode & 0777))
		rc = sivshmem_error_set(err, -errno, "%s: %s", dir, strerror(errno));
	for (size_t i = 0; !rc && i < sizeof(files) / sizeof(files[0]); i++)
		rc = give(in_bundle(dir, files[i], path), owner, err);
	return rc;
}

static void remove_bundle(const char *dir)
{
	char path[PATH_MAX + 32];

	unlink(in_bundle(dir, SIVSHMEM_KEY_FILE, path));
	unlink(in_bundle(dir, SIVSHMEM_CERT_FILE, path));
	unlink(in_bundle(dir, SIVSHMEM_ROOT_FILE, path));
	rmdir(dir);
}

/* A whole directory beside the old one, then both change places at once. */
static int exchange(const struct wish *w, const uint8_t secret[64],
		    const struct sivp_chain *chain, const struct sivp_cert *root,
		    const struct stat *owner, struct sivshmem_error *err)
{
	char temp[PATH_MAX];
	int rc;

	if ((size_t)snprintf(temp, sizeof(temp), "%s.XXXXXX", w->bundle) >= sizeof(temp))
		return sivshmem_error_set(err, -ENAMETOOLONG, "%s: the path is too long", w->bundle);
	if (!mkdtemp(temp))
		return sivshmem_error_set(err, -errno, "%s: cannot make a bundle beside it: %s",
					  w->bundle, strerror(errno));
	rc = write_bundle(temp, secret, chain, root, owner, err);
	if (!rc && renameat2(AT_FDCWD, temp, AT_FDCWD, w->bundle, RENAME_EXCHANGE))
		rc = sivshmem_error_set(err, -errno, "%s: cannot put the new bundle there: %s",
					w->bundle, strerror(errno));
	remove_bundle(temp);
	return rc;
}

/* The key stays: one file takes the place of another. */
static int replace_cert(const struct wish *w, const struct sivp_chain *chain,
			const struct stat *owner, struct sivshmem_error *err)
{
	char temp[PATH_MAX + 32], path[PATH_MAX + 32];
	int rc;

	in_bundle(w->bundle, SIVSHMEM_CERT_FILE ".new", temp);
	unlink(temp);
	rc = sivshmem_chain_write(temp, chain, err);
	if (!rc)
		rc = give(temp, owner, err);
	if (!rc && rename(temp, in_bundle(w->bundle, SIVSHMEM_CERT_FILE, path)))
		rc = sivshmem_error_set(err, -errno, "%s: cannot replace: %s", path,
					strerror(errno));
	if (rc)
		unlink(temp);
	return rc;
}

static int put(const struct wish *w, const uint8_t *secret, const struct sivp_chain *chain,
	       const struct signer *signer, struct sivshmem_error *err)
{
	struct stat owner;

	if (lstat(w->bundle, &owner))
		return sivshmem_error_set(err, -errno, "%s: %s", w->bundle, strerror(errno));
	if (!S_ISDIR(owner.st_mode))
		return sivshmem_error_set(err, -EINVAL, "%s: not a directory; name the bundle itself",
					  w->bundle);
	return w->new_key ? exchange(w, secret, chain, &signer->root, &owner, err) :
			    replace_cert(w, chain, &owner, err);
}

static void report(const struct wish *w, const struct sivp_cert *cert, const char *old)
{
	char from[32], to[32];

	printf("renewed %s in %s\n  serial  %016" PRIx64 ", was %s\n"
	       "  key     %s\n  valid   %s to %s\n", cert->subject, w->bundle, cert->serial,
	       old, w->new_key ? "new" : "as before", ca_time_text(cert->not_before, from),
	       ca_time_text(cert->not_after, to));
}

static int renew(const struct ca *ca, const struct wish *w, const struct signer *signer,
		 char old[20], struct sivshmem_error *err)
{
	uint8_t *secret = sodium_malloc(64);
	struct sivp_chain chain = { 0 };
	struct sivp_cert *cert = &chain.cert[0];
	int rc = -ENOMEM;

	sivshmem_error_set(err, rc, "no locked memory for keys; raise ulimit -l");
	if (!secret)
		return rc;
	rc = read_record(ca, w, &chain, err);
	if (rc)
		goto out;
	rc = check_revoked(ca, w, signer, cert->serial, err);
	if (rc)
		goto out;
	snprintf(old, 20, "%016" PRIx64, cert->serial);
	set_times(cert, signer, w->days ? w->days : DAYS_SERVICE);
	memset(&chain.cert[1], 0, sizeof(chain.cert[1]));
	if (w->new_key) {
		signer_make(signer, &chain, secret);
	} else {
		cert->serial = ca_new_serial();
		signer_sign(signer, &chain);
	}
	rc = record(ca, &chain, err);
	if (!rc)
		rc = put(w, secret, &chain, signer, err);
	if (!rc)
		report(w, cert, old);
out:
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
