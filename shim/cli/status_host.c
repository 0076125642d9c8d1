/* SPDX-License-Identifier: MIT */
/* The daemon's status document: it tells a user of his own processes only. */
#include "cli.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX	(64u << 20)
#define ANSWER_SECONDS	10

static int connect_daemon(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = ANSWER_SECONDS };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		warnx("%s: too long for a UNIX socket; give a shorter --run-dir", path);
		return -1;
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		err(EXIT_SYSTEM, "socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	if (errno == ENOENT || errno == ECONNREFUSED)
		warnx("%s: the daemon does not run there; start sivshmem-cad, or give its "
		      "--run-dir", path);
	else
		warn("%s", path);
	close(fd);
	return -1;
}

/* Everything until the daemon closes. */
static json_t *receive(int fd, const char *path)
{
	char *text = NULL, *more;
	size_t room = 0, have = 0;
	json_error_t error;
	json_t *document;
	ssize_t n;

	do {
		if (have == room) {
			room = room ? 2 * room : 65536;
			more = room > ANSWER_MAX ? NULL : realloc(text, room);
			if (!more)
				errx(EXIT_SYSTEM, "%s: the answer is too large", path);
			text = more;
		}
		n = read(fd, text + have, room - have);
		have += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	document = n < 0 ? NULL : json_loadb(text, have, 0, &error);
	if (n < 0)
		warn("%s: no answer", path);
	else if (!json_is_object(document))
		warnx("%s: not the daemon's answer; is sivshmem-cad of this version?", path);
	free(text);
	return document;
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "-";
}

static void print_text(const json_t *document)
{
	const json_t *sessions = json_object_get(document, "sessions");
	const json_t *objects = json_object_get(document, "objects");
	const json_t *item;
	size_t i;

	printf("%-12s %-24s %6s %7s %8s\n", "VM", "SERVICE", "UID", "PID", "SESSION");
	json_array_foreach(sessions, i, item) {
		printf("%-12s %-24s %6lld %7lld %8lld\n", text(item, "vm"),
		       text(item, "service"), (long long)number(item, "uid"),
		       (long long)number(item, "pid"), (long long)number(item, "session"));
	}
	printf("\n%-16s %-24s %12s\n", "CHANNEL", "OBJECT", "SIZE");
	json_array_foreach(objects, i, item) {
		printf("%-16s %-24s %12lld\n", text(item, "channel"),
		       text(item, "name"), (long long)number(item, "size"));
	}
}

int status_host(const char *path, int json)
{
	json_t *document;
	int fd = connect_daemon(path);

	if (fd < 0)
		return EXIT_SYSTEM;
	document = receive(fd, path);
	close(fd);
	if (!document)
		return EXIT_SYSTEM;
	if (json) {
		json_dumpf(document, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_text(document);
	}
	json_decref(document);
	return EXIT_OK;
}
