/* SPDX-License-Identifier: MIT */
#include "bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bsd/string.h>

#define BY_FD	"/proc/self/fd/%d"

static const char *const files[] = {
	SIVSHMEM_KEY_FILE, SIVSHMEM_CERT_FILE, SIVSHMEM_ROOT_FILE,
};
#define FILES	(sizeof(files) / sizeof(files[0]))

/* For what takes paths: wherever the directory is moved to, this is it. */
static const char *by_fd(int fd, const char *file, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, BY_FD "/%s", fd, file);
	return path;
}

const char *bundle_dir(const struct bundle *b, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, BY_FD, b->fd);
	return path;
}

static int named(const struct bundle *b, int fd, int rc, struct sivshmem_error *err)
{
	struct sivshmem_error was = *err;
	char prefix[64];
	size_t n;

	if (!rc)
		return 0;
	n = (size_t)snprintf(prefix, sizeof(prefix), BY_FD "/", fd);
	if (!strncmp(was.text, prefix, n))
		sivshmem_error_set(err, rc, "%s/%s", b->path, was.text + n);
	return rc;
}

int bundle_named(const struct bundle *b, int rc, struct sivshmem_error *err)
{
	return named(b, b->fd, rc, err);
}

/* --- the directory --- */

static int too_long(const char *path, struct sivshmem_error *err)
{
	return sivshmem_error_set(err, -ENAMETOOLONG, "%s: the path is too long", path);
}

/* The directory that holds it, and its name there. */
static int open_parent(struct bundle *b, const char *path, struct sivshmem_error *err)
{
	char dir[PATH_MAX];
	const char *last;
	size_t n;

	*b = (struct bundle){ .parent = -1, .fd = -1 };
	n = strlcpy(b->path, path, sizeof(b->path));
	if (n >= sizeof(b->path))
		return too_long(path, err);
	while (n > 1 && b->path[n - 1] == '/')
		b->path[--n] = '\0';
	last = strrchr(b->path, '/');
	snprintf(dir, sizeof(dir), "%.*s", last ? (int)(last - b->path) + 1 : 1,
		 last ? b->path : ".");
	last = last ? last + 1 : b->path;
	if (!*last)
		return sivshmem_error_set(err, -EINVAL,
			"%s: says not how the bundle is called; name its directory", path);
	if (strlcpy(b->base, last, sizeof(b->base)) >= sizeof(b->base))
		return too_long(path, err);
	strlcpy(b->name, b->base, sizeof(b->name));
	b->parent = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return b->parent < 0 ? -errno : 0;
}

int bundle_open(struct bundle *b, const char *path, struct stat *st, struct sivshmem_error *err)
{
	int rc;

	err->text[0] = '\0';
	rc = open_parent(b, path, err);
	if (!rc) {
		b->fd = openat(b->parent, b->base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (b->fd < 0 || fstat(b->fd, st))
			rc = -errno;
	}
	if (rc == -ENOTDIR || rc == -ELOOP)
		return sivshmem_error_set(err, -EINVAL,
			"%s: not a directory; name the bundle itself", path);
	if (rc && !err->text[0])
		sivshmem_error_set(err, rc, "%s: %s", path, strerror(-rc));
	return rc;
}

static bool is_empty(int fd)
{
	int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = own < 0 ? NULL : fdopendir(own);
	struct dirent *entry;
	int found = 0;

	if (!d) {
		if (own >= 0)
			close(own);
		return false;
	}
	while ((entry = readdir(d)))
		found += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
	closedir(d);
	return !found;
}

/* Between mkdtemp() and open() another one may have been put in its place. */
static bool is_ours(int fd)
{
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) && st.st_uid == geteuid() &&
	       (st.st_mode & 0777) == 0700 && is_empty(fd);
}

/* A new directory in b->parent; -EPERM: somebody else meddles there. */
static int make_dir(struct bundle *b)
{
	char path[PATH_MAX], pattern[NAME_MAX + 8];

	if (snprintf(pattern, sizeof(pattern), "%s.XXXXXX", b->base) > NAME_MAX)
		return -ENAMETOOLONG;
	by_fd(b->parent, pattern, path);
	if (!mkdtemp(path))
		return -errno;
	strlcpy(b->name, strrchr(path, '/') + 1, sizeof(b->name));
	b->fd = openat(b->parent, b->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (is_ours(b->fd))
		return 0;
	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
	return -EPERM;
}

static int meddled(const char *path, struct sivshmem_error *err)
{
	return sivshmem_error_set(err, -EPERM,
		"%s: somebody has put something else in the place of the new directory; use one that nobody else can write in",
		path);
}

int bundle_create(struct bundle *b, const char *path, struct sivshmem_error *err)
{
	int rc;

	err->text[0] = '\0';
	rc = open_parent(b, path, err);
	if (!rc) {
		rc = make_dir(b);
		if (rc == -EPERM)
			return meddled(b->path, err);
	}
	if (rc && !err->text[0])
		sivshmem_error_set(err, rc, "%s: cannot create it: %s; does its parent exist?",
				   b->path, strerror(-rc));
	return rc;
}

void bundle_close(struct bundle *b)
{
	if (b->fd >= 0)
		close(b->fd);
	if (b->parent >= 0)
		close(b->parent);
	b->fd = b->parent = -1;
}

void bundle_remove(const struct bundle *b)
{
	if (b->fd < 0)
		return;
	for (size_t i = 0; i < FILES; i++)
		unlinkat(b->fd, files[i], 0);
	unlinkat(b->parent, b->name, AT_REMOVEDIR);
}

/* --- its files --- */

int bundle_write(const struct bundle *b, const uint8_t secret[64], const struct sivp_chain *chain,
		 const struct sivp_cert *root, struct sivshmem_error *err)
{
	const struct sivp_chain top = { .count = 1, .cert = { *root } };
	char path[PATH_MAX];
	int rc = sivshmem_key_write(by_fd(b->fd, SIVSHMEM_KEY_FILE, path), secret, err);

	if (!rc)
		rc = sivshmem_chain_write(by_fd(b->fd, SIVSHMEM_CERT_FILE, path), chain, err);
	if (!rc)
		rc = sivshmem_chain_write(by_fd(b->fd, SIVSHMEM_ROOT_FILE, path), &top, err);
	return bundle_named(b, rc, err);
}

int bundle_look_cert(const struct bundle *b, struct sivp_chain *chain, struct sivshmem_error *err)
{
	char path[PATH_MAX];

	return bundle_named(b, sivshmem_chain_look(by_fd(b->fd, SIVSHMEM_CERT_FILE, path), chain,
						   err), err);
}

/* Whom nobody can give files to may have them of anybody. */
static uid_t key_owner(const struct stat *st)
{
	bool closed = !(st->st_mode & 022) && (st->st_uid == geteuid() || !st->st_uid);

	return closed ? (uid_t)-1 : st->st_uid;
}

int bundle_look_key(const struct bundle *b, const struct stat *st, uint8_t secret[64],
		    struct sivshmem_error *err)
{
	char path[PATH_MAX];
	int rc = sivshmem_key_look(by_fd(b->fd, SIVSHMEM_KEY_FILE, path), key_owner(st), secret,
				   err);

	if (rc == -ENOENT)
		return sivshmem_error_set(err, rc,
			"%s/" SIVSHMEM_KEY_FILE ": is not there, and who renews must have the key;"
			" copy it back, or make another bundle by `sivshmem-ca issue`", b->path);
	return bundle_named(b, rc, err);
}

static int give_file(const struct bundle *b, int dir, const char *file, uid_t uid, gid_t gid,
		     struct sivshmem_error *err)
{
	int fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	int rc = 0;

	if (fd >= 0)
		errno = EPERM;	/* of what is no file of ours */
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_nlink != 1 ||
	    st.st_uid != geteuid() || fchown(fd, uid, gid))
		rc = -errno;
	if (rc)
		sivshmem_error_set(err, rc, "%s/%s: cannot chown to uid %u: %s", b->path, file, uid,
				   strerror(-rc));
	if (fd >= 0)
		close(fd);
	return rc;
}

int bundle_give(const struct bundle *b, uid_t uid, gid_t gid, mode_t mode,
		struct sivshmem_error *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < FILES; i++)
		rc = give_file(b, b->fd, files[i], uid, gid, err);
	if (rc || (!fchmod(b->fd, mode) && !fchown(b->fd, uid, gid)))
		return rc;
	return sivshmem_error_set(err, -errno, "%s: cannot chown to uid %u: %s", b->path, uid,
				  strerror(errno));
}

/* --- it appears --- */

static bool is_there(const struct bundle *b)
{
	struct stat ours, there;

	return !fstat(b->fd, &ours) && !fstatat(b->parent, b->base, &there, AT_SYMLINK_NOFOLLOW) &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

int bundle_place(struct bundle *b, struct sivshmem_error *err)
{
	int rc = renameat2(b->parent, b->name, b->parent, b->base, RENAME_NOREPLACE);

	/* some file systems can't promise; the check at the start has to do */
	if (rc && errno == EINVAL)
		rc = renameat(b->parent, b->name, b->parent, b->base);
	if (rc)
		return sivshmem_error_set(err, -errno, "%s: cannot put it there: %s", b->path,
					  strerror(errno));
	if (!is_there(b))
		return meddled(b->path, err);
	strlcpy(b->name, b->base, sizeof(b->name));
	return 0;
}

int bundle_exchange(struct bundle *b, struct bundle *old, struct sivshmem_error *err)
{
	if (renameat2(b->parent, b->name, b->parent, b->base, RENAME_EXCHANGE))
		return sivshmem_error_set(err, -errno, "%s: cannot put the new one there: %s",
					  b->path, strerror(errno));
	if (!is_there(b))
		return meddled(b->path, err);
	strlcpy(old->name, b->name, sizeof(old->name));
	strlcpy(b->name, b->base, sizeof(b->name));
	return 0;
}

/* Written where its owner can't reach it yet: in a directory of ours within his. */
int bundle_replace_cert(const struct bundle *b, const struct sivp_chain *chain, uid_t uid,
			gid_t gid, struct sivshmem_error *err)
{
	struct bundle temp = { .parent = b->fd, .fd = -1, .base = SIVSHMEM_CERT_FILE };
	char path[PATH_MAX];
	int rc = make_dir(&temp);

	if (rc == -EPERM)
		return meddled(b->path, err);
	if (rc)
		return sivshmem_error_set(err, rc, "%s: cannot write in it: %s", b->path,
					  strerror(-rc));
	rc = named(b, temp.fd, sivshmem_chain_write(by_fd(temp.fd, SIVSHMEM_CERT_FILE, path),
						    chain, err), err);
	if (!rc)
		rc = give_file(b, temp.fd, SIVSHMEM_CERT_FILE, uid, gid, err);
	if (!rc && renameat(temp.fd, SIVSHMEM_CERT_FILE, b->fd, SIVSHMEM_CERT_FILE))
		rc = sivshmem_error_set(err, -errno, "%s/%s: cannot replace: %s", b->path,
					SIVSHMEM_CERT_FILE, strerror(errno));
	bundle_remove(&temp);
	close(temp.fd);
	return rc;
}
