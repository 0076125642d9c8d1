/* SPDX-License-Identifier: MIT */
/*
 * The memory of a link that some VM may only read. ivshmem-doorbell maps what it
 * is sent for writing, so QEMU opens this memory by its path instead: read-only for
 * such a VM, and then no write of the guest's can reach it. A file can not have a
 * memfd's seals; its access list lets a QEMU open it as its VM's policy says.
 */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <bsd/err.h>

#define FILE_PREFIX	"/dev/shm/sivshmem."	/* memory, whatever holds the run directory */

struct access_list {
	struct posix_acl_xattr_header header;
	struct posix_acl_xattr_entry entry[POLICY_MAX_VMS + 4];
};

/* Sorted by uid; QEMUs of one uid are one to the host, so it gets the most of them. */
static size_t add_user(struct posix_acl_xattr_entry *user, size_t count, uint32_t uid,
		       uint16_t perm)
{
	size_t i = 0;

	while (i < count && user[i].e_id < uid)
		i++;
	if (i < count && user[i].e_id == uid) {
		user[i].e_perm |= perm;
		return count;
	}
	memmove(&user[i + 1], &user[i], (count - i) * sizeof(*user));
	user[i] = (struct posix_acl_xattr_entry){ ACL_USER, perm, uid };
	return count + 1;
}

static int allow_qemus(int fd, const struct policy_link *link)
{
	struct access_list list = { .header.a_version = POSIX_ACL_XATTR_VERSION };
	struct posix_acl_xattr_entry *e = list.entry;
	size_t users = 0, n;

	for (uint32_t i = 0; i < monitor.policy->vm_count; i++) {
		const struct policy_vm *vm = &monitor.policy->vms[i];

		if ((link->readers >> i & 1) && !vm->any_uid && vm->uid != geteuid())
			users = add_user(e + 1, users, vm->uid, link->writers >> i & 1 ?
					 ACL_READ | ACL_WRITE : ACL_READ);
	}
	if (!users)
		return 0;
	e[0] = (struct posix_acl_xattr_entry){ ACL_USER_OBJ, ACL_READ | ACL_WRITE,
					       (uint32_t)ACL_UNDEFINED_ID };
	n = users + 1;
	e[n++] = (struct posix_acl_xattr_entry){ ACL_GROUP_OBJ, 0, (uint32_t)ACL_UNDEFINED_ID };
	e[n++] = (struct posix_acl_xattr_entry){ ACL_MASK, ACL_READ | ACL_WRITE,
						 (uint32_t)ACL_UNDEFINED_ID };
	e[n++] = (struct posix_acl_xattr_entry){ ACL_OTHER, 0, (uint32_t)ACL_UNDEFINED_ID };
	return fsetxattr(fd, "system.posix_acl_access", &list,
			 sizeof(list.header) + n * sizeof(*e), 0) ? -errno : 0;
}

static bool memory_path(uint32_t link, uint32_t vm, char path[4096])
{
	policy_memory_path(monitor.policy, monitor.run_dir, vm, link, path, 4096);
	return monitor.policy->links[link].readers >> vm & 1;
}

/* The name that QEMU knows, and what it leads to if that is ours, but not in use. */
static void forget(const char *path, const char *in_use)
{
	char target[4096];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n < 0)
		return;
	target[n] = '\0';
	if (!strncmp(target, FILE_PREFIX, strlen(FILE_PREFIX)) &&
	    !strchr(target + strlen(FILE_PREFIX), '/') && (!in_use || strcmp(target, in_use)))
		unlink(target);
	unlink(path);
}

void link_file_names(uint32_t link)
{
	char path[4096];

	for (uint32_t i = 0; i < monitor.policy->vm_count; i++) {
		if (!memory_path(link, i, path))
			continue;
		forget(path, monitor.links[link].file);
		if (symlink(monitor.links[link].file, path))
			err(3, "%s", path);
	}
}

/* A page that there is no room for kills the QEMU that touches it. */
static void check_room(const char *path, int fd, uint64_t bytes)
{
	struct statvfs fs;

	if (fstatvfs(fd, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < bytes)
		errx(3, "%s: a link of %lluM does not fit into the %lluM that are free in /dev/shm; remount it with a larger size=, or lower quotas",
		     path, (unsigned long long)(bytes >> 20),
		     (unsigned long long)((uint64_t)fs.f_bavail * fs.f_frsize >> 20));
}

int link_file_make(uint32_t index)
{
	const struct policy_link *policy = &monitor.policy->links[index];
	struct link *link = &monitor.links[index];
	int fd, r;

	link->file = strdup(FILE_PREFIX "XXXXXX");
	if (!link->file)
		return -ENOMEM;
	fd = mkostemp(link->file, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	check_room(link->file, fd, policy->memory);
	r = ftruncate(fd, (off_t)policy->memory) ? -errno : allow_qemus(fd, policy);
	if (r) {
		unlink(link->file);
		close(fd);
		return r;
	}
	return fd;
}

/* Memory that another monitor made: its file has to be there, for a QEMU to open. */
bool link_file_take(uint32_t index)
{
	struct link *link = &monitor.links[index];
	char self[64], path[4096];
	struct stat ours, there;
	ssize_t n;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", link->memory);
	n = readlink(self, path, sizeof(path) - 1);
	if (n < 0)
		return false;
	path[n] = '\0';
	if (strncmp(path, FILE_PREFIX, strlen(FILE_PREFIX)) || lstat(path, &there) ||
	    fstat(link->memory, &ours) || there.st_dev != ours.st_dev ||
	    there.st_ino != ours.st_ino) {
		errno = ENOENT;
		return false;
	}
	link->file = strdup(path);
	return link->file;
}

void link_file_stop(void)
{
	char path[4096];

	for (uint32_t l = 0; l < monitor.policy->link_count; l++)
		for (uint32_t i = 0; monitor.links[l].file && i < monitor.policy->vm_count; i++)
			if (memory_path(l, i, path))
				forget(path, NULL);
}
