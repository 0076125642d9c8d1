/* SPDX-License-Identifier: MIT */
/* sivshmem-ca init: the root, the host's key, an example policy. */
#include "ca.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <sodium.h>
#include <bsd/string.h>

#define ROOT_DAYS	7300
#define HOST_DAYS	3650
#define DAY		86400

static const char example[] =
	"# sivshmem-policy(5): who may share what. Whatever is not listed is refused.\n"
	"# After a change: sivshmem-ca check\n"
	"version = 1;\n"
	"host = \"%s\";\n"
	"\n"
	"# Virtual machines; uid: the user that QEMU runs as (any, if left out).\n"
	"vms = (\n"
	"#  { name = \"cluster\"; uid = 64055; },\n"
	"#  { name = \"ivi\"; }\n"
	");\n"
	"\n"
	"# What a VM or a service may use goes into it: limits = { bytes = \"8M\"; sessions = 50; };\n"
	"# Services: vm is one of the above or \"host\"; uid: the process's (any, if left out).\n"
	"services = (\n"
	"#  { name = \"cluster/gauges\"; vm = \"cluster\"; uid = 1000; },\n"
	"#  { name = \"ivi/player\"; vm = \"ivi\"; }\n"
	");\n"
	"\n"
	"# Channels: quota is the memory of all objects; rights: ro or rw, create, resize.\n"
	"channels = (\n"
	"#  { name = \"camera\"; quota = \"16M\"; objects = 32;\n"
	"#    members = (\n"
	"#      { service = \"cluster/gauges\"; rights = \"rw,create,resize\"; },\n"
	"#      { service = \"ivi/player\"; rights = \"ro\"; }\n"
	"#    ); }\n"
	");\n";

static const char *const key_files[] = {
	"root.key", "root.cert", "host.key", "host.cert",
};
#define KEY_FILES	(sizeof(key_files) / sizeof(key_files[0]))

/* A new pair; the certificate in cert[0] is signed by `signer`, or itself. */
static void make(struct sivp_chain *chain, enum sivp_cert_kind kind,
		 const char *host, int days, uint8_t *secret, const uint8_t *signer)
{
	struct sivp_cert *cert = &chain->cert[0];
	int64_t now = time(NULL);

	memset(chain, 0, sizeof(*chain));
	chain->count = 1;
	cert->kind = kind;
	cert->path_len = kind == SIVP_CERT_ROOT;
	cert->serial = ca_new_serial();
	cert->not_before = now;
	cert->not_after = now + (int64_t)days * DAY;
	snprintf(cert->subject, sizeof(cert->subject), "%s/%s", ca_kind_text(kind), host);
	if (kind == SIVP_CERT_HOST)
		strlcpy(cert->host, host, sizeof(cert->host));
	cert->uid = cert->gid = SIVP_ANY_ID;
	crypto_sign_keypair(cert->public_key, secret);
	sivshmem_cert_sign(cert, signer ? signer : secret);
}

static int write_pair(const struct ca *ca, const char *key, const char *cert,
		      const uint8_t *secret, const struct sivp_chain *chain,
		      struct sivshmem_error *err)
{
	char path[PATH_MAX];
	int rc;

	rc = sivshmem_key_write(ca_path(ca, key, path), secret, err);
	return rc ? rc : sivshmem_chain_write(ca_path(ca, cert, path), chain, err);
}

static int write_keys(const struct ca *ca, const char *host, struct sivshmem_error *err)
{
	uint8_t *root_secret = sodium_malloc(64), *host_secret = sodium_malloc(64);
	struct sivp_chain root, leaf;
	int rc;

	if (!root_secret || !host_secret) {
		rc = sivshmem_error_set(err, -ENOMEM, "no locked memory for keys; raise ulimit -l");
		goto out;
	}
	make(&root, SIVP_CERT_ROOT, host, ROOT_DAYS, root_secret, NULL);
	make(&leaf, SIVP_CERT_HOST, host, HOST_DAYS, host_secret, root_secret);
	rc = write_pair(ca, "root.key", "root.cert", root_secret, &root, err);
	if (!rc)
		rc = write_pair(ca, "host.key", "host.cert", host_secret, &leaf, err);
out:
	sodium_free(root_secret);
	sodium_free(host_secret);
	return rc;
}

int ca_example_policy(const char *path, const char *host, struct sivshmem_error *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	bool failed;

	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0)
		return sivshmem_error_set(err, -errno, "%s: cannot create: %s", path, strerror(errno));
	failed = dprintf(fd, example, host) < 0 || fsync(fd);
	if (close(fd) || failed) {
		unlink(path);
		return sivshmem_error_set(err, -EIO, "%s: cannot write it; is the disk full?", path);
	}
	return 1;
}

static int make_dir(const char *path, mode_t mode, struct sivshmem_error *err)
{
	if (!mkdir(path, mode) || errno == EEXIST)
		return 0;
	return sivshmem_error_set(err, -errno, "%s: cannot create the directory: %s",
				  path, strerror(errno));
}

static int prepare(const struct ca *ca, struct sivshmem_error *err)
{
	char path[PATH_MAX];
	int rc;

	/* the map and a service's identity are reached through it, its keys are 0600 */
	rc = make_dir(ca->dir, 0711, err);
	for (size_t i = 0; !rc && i < KEY_FILES; i++) {
		if (!access(ca_path(ca, key_files[i], path), F_OK))
			rc = sivshmem_error_set(err, -EEXIST,
				"%s: exists, there is a CA already; name another --dir, or remove it and lose every certificate it issued",
				path);
	}
	return rc ? rc : make_dir(ca_path(ca, "issued", path), 0700, err);
}

static int init(const struct ca *ca, const char *host)
{
	struct sivshmem_error err = { 0 };
	char path[PATH_MAX];
	int rc;

	rc = prepare(ca, &err);
	if (rc)
		return ca_fail(rc, &err);
	rc = write_keys(ca, host, &err);
	if (!rc)
		rc = ca_example_policy(ca_path(ca, "policy.conf", path), host, &err);
	if (rc < 0) {
		/* none of them was there before: a half CA helps nobody */
		for (size_t i = 0; i < KEY_FILES; i++)
			unlink(ca_path(ca, key_files[i], path));
		return ca_fail(rc, &err);
	}
	printf("created the CA of host '%s' in %s\n"
	       "  root.key   signs certificates: keep it secret, offline if you can\n"
	       "  host.key   the daemon's\n"
	       "  policy.conf %s\n"
	       "next: list VMs, services and channels in policy.conf, `sivshmem-ca check`,\n"
	       "then `sivshmem-ca issue SERVICE --out BUNDLE` for each service\n",
	       host, ca->dir, rc ? "an example to edit" : "was there and is untouched");
	return EXIT_OK;
}

int cmd_init(const struct ca *ca, int argc, char **argv)
{
	static const struct option options[] = {
		{ "host", required_argument, NULL, 'H' }, { 0 },
	};
	char given[256] = "", host[SIVP_HOST_LEN] = "";
	int opt;

	if (gethostname(given, sizeof(given) - 1))
		given[0] = '\0';
	while ((opt = getopt_long(argc, argv, "H:", options, NULL)) != -1) {
		if (opt != 'H')
			return ca_usage(ca, "bad option");
		strlcpy(given, optarg, sizeof(given));
	}
	if (optind != argc)
		return ca_usage(ca, "unexpected argument '%s'", argv[optind]);
	if (strlcpy(host, given, sizeof(host)) >= sizeof(host) ||
	    !sivshmem_name_valid(host, sizeof(host)))
		return ca_usage(ca, "a host name is 1 to %d of [A-Za-z0-9._/:-], got '%s'; give --host NAME",
				SIVP_HOST_LEN - 1, given);
	return init(ca, host);
}
