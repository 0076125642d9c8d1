/* SPDX-License-Identifier: MIT */
/* sivshmem-ca audit verify: was a line of the audit log altered or removed? */
#include "ca.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit_verify.h"

#define LOG	"/var/log/sivshmem/audit.jsonl"

struct place {
	char file[PATH_MAX];
	uint64_t line;
};

static void say(void *context, bool fault, const char *text)
{
	const struct place *at = context;

	fprintf(stderr, "%s:%" PRIu64 ": %s%s\n", at->file, at->line, fault ? "" : "note: ", text);
}

/* The text of FILE.head, read before the log so that it is never ahead of it. */
static const char *read_head(const char *file, char text[128])
{
	char path[PATH_MAX];
	FILE *f;
	size_t n;

	if (snprintf(path, sizeof(path), "%s.head", file) >= PATH_MAX)
		return NULL;
	f = fopen(path, "re");
	if (!f)
		return NULL;
	n = fread(text, 1, 127, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static int read_file(struct audit_verify *v, struct place *at, const char *file)
{
	FILE *f = strcmp(file, "-") ? fopen(file, "re") : stdin;
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int rc = EXIT_OK;

	if (!f) {
		warn("%s", file);
		return EXIT_SYSTEM;
	}
	at->line = 0;
	snprintf(at->file, sizeof(at->file), "%s", f == stdin ? "standard input" : file);
	while ((n = getline(&line, &room, f)) > 0) {
		bool whole = line[n - 1] == '\n';

		at->line++;
		audit_verify_line(v, line, (size_t)(n - whole), whole);
	}
	if (ferror(f)) {
		warn("%s", file);
		rc = EXIT_SYSTEM;
	}
	free(line);
	if (f != stdin)
		fclose(f);
	return rc;
}

/* LOG.9 ... LOG.1 LOG, as many as there are without a gap */
static int read_rotated(struct audit_verify *v, struct place *at, const char *log)
{
	char path[PATH_MAX];
	int n = 0;

	while (snprintf(path, sizeof(path), "%s.%d", log, n + 1) < PATH_MAX &&
	       !access(path, F_OK))
		n++;
	for (; n; n--) {
		snprintf(path, sizeof(path), "%s.%d", log, n);
		if (read_file(v, at, path))
			return EXIT_SYSTEM;
	}
	return read_file(v, at, log);
}

static int result(const struct audit_verify *v)
{
	if (!v->lines) {
		fprintf(stderr, "no line of an audit log was found\n");
		return EXIT_REFUSED;
	}
	printf("lines %" PRIu64 " to %" PRIu64 ", last at %s; %" PRIu64 " signatures of host '%s'\n",
	       v->first, v->last, v->time, v->checkpoints, v->host);
	if (v->faults) {
		printf("NOT whole: %" PRIu64 " faults\n", v->faults);
		return EXIT_REFUSED;
	}
	printf("whole: no line was altered, removed or added\n");
	return EXIT_OK;
}

static int verify(const struct ca *ca, const char *log, int count, char **files)
{
	struct place at = { 0 };
	struct audit_verify v = { .say = say, .context = &at };
	struct sivshmem_error e;
	char text[128];
	const char *head;
	int rc = EXIT_OK;

	if (ca_root(ca, &v.root, &e))
		return ca_fail(EXIT_SYSTEM, &e);
	head = read_head(count ? files[count - 1] : log, text);
	if (!count)
		rc = read_rotated(&v, &at, log);
	for (int i = 0; i < count && !rc; i++)
		rc = read_file(&v, &at, files[i]);
	if (rc)
		return rc;
	audit_verify_end(&v, head);
	return result(&v);
}

int cmd_audit(const struct ca *ca, int argc, char **argv)
{
	static const struct option options[] = {
		{ "audit", required_argument, NULL, 'a' },
		{ 0 },
	};
	const char *log = LOG;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt != 'a')
			return EXIT_USAGE;
		log = optarg;
	}
	if (optind == argc || strcmp(argv[optind], "verify"))
		return ca_usage(ca, "what to do with the audit log: verify");
	return verify(ca, log, argc - optind - 1, argv + optind + 1);
}
