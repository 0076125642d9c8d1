/* SPDX-License-Identifier: MIT */
#include "crl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sodium.h>

#define HEADER		"sivshmem revocation list v1\n"
#define CONTEXT		"sivshmem revocation list v1"
#define SIGNATURE	"signature "
#define LINE		17			/* a serial and its newline */
#define BASE64_CHARS	88
#define TEXT_MAX	(CRL_MAX * LINE + 256)

void crl_free(struct crl *crl)
{
	free(crl->serial);
	memset(crl, 0, sizeof(*crl));
}

/* Where it is, or would be */
static size_t place(const struct crl *crl, uint64_t serial)
{
	size_t low = 0, high = crl->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (crl->serial[middle] < serial)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool crl_has(const struct crl *crl, uint64_t serial)
{
	size_t at = place(crl, serial);

	return at < crl->count && crl->serial[at] == serial;
}

bool crl_has_chain(const struct crl *crl, const struct sivp_chain *chain)
{
	return chain->count && (crl_has(crl, chain->cert[0].serial) ||
				(chain->count == 2 && crl_has(crl, chain->cert[1].serial)));
}

int crl_add(struct crl *crl, uint64_t serial)
{
	size_t at = place(crl, serial);
	uint64_t *more;

	if (at < crl->count && crl->serial[at] == serial)
		return 0;
	if (crl->count >= CRL_MAX)
		return -ENOSPC;
	more = reallocarray(crl->serial, crl->count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	memmove(&more[at + 1], &more[at], (crl->count - at) * sizeof(*more));
	more[at] = serial;
	crl->serial = more;
	crl->count++;
	return 1;
}

/* --- the signature --- */

/* ctx with its NUL, then the text: malloc'ed, NULL for no memory */
static uint8_t *signed_bytes(const char *text, size_t length, size_t *size)
{
	uint8_t *all;

	*size = sizeof(CONTEXT) + length;
	all = malloc(*size);
	if (!all)
		return NULL;
	memcpy(all, CONTEXT, sizeof(CONTEXT));
	memcpy(all + sizeof(CONTEXT), text, length);
	return all;
}

/* `text` ends with the signature's line, which begins at `length`. */
static int verify(const char *text, size_t length, size_t end, const struct sivp_cert *root,
		  const struct sivp_cert *issuer)
{
	const char *line = text + length;
	char again[BASE64_CHARS + 1];
	uint8_t signature[SIVP_SIG_LEN], *all;
	size_t got, size;
	int bad;

	if (end - length != strlen(SIGNATURE) + BASE64_CHARS + 1 ||
	    memcmp(line, SIGNATURE, strlen(SIGNATURE)) || text[end - 1] != '\n' ||
	    sodium_base642bin(signature, sizeof(signature), line + strlen(SIGNATURE),
			      BASE64_CHARS, NULL, &got, NULL, sodium_base64_VARIANT_ORIGINAL) ||
	    got != sizeof(signature))
		return -EBADMSG;
	/* libsodium takes some bytes that it would not write */
	sodium_bin2base64(again, sizeof(again), signature, sizeof(signature),
			  sodium_base64_VARIANT_ORIGINAL);
	if (memcmp(again, line + strlen(SIGNATURE), BASE64_CHARS))
		return -EBADMSG;
	all = signed_bytes(text, length, &size);
	if (!all)
		return -ENOMEM;
	bad = crypto_sign_verify_detached(signature, all, size, root->public_key) &&
	      (!issuer || crypto_sign_verify_detached(signature, all, size, issuer->public_key));
	free(all);
	return bad ? -EKEYREJECTED : 0;
}

/* --- reading --- */

/* The text, NUL-terminated, or NULL; *err says why, and *rc. */
static char *read_text(const char *path, size_t *length, int *rc, struct sivshmem_error *err)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *text = NULL;
	struct stat st;
	ssize_t n = -1;

	*rc = fd < 0 ? -errno : 0;
	if (fd < 0) {
		sivshmem_error_set(err, *rc, "%s: cannot open: %s", path, strerror(-*rc));
		return NULL;
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_mode & 022 ||
	    (st.st_uid != geteuid() && st.st_uid)) {
		*rc = sivshmem_error_set(err, -EPERM,
			"%s: not a file that only its owner or root can write; chmod 644 it",
			path);
	} else {
		const size_t room = (uint64_t)st.st_size < TEXT_MAX ? (size_t)st.st_size : TEXT_MAX;

		text = malloc(room + 1);
		n = text ? sivshmem_read_all(fd, text, room) : -ENOMEM;
		if (n < 0)
			*rc = sivshmem_error_set(err, (int)n, "%s: cannot read: %s", path,
						 strerror((int)-n));
	}
	close(fd);
	if (*rc || n < 0) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	*length = (size_t)n;
	return text;
}

static bool parse_hex(const char *line, uint64_t *serial)
{
	char digits[LINE];

	memcpy(digits, line, LINE - 1);
	digits[LINE - 1] = '\0';
	if (strspn(digits, "0123456789abcdef") != LINE - 1 || line[LINE - 1] != '\n')
		return false;
	*serial = strtoull(digits, NULL, 16);
	return true;
}

/* "epoch N\n" at `at`; the end of the line, or 0 */
static size_t parse_epoch(const char *text, size_t at, uint64_t *epoch)
{
	char again[40];
	int n;

	if (sscanf(text + at, "epoch %20" SCNu64, epoch) != 1 || !*epoch)
		return 0;
	n = snprintf(again, sizeof(again), "epoch %" PRIu64 "\n", *epoch);
	return strncmp(text + at, again, (size_t)n) ? 0 : at + (size_t)n;
}

/* Bytes of a root, whom we believe; but not that he never errs. */
static int parse(const char *text, size_t at, size_t end, struct crl *crl)
{
	uint64_t last = 0, serial;

	at = parse_epoch(text, at, &crl->epoch);
	if (!at || (end - at) % LINE || (end - at) / LINE > CRL_MAX)
		return -EBADMSG;
	crl->serial = calloc((end - at) / LINE + 1, sizeof(*crl->serial));
	if (!crl->serial)
		return -ENOMEM;
	for (; at < end; at += LINE) {
		if (!parse_hex(text + at, &serial) || (crl->count && serial <= last))
			return -EBADMSG;
		crl->serial[crl->count++] = last = serial;
	}
	return 0;
}

static int check(const char *text, size_t length, const struct sivp_cert *root,
		 const struct sivp_cert *issuer, struct crl *crl)
{
	size_t header = strlen(HEADER), end;
	const char *last;
	int rc;

	if (length < header || memcmp(text, HEADER, header) || strlen(text) != length)
		return -EBADMSG;
	last = strstr(text, "\n" SIGNATURE);
	if (!last)
		return -EBADMSG;
	end = (size_t)(last - text) + 1;
	rc = verify(text, end, length, root, issuer);
	return rc ? rc : parse(text, header, end, crl);
}

int crl_read(const char *path, const struct sivp_cert *root, const struct sivp_cert *issuer,
	     struct crl *crl, struct sivshmem_error *err)
{
	size_t length;
	char *text;
	int rc;

	memset(crl, 0, sizeof(*crl));
	text = read_text(path, &length, &rc, err);
	if (!text)
		return rc == -ENOENT ? 0 : rc;
	rc = check(text, length, root, issuer, crl);
	free(text);
	if (!rc)
		return 0;
	crl_free(crl);
	return sivshmem_error_set(err, rc, "%s: %s", path,
		rc == -ENOMEM ? "no memory" :
		rc == -EKEYREJECTED ? "the signature is not this CA's; restore the file" :
				      "not a version 1 revocation list; restore the file");
}

/* What is added to an old list, or to none, the daemon would refuse. */
int crl_newest(const char *dir, const struct crl *crl, struct sivshmem_error *err)
{
	char path[PATH_MAX];
	uint64_t seen = 0;
	int n = 1;
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/" CRL_SEEN_FILE, dir) >= PATH_MAX)
		return sivshmem_error_set(err, -ENAMETOOLONG, "%s: the path is too long", dir);
	f = fopen(path, "re");
	if (!f && errno != ENOENT)
		return sivshmem_error_set(err, -errno, "%s: %s", path, strerror(errno));
	if (f) {
		n = fscanf(f, "%20" SCNu64, &seen);
		fclose(f);
	}
	if (n != 1)
		return sivshmem_error_set(err, -EBADMSG, "%s: not a number; restore it", path);
	if (crl->epoch >= seen)
		return 0;
	return sivshmem_error_set(err, -ESTALE,
		"%s/" CRL_FILE ": epoch %" PRIu64 ", but the daemon has believed epoch %" PRIu64
		": the list is %s, and the daemon refuses what is added to it;"
		" restore the newest, or see `A lost list' in sivshmem-ca(8)", dir, crl->epoch, seen,
		crl->epoch ? "an old one" : "lost");
}

/* --- writing --- */

static char *format(const struct crl *crl, const uint8_t secret[64], size_t *length)
{
	char *text = malloc(crl->count * LINE + 256);
	uint8_t signature[SIVP_SIG_LEN], *all = NULL;
	size_t at, size, i;

	if (!text)
		return NULL;
	at = (size_t)sprintf(text, HEADER "epoch %" PRIu64 "\n", crl->epoch);
	for (i = 0; i < crl->count; i++)
		at += (size_t)sprintf(text + at, "%016" PRIx64 "\n", crl->serial[i]);
	all = signed_bytes(text, at, &size);
	if (!all) {
		free(text);
		return NULL;
	}
	crypto_sign_detached(signature, NULL, all, size, secret);
	free(all);
	at += (size_t)sprintf(text + at, SIGNATURE);
	sodium_bin2base64(text + at, BASE64_CHARS + 1, signature, sizeof(signature),
			  sodium_base64_VARIANT_ORIGINAL);
	at += BASE64_CHARS;
	text[at++] = '\n';
	*length = at;
	return text;
}

static int replace(const char *path, const char *text, size_t length)
{
	char temp[PATH_MAX];
	int fd, rc = 0;

	if ((size_t)snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= sizeof(temp))
		return -ENAMETOOLONG;
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, length) != (ssize_t)length || fchmod(fd, 0644) || fsync(fd))
		rc = errno ? -errno : -EIO;
	if (close(fd) && !rc)
		rc = -errno;
	if (!rc && rename(temp, path))
		rc = -errno;
	if (rc)
		unlink(temp);
	return rc;
}

int crl_write(const char *path, const struct crl *crl, const uint8_t secret[64],
	      struct sivshmem_error *err)
{
	size_t length;
	char *text = format(crl, secret, &length);
	int rc = text ? replace(path, text, length) : -ENOMEM;

	free(text);
	return rc ? sivshmem_error_set(err, rc, "%s: cannot write: %s", path, strerror(-rc)) : 0;
}
