/* SPDX-License-Identifier: MIT */
/*
 * Keys and certificates on disk: one text file per thing, a first line that
 * names kind and version, then base64. A *bundle* is a directory of three:
 * service.key (0600), service.cert (the chain), root.cert.
 */
#ifndef SIVSHMEM_LIB_KEYFILE_H
#define SIVSHMEM_LIB_KEYFILE_H

#include <stddef.h>
#include <sys/types.h>
#include <sivshmem/proto.h>

#define SIVSHMEM_KEY_FILE	"service.key"
#define SIVSHMEM_CERT_FILE	"service.cert"
#define SIVSHMEM_ROOT_FILE	"root.cert"

/* A message for people, filled by the functions below when they fail. */
struct sivshmem_error {
	char text[512];			/* "file:line: what, got what; do what" */
};

/* Sets err->text if err is not NULL; returns code, so that it can be returned. */
int sivshmem_error_set(struct sivshmem_error *err, int code,
	const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Read at most size bytes; returns how many there are, or -errno. */
ssize_t sivshmem_read_all(int fd, char *text, size_t size);

/*
 * Read or write a secret key (Ed25519, 64 bytes), O_NOFOLLOW. Reading refuses
 * (-EPERM) a file that group or others can read, that is not a regular file, or
 * that neither the caller nor root owns. Writing is O_EXCL on a temporary
 * name in the same directory, 0600, fsync, rename; -EEXIST if it exists.
 * `secret` should lie in memory for secrets; the text goes through secret_pages().
 */
int sivshmem_key_read(const char *path, uint8_t secret[64],
	struct sivshmem_error *err);
int sivshmem_key_write(const char *path, const uint8_t secret[64],
	struct sivshmem_error *err);

/*
 * To see which key it is: of a file that `owner` has, alone and under one name,
 * or whoever has it for (uid_t)-1.
 */
int sivshmem_key_look(const char *path, uid_t owner, uint8_t secret[64],
	struct sivshmem_error *err);

/* As key_read and key_write, for a key that a passphrase seals: bytes as ca-host/sealed.c has them. */
#define SIVSHMEM_SEALED_HEADER	"sivshmem sealed key v1\n"
int sivshmem_sealed_read(const char *path, uint8_t *bytes, size_t size,
	struct sivshmem_error *err);
int sivshmem_sealed_write(const char *path, const uint8_t *bytes, size_t size,
	struct sivshmem_error *err);

/* The same for certificates, mode 0644; a file that others may write is refused. */
int sivshmem_chain_read(const char *path, struct sivp_chain *chain,
	struct sivshmem_error *err);
/* To print it, never to trust it: whoever owns the file. */
int sivshmem_chain_look(const char *path, struct sivp_chain *chain,
	struct sivshmem_error *err);
int sivshmem_chain_write(const char *path, const struct sivp_chain *chain,
	struct sivshmem_error *err);

struct sivshmem_bundle {
	uint8_t *secret;		/* 64 bytes, of secret_pages() */
	struct sivp_chain chain;
	struct sivp_cert root;
};

/*
 * Load the three files of a directory and check that they belong together
 * (key matches certificate, chain leads to root, times aside). free accepts
 * a zeroed bundle.
 */
int sivshmem_bundle_load(struct sivshmem_bundle *bundle, const char *dir,
	struct sivshmem_error *err);
void sivshmem_bundle_free(struct sivshmem_bundle *bundle);

#endif
