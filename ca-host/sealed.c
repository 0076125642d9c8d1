/* SPDX-License-Identifier: MIT */
#include "sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sodium.h>
#include <bsd/readpassphrase.h>

#define OPS	crypto_pwhash_OPSLIMIT_MODERATE
#define MEMORY	crypto_pwhash_MEMLIMIT_MODERATE
#define OPS_MAX		crypto_pwhash_OPSLIMIT_SENSITIVE
#define MEMORY_MAX	crypto_pwhash_MEMLIMIT_SENSITIVE

struct sealed {
	uint8_t salt[crypto_pwhash_SALTBYTES];
	uint64_t ops, memory;
	uint8_t nonce[crypto_secretbox_NONCEBYTES];
	uint8_t box[crypto_secretbox_MACBYTES + 64];
};
_Static_assert(sizeof(struct sealed) == 136, "sealed");

/* --- the passphrase --- */

char *passphrase_new(void)
{
	char *text = sodium_malloc(PASSPHRASE_MAX);

	if (text)
		memset(text, 0, PASSPHRASE_MAX);
	return text;
}

static int no_memory(struct sivshmem_error *err)
{
	return sivshmem_error_set(err, -ENOMEM,
		"no locked memory for a passphrase; raise ulimit -l");
}

static int read_line(const char *file, int fd, char *text, struct sivshmem_error *err)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_mode & 077)
		return sivshmem_error_set(err, -EPERM,
			"%s: a passphrase that group or others can reach; chmod 600 it", file);
	n = sivshmem_read_all(fd, text, PASSPHRASE_MAX - 1);
	if (n < 0)
		return sivshmem_error_set(err, (int)n, "%s: cannot read: %s", file,
					  strerror((int)-n));
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (text[0] && strlen(text) < PASSPHRASE_MAX - 1)
		return 0;
	return sivshmem_error_set(err, -EINVAL,
		"%s: a passphrase is the first line, 1 to %d bytes", file, PASSPHRASE_MAX - 2);
}

int passphrase_read(const char *file, const char *prompt, char *text,
		    struct sivshmem_error *err)
{
	int fd, rc;

	if (!file && !readpassphrase(prompt, text, PASSPHRASE_MAX, RPP_REQUIRE_TTY))
		return sivshmem_error_set(err, -ENOTTY,
			"no terminal to ask for a passphrase (%s); give --passphrase-file",
			prompt);
	if (!file)
		return text[0] ? 0 : sivshmem_error_set(err, -EINVAL, "an empty passphrase");
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return sivshmem_error_set(err, -errno, "%s: cannot open: %s", file,
					  strerror(errno));
	rc = read_line(file, fd, text, err);
	close(fd);
	return rc;
}

int passphrase_choose(const char *file, const char *path, char *text,
		      struct sivshmem_error *err)
{
	char prompt[512], *again;
	int rc;

	snprintf(prompt, sizeof(prompt), "New passphrase of %s: ", path);
	rc = passphrase_read(file, prompt, text, err);
	if (rc || file)
		return rc;
	again = passphrase_new();
	rc = again ? passphrase_read(NULL, "Again: ", again, err) : no_memory(err);
	if (!rc && strcmp(text, again))
		rc = sivshmem_error_set(err, -EINVAL, "the two differ; nothing was changed");
	sodium_free(again);
	return rc;
}

/* --- the file --- */

bool sealed_is(const char *path)
{
	char text[sizeof(SIVSHMEM_SEALED_HEADER)] = "";
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return false;
	(void)sivshmem_read_all(fd, text, sizeof(text) - 1);
	close(fd);
	return !strcmp(text, SIVSHMEM_SEALED_HEADER);
}

static int derive(const struct sealed *s, const char *passphrase, uint8_t *key)
{
	return crypto_pwhash(key, crypto_secretbox_KEYBYTES, passphrase, strlen(passphrase),
			     s->salt, s->ops, s->memory, crypto_pwhash_ALG_ARGON2ID13) ?
		-ENOMEM : 0;
}

static int out_of_memory(const char *path, const struct sealed *s, struct sivshmem_error *err)
{
	return sivshmem_error_set(err, -ENOMEM, "%s: its passphrase needs %llu MiB of memory",
		path, (unsigned long long)s->memory >> 20);
}

int sealed_read(const char *path, const char *passphrase, uint8_t secret[64],
		struct sivshmem_error *err)
{
	uint8_t key[crypto_secretbox_KEYBYTES], public_key[32], again[64];
	struct sealed s;
	int rc = sivshmem_sealed_read(path, (uint8_t *)&s, sizeof(s), err);

	if (rc)
		return rc;
	if (s.ops < crypto_pwhash_OPSLIMIT_MIN || s.ops > OPS_MAX ||
	    s.memory < crypto_pwhash_MEMLIMIT_MIN || s.memory > MEMORY_MAX)
		return sivshmem_error_set(err, -EBADMSG,
			"%s:2: asks for absurd work; copy the file again", path);
	if (derive(&s, passphrase, key))
		return out_of_memory(path, &s, err);
	rc = crypto_secretbox_open_easy(secret, s.box, sizeof(s.box), s.nonce, key);
	sodium_memzero(key, sizeof(key));
	if (rc)
		return sivshmem_error_set(err, -EKEYREJECTED,
			"%s: wrong passphrase, or the file was altered", path);
	crypto_sign_seed_keypair(public_key, again, secret);
	rc = sodium_memcmp(again, secret, sizeof(again));
	sodium_memzero(again, sizeof(again));
	if (rc)
		sodium_memzero(secret, 64);
	return rc ? sivshmem_error_set(err, -EBADMSG, "%s: not an Ed25519 secret key", path) : 0;
}

int sealed_write(const char *path, const char *passphrase, const uint8_t secret[64],
		 struct sivshmem_error *err)
{
	struct sealed s = { .ops = OPS, .memory = MEMORY };
	uint8_t key[crypto_secretbox_KEYBYTES];

	randombytes_buf(s.salt, sizeof(s.salt));
	randombytes_buf(s.nonce, sizeof(s.nonce));
	if (derive(&s, passphrase, key))
		return out_of_memory(path, &s, err);
	crypto_secretbox_easy(s.box, secret, 64, s.nonce, key);
	sodium_memzero(key, sizeof(key));
	return sivshmem_sealed_write(path, (const uint8_t *)&s, sizeof(s), err);
}

/* --- either kind --- */

int sealed_key_read(const char *path, const char *passphrase_file, uint8_t secret[64],
		    struct sivshmem_error *err)
{
	char prompt[512], *text;
	int rc;

	if (!sealed_is(path))
		return sivshmem_key_read(path, secret, err);
	text = passphrase_new();
	snprintf(prompt, sizeof(prompt), "Passphrase of %s: ", path);
	rc = text ? passphrase_read(passphrase_file, prompt, text, err) : no_memory(err);
	if (!rc)
		rc = sealed_read(path, text, secret, err);
	sodium_free(text);
	return rc;
}

int sealed_key_write_like(const char *old, const char *path, const char *passphrase_file,
			  const uint8_t secret[64], struct sivshmem_error *err)
{
	uint8_t *opened;
	char *text;
	int rc;

	if (!sealed_is(old))
		return sivshmem_key_write(path, secret, err);
	text = passphrase_new();
	opened = sodium_malloc(64);
	rc = -ENOMEM;
	if (!text || !opened)
		no_memory(err);
	else
		rc = passphrase_read(passphrase_file, "Passphrase: ", text, err);
	if (!rc)
		rc = sealed_read(old, text, opened, err);
	if (!rc)
		rc = sealed_write(path, text, secret, err);
	sodium_free(opened);
	sodium_free(text);
	return rc;
}
