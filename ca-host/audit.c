/* SPDX-License-Identifier: MIT */
/* One JSON line per decision, written in one call, chained to the line before. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <bsd/err.h>
#include <sodium.h>

#include "audit_chain.h"
#include "host_sign.h"

#define CHECKPOINT_MS		1000	/* no line is unsigned for longer */

static const char *log_path;
static char *head_path;
static int log_fd = -1, head_fd = -1;
static uint64_t lost;		/* lines, since the last that was written */
static uint64_t last;		/* number of the last line */
static uint8_t chain[AUDIT_CHAIN_LEN];	/* its chain */
static uint32_t unsigned_lines;
static int64_t unsigned_since;

static void put_time(json_t *line)
{
	struct timespec now;
	char day[32], text[48];
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%03ldZ", day, now.tv_nsec / 1000000);
	json_object_set_new(line, "time", json_string(text));
}

/* Bytes that no UTF-8 has (a guest chose them) must not cost the line. */
json_t *audit_text(const char *text, size_t max)
{
	size_t n = strnlen(text, max), i;
	char ascii[512];
	json_t *value = json_stringn(text, n);

	if (value)
		return value;
	for (i = 0; i < n && i < sizeof(ascii); i++)
		ascii[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	return json_stringn(ascii, i);
}

static void put_text(json_t *line, const char *key, const char *text, size_t max)
{
	json_object_set_new(line, key, audit_text(text, max));
}

static void put_rights(json_t *line, uint32_t rights)
{
	char text[32];

	snprintf(text, sizeof(text), "%s%s%s",
		 rights & SIVSHMEM_RIGHT_WRITE ? "rw" : "ro",
		 rights & SIVSHMEM_RIGHT_CREATE ? ",create" : "",
		 rights & SIVSHMEM_RIGHT_RESIZE ? ",resize" : "");
	json_object_set_new(line, "rights", json_string(text));
}

static void put_session(json_t *line, const struct session *s)
{
	json_object_set_new(line, "uid", json_integer(s->who.uid));
	json_object_set_new(line, "gid", json_integer(s->who.gid));
	json_object_set_new(line, "pid", json_integer(s->who.pid));
	put_text(line, "comm", s->who.comm, sizeof(s->who.comm));
	json_object_set_new(line, "session", json_integer((json_int_t)s->host_id));
}

static void put_serial(json_t *line, uint64_t serial)
{
	char text[24];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)serial);
	json_object_set_new(line, "serial", json_string(text));
}

static void put_who(json_t *line, const struct audit *a)
{
	const struct session *s = a->session;
	const struct domain *d = s ? s->domain : a->domain;
	const struct policy_service *service = s ? s->service : NULL;
	uint64_t serial = a->serial;

	/* one that has to prove itself again is about what it had: its holder's */
	if (s && !service && !a->subject)
		service = s->holder;
	if (s && service)
		serial = s->serial;
	if (d)
		json_object_set_new(line, "vm", json_string(d->name));
	if (service)
		json_object_set_new(line, "service", json_string(service->name));
	else if (a->subject)
		put_text(line, "service", a->subject, SIVP_NAME_LEN);
	if (s)
		put_session(line, s);
	if (serial)
		put_serial(line, serial);
}

/* The next line that finds room tells how many did not. */
static void line_lost(int error)
{
	if (!lost++)
		warnc(error, "audit log: lines are being lost; make room");
}

/* Beside the log, so that lines missing at its end are missed. */
static void put_head(void)
{
	char hex[2 * AUDIT_CHAIN_LEN + 1], text[128];
	int n;

	sodium_bin2hex(hex, sizeof(hex), chain, sizeof(chain));
	n = snprintf(text, sizeof(text), "%020" PRIu64 " %s\n", last, hex);
	if (head_fd >= 0 && pwrite(head_fd, text, (size_t)n, 0) != n)
		line_lost(errno);
}

/* Whole lines only: what did not fit is taken back. */
static bool put_line(const char *text, size_t n)
{
	ssize_t done = write(log_fd, text, n);
	off_t end;

	if (done == (ssize_t)n)
		return true;
	line_lost(done < 0 ? errno : ENOSPC);
	end = done > 0 ? lseek(log_fd, 0, SEEK_CUR) : -1;
	if (end >= done && end > 0 && ftruncate(log_fd, end - done))
		warn("audit log: a line is incomplete");
	return false;
}

/* Number and chain it, and write it; `line` is gone after. */
static bool put(json_t *line)
{
	char *body = json_dumps(line, JSON_COMPACT), *text = NULL;
	char hex[2 * AUDIT_CHAIN_LEN + 1];
	uint8_t next[AUDIT_CHAIN_LEN];
	bool written = false;
	int n = -1;

	json_decref(line);
	if (body)
		n = asprintf(&text, "{\"n\":%" PRIu64 ",%.*s", last + 1,
			     (int)strlen(body) - 2, body + 1);
	free(body);
	if (n < 0) {
		line_lost(ENOMEM);
		return false;
	}
	memcpy(next, chain, sizeof(next));
	audit_chain_next(next, text, (size_t)n);
	sodium_bin2hex(hex, sizeof(hex), next, sizeof(next));
	body = text;
	n = asprintf(&text, "%s,\"chain\":\"%s\"}\n", body, hex);
	free(body);
	if (n < 0) {
		line_lost(ENOMEM);
		return false;
	}
	written = put_line(text, (size_t)n);
	free(text);
	if (!written)
		return false;
	last++;
	memcpy(chain, next, sizeof(chain));
	put_head();
	if (!unsigned_lines++)
		unsigned_since = sivshmem_now_ms();
	return true;
}

static json_t *begin(const char *event)
{
	json_t *line = json_object();

	put_time(line);
	json_object_set_new(line, "event", json_string(event));
	return line;
}

static void put_count(json_t *line, const char *key, uint64_t count)
{
	if (count)
		json_object_set_new(line, key, json_integer((json_int_t)count));
}

/* --- what proves it --- */

static void checkpoint(void)
{
	uint8_t signature[SIVP_SIG_LEN];
	char text[sodium_base64_ENCODED_LEN(SIVP_SIG_LEN, sodium_base64_VARIANT_ORIGINAL)];
	json_t *line;

	/* without a signer the lines wait for the next second */
	if (host_sign(HOST_SIGN_AUDIT, chain, sizeof(chain), signature))
		return;
	sodium_bin2base64(text, sizeof(text), signature, sizeof(signature),
			  sodium_base64_VARIANT_ORIGINAL);
	line = begin("checkpoint");
	json_object_set_new(line, "signature", json_string(text));
	if (put(line))
		unsigned_lines = 0;
}

int audit_deadline(void)
{
	int64_t left;

	if (!unsigned_lines)
		return -1;
	left = unsigned_since + CHECKPOINT_MS - sivshmem_now_ms();
	return left > 0 ? (int)left : 0;
}

void audit_tick(void)
{
	if (!audit_deadline()) {
		checkpoint();
		/* a full disk is no reason to try without end */
		unsigned_since = sivshmem_now_ms();
	}
}

/* A line that says whose signatures follow, and what is before it. */
static void put_origin(json_t *line)
{
	char hex[2 * AUDIT_CHAIN_LEN + 1];
	char certs[sodium_base64_ENCODED_LEN(sizeof(monitor.chain.cert),
					     sodium_base64_VARIANT_ORIGINAL)];

	sodium_bin2hex(hex, sizeof(hex), chain, sizeof(chain));
	json_object_set_new(line, "prev", json_string(hex));
	sodium_bin2base64(certs, sizeof(certs), (const uint8_t *)monitor.chain.cert,
			  monitor.chain.count * sizeof(monitor.chain.cert[0]),
			  sodium_base64_VARIANT_ORIGINAL);
	json_object_set_new(line, "host_chain", json_string(certs));
}

/* --- files --- */

/* The last whole line of the log, malloc'ed; NULL: there is none. *torn: bytes come after it. */
static char *last_line(FILE *f, size_t *length, bool *torn)
{
	char *line = NULL, *keep = NULL;
	size_t room = 0;
	ssize_t n;

	*torn = false;
	while ((n = getline(&line, &room, f)) > 0) {
		*torn = line[n - 1] != '\n';
		if (*torn)
			break;
		free(keep);
		keep = line;
		*length = (size_t)n - 1;
		line = NULL;
		room = 0;
	}
	free(line);
	return keep;
}

/* What the head says that was written; false: nothing */
static bool read_head(uint64_t *number, uint8_t was[AUDIT_CHAIN_LEN])
{
	char text[128] = "", *end;
	size_t got;

	if (pread(head_fd, text, sizeof(text) - 1, 0) < 20)
		return false;
	*number = strtoull(text, &end, 10);
	return *end == ' ' && !sodium_hex2bin(was, AUDIT_CHAIN_LEN, end + 1,
		2 * AUDIT_CHAIN_LEN, NULL, &got, NULL) && got == AUDIT_CHAIN_LEN;
}

/* NULL, or what is wrong with an end of the log that the head does not have */
static const char *compare_head(bool lines)
{
	uint8_t was[AUDIT_CHAIN_LEN];
	const char *fault = NULL;
	uint64_t number = 0;

	if (!read_head(&number, was))
		return lines ? "the head file beside it was missing or not whole" : NULL;
	if (number > last) {
		/* a new file after a rotation goes on from the head */
		if (lines)
			fault = "lines are missing at its end";
		last = number;
		memcpy(chain, was, sizeof(chain));
	} else if (number == last ? memcmp(chain, was, sizeof(chain)) : number + 1 < last) {
		/* one more: the daemon died before it wrote the head */
		fault = "its end is not what the daemon wrote";
	}
	return fault;
}

/* Where an earlier daemon stopped. What is not whole there is said, and passed over. */
static const char *resume(bool *torn)
{
	FILE *f = fopen(log_path, "re");
	const char *fault = NULL, *other;
	size_t length, text;
	char *line;

	*torn = false;
	if (!f)
		return NULL;
	line = last_line(f, &length, torn);
	fclose(f);
	if (line && !audit_chain_split(line, length, &last, chain, &text))
		fault = "the last line is none of this log's";
	if (!line || fault) {
		last = 0;
		memset(chain, 0, sizeof(chain));
	}
	other = compare_head(line);
	free(line);
	return other ? other : fault;
}

static int open_log(void)
{
	log_fd = open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	return log_fd < 0 ? -errno : 0;
}

int audit_start(const char *path)
{
	const char *fault;
	struct stat st = { 0 };
	json_t *line;
	bool torn;
	int r;

	log_path = strdup(path);
	if (!log_path || asprintf(&head_path, "%s.head", path) < 0)
		return -ENOMEM;
	r = open_log();
	if (r)
		return r;
	if (!fstat(log_fd, &st) && S_ISREG(st.st_mode))
		head_fd = open(head_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (S_ISREG(st.st_mode) && head_fd < 0)
		return -errno;
	fault = resume(&torn);
	if (torn && write(log_fd, "\n", 1) != 1)
		return -errno;
	if (fault)
		warnx("%s: %s; `sivshmem-ca audit verify` says more", path, fault);
	line = begin("start");
	if (torn)
		json_object_set_new(line, "torn", json_true());
	if (fault)
		json_object_set_new(line, "reason", json_string(fault));
	put_origin(line);
	put(line);
	checkpoint();
	return 0;
}

/* logrotate(8) has moved the file away: go on in a new one. */
void audit_reopen(void)
{
	struct stat ours, now;
	int old = log_fd;

	if (!fstat(log_fd, &ours) && !stat(log_path, &now) && ours.st_ino == now.st_ino &&
	    ours.st_dev == now.st_dev)
		return;
	checkpoint();
	if (open_log()) {
		warn("%s: cannot open; the audit log goes on in the old file", log_path);
		log_fd = old;
		return;
	}
	close(old);
	audit_origin("rotate");
}

void audit_seal(void)
{
	if (unsigned_lines)
		checkpoint();
}

void audit_origin(const char *event)
{
	json_t *line = begin(event);

	put_origin(line);
	put(line);
	checkpoint();
}

void audit_stop(void)
{
	put(begin("stop"));
	checkpoint();
}

void audit_write(const struct audit *a)
{
	json_t *line = begin(a->event);

	put_who(line, a);
	if (a->channel)
		put_text(line, "channel", a->channel, SIVP_NAME_LEN);
	if (a->object)
		put_text(line, "object", a->object, SIVP_NAME_LEN);
	if (a->to)
		put_text(line, "to", a->to, SIVP_NAME_LEN);
	if (a->rights)
		put_rights(line, a->rights);
	json_object_set_new(line, "result",
			    json_string(a->refused ? "refused" : "granted"));
	if (a->reason)
		json_object_set_new(line, "reason", json_string(a->reason));
	put_count(line, "handshakes", a->handshakes);
	put_count(line, "lines", a->lines);
	put_count(line, "lost", lost);
	if (put(line))
		lost = 0;
	if (unsigned_lines >= AUDIT_CHECKPOINT_LINES)
		checkpoint();
}
