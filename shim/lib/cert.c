/* SPDX-License-Identifier: MIT */
#include "cert.h"

#include <string.h>
#include <sodium.h>

/* everything but the signature, after the context and its NUL */
#define TBS_LEN		(sizeof(struct sivp_cert) - SIVP_SIG_LEN)
#define SIGNED_LEN	(sizeof(SIVP_CTX_CERT) + TBS_LEN)

static const char *const reasons[] = {
	[SIVSHMEM_CERT_OK] = "valid",
	[SIVSHMEM_CERT_MALFORMED] = "not a version 1 certificate",
	[SIVSHMEM_CERT_UNKNOWN_CA] = "issued by another CA",
	[SIVSHMEM_CERT_BAD_SIGNATURE] = "signature is wrong",
	[SIVSHMEM_CERT_WRONG_KIND] = "certificate of the wrong kind",
	[SIVSHMEM_CERT_NOT_YET_VALID] = "not valid yet",
	[SIVSHMEM_CERT_EXPIRED] = "expired",
	[SIVSHMEM_CERT_WRONG_VM] = "bound to another VM",
	[SIVSHMEM_CERT_WRONG_HOST] = "bound to another host",
	[SIVSHMEM_CERT_WRONG_UID] = "bound to another uid",
	[SIVSHMEM_CERT_WRONG_GID] = "bound to another gid",
};

const char *sivshmem_cert_reason(enum sivshmem_cert_error error)
{
	if ((unsigned int)error >= sizeof(reasons) / sizeof(reasons[0]))
		return "unknown reason";
	return reasons[error];
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("._/:-", c));
}

bool sivshmem_name_valid(const char *name, size_t len)
{
	size_t n = strnlen(name, len);

	if (n == 0 || n == len || name[0] == '/')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!name_char(name[i]) ||
		    (name[i] == '.' && name[i + 1] == '.'))
			return false;
	}
	return sodium_is_zero((const unsigned char *)name + n, len - n);
}

/* a binding may be empty, and then all of it is */
static bool binding_valid(const char *name, size_t len)
{
	return sodium_is_zero((const unsigned char *)name, len) ||
	       sivshmem_name_valid(name, len);
}

void sivshmem_key_id(uint8_t id[32], const uint8_t public_key[SIVP_KEY_LEN])
{
	crypto_generichash(id, 32, public_key, SIVP_KEY_LEN, NULL, 0);
}

static void signed_bytes(uint8_t out[SIGNED_LEN], const struct sivp_cert *cert)
{
	memcpy(out, SIVP_CTX_CERT, sizeof(SIVP_CTX_CERT));
	memcpy(out + sizeof(SIVP_CTX_CERT), cert, TBS_LEN);
}

void sivshmem_cert_sign(struct sivp_cert *cert, const uint8_t secret[64])
{
	uint8_t message[SIGNED_LEN], public_key[SIVP_KEY_LEN];

	memcpy(cert->magic, "SIVC", 4);
	cert->version = 1;
	crypto_sign_ed25519_sk_to_pk(public_key, secret);
	sivshmem_key_id(cert->issuer, public_key);
	signed_bytes(message, cert);
	crypto_sign_detached(cert->signature, NULL, message, sizeof(message),
			     secret);
}

static bool signed_by(const struct sivp_cert *cert,
		      const struct sivp_cert *issuer)
{
	uint8_t message[SIGNED_LEN];

	signed_bytes(message, cert);
	return !crypto_sign_verify_detached(cert->signature, message,
					    sizeof(message), issuer->public_key);
}

static bool issued_by(const struct sivp_cert *cert,
		      const struct sivp_cert *issuer)
{
	uint8_t id[32];

	sivshmem_key_id(id, issuer->public_key);
	return !memcmp(cert->issuer, id, sizeof(id));
}

bool sivshmem_cert_well_formed(const struct sivp_cert *cert)
{
	if (memcmp(cert->magic, "SIVC", 4) || cert->version != 1 ||
	    cert->pad0 || cert->pad1 || cert->flags)
		return false;
	if (cert->kind < SIVP_CERT_ROOT || cert->kind > SIVP_CERT_SERVICE)
		return false;
	/* chains end after one intermediate, so only a root has followers */
	if (cert->path_len > (cert->kind == SIVP_CERT_ROOT ? 1 : 0))
		return false;
	if (cert->not_before < 0 ||
	    (cert->not_after && cert->not_after < cert->not_before))
		return false;
	return sivshmem_name_valid(cert->subject, sizeof(cert->subject)) &&
	       binding_valid(cert->vm, sizeof(cert->vm)) &&
	       binding_valid(cert->host, sizeof(cert->host));
}

static enum sivshmem_cert_error check_times(const struct sivp_cert *cert,
					    int64_t now)
{
	if (now < cert->not_before)
		return SIVSHMEM_CERT_NOT_YET_VALID;
	if (cert->not_after && now > cert->not_after)
		return SIVSHMEM_CERT_EXPIRED;
	return SIVSHMEM_CERT_OK;
}

static bool bound_elsewhere(const char *binding, const char *actual)
{
	return actual && binding[0] && strcmp(binding, actual);
}

static bool id_elsewhere(uint32_t binding, uint32_t actual)
{
	return binding != SIVP_ANY_ID && binding != actual;
}

static enum sivshmem_cert_error check_bindings(const struct sivp_cert *cert,
					       const struct sivshmem_cert_context *ctx)
{
	const char *host = cert->host;

	/* a host's certificate without a binding still names one host */
	if (cert->kind == SIVP_CERT_HOST && !host[0])
		host = cert->subject;
	if (bound_elsewhere(cert->vm, ctx->vm))
		return SIVSHMEM_CERT_WRONG_VM;
	if (bound_elsewhere(host, ctx->host))
		return SIVSHMEM_CERT_WRONG_HOST;
	if (ctx->check_ids && id_elsewhere(cert->uid, ctx->uid))
		return SIVSHMEM_CERT_WRONG_UID;
	if (ctx->check_ids && id_elsewhere(cert->gid, ctx->gid))
		return SIVSHMEM_CERT_WRONG_GID;
	return SIVSHMEM_CERT_OK;
}

static bool chain_well_formed(const struct sivp_chain *chain)
{
	if (chain->count < 1 || chain->count > 2 || chain->pad)
		return false;
	if (chain->count == 1 &&
	    !sodium_is_zero((const unsigned char *)&chain->cert[1],
			    sizeof(chain->cert[1])))
		return false;
	for (uint32_t i = 0; i < chain->count; i++) {
		if (!sivshmem_cert_well_formed(&chain->cert[i]))
			return false;
	}
	return true;
}

static enum sivshmem_cert_error check_kinds(const struct sivp_chain *chain,
					    enum sivp_cert_kind leaf,
					    const struct sivp_cert *root)
{
	if (root->kind != SIVP_CERT_ROOT || chain->cert[0].kind != leaf)
		return SIVSHMEM_CERT_WRONG_KIND;
	if (chain->count == 2 && (chain->cert[1].kind != SIVP_CERT_INTERMEDIATE ||
				  root->path_len < 1))
		return SIVSHMEM_CERT_WRONG_KIND;
	return SIVSHMEM_CERT_OK;
}

/* path: leaf, intermediate if any, root; root is its own issuer */
static enum sivshmem_cert_error check_signatures(const struct sivp_cert *const *path,
						 size_t count)
{
	const struct sivp_cert *root = path[count - 1];

	for (size_t i = 0; i < count; i++) {
		if (!issued_by(path[i], i + 1 < count ? path[i + 1] : root))
			return SIVSHMEM_CERT_UNKNOWN_CA;
	}
	for (size_t i = 0; i < count; i++) {
		if (!signed_by(path[i], i + 1 < count ? path[i + 1] : root))
			return SIVSHMEM_CERT_BAD_SIGNATURE;
	}
	return SIVSHMEM_CERT_OK;
}

/*
 * Times and bindings come last: a caller that sees EXPIRED knows that the
 * signatures hold. A CA certificate that has bindings passes them on.
 */
int64_t sivshmem_chain_not_after(const struct sivp_chain *chain, const struct sivp_cert *root)
{
	int64_t first = root->not_after;

	for (uint32_t i = 0; i < chain->count && i < 2; i++) {
		int64_t end = chain->cert[i].not_after;

		if (end && (!first || end < first))
			first = end;
	}
	return first;
}

enum sivshmem_cert_error sivshmem_chain_verify(const struct sivp_chain *chain,
					       enum sivp_cert_kind leaf,
					       const struct sivp_cert *root,
					       const struct sivshmem_cert_context *ctx)
{
	const struct sivp_cert *path[3];
	enum sivshmem_cert_error error;
	size_t count = 0;

	if (!chain_well_formed(chain) || !sivshmem_cert_well_formed(root))
		return SIVSHMEM_CERT_MALFORMED;
	for (uint32_t i = 0; i < chain->count; i++)
		path[count++] = &chain->cert[i];
	path[count++] = root;

	error = check_kinds(chain, leaf, root);
	if (!error)
		error = check_signatures(path, count);
	for (size_t i = count; !error && i > 0; i--)
		error = check_times(path[i - 1], ctx->now);
	for (size_t i = 0; !error && i < count; i++)
		error = check_bindings(path[i], ctx);
	return error;
}
