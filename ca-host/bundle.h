/* SPDX-License-Identifier: MIT */
/*
 * A service's bundle, or another new directory, by the descriptors of itself
 * and of the directory that holds it. Root writes bundles where a user may own the place: that user can
 * put a link or another directory where the bundle was, and a path would
 * follow it.
 */
#ifndef SIVSHMEM_CA_BUNDLE_H
#define SIVSHMEM_CA_BUNDLE_H

#include <sys/types.h>
#include <sys/stat.h>
#include "ca.h"

struct bundle {
	char path[PATH_MAX];		/* where it is or will be, for messages */
	char base[NAME_MAX + 1];	/* path's last part */
	char name[NAME_MAX + 1];	/* what it is called now, in `parent` */
	int parent, fd;			/* -1: none */
};

/* All: 0, or -errno and *err. Close what was to be opened or created in any case. */

/* The bundle that is there; *st is its directory's. */
int bundle_open(struct bundle *b, const char *path, struct stat *st, struct sivshmem_error *err);
/* An empty directory beside `path`, ours alone until it is given away. */
int bundle_create(struct bundle *b, const char *path, struct sivshmem_error *err);
int bundle_write(const struct bundle *b, const uint8_t secret[64], const struct sivp_chain *chain,
	const struct sivp_cert *root, struct sivshmem_error *err);
/* Files first, the directory last; gid -1: not changed. */
int bundle_give(const struct bundle *b, uid_t uid, gid_t gid, mode_t mode,
	struct sivshmem_error *err);
/* It appears under its path, where nothing may be, */
int bundle_place(struct bundle *b, struct sivshmem_error *err);
/* or changes places with the old one, which is there. */
int bundle_exchange(struct bundle *b, struct bundle *old, struct sivshmem_error *err);
/* The three files, and the directory if it is empty then. */
void bundle_remove(const struct bundle *b);
void bundle_close(struct bundle *b);

/* For what takes paths: wherever the directory is moved to, this is it. */
const char *bundle_dir(const struct bundle *b, char path[PATH_MAX]);
/* People are told its own path, in messages of such functions; returns rc. */
int bundle_named(const struct bundle *b, int rc, struct sivshmem_error *err);

/* A new certificate in the place of that of `b`, with an owner. */
int bundle_replace_cert(const struct bundle *b, const struct sivp_chain *chain, uid_t uid,
	gid_t gid, struct sivshmem_error *err);

/* What is there: the certificate, and the key, which belongs to the directory's owner (*st). */
int bundle_look_cert(const struct bundle *b, struct sivp_chain *chain, struct sivshmem_error *err);
int bundle_look_key(const struct bundle *b, const struct stat *st, uint8_t secret[64],
	struct sivshmem_error *err);

#endif
