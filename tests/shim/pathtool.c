/* SPDX-License-Identifier: MIT */
/*
 * pathtool FUNCTION ARGS...: one call on a path, as a program makes it that
 * finds shared memory under /dev/shm. Prints what came of it, or
 * `FUNCTION: ERRNONAME` and ends with status 1.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* before glibc 2.33 */
int old_xstat(int version, const char *path, struct stat *st);
__asm__(".symver old_xstat, __xstat@GLIBC_2.2.5");

static int flags_of(const char *s)
{
	static const struct {
		char letter;
		int flag;
	} flags[] = {
		{ 'r', O_RDONLY }, { 'w', O_WRONLY }, { '+', O_RDWR }, { 'c', O_CREAT },
		{ 'x', O_EXCL }, { 't', O_TRUNC }, { 'a', O_APPEND }, { 'e', O_CLOEXEC },
		{ 'd', O_DIRECTORY }, { 'p', O_PATH }, { 'T', O_TMPFILE },
	};
	int all = 0;
	size_t i;

	for (; *s; s++)
		for (i = 0; i < sizeof(flags) / sizeof(*flags); i++)
			all |= flags[i].letter == *s ? flags[i].flag : 0;
	return all;
}

static int opened(int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -1;
	printf("size %lld%s%s\n", (long long)st.st_size,
	       fcntl(fd, F_GETFD) & FD_CLOEXEC ? " cloexec" : "",
	       fcntl(fd, F_GETFL) & O_APPEND ? " append" : "");
	return 0;
}

static int show(int rc, const struct stat *st)
{
	if (!rc)
		printf("size %lld %s\n", (long long)st->st_size,
		       S_ISREG(st->st_mode) ? "regular" : "other");
	return rc;
}

static int directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY);

	if (fd < 0)
		err(2, "%s", path);
	return fd;
}

static int do_open(char **a)
{
	return opened(open(a[0], flags_of(a[1]), 0600));
}

static int do_open64(char **a)
{
	return opened(open64(a[0], flags_of(a[1]), 0600));
}

static int do_openat(char **a)
{
	return opened(openat(directory(a[0]), a[1], flags_of(a[2]), 0600));
}

static int do_creat(char **a)
{
	return opened(creat(a[0], 0600));
}

/* fopen PATH MODE [TEXT]: writes it, or prints the first line */
static int do_fopen(char **a)
{
	FILE *file = fopen(a[0], a[1]);
	char line[256] = "";

	if (!file)
		return -1;
	if (a[2])
		fputs(a[2], file);
	else if (fgets(line, sizeof(line), file))
		line[strcspn(line, "\n")] = '\0';
	printf("fopen %s\n", line);
	return fclose(file);
}

static int do_stat(char **a)
{
	struct stat st;

	return show(stat(a[0], &st), &st);
}

static int do_lstat(char **a)
{
	struct stat st;

	return show(lstat(a[0], &st), &st);
}

static int do_xstat(char **a)
{
	struct stat st;

	return show(old_xstat(1, a[0], &st), &st);
}

static int do_fstatat(char **a)
{
	struct stat st;

	return show(fstatat(directory(a[0]), a[1], &st, 0), &st);
}

static int do_statx(char **a)
{
	struct statx stx;
	int rc = statx(AT_FDCWD, a[0], 0, STATX_BASIC_STATS, &stx);
	struct stat st = { .st_size = (off_t)stx.stx_size, .st_mode = stx.stx_mode };

	return show(rc, &st);
}

static int do_access(char **a)
{
	return access(a[0], atoi(a[1]));
}

static int do_faccessat(char **a)
{
	return faccessat(directory(a[0]), a[1], atoi(a[2]), 0);
}

static int do_unlink(char **a)
{
	return unlink(a[0]);
}

static int do_unlinkat(char **a)
{
	return unlinkat(directory(a[0]), a[1], a[2] ? AT_REMOVEDIR : 0);
}

static int do_remove(char **a)
{
	return remove(a[0]);
}

static int do_rename(char **a)
{
	return rename(a[0], a[1]);
}

static int do_truncate(char **a)
{
	return truncate(a[0], atoll(a[1]));
}

static int do_chmod(char **a)
{
	return chmod(a[0], (mode_t)strtoul(a[1], NULL, 8));
}

static const struct command {
	const char *name;
	int arguments;
	int (*run)(char **arguments);
} commands[] = {
	{ "open", 2, do_open },		{ "open64", 2, do_open64 },
	{ "openat", 3, do_openat },	{ "creat", 1, do_creat },
	{ "fopen", 2, do_fopen },	{ "stat", 1, do_stat },
	{ "lstat", 1, do_lstat },	{ "xstat", 1, do_xstat },
	{ "fstatat", 2, do_fstatat },	{ "statx", 1, do_statx },
	{ "access", 2, do_access },	{ "faccessat", 3, do_faccessat },
	{ "unlink", 1, do_unlink },	{ "unlinkat", 2, do_unlinkat },
	{ "remove", 1, do_remove },	{ "rename", 2, do_rename },
	{ "truncate", 2, do_truncate },	{ "chmod", 2, do_chmod },
};

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (argc < 2 || strcmp(commands[i].name, argv[1]) ||
		    argc - 2 < commands[i].arguments)
			continue;
		if (!commands[i].run(argv + 2)) {
			printf("%s done\n", argv[1]);
			return 0;
		}
		printf("%s: %s\n", argv[1], strerrorname_np(errno));
		return 1;
	}
	errx(2, "usage: pathtool FUNCTION ARGS...");
}
