/* SPDX-License-Identifier: MIT */
/* sivshmem-ca status: the daemon's JSON document, raw or as tables. */
#include "ca.h"

#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>

#define ANSWER_MAX	(64u << 20)
#define ANSWER_SECONDS	10

static int say_no_daemon(const char *path)
{
	warnx("%s: %s: the daemon does not run there; start sivshmem-cad, or give its --run-dir",
	      path, strerror(errno));
	return -1;
}

static int connect_daemon(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	int fd;

	if (strlcpy(addr.sun_path, path, sizeof(addr.sun_path)) >= sizeof(addr.sun_path)) {
		warnx("%s: too long for a UNIX socket; give a shorter --run-dir", path);
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		warn("socket");
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	if (errno == ENOENT || errno == ECONNREFUSED)
		say_no_daemon(path);
	else
		warn("%s", path);
	close(fd);
	return -1;
}

/* Everything until the daemon closes; NULL, and said why, when it does not. */
static char *receive(int fd, const char *path, size_t *length)
{
	size_t room = 0, have = 0;
	char *text = NULL;
	ssize_t n;

	do {
		if (have == room) {
			room = room ? 2 * room : 65536;
			text = reallocf(text, room);
			if (!text || room > ANSWER_MAX)
				errx(EXIT_SYSTEM, "%s: the answer is too large", path);
		}
		n = read(fd, text + have, room - have);
		if (n > 0)
			have += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0) {
		if (errno == EAGAIN)
			warnx("%s: no answer within %d s; the daemon hangs: see its log, restart it",
			      path, ANSWER_SECONDS);
		else
			warn("%s", path);
		free(text);
		return NULL;
	}
	*length = have;
	return text;
}

/* --- tables from any document: scalars, objects, lists of objects --- */

static const char *value_text(json_t *value, char *text, size_t size);

static void join(char *text, size_t size, const char *key, json_t *value)
{
	char part[256];

	if (text[0])
		strlcat(text, ",", size);
	if (key) {
		strlcat(text, key, size);
		strlcat(text, "=", size);
	}
	strlcat(text, value_text(value, part, sizeof(part)), size);
}

static const char *value_text(json_t *value, char *text, size_t size)
{
	json_t *item;
	const char *key;
	size_t i;

	text[0] = '\0';
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		snprintf(text, size, "%s", json_string_value(value));
		break;
	case JSON_INTEGER:
		snprintf(text, size, "%lld", (long long)json_integer_value(value));
		break;
	case JSON_REAL:
		snprintf(text, size, "%g", json_real_value(value));
		break;
	case JSON_TRUE:
		return "yes";
	case JSON_FALSE:
		return "no";
	case JSON_NULL:
		return "-";
	case JSON_ARRAY:
		json_array_foreach(value, i, item) {
			join(text, size, NULL, item);
		}
		break;
	case JSON_OBJECT:
		json_object_foreach(value, key, item) {
			join(text, size, key, item);
		}
		break;
	}
	return text[0] ? text : "-";
}

/* Columns: every key that any row has, in order of appearance */
static json_t *column_names(json_t *rows)
{
	json_t *names = json_object(), *row, *value;
	const char *key;
	size_t i;

	json_array_foreach(rows, i, row) {
		json_object_foreach(row, key, value) {
			json_object_set_new(names, key, json_true());
		}
	}
	return names;
}

static void print_rows(const char *title, json_t *rows)
{
	json_t *names = column_names(rows), *row, *value;
	struct ca_table table = { .columns = json_object_size(names) };
	const char *key;
	char text[512];
	size_t i;

	printf("\n%s\n", title);
	json_object_foreach(names, key, value) {
		snprintf(text, sizeof(text), "%s", key);
		for (char *c = text; *c; c++)
			*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
		ca_table_cell(&table, text);
	}
	json_array_foreach(rows, i, row) {
		json_object_foreach(names, key, value) {
			ca_table_cell(&table, value_text(json_object_get(row, key), text, sizeof(text)));
		}
	}
	if (table.columns)
		ca_table_print(&table, "  ");
	json_decref(names);
}

static void print_document(json_t *document)
{
	struct ca_table table = { .columns = 2 };
	const char *key;
	json_t *value;
	char text[512];

	json_object_foreach(document, key, value) {
		if (json_is_array(value) && json_is_object(json_array_get(value, 0)))
			continue;
		ca_table_row(&table, key, value_text(value, text, sizeof(text)));
	}
	ca_table_print(&table, "");
	json_object_foreach(document, key, value) {
		if (json_is_array(value) && json_is_object(json_array_get(value, 0)))
			print_rows(key, value);
	}
}

static int print_answer(const char *text, size_t length, const char *path, bool raw)
{
	json_error_t error;
	json_t *document = json_loadb(text, length, 0, &error);

	if (!json_is_object(document)) {
		warnx("%s:%d: not the daemon's answer (%s); is sivshmem-cad of this version?",
		      path, document ? 1 : error.line, document ? "no object" : error.text);
		json_decref(document);
		return EXIT_SYSTEM;
	}
	if (raw)
		fwrite(text, 1, length, stdout);
	else
		print_document(document);
	json_decref(document);
	return EXIT_OK;
}

int cmd_status(const struct ca *ca, int argc, char **argv)
{
	static const struct option options[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'j' }, { 0 },
	};
	const char *run_dir = CA_RUN_DIR;
	char path[PATH_MAX], *text;
	bool json = false;
	size_t length;
	int opt, fd, rc;

	while ((opt = getopt_long(argc, argv, "r:j", options, NULL)) != -1) {
		switch (opt) {
		case 'r': run_dir = optarg; break;
		case 'j': json = true; break;
		default: return ca_usage(ca, "bad option");
		}
	}
	if (optind != argc)
		return ca_usage(ca, "unexpected argument '%s'", argv[optind]);
	snprintf(path, sizeof(path), "%s/status.sock", run_dir);
	fd = connect_daemon(path);
	if (fd < 0)
		return EXIT_SYSTEM;
	text = receive(fd, path, &length);
	close(fd);
	if (!text)
		return EXIT_SYSTEM;
	rc = print_answer(text, length, path, json);
	free(text);
	return rc;
}
