/* SPDX-License-Identifier: MIT */
/* The audit log: whole lines of JSON, whatever a guest says and the disk does. */
#include "test.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../ca-host/monitor.h"

static char file[] = "/tmp/sivshmem-audit-test.XXXXXX";

static void limit(rlim_t bytes)
{
	struct rlimit r = { .rlim_cur = bytes, .rlim_max = RLIM_INFINITY };

	setrlimit(RLIMIT_FSIZE, &r);
}

/* The line last in the file, parsed; and each one before it parses too. */
static json_t *last_line(unsigned int *lines)
{
	FILE *f = fopen(file, "r");
	json_t *value = NULL;
	char *text = NULL;
	size_t room = 0;

	*lines = 0;
	while (f && getline(&text, &room, f) > 0) {
		json_decref(value);
		value = json_loads(text, 0, NULL);
		if (!value || !strchr(text, '\n'))
			break;
		++*lines;
	}
	free(text);
	if (f)
		fclose(f);
	return value;
}

static void a_decision_is_one_line(void)
{
	struct domain d = { .name = "a" };
	struct session s = { .domain = &d, .host_id = 9, .who = { .uid = 1, .gid = 2,
			     .pid = 3, .comm = "prog" } };
	const char *event, *vm, *comm, *subject, *serial, *result, *reason;
	unsigned int lines;
	json_t *line;

	audit_write(&(struct audit){ .event = "auth", .session = &s, .serial = 0xab,
		.subject = "s/a", .refused = true, .reason = "expired" });
	line = last_line(&lines);
	CHECK(line && lines == 2);	/* after that of the start */
	CHECK(!json_unpack(line, "{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "event", &event,
			   "vm", &vm, "comm", &comm, "service", &subject, "serial", &serial,
			   "result", &result, "reason", &reason));
	CHECK(!strcmp(event, "auth") && !strcmp(vm, "a") && !strcmp(comm, "prog"));
	CHECK(!strcmp(subject, "s/a") && !strcmp(serial, "00000000000000ab"));
	CHECK(!strcmp(result, "refused") && !strcmp(reason, "expired"));
	json_decref(line);
}

/* After a restart of its worker or of the daemon: whose grants it has is known still. */
static void unproved_sessions_are_their_holders(void)
{
	struct policy_service holder = { .name = "s/b" };
	struct domain d = { .name = "a" };
	struct session s = { .domain = &d, .holder = &holder, .serial = 0xcd };
	const char *service, *serial, *to;
	unsigned int lines;
	json_t *line;

	audit_write(&(struct audit){ .event = "rename", .session = &s, .object = "x", .to = "y" });
	line = last_line(&lines);
	CHECK(!json_unpack(line, "{s:s, s:s, s:s}", "service", &service, "serial", &serial,
			   "to", &to));
	CHECK(!strcmp(service, "s/b") && !strcmp(serial, "00000000000000cd") && !strcmp(to, "y"));
	json_decref(line);
	/* whoever it claims to be now */
	audit_write(&(struct audit){ .event = "auth", .session = &s, .subject = "s/c",
		.serial = 0xab, .refused = true });
	line = last_line(&lines);
	CHECK(!json_unpack(line, "{s:s, s:s}", "service", &service, "serial", &serial));
	CHECK(!strcmp(service, "s/c") && !strcmp(serial, "00000000000000ab"));
	json_decref(line);
}

/* A name of the guest's choice can neither end the line nor forge a field. */
static void hostile_names_stay_inside(void)
{
	static const char hostile[][SIVP_NAME_LEN] = {
		"x\",\"result\":\"granted", "a\nb", "\xff\xfe\x80", "\x1b[2J", "",
	};
	unsigned int lines, before, i;
	const char *result;
	json_t *line;

	json_decref(last_line(&before));
	for (i = 0; i < sizeof(hostile) / sizeof(*hostile); i++) {
		audit_write(&(struct audit){ .event = "open", .channel = hostile[i],
			.object = hostile[i], .subject = hostile[i], .refused = true });
		line = last_line(&lines);
		CHECK(line && lines == before + 1 + i);
		CHECK(!json_unpack(line, "{s:s}", "result", &result));
		CHECK(!strcmp(result, "refused"));
		json_decref(line);
	}
}

static void a_full_disk_tears_no_line(void)
{
	unsigned int lines, before, i;
	struct stat st;
	json_int_t lost;
	json_t *line;

	json_decref(last_line(&before));
	CHECK(!stat(file, &st));
	limit((rlim_t)st.st_size + 20);
	for (i = 0; i < 3; i++)
		audit_write(&(struct audit){ .event = "vm-up" });
	limit(RLIM_INFINITY);
	line = last_line(&lines);
	CHECK(line && lines == before);
	json_decref(line);
	audit_write(&(struct audit){ .event = "vm-down" });
	line = last_line(&lines);
	CHECK(line && lines == before + 1);
	CHECK(!json_unpack(line, "{s:I}", "lost", &lost) && lost == 3);
	json_decref(line);
	audit_write(&(struct audit){ .event = "vm-down" });
	line = last_line(&lines);
	CHECK(line && lines == before + 2 && !json_object_get(line, "lost"));
	json_decref(line);
}

int main(void)
{
	int fd = mkstemp(file);

	if (fd < 0 || audit_start(file))
		return 1;
	close(fd);
	signal(SIGXFSZ, SIG_IGN);
	RUN(a_decision_is_one_line);
	RUN(unproved_sessions_are_their_holders);
	RUN(hostile_names_stay_inside);
	RUN(a_full_disk_tears_no_line);
	unlink(file);
	return test_failures != 0;
}
