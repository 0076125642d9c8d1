/* SPDX-License-Identifier: MIT */
#include "keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sodium.h>

#include "cert.h"
#include "secret.h"

#define LINE_BYTES	57		/* in a full line of ... */
#define LINE_CHARS	76		/* ... base64 */
#define BINARY_MAX	sizeof(((struct sivp_chain *)0)->cert)
#define TEXT_MAX	1024

struct format {
	const char *header;
	bool secret;
	bool foreign;			/* of `owner`, not of the caller or root */
	uid_t owner;
	mode_t mode;
};

#define ANYBODY		((uid_t)-1)

static const struct format key_format = {
	.header = "sivshmem secret key v1\n", .secret = true, .mode = 0600,
};

static const struct format sealed_format = {
	.header = SIVSHMEM_SEALED_HEADER, .secret = true, .mode = 0600,
};

static const struct format cert_format = {
	.header = "sivshmem certificate v1\n", .secret = false, .mode = 0644,
};

static const struct format foreign_format = {
	.header = "sivshmem certificate v1\n", .foreign = true, .owner = ANYBODY,
	.mode = 0644,
};

/* vsnprintf alone of stdio: this runs in other people's programs */
int sivshmem_error_set(struct sivshmem_error *err, int code,
		       const char *format, ...)
{
	va_list args;

	if (err) {
		va_start(args, format);
		vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
	}
	return code;
}

static int no_pages(const char *path, struct sivshmem_error *err)
{
	int e = errno;

	return sivshmem_error_set(err, -e, "%s: no memory for a key: %s", path,
				  strerrordesc_np(e));
}

/* --- reading --- */

/* In a directory of his the owner can give any file a name, but it has two then. */
static int check_foreign(const struct stat *st, const char *path, uid_t owner,
			 struct sivshmem_error *err)
{
	if (owner == ANYBODY)
		return 0;
	if (st->st_uid != owner)
		return sivshmem_error_set(err, -EPERM,
			"%s: owned by uid %u, its directory by uid %u; chown it", path,
			(unsigned int)st->st_uid, (unsigned int)owner);
	if (st->st_nlink != 1)
		return sivshmem_error_set(err, -EPERM,
			"%s: a file that has other names, too; copy it", path);
	return 0;
}

static int check_file(int fd, const char *path, const struct format *format,
		      struct sivshmem_error *err)
{
	uid_t me = geteuid();
	struct stat st;

	if (fstat(fd, &st)) {
		int e = errno;

		return sivshmem_error_set(err, -e, "%s: cannot stat: %s", path,
					  strerrordesc_np(e));
	}
	if (!S_ISREG(st.st_mode))
		return sivshmem_error_set(err, -EPERM,
			"%s: not a regular file", path);
	if (format->secret && (st.st_mode & 077))
		return sivshmem_error_set(err, -EPERM,
			"%s: a secret key that group or others can reach, got mode %04o; chmod 600 it",
			path, (unsigned int)st.st_mode & 07777);
	if (st.st_mode & 022)
		return sivshmem_error_set(err, -EPERM,
			"%s: a certificate that group or others can write, got mode %04o; chmod 644 it",
			path, (unsigned int)st.st_mode & 07777);
	if (format->foreign)
		return check_foreign(&st, path, format->owner, err);
	if (st.st_uid != me && st.st_uid != 0)
		return sivshmem_error_set(err, -EPERM,
			"%s: owned by uid %u, but only root or uid %u may; chown it",
			path, (unsigned int)st.st_uid, (unsigned int)me);
	return 0;
}

ssize_t sivshmem_read_all(int fd, char *text, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = read(fd, text + have, size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

static ssize_t read_file(const char *path, const struct format *format,
			 char *text, size_t size, struct sivshmem_error *err)
{
	/* O_NONBLOCK: a fifo in its place must not hold us up */
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n;
	int e = errno;

	if (fd < 0)
		return sivshmem_error_set(err, -e, "%s: cannot open: %s", path,
			e == ELOOP ? "it is a symbolic link; name the file itself" :
				     strerrordesc_np(e));
	n = check_file(fd, path, format, err);
	if (n == 0) {
		n = sivshmem_read_all(fd, text, size);
		if (n < 0)
			sivshmem_error_set(err, (int)n, "%s: cannot read: %s",
					   path, strerrordesc_np((int)-n));
	}
	close(fd);
	return n;
}

/*
 * Decode one line. Full lines hold LINE_CHARS, only the last may be shorter,
 * and libsodium refuses unused bits that are set: each content has one text.
 */
static int decode_line(const char *line, size_t chars, uint8_t *out,
		       size_t room, size_t *got)
{
	if (chars == 0 || chars > LINE_CHARS)
		return -EBADMSG;
	/* libsodium 1.0.18 takes some bytes above ASCII for letters */
	for (size_t i = 0; i < chars; i++) {
		if ((unsigned char)line[i] > '~')
			return -EBADMSG;
	}
	if (sodium_base642bin(out, room, line, chars, NULL, got, NULL,
			      sodium_base64_VARIANT_ORIGINAL))
		return -EBADMSG;
	return 0;
}

/* Returns the number of bytes decoded, or -EBADMSG with file:line. */
static ssize_t parse_text(const char *path, const struct format *format,
			  const char *text, size_t length, uint8_t *out,
			  size_t room, struct sivshmem_error *err)
{
	size_t header = strlen(format->header), at = header, have = 0;
	unsigned int line = 2;
	bool last = false;

	if (length < header || memcmp(text, format->header, header))
		return sivshmem_error_set(err, -EBADMSG,
			"%s:1: expected '%.*s'; is it the right file?", path,
			(int)header - 1, format->header);
	for (; at < length; line++) {
		const char *end = memchr(text + at, '\n', length - at);
		size_t chars, got;

		if (!end)
			return sivshmem_error_set(err, -EBADMSG,
				"%s:%u: the line does not end, the file is cut off or too long",
				path, line);
		chars = (size_t)(end - (text + at));
		if (last || decode_line(text + at, chars, out + have,
					room - have, &got))
			return sivshmem_error_set(err, -EBADMSG,
				"%s:%u: not the base64 that belongs here; copy the file again",
				path, line);
		last = chars != LINE_CHARS || got != LINE_BYTES;
		have += got;
		at += chars + 1;
	}
	return (ssize_t)have;
}

/* By way of text, which keeps what it was given. */
static ssize_t load_by(char text[TEXT_MAX], const char *path, const struct format *format,
		       uint8_t *out, size_t room, struct sivshmem_error *err)
{
	ssize_t n = read_file(path, format, text, TEXT_MAX, err);

	return n < 0 ? n : parse_text(path, format, text, (size_t)n, out, room, err);
}

static ssize_t load(const char *path, const struct format *format,
		    uint8_t *out, size_t room, struct sivshmem_error *err)
{
	char text[TEXT_MAX];
	ssize_t n = load_by(text, path, format, out, room, err);

	sodium_memzero(text, sizeof(text));	/* it may be a key that is in the wrong place */
	return n;
}

/* The second half of a secret key is its public key: one must follow from the other. */
static bool key_consistent(const uint8_t secret[64], uint8_t again[64])
{
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES];

	crypto_sign_seed_keypair(public_key, again, secret);
	return !sodium_memcmp(again, secret, 64);
}

/* Not on the stack: another thread may fork at any time, and the child would keep it. */
struct passage {
	char text[TEXT_MAX];
	uint8_t again[crypto_sign_SECRETKEYBYTES];
};

static int read_key(const char *path, const struct format *format, uint8_t secret[64],
		    struct sivshmem_error *err)
{
	struct passage *p = secret_pages(sizeof(*p));
	bool good;
	ssize_t n;

	if (!p)
		return no_pages(path, err);
	n = load_by(p->text, path, format, secret, 64, err);
	good = n == 64 && key_consistent(secret, p->again);
	secret_pages_free(p, sizeof(*p));
	if (good)
		return 0;
	sodium_memzero(secret, 64);
	if (n < 0)
		return (int)n;
	return sivshmem_error_set(err, -EBADMSG,
		"%s:2: not an Ed25519 secret key; copy the file again", path);
}

int sivshmem_key_read(const char *path, uint8_t secret[64],
		      struct sivshmem_error *err)
{
	return read_key(path, &key_format, secret, err);
}

int sivshmem_key_look(const char *path, uid_t owner, uint8_t secret[64],
		      struct sivshmem_error *err)
{
	struct format format = key_format;

	format.foreign = true;
	format.owner = owner;
	return read_key(path, &format, secret, err);
}

int sivshmem_sealed_read(const char *path, uint8_t *bytes, size_t size,
			 struct sivshmem_error *err)
{
	ssize_t n = load(path, &sealed_format, bytes, size, err);

	if (n < 0 || (size_t)n == size)
		return n < 0 ? (int)n : 0;
	return sivshmem_error_set(err, -EBADMSG,
		"%s:2: not a sealed key, got %zd bytes; copy the file again", path, n);
}

static int read_chain(const char *path, const struct format *format,
		      struct sivp_chain *chain, struct sivshmem_error *err)
{
	const size_t one = sizeof(struct sivp_cert);
	ssize_t n;

	memset(chain, 0, sizeof(*chain));
	n = load(path, format, (uint8_t *)chain->cert, BINARY_MAX, err);
	if (n < 0)
		goto fail;
	chain->count = (uint32_t)((size_t)n / one);
	if (chain->count < 1 || (size_t)n % one) {
		n = sivshmem_error_set(err, -EBADMSG,
			"%s:2: not one or two certificates, got %zd bytes; copy the file again",
			path, n);
		goto fail;
	}
	for (uint32_t i = 0; i < chain->count; i++) {
		if (sivshmem_cert_well_formed(&chain->cert[i]))
			continue;
		n = sivshmem_error_set(err, -EBADMSG,
			"%s:2: certificate %u is %s", path, i + 1,
			sivshmem_cert_reason(SIVSHMEM_CERT_MALFORMED));
		goto fail;
	}
	return 0;
fail:
	memset(chain, 0, sizeof(*chain));
	return (int)n;
}

int sivshmem_chain_read(const char *path, struct sivp_chain *chain,
			struct sivshmem_error *err)
{
	return read_chain(path, &cert_format, chain, err);
}

int sivshmem_chain_look(const char *path, struct sivp_chain *chain,
			struct sivshmem_error *err)
{
	return read_chain(path, &foreign_format, chain, err);
}

/* --- writing --- */

static size_t format_text(const struct format *format, const uint8_t *data,
			  size_t length, char text[TEXT_MAX])
{
	size_t at = strlen(format->header);

	memcpy(text, format->header, at);
	for (size_t done = 0; done < length; done += LINE_BYTES) {
		size_t n = length - done < LINE_BYTES ? length - done : LINE_BYTES;

		sodium_bin2base64(text + at, TEXT_MAX - at, data + done, n,
				  sodium_base64_VARIANT_ORIGINAL);
		at += strlen(text + at);
		text[at++] = '\n';
	}
	return at;
}

static int write_all(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		length -= (size_t)n;
	}
	return 0;
}

/* A rename that a power cut cannot take back. */
static int sync_parent(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, rc = 0;

	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - path) + 1 : 1,
		 slash ? path : ".");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fsync(fd) && errno != EINVAL)
		rc = -errno;
	close(fd);
	return rc;
}

/* link(2) rather than rename(2): it never replaces what is there. */
static int write_file(const char *path, const struct format *format,
		      const char *text, size_t length)
{
	char temp[PATH_MAX];
	int fd, rc;

	if ((size_t)snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= sizeof(temp))
		return -ENAMETOOLONG;
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = write_all(fd, text, length);
	if (!rc && (fchmod(fd, format->mode) || fsync(fd)))
		rc = -errno;
	if (close(fd) && !rc)
		rc = -errno;
	if (!rc && link(temp, path))
		rc = -errno;
	unlink(temp);
	return rc ? rc : sync_parent(path);
}

static int store(const char *path, const struct format *format,
		 const uint8_t *data, size_t length, struct sivshmem_error *err)
{
	char text[TEXT_MAX];
	int rc;

	rc = write_file(path, format, text,
			format_text(format, data, length, text));
	sodium_memzero(text, sizeof(text));
	if (rc == -EEXIST)
		sivshmem_error_set(err, rc,
			"%s: exists and is not overwritten; remove it first if you mean to",
			path);
	else if (rc)
		sivshmem_error_set(err, rc, "%s: cannot write: %s", path,
				   strerrordesc_np(-rc));
	return rc;
}

int sivshmem_key_write(const char *path, const uint8_t secret[64],
		       struct sivshmem_error *err)
{
	return store(path, &key_format, secret, 64, err);
}

int sivshmem_sealed_write(const char *path, const uint8_t *bytes, size_t size,
			  struct sivshmem_error *err)
{
	return store(path, &sealed_format, bytes, size, err);
}

int sivshmem_chain_write(const char *path, const struct sivp_chain *chain,
			 struct sivshmem_error *err)
{
	if (chain->count < 1 || chain->count > 2)
		return sivshmem_error_set(err, -EINVAL,
			"%s: a chain of %u certificates cannot be written",
			path, chain->count);
	return store(path, &cert_format, (const uint8_t *)chain->cert,
		     chain->count * sizeof(struct sivp_cert), err);
}

/* --- bundles --- */

static int bundle_path(char path[PATH_MAX], const char *dir, const char *file,
		       struct sivshmem_error *err)
{
	if ((size_t)snprintf(path, PATH_MAX, "%s/%s", dir, file) >= PATH_MAX)
		return sivshmem_error_set(err, -ENAMETOOLONG,
			"%s: the path is too long", dir);
	return 0;
}

static int bundle_read(struct sivshmem_bundle *bundle, const char *dir,
		       struct sivshmem_error *err)
{
	struct sivp_chain root;
	char path[PATH_MAX];
	int rc;

	rc = bundle_path(path, dir, SIVSHMEM_KEY_FILE, err);
	if (!rc)
		rc = sivshmem_key_read(path, bundle->secret, err);
	if (!rc)
		rc = bundle_path(path, dir, SIVSHMEM_CERT_FILE, err);
	if (!rc)
		rc = sivshmem_chain_read(path, &bundle->chain, err);
	if (!rc)
		rc = bundle_path(path, dir, SIVSHMEM_ROOT_FILE, err);
	if (!rc)
		rc = sivshmem_chain_read(path, &root, err);
	if (!rc && root.count != 1)
		rc = sivshmem_error_set(err, -EBADMSG,
			"%s:2: a root is one certificate, got %u", path, root.count);
	if (!rc)
		bundle->root = root.cert[0];
	return rc;
}

static int bundle_check(const struct sivshmem_bundle *bundle, const char *dir,
			struct sivshmem_error *err)
{
	static const struct sivshmem_cert_context any = { 0 };
	uint8_t public_key[SIVP_KEY_LEN];
	enum sivshmem_cert_error error;

	crypto_sign_ed25519_sk_to_pk(public_key, bundle->secret);
	if (memcmp(public_key, bundle->chain.cert[0].public_key, SIVP_KEY_LEN))
		return sivshmem_error_set(err, -EKEYREJECTED,
			"%s/" SIVSHMEM_KEY_FILE ": does not belong to "
			SIVSHMEM_CERT_FILE "; copy the whole bundle again", dir);
	error = sivshmem_chain_verify(&bundle->chain, SIVP_CERT_SERVICE,
				      &bundle->root, &any);
	/* the host's clock decides about time, not this machine's */
	if (error == SIVSHMEM_CERT_EXPIRED || error == SIVSHMEM_CERT_NOT_YET_VALID)
		error = SIVSHMEM_CERT_OK;
	if (error)
		return sivshmem_error_set(err, -EKEYREJECTED,
			"%s/" SIVSHMEM_CERT_FILE ": %s (" SIVSHMEM_ROOT_FILE
			"); copy the whole bundle again", dir,
			sivshmem_cert_reason(error));
	return 0;
}

int sivshmem_bundle_load(struct sivshmem_bundle *bundle, const char *dir,
			 struct sivshmem_error *err)
{
	int rc;

	memset(bundle, 0, sizeof(*bundle));
	if (sodium_init() < 0)
		return sivshmem_error_set(err, -EIO, "libsodium does not start");
	bundle->secret = secret_pages(64);
	if (!bundle->secret)
		return no_pages(dir, err);
	rc = bundle_read(bundle, dir, err);
	if (!rc)
		rc = bundle_check(bundle, dir, err);
	if (rc)
		sivshmem_bundle_free(bundle);
	return rc;
}

void sivshmem_bundle_free(struct sivshmem_bundle *bundle)
{
	secret_pages_free(bundle->secret, 64);
	memset(bundle, 0, sizeof(*bundle));
}
