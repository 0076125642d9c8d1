/* SPDX-License-Identifier: MIT */
/*
 * Keys at rest under a passphrase. A text file like the other keys, its first
 * line "sivshmem sealed key v1"; then in base64 struct sealed: Argon2id of the
 * passphrase opens XSalsa20-Poly1305 over the 64 bytes of the key.
 */
#ifndef SIVSHMEM_CA_SEALED_H
#define SIVSHMEM_CA_SEALED_H

#include <stdbool.h>
#include <stdint.h>
#include "../shim/lib/keyfile.h"

#define PASSPHRASE_MAX	1024

/* Zeroed, guarded memory for one; NULL: no memory. sodium_free() it. */
char *passphrase_new(void);
/* The first line of the file, or, where that is NULL, from the terminal. */
int passphrase_read(const char *file, const char *prompt, char *text,
	struct sivshmem_error *err);
/* A new one, from the terminal twice. */
int passphrase_choose(const char *file, const char *path, char *text,
	struct sivshmem_error *err);

bool sealed_is(const char *path);
int sealed_read(const char *path, const char *passphrase, uint8_t secret[64],
	struct sivshmem_error *err);
int sealed_write(const char *path, const char *passphrase, const uint8_t secret[64],
	struct sivshmem_error *err);

/* Sealed or not: whichever it is. */
int sealed_key_read(const char *path, const char *passphrase_file, uint8_t secret[64],
	struct sivshmem_error *err);
/* Under the passphrase that opens `old`, if that is sealed; else plain. */
int sealed_key_write_like(const char *old, const char *path, const char *passphrase_file,
	const uint8_t secret[64], struct sivshmem_error *err);

#endif
