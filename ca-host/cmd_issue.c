/* SPDX-License-Identifier: MIT */
/* sivshmem-ca issue: a service's key and certificate in a bundle directory. */
#include "ca.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <sodium.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>

#include "bundle.h"
#include "signer.h"

#define DAY		86400
#define DAYS_DEFAULT	365
#define DAYS_MAX	36500

struct wish {
	char service[SIVP_NAME_LEN], vm[SIVP_VM_LEN];
	char out[PATH_MAX];
	uint32_t uid, gid;
	bool vm_given, uid_given;
	int64_t days, not_before, not_after;	/* not_after -1: by days */
};

static bool id_parse(const char *text, uint32_t *id)
{
	const char *error;

	if (!strcmp(text, "any")) {
		*id = SIVP_ANY_ID;
		return true;
	}
	*id = (uint32_t)strtonum(text, 0, SIVP_ANY_ID - 1, &error);
	return !error;
}

static bool uid_parse(const char *text, uint32_t *uid)
{
	const struct passwd *pw;

	if (id_parse(text, uid))
		return true;
	pw = getpwnam(text);
	if (pw)
		*uid = pw->pw_uid;
	return pw;
}

static bool gid_parse(const char *text, uint32_t *gid)
{
	const struct group *gr;

	if (id_parse(text, gid))
		return true;
	gr = getgrnam(text);
	if (gr)
		*gid = gr->gr_gid;
	return gr;
}

/* An empty name is allowed where it means "any". */
static bool name_set(char *out, size_t size, const char *text, bool empty)
{
	memset(out, 0, size);
	if (!text[0])
		return empty;
	return strlcpy(out, text, size) < size && sivshmem_name_valid(out, size);
}

/* --- policy --- */

/* What the command line left open comes from the policy. */
static int apply_policy(const struct ca *ca, struct wish *w, struct sivshmem_error *err)
{
	const struct policy_service *s;
	struct policy *policy;
	const char *vm;
	char path[PATH_MAX], id[16];
	int rc;

	rc = policy_load(ca_path(ca, "policy.conf", path), &policy, err);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	s = policy_find_service(policy, w->service);
	if (!s) {
		warnx("note: %s names no service '%s': the daemon refuses it until it does",
		      path, w->service);
		goto out;
	}
	vm = s->vm == POLICY_ON_HOST ? POLICY_HOST_VM : policy->vms[s->vm].name;
	if (!w->vm_given) {
		strlcpy(w->vm, vm, sizeof(w->vm));
		printf("vm %s: from line %u of the policy\n", vm, s->line);
	} else if (strcmp(w->vm, vm)) {
		warnx("note: bound to VM '%s', but line %u of %s says '%s': the daemon will refuse it",
		      w->vm, s->line, path, vm);
	}
	if (!w->uid_given && !s->any_uid) {
		w->uid = s->uid;
		printf("uid %s: from line %u of the policy\n", ca_id_text(w->uid, id), s->line);
	}
out:
	policy_free(policy);
	return 0;
}

/* --- the certificate --- */

static int host_name(const struct ca *ca, char host[SIVP_HOST_LEN], struct sivshmem_error *err)
{
	struct sivp_chain chain;
	char path[PATH_MAX];
	int rc;

	rc = sivshmem_chain_read(ca_path(ca, "host.cert", path), &chain, err);
	if (!rc)
		memcpy(host, chain.cert[0].host, SIVP_HOST_LEN);
	return rc;
}

static void fill(struct sivp_cert *cert, const struct wish *w)
{
	cert->kind = SIVP_CERT_SERVICE;
	cert->not_before = w->not_before;
	cert->not_after = w->not_after;
	memcpy(cert->subject, w->service, sizeof(cert->subject));
	memcpy(cert->vm, w->vm, sizeof(cert->vm));
	cert->uid = w->uid;
	cert->gid = w->gid;
}

/* Two of one millisecond may meet: then EEXIST, and another serial. */
static int sign_and_record(const struct ca *ca, struct sivp_chain *chain,
			   const struct signer *signer, char path[PATH_MAX],
			   struct sivshmem_error *err)
{
	char file[64];
	int rc;

	do {
		chain->cert[0].serial = ca_new_serial();
		signer_sign(signer, chain);
		snprintf(file, sizeof(file), "issued/%016" PRIx64 ".cert",
			 chain->cert[0].serial);
		rc = sivshmem_chain_write(ca_path(ca, file, path), chain, err);
	} while (rc == -EEXIST);
	return rc;
}

/* --- the bundle --- */

/* A service of this host must be able to read its key; one of a VM must not be
 * readable to the host's user of the same number. */
static int give_away(const struct bundle *b, const struct wish *w, struct sivshmem_error *err)
{
	if (geteuid() != 0 || w->uid == SIVP_ANY_ID || strcmp(w->vm, POLICY_HOST_VM))
		return 0;
	return bundle_give(b, w->uid, (gid_t)-1, 0700, err);
}

/* All in a directory beside the final one, which appears whole or not at all. */
static int make_bundle(const struct ca *ca, const struct wish *w,
		       const struct signer *signer, uint8_t *secret,
		       struct sivp_chain *chain, struct sivshmem_error *err)
{
	char record[PATH_MAX] = "";
	struct bundle b;
	int rc = bundle_create(&b, w->out, err);

	if (rc)
		goto out;
	crypto_sign_keypair(chain->cert[0].public_key, secret);
	rc = sign_and_record(ca, chain, signer, record, err);
	if (!rc)
		rc = bundle_write(&b, secret, chain, &signer->root, err);
	if (!rc)
		rc = give_away(&b, w, err);
	if (!rc)
		rc = bundle_place(&b, err);
	if (rc) {
		bundle_remove(&b);
		unlink(record);
	}
out:
	bundle_close(&b);
	return rc;
}

static void report(const struct wish *w, const struct sivp_cert *cert)
{
	char from[32], to[32], uid[16], gid[16];

	printf("issued %s in %s\n"
	       "  serial  %016" PRIx64 "\n"
	       "  bound   vm %s, host %s, uid %s, gid %s\n"
	       "  valid   %s to %s\n",
	       w->service, w->out, cert->serial, cert->vm[0] ? cert->vm : "any",
	       cert->host[0] ? cert->host : "any", ca_id_text(cert->uid, uid),
	       ca_id_text(cert->gid, gid), ca_time_text(cert->not_before, from),
	       ca_time_text(cert->not_after, to));
}

static int issue(const struct ca *ca, struct wish *w)
{
	uint8_t *secret = sodium_malloc(64);
	struct sivp_chain chain = { .count = 1 };
	struct sivshmem_error err = { 0 };
	struct signer signer;
	int rc = signer_load(ca, &signer, &err);

	if (!rc && !secret) {
		sivshmem_error_set(&err, -ENOMEM, "no locked memory for keys; raise ulimit -l");
		rc = -ENOMEM;
	}
	if (!rc)
		rc = host_name(ca, chain.cert[0].host, &err);
	if (!rc)
		rc = apply_policy(ca, w, &err);
	if (rc)
		goto out;
	fill(&chain.cert[0], w);
	rc = make_bundle(ca, w, &signer, secret, &chain, &err);
	if (!rc)
		report(w, &chain.cert[0]);
out:
	signer_free(&signer);
	sodium_free(secret);
	return rc ? ca_fail(rc, &err) : EXIT_OK;
}

/* --- the command line --- */

static int set_option(const struct ca *ca, struct wish *w, int opt, const char *arg)
{
	const char *error = NULL;
	bool good = true;

	switch (opt) {
	case 'o':
		good = arg[0] && strlcpy(w->out, arg, sizeof(w->out)) < sizeof(w->out);
		for (size_t n = strlen(w->out); n > 1 && w->out[n - 1] == '/'; n--)
			w->out[n - 1] = '\0';
		return good ? 0 : ca_usage(ca, "--out is a directory to create, got '%s'", arg);
	case 'v':
		w->vm_given = true;
		good = name_set(w->vm, sizeof(w->vm), arg, true);
		return good ? 0 : ca_usage(ca, "--vm is a VM's name, \"host\", or empty for any, got '%s'", arg);
	case 'u':
		w->uid_given = true;
		good = uid_parse(arg, &w->uid);
		return good ? 0 : ca_usage(ca, "--uid is a number, a user's name or any, got '%s'", arg);
	case 'g':
		good = gid_parse(arg, &w->gid);
		return good ? 0 : ca_usage(ca, "--gid is a number, a group's name or any, got '%s'", arg);
	case 'n':
		w->days = strtonum(arg, 1, DAYS_MAX, &error);
		return !error ? 0 : ca_usage(ca, "--days is 1 to %d, got '%s' (%s)", DAYS_MAX, arg, error);
	case 'b':
		good = ca_time_parse(arg, &w->not_before);
		return good ? 0 : ca_usage(ca, "--not-before is like 2026-01-31T12:00:00Z, or seconds, got '%s'", arg);
	case 'a':
		good = ca_time_parse(arg, &w->not_after);
		return good ? 0 : ca_usage(ca, "--not-after is like 2026-01-31T12:00:00Z, or seconds, got '%s'", arg);
	default:
		return ca_usage(ca, "bad option");
	}
}

/* Times make sense, and nothing is in the way. */
static int settle(const struct ca *ca, struct wish *w)
{
	struct stat st;

	if (w->days && w->not_after >= 0)
		return ca_usage(ca, "--days and --not-after exclude each other");
	if (w->not_after < 0)
		w->not_after = w->not_before + (w->days ? w->days : DAYS_DEFAULT) * DAY;
	if (w->not_after && w->not_after < w->not_before)
		return ca_usage(ca, "--not-after lies before --not-before");
	if (!lstat(w->out, &st)) {
		warnx("%s: exists and is not overwritten; remove it or name another --out", w->out);
		return EXIT_REFUSED;
	}
	return 0;
}

int cmd_issue(const struct ca *ca, int argc, char **argv)
{
	static const struct option options[] = {
		{ "out", required_argument, NULL, 'o' }, { "vm", required_argument, NULL, 'v' },
		{ "uid", required_argument, NULL, 'u' }, { "gid", required_argument, NULL, 'g' },
		{ "days", required_argument, NULL, 'n' },
		{ "not-before", required_argument, NULL, 'b' },
		{ "not-after", required_argument, NULL, 'a' }, { 0 },
	};
	struct wish w = {
		.uid = SIVP_ANY_ID, .gid = SIVP_ANY_ID,
		.not_before = time(NULL), .not_after = -1,
	};
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		rc = set_option(ca, &w, opt, optarg);
		if (rc)
			return rc;
	}
	if (argc - optind != 1)
		return ca_usage(ca, "name one service");
	if (!name_set(w.service, sizeof(w.service), argv[optind], false))
		return ca_usage(ca, "a service's name is 1 to %d of [A-Za-z0-9._/:-], no '..', no leading '/', got '%s'",
				SIVP_NAME_LEN - 1, argv[optind]);
	if (!w.out[0])
		return ca_usage(ca, "--out BUNDLE is missing");
	rc = settle(ca, &w);
	return rc ? rc : issue(ca, &w);
}
