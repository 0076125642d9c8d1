/* SPDX-License-Identifier: MIT */
/* sivshmem-ca passphrase: seal a key at rest, change its passphrase, or remove it. */
#include "ca.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>
#include <sodium.h>

#include "sealed.h"

static int put(const char *path, const char *passphrase, const uint8_t *secret,
	       struct sivshmem_error *err)
{
	char temp[PATH_MAX + 8];
	int rc;

	snprintf(temp, sizeof(temp), "%s.new", path);
	unlink(temp);
	rc = passphrase ? sealed_write(temp, passphrase, secret, err) :
			  sivshmem_key_write(temp, secret, err);
	if (!rc && rename(temp, path))
		rc = sivshmem_error_set(err, -errno, "%s: cannot replace: %s", path,
					strerror(errno));
	if (rc)
		unlink(temp);
	return rc;
}

static int change(const struct ca *ca, const char *path, const char *new_file, bool seal)
{
	uint8_t *secret = sodium_malloc(64);
	char *text = passphrase_new();
	struct sivshmem_error err = { 0 };
	int rc = -ENOMEM;

	sivshmem_error_set(&err, rc, "no locked memory for keys; raise ulimit -l");
	if (secret && text)
		rc = sealed_key_read(path, ca->passphrase_file, secret, &err);
	if (!rc && seal)
		rc = passphrase_choose(new_file, path, text, &err);
	if (!rc)
		rc = put(path, seal ? text : NULL, secret, &err);
	if (!rc)
		printf("%s: %s\n", path, seal ? "sealed under the new passphrase" :
						"not sealed any more");
	sodium_free(text);
	sodium_free(secret);
	return rc ? ca_fail(rc, &err) : EXIT_OK;
}

int cmd_passphrase(const struct ca *ca, int argc, char **argv)
{
	static const struct option options[] = {
		{ "new", required_argument, NULL, 'n' },
		{ "remove", no_argument, NULL, 'r' }, { 0 },
	};
	const char *new_file = NULL, *name;
	char file[64], path[PATH_MAX];
	bool seal = true;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'n')
			new_file = optarg;
		else if (opt == 'r')
			seal = false;
		else
			return ca_usage(ca, "bad option");
	}
	name = argc - optind == 1 ? argv[optind] : "";
	if (strcmp(name, "root") && strcmp(name, "intermediate") && strcmp(name, "host"))
		return ca_usage(ca, "name one key: root, intermediate or host");
	if (!seal && new_file)
		return ca_usage(ca, "--new and --remove exclude each other");
	snprintf(file, sizeof(file), "%s.key", name);
	return change(ca, ca_path(ca, file, path), new_file, seal);
}
