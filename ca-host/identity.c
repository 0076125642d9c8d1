/* SPDX-License-Identifier: MIT */
/* What the daemon proves to be the host by: root, certificates, and the signer with their key. */
#include "monitor.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <bsd/err.h>
#include <bsd/string.h>

#include "../shim/lib/cert.h"
#include "host_sign.h"

static char root_path[PATH_MAX], cert_path[PATH_MAX], key_path[PATH_MAX];

static const char *name_of(const struct sivp_cert *cert)
{
	return cert->host[0] ? cert->host : cert->subject;
}

static int read_chain(struct sivp_chain *chain, struct sivshmem_error *err)
{
	struct sivshmem_cert_context ctx = { .now = time(NULL) };
	enum sivshmem_cert_error bad;
	int r = sivshmem_chain_read(cert_path, chain, err);

	if (r)
		return r;
	bad = sivshmem_chain_verify(chain, SIVP_CERT_HOST, &monitor.root, &ctx);
	return bad ? sivshmem_error_set(err, -EKEYREJECTED, "%s: %s", cert_path,
					sivshmem_cert_reason(bad)) : 0;
}

static int set_path(char path[PATH_MAX], const char *dir, const char *file,
		    struct sivshmem_error *err)
{
	if (snprintf(path, PATH_MAX, "%s/%s", dir, file) < PATH_MAX)
		return 0;
	return sivshmem_error_set(err, -ENAMETOOLONG, "%s: the path is too long", dir);
}

int identity_load(const char *ca_dir, struct sivshmem_error *err)
{
	struct sivp_chain root;
	int r = set_path(root_path, ca_dir, "root.cert", err);

	if (!r)
		r = set_path(cert_path, ca_dir, "host.cert", err);
	if (!r)
		r = set_path(key_path, ca_dir, "host.key", err);
	if (!r)
		r = sivshmem_chain_read(root_path, &root, err);
	if (r)
		return r;
	monitor.root = root.cert[0];
	r = read_chain(&monitor.chain, err);
	if (!r)
		strlcpy(monitor.host, name_of(&monitor.chain.cert[0]), sizeof(monitor.host));
	return r;
}

int identity_start_signer(struct sivshmem_error *err)
{
	return host_signer_start(key_path, monitor.chain.cert[0].public_key, err);
}

/* The key changes with the certificate or not at all. */
static int renew(struct sivshmem_error *err)
{
	struct sivp_chain chain;
	int r = read_chain(&chain, err);

	if (r || !memcmp(&chain, &monitor.chain, sizeof(chain)))
		return r;
	if (strcmp(name_of(&chain.cert[0]), monitor.host))
		return sivshmem_error_set(err, -EINVAL,
			"%s: names host '%s', but this daemon is '%s'; restart it", cert_path,
			name_of(&chain.cert[0]), monitor.host);
	audit_seal();
	r = host_signer_start(key_path, chain.cert[0].public_key, err);
	if (r)
		return r;
	monitor.chain = chain;
	audit_origin("host-key");
	warnx("host certificate: serial %016llx", (unsigned long long)chain.cert[0].serial);
	return 0;
}

void identity_reload(void)
{
	struct sivshmem_error e;

	if (renew(&e))
		warnx("%s; the host's certificate stays what it was", e.text);
}
