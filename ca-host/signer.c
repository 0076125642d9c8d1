/* SPDX-License-Identifier: MIT */
#include "signer.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sodium.h>

#include "crl.h"
#include "sealed.h"

#define INTERMEDIATE_CERT	"intermediate.cert"

int signer_certs(const struct ca *ca, struct sivp_cert *root, struct sivp_cert *issuer,
		 struct sivshmem_error *err)
{
	struct sivp_chain chain;
	char path[PATH_MAX];
	int rc = ca_root(ca, root, err);

	memset(issuer, 0, sizeof(*issuer));
	if (rc || access(ca_path(ca, INTERMEDIATE_CERT, path), F_OK))
		return rc;
	rc = sivshmem_chain_read(path, &chain, err);
	if (rc)
		return rc;
	if (chain.count != 1 || chain.cert[0].kind != SIVP_CERT_INTERMEDIATE)
		return sivshmem_error_set(err, -EBADMSG, "%s:2: not an intermediate's certificate",
					  path);
	*issuer = chain.cert[0];
	return 0;
}

int signer_trust(const struct ca *ca, struct sivp_cert *root, struct crl *crl,
		 struct sivshmem_error *err)
{
	struct sivp_cert issuer;
	char path[PATH_MAX];
	int rc = signer_certs(ca, root, &issuer, err);

	memset(crl, 0, sizeof(*crl));
	return rc ? rc : crl_read(ca_path(ca, CRL_FILE, path), root,
				  issuer.kind ? &issuer : NULL, crl, err);
}

/* An intermediate that is over would sign what everybody refuses. */
static int check_intermediate(const struct signer *s, const char *path,
			      struct sivshmem_error *err)
{
	const struct sivp_chain chain = { .count = 1, .cert = { s->cert } };
	enum sivshmem_cert_error bad = ca_verify(&chain, &s->root, time(NULL));

	if (!bad)
		return 0;
	return sivshmem_error_set(err, -EKEYREJECTED,
		"%s: its certificate does not hold: %s; have the root make another by `sivshmem-ca intermediate`",
		path, sivshmem_cert_reason(bad));
}

static int check_pair(const struct signer *s, const char *path, struct sivshmem_error *err)
{
	uint8_t public_key[SIVP_KEY_LEN];

	crypto_sign_ed25519_sk_to_pk(public_key, s->secret);
	if (memcmp(public_key, s->cert.public_key, sizeof(public_key)))
		return sivshmem_error_set(err, -EKEYREJECTED,
			"%s: does not belong to its certificate; restore both", path);
	return s->is_root ? 0 : check_intermediate(s, path, err);
}

int signer_load(const struct ca *ca, struct signer *s, struct sivshmem_error *err)
{
	char path[PATH_MAX];
	int rc;

	memset(s, 0, sizeof(*s));
	s->secret = sodium_malloc(64);
	if (!s->secret)
		return sivshmem_error_set(err, -ENOMEM, "no locked memory for keys; raise ulimit -l");
	rc = signer_certs(ca, &s->root, &s->cert, err);
	if (rc)
		return rc;
	s->is_root = !s->cert.kind;
	if (s->is_root)
		s->cert = s->root;
	rc = sealed_key_read(ca_path(ca, s->is_root ? SIGNER_ROOT : SIGNER_INTERMEDIATE, path),
			     ca->passphrase_file, s->secret, err);
	return rc ? rc : check_pair(s, path, err);
}

void signer_free(struct signer *s)
{
	sodium_free(s->secret);
	s->secret = NULL;
}

void signer_sign(const struct signer *s, struct sivp_chain *chain)
{
	sivshmem_cert_sign(&chain->cert[0], s->secret);
	chain->count = 1;
	if (s->is_root)
		return;
	chain->count = 2;
	chain->cert[1] = s->cert;
}

void signer_make(const struct signer *s, struct sivp_chain *chain, uint8_t secret[64])
{
	chain->cert[0].serial = ca_new_serial();
	crypto_sign_keypair(chain->cert[0].public_key, secret);
	signer_sign(s, chain);
}

static int move(const struct ca *ca, const char *from, const char *name, const char *kind,
		struct sivshmem_error *err)
{
	char old[PATH_MAX], path[PATH_MAX], file[64];

	snprintf(file, sizeof(file), "%s.%s", name, kind);
	ca_path(ca, file, path);
	if (!rename(ca_path(ca, from, old), path))
		return 0;
	return sivshmem_error_set(err, -errno, "%s: cannot replace: %s", path, strerror(errno));
}

int signer_replace(const struct ca *ca, const char *name, const uint8_t secret[64],
		   const struct sivp_chain *chain, struct sivshmem_error *err)
{
	char key[64], cert[64], old[64], path[PATH_MAX], old_path[PATH_MAX];
	int rc;

	snprintf(key, sizeof(key), "%s.key.new", name);
	snprintf(cert, sizeof(cert), "%s.cert.new", name);
	snprintf(old, sizeof(old), "%s.key", name);
	unlink(ca_path(ca, key, path));
	rc = sealed_key_write_like(ca_path(ca, old, old_path), path, ca->passphrase_file,
				   secret, err);
	unlink(ca_path(ca, cert, path));
	if (!rc)
		rc = sivshmem_chain_write(path, chain, err);
	if (!rc)
		rc = move(ca, key, name, "key", err);
	return rc ? rc : move(ca, cert, name, "cert", err);
}
