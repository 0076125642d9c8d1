/* SPDX-License-Identifier: MIT */
/* One JSON line per decision, written in one call. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bsd/err.h>

static int log_fd = -1;
static uint64_t lost;		/* lines, since the last that was written */

int audit_start(const char *path)
{
	log_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	return log_fd < 0 ? -errno : 0;
}

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
	uint64_t serial = s && s->service ? s->serial : a->serial;

	if (d)
		json_object_set_new(line, "vm", json_string(d->name));
	if (s && s->service)
		json_object_set_new(line, "service", json_string(s->service->name));
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

/* Whole lines only: what did not fit is taken back. */
static void put_line(char *text)
{
	size_t n = strlen(text);
	ssize_t done;
	off_t end;

	text[n] = '\n';		/* in the place of the NUL: one write, one line */
	done = write(log_fd, text, n + 1);
	if (done == (ssize_t)(n + 1)) {
		lost = 0;
		return;
	}
	line_lost(done < 0 ? errno : ENOSPC);
	end = done > 0 ? lseek(log_fd, 0, SEEK_CUR) : -1;
	if (end >= done && end > 0 && ftruncate(log_fd, end - done))
		warn("audit log: a line is incomplete");
}

void audit_write(const struct audit *a)
{
	json_t *line = json_object();
	char *text;

	put_time(line);
	json_object_set_new(line, "event", json_string(a->event));
	put_who(line, a);
	if (a->channel)
		put_text(line, "channel", a->channel, SIVP_NAME_LEN);
	if (a->object)
		put_text(line, "object", a->object, SIVP_NAME_LEN);
	if (a->rights)
		put_rights(line, a->rights);
	json_object_set_new(line, "result",
			    json_string(a->refused ? "refused" : "granted"));
	if (a->reason)
		json_object_set_new(line, "reason", json_string(a->reason));
	if (lost)
		json_object_set_new(line, "lost", json_integer((json_int_t)lost));
	text = json_dumps(line, JSON_COMPACT);
	json_decref(line);
	if (text)
		put_line(text);
	else
		line_lost(ENOMEM);
	free(text);
}
