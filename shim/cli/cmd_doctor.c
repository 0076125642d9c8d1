/* SPDX-License-Identifier: MIT */
/* sivshmem doctor: can a preloaded library serve this program at all? */
#include "cli.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "elf_facts.h"

#define LIBRARIES_MAX	256

enum group { MEMORY, SEMAPHORE, SHARED_SYNC, PATHS, SOCKETS, LOADS, PRIORITY, GROUPS };

static const struct {
	const char *symbol;
	enum group group;
} known[] = {
	{ "shm_open", MEMORY }, { "shm_unlink", MEMORY },
	{ "sem_open", SEMAPHORE }, { "sem_unlink", SEMAPHORE },
	{ "pthread_mutexattr_setpshared", SHARED_SYNC }, { "sem_init", SHARED_SYNC },
	{ "pthread_condattr_setpshared", SHARED_SYNC },
	{ "pthread_rwlockattr_setpshared", SHARED_SYNC },
	{ "pthread_barrierattr_setpshared", SHARED_SYNC },
	{ "pthread_mutexattr_setrobust", SHARED_SYNC },
	{ "open", PATHS }, { "open64", PATHS }, { "openat", PATHS }, { "openat64", PATHS },
	{ "__open_2", PATHS }, { "__open64_2", PATHS }, { "fopen", PATHS }, { "fopen64", PATHS },
	{ "stat", PATHS }, { "stat64", PATHS }, { "lstat", PATHS }, { "lstat64", PATHS },
	{ "fstatat", PATHS }, { "fstatat64", PATHS }, { "statx", PATHS }, { "__xstat", PATHS },
	{ "__xstat64", PATHS }, { "unlink", PATHS }, { "unlinkat", PATHS },
	{ "bind", SOCKETS }, { "connect", SOCKETS },
	{ "dlopen", LOADS }, { "dlmopen", LOADS },
	{ "pthread_mutexattr_setprotocol", PRIORITY },
};

/* libraries whose programs find each other over sockets */
static const char *const rendezvous[] = {
	"libjack.so", "libmpi.so", "libopen-rte.so", "libiceoryx", "libpipewire-", "libgstshm",
};

/* the C library itself, whose inside no shim sees nor needs to */
static const char *const c_library[] = {
	"libc.so.", "libpthread.so.", "librt.so.", "libdl.so.", "libm.so.", "ld-linux", "libgcc_s.so.",
	"libstdc++.so.",
};

struct doctor {
	const char *path;
	const char *reading;		/* the file whose symbols come in */
	const char *from[GROUPS];	/* the first file that imports one */
	const char *symbol[GROUPS];
	const char *meets;		/* a library of `rendezvous` */
	char *library[LIBRARIES_MAX];	/* names, then paths; the first is ours */
	size_t count;
	bool incomplete, problem;
};

__attribute__((format(printf, 3, 4)))
static void say(struct doctor *d, const char *kind, const char *format, ...)
{
	char line[PATH_MAX + 512], *at;
	va_list args;

	d->problem |= !strcmp(kind, "problem");
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	/* names are the file's: no escape sequences to a terminal */
	for (at = line; *at; at++) {
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	}
	printf("%s: %s\n", kind, line);
}

static bool starts(const char *name, const char *const *list, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (!strncmp(name, list[i], strlen(list[i])))
			return true;
	}
	return false;
}

static void import(void *owner, const char *symbol)
{
	struct doctor *d = owner;
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (d->symbol[known[i].group] || strcmp(known[i].symbol, symbol))
			continue;
		d->symbol[known[i].group] = known[i].symbol;
		d->from[known[i].group] = d->reading;
	}
}

static void needed(void *owner, const char *library)
{
	struct doctor *d = owner;
	size_t i;

	if (starts(library, c_library, sizeof(c_library) / sizeof(*c_library)))
		return;
	for (i = 0; i < d->count; i++) {
		if (!strcmp(d->library[i], library))
			return;
	}
	if (d->count == LIBRARIES_MAX) {
		d->incomplete = true;
		return;
	}
	d->library[d->count] = strdup(library);
	if (!d->library[d->count])
		err(EXIT_SYSTEM, NULL);
	if (!d->meets && starts(library, rendezvous, sizeof(rendezvous) / sizeof(*rendezvous)))
		d->meets = d->library[d->count];
	d->count++;
}

/* --- files --- */

static bool in_directory(char path[PATH_MAX], const char *dir, size_t length,
			 const char *name)
{
	return snprintf(path, PATH_MAX, "%.*s/%s", (int)length, dir, name) < PATH_MAX &&
	       !access(path, R_OK);
}

/* In a list of directories with colons between them, where $ORIGIN is `origin`. */
static bool in_list(char path[PATH_MAX], const char *list, const char *name,
		    const char *origin)
{
	const char word[] = "$ORIGIN", *slash = strrchr(origin, '/');
	char dir[PATH_MAX];
	size_t length;

	for (; list && *list; list += length + (list[length] == ':')) {
		length = strcspn(list, ":");
		if (strncmp(list, word, strlen(word))) {
			if (length && in_directory(path, list, length, name))
				return true;
			continue;
		}
		snprintf(dir, sizeof(dir), "%.*s%.*s", slash ? (int)(slash - origin) : 1,
			 slash ? origin : ".", (int)(length - strlen(word)), list + strlen(word));
		if (in_directory(path, dir, strlen(dir), name))
			return true;
	}
	return false;
}

/* Where the loader would look for a library of `origin`, nearly. */
static bool find_library(char path[PATH_MAX], const char *name, const char *runpath,
			 const char *origin)
{
	static const char usual[] = "/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:/lib64:"
				    "/usr/lib64:/usr/local/lib:/lib:/usr/lib";

	if (strchr(name, '/'))
		return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX && !access(path, R_OK);
	return in_list(path, getenv("LD_LIBRARY_PATH"), name, origin) ||
	       in_list(path, runpath, name, origin) || in_list(path, usual, name, origin);
}

static void read_libraries(struct doctor *d, const char *runpath)
{
	struct elf_reader reader = { import, needed, d };
	struct elf_facts facts;
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < d->count; i++) {
		d->reading = d->library[i];
		if (!find_library(path, d->library[i], runpath, d->path) ||
		    elf_facts_read(path, &facts, &reader) || !facts.is_elf) {
			d->incomplete = true;
			say(d, "note", "%s: not found, not looked at; see ldd(1)", d->library[i]);
		}
	}
	if (d->count == LIBRARIES_MAX)
		say(d, "note", "more than %d libraries; the rest was not looked at", LIBRARIES_MAX);
}

/* --- what it is --- */

static void judge_rights(struct doctor *d)
{
	struct stat st;

	if (stat(d->path, &st))
		err(EXIT_USAGE, "%s", d->path);
	if (st.st_mode & (S_ISUID | S_ISGID))
		say(d, "problem", "it is set-%s-ID: the loader ignores LD_PRELOAD then; run a copy "
		    "without that bit", st.st_mode & S_ISUID ? "user" : "group");
	if (getxattr(d->path, "security.capability", NULL, 0) > 0)
		say(d, "problem", "it has file capabilities: the loader ignores LD_PRELOAD then; "
		    "run a copy without them");
}

static bool judge_kind(struct doctor *d, const struct elf_facts *facts)
{
	const char *loader = strrchr(facts->interpreter, '/');

	if (!facts->x86_64) {
		say(d, "problem", "it is not for x86-64, as the shim is; run a build for x86-64");
	} else if (!facts->interpreter[0]) {
		say(d, "problem", "it is a static binary: nothing can be preloaded; link it "
		    "dynamically, or to libsivshmem(3)");
	} else if (!loader || strncmp(loader, "/ld-linux", 9)) {
		say(d, "problem", "its loader is %.200s, not glibc's; build it for glibc",
		    facts->interpreter);
	} else {
		say(d, "ok", "dynamic, for x86-64 and glibc; the shim can be preloaded");
		return true;
	}
	return false;
}

static void judge_calls(struct doctor *d, const struct elf_facts *facts)
{
	static const char *const what[] = {
		[MEMORY] = "shared memory by name",
		[SEMAPHORE] = "named semaphores",
		[SHARED_SYNC] = "synchronisation between processes",
	};
	enum group g;

	for (g = MEMORY; g <= SHARED_SYNC; g++) {
		if (d->symbol[g])
			say(d, "ok", "%s: %s, in %s", what[g], d->symbol[g], d->from[g]);
	}
	if (facts->shm_path && d->symbol[PATHS])
		say(d, "ok", "opens paths under /dev/shm, it seems: %s", d->symbol[PATHS]);
	if (d->symbol[MEMORY] || d->symbol[SEMAPHORE] || facts->shm_path)
		return;
	if (d->symbol[LOADS] || d->incomplete || !facts->sections)
		say(d, "note", "neither shm_open nor sem_open is seen; what was not looked at may "
		    "call them");
	else if (d->symbol[PATHS])
		say(d, "note", "neither shm_open nor sem_open is called; only paths under /dev/shm "
		    "that it is given are served");
	else
		say(d, "problem", "it calls nothing that opens shared memory; there is nothing to "
		    "serve");
}

static void judge_escapes(struct doctor *d, const struct elf_facts *facts)
{
	if (facts->go)
		say(d, "problem", "it is a Go program: Go makes its system calls by itself; use "
		    "libsivshmem(3) through cgo");
	else if (facts->syscalls && facts->interpreter[0])
		say(d, "note", "%u places in it may make raw system calls, which no shim sees; "
		    "look at them if a mapped name stays local", facts->syscalls);
	if (d->symbol[LOADS])
		say(d, "note", "%s, in %s: what is loaded at run time was not looked at, and with "
		    "RTLD_DEEPBIND escapes the shim", d->symbol[LOADS], d->from[LOADS]);
	if (d->symbol[PRIORITY])
		say(d, "note", "%s, in %s: mutexes with priority inheritance need one kernel; use "
		    "PTHREAD_PRIO_NONE between VMs", d->symbol[PRIORITY], d->from[PRIORITY]);
	if (d->meets)
		say(d, "problem", "%s: its programs meet over sockets, which shared memory does not "
		    "replace; keep them in one VM", d->meets);
	else if (d->symbol[MEMORY] && d->symbol[SOCKETS])
		say(d, "note", "%s, in %s: if its peers meet over a UNIX socket, they will not "
		    "between VMs", d->symbol[SOCKETS], d->from[SOCKETS]);
	if (!facts->sections)
		say(d, "note", "it has no section headers: what it calls can't be seen");
}

/* --- scripts --- */

static char *find_program(const char *name)
{
	char path[PATH_MAX];
	char *found;

	if (strchr(name, '/'))
		snprintf(path, sizeof(path), "%s", name);
	else if (!in_list(path, getenv("PATH"), name, ""))
		errx(EXIT_USAGE, "%s: no such program in PATH", name);
	found = strdup(path);
	if (!found)
		err(EXIT_SYSTEM, NULL);
	return found;
}

/* The interpreter of a script, NULL: it is none. */
static char *interpreter_of(const char *path)
{
	char line[PATH_MAX] = "", *save, *word;
	FILE *file = fopen(path, "re");
	const char *name;

	if (!file)
		err(EXIT_USAGE, "%s", path);
	word = fgets(line, sizeof(line), file);
	fclose(file);
	if (!word || strncmp(line, "#!", 2))
		return NULL;
	word = strtok_r(line + 2, " \t\r\n", &save);
	name = word ? strrchr(word, '/') : NULL;
	if (name && !strcmp(name, "/env"))
		do
			word = strtok_r(NULL, " \t\r\n", &save);
		while (word && *word == '-');
	if (!word)
		errx(EXIT_USAGE, "%s: a script without an interpreter", path);
	return find_program(word);
}

static int doctor(const char *path)
{
	struct doctor d = { .path = path, .reading = "the program" };
	struct elf_reader reader = { import, needed, &d };
	struct elf_facts facts;
	bool dynamic;

	if (elf_facts_read(path, &facts, &reader))
		err(EXIT_USAGE, "%s", path);
	if (!facts.is_elf)
		errx(EXIT_USAGE, "%s: neither a program nor a script", path);
	judge_rights(&d);
	dynamic = judge_kind(&d, &facts);
	if (dynamic) {
		read_libraries(&d, facts.runpath);
		judge_calls(&d, &facts);
	}
	judge_escapes(&d, &facts);
	while (d.count)
		free(d.library[--d.count]);
	return d.problem ? EXIT_REFUSED : EXIT_OK;
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option none[] = { { 0 } };
	char *path, *interpreter;
	struct stat st;
	int rc;

	if (getopt_long(argc, argv, "+", none, NULL) != -1)
		return cli_usage("doctor", NULL);
	if (argc - optind != 1)
		return cli_usage("doctor", "one program is wanted");
	path = find_program(argv[optind]);
	if (stat(path, &st))
		err(EXIT_USAGE, "%s", path);
	if (!S_ISREG(st.st_mode))
		errx(EXIT_USAGE, "%s: not a regular file", path);
	interpreter = interpreter_of(path);
	if (interpreter) {
		printf("note: a script; what follows is of its interpreter, %s\n", interpreter);
		free(path);
		path = interpreter;
	}
	rc = doctor(path);
	free(path);
	return rc;
}
