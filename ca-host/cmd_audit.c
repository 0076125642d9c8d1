/* SPDX-License-Identifier: MIT */
/* sivshmem-ca audit verify: was a line of the audit log altered or removed? */
#include "ca.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit_verify.h"
#include "crl.h"
#include "signer.h"

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

/* The text of FILE.head, read before the log so that it is never ahead of it; "": none. */
static int read_head(const char *file, char text[128])
{
	char path[PATH_MAX];
	FILE *f;
	size_t n;

	text[0] = '\0';
	if (!strcmp(file, "-"))
		return EXIT_OK;
	if (snprintf(path, sizeof(path), "%s.head", file) >= PATH_MAX) {
		warnx("%s: the path is too long", file);
		return EXIT_SYSTEM;
	}
	f = fopen(path, "re");
	if (!f && errno == ENOENT)
		return EXIT_OK;
	if (!f) {
		warn("%s", path);
		return EXIT_SYSTEM;
	}
	n = fread(text, 1, 127, f);
	text[n] = '\0';
	fclose(f);
	/* an empty one says nothing, which is wrong */
	if (!n)
		snprintf(text, 128, "empty");
	return EXIT_OK;
}

/* Beside the log that the daemon writes there is one; files that were moved away have none. */
static void no_head(struct audit_verify *v, const char *file)
{
	if (!strcmp(file, "-")) {
		fprintf(stderr, "standard input: note: nothing says whether lines are missing at its end\n");
		return;
	}
	v->faults++;
	fprintf(stderr, "%s.head: is not there, so that lines can be missing at the end of %s:"
		" restore it, and let the log that the daemon writes be the last file\n", file, file);
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
	if (v->unproven) {
		printf("not proven: %" PRIu64 " lines that the daemon did not sign:"
		       " one that is killed leaves such lines, and so does who adds some\n",
		       v->unproven);
		return EXIT_REFUSED;
	}
	printf("whole: no line was altered, removed or added\n");
	return EXIT_OK;
}

static int read_trust(const struct ca *ca, struct sivp_cert *root, struct crl *crl,
		      struct sivshmem_error *err)
{
	int rc = signer_trust(ca, root, crl, err);

	return rc ? rc : crl_newest(ca->dir, crl, err);
}

static int verify_files(struct audit_verify *v, const char *log, int count, char **files)
{
	struct place *at = v->context;
	const char *last = count ? files[count - 1] : log;
	char head[128];
	int rc = read_head(last, head);

	if (!rc && !count)
		rc = read_rotated(v, at, log);
	for (int i = 0; i < count && !rc; i++)
		rc = read_file(v, at, files[i]);
	if (rc)
		return rc;
	audit_verify_end(v, head[0] ? head : NULL);
	if (!head[0] && v->lines)
		no_head(v, last);
	return result(v);
}

static int verify(const struct ca *ca, const char *log, int count, char **files)
{
	struct crl crl = { 0 };
	struct place at = { 0 };
	struct audit_verify v = { .say = say, .context = &at, .crl = &crl, .now = time(NULL) };
	struct sivshmem_error e = { 0 };
	int rc = read_trust(ca, &v.root, &crl, &e);

	rc = rc ? ca_fail(rc, &e) : verify_files(&v, log, count, files);
	crl_free(&crl);
	return rc;
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
