/* SPDX-License-Identifier: MIT */
/*
 * A program of the native API: membertool CHANNEL OBJECT OPERATION..., in turn,
 * a line for each.
 *	create | join | read	take part, with O_CREAT, to write, to read
 *	await SERVICE MS	until it is confirmed
 *	event MS		the next one
 *	serve MS		print events as they come, for so long
 *	members | key SERVICE | leave | sleep MS | hold (until killed)
 *	fork			what a child can do with the membership
 * SIVSHMEM_IDENTITY and SIVSHMEM_TRANSPORT as of the shim.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sivshmem/sivshmem.h>
#include "../../shim/lib/clock.h"

static struct sivshmem_session *session;
static struct sivshmem_group *group;
static const char *channel, *object;
static char **next;

static const char *word(void)
{
	if (!*next)
		errx(2, "an operation lacks a word");
	return *next++;
}

static int number(void)
{
	return atoi(word());
}

static const char *state(uint32_t s)
{
	static const char *const text[] = { "0", "listed", "verified", "confirmed", "refused",
					    "left", "died", "revoked" };

	return s < sizeof(text) / sizeof(*text) ? text[s] : "?";
}

static void say(const char *what, uint32_t s, const struct sivshmem_member *m)
{
	static const char *const role[] = { "?", "creator", "writer", "reader" };

	printf("%s %s %s vm=%s uid=%u role=%s%s%s\n", what, m->service, state(s), m->vm, m->uid,
	       m->role < 4 ? role[m->role] : "?", m->reason[0] ? " reason=" : "", m->reason);
}

static void failed(const char *what, int rc)
{
	printf("%s %s: %s\n", what, strerrorname_np(-rc), sivshmem_error_text(session));
}

static void join(int oflag)
{
	int fd = sivshmem_join(session, channel, object, oflag, 0600, &group);

	if (fd < 0) {
		failed("join", fd);
		exit(1);
	}
	puts("joined");
}

static void await(void)
{
	const char *service = word();
	struct sivshmem_member m;
	int rc = sivshmem_await_member(group, service, number(), &m);

	if (rc)
		failed("await", rc);
	else
		say("await", m.state, &m);
}

static int event(int ms)
{
	struct sivshmem_event e;
	int rc = sivshmem_next_event(group, &e, ms);

	if (rc == 1)
		say("event", e.type, &e.member);
	else if (rc < 0)
		failed("event", rc);
	return rc;
}

static void serve(int ms)
{
	int64_t end = sivshmem_now_ms() + ms, left;

	while ((left = end - sivshmem_now_ms()) > 0 && event((int)left) >= 0)
		;
}

static void members(void)
{
	struct sivshmem_member list[64];
	int n = sivshmem_members(group, list, 64), i;

	if (n < 0)
		failed("members", n);
	for (i = 0; i < n && i < 64; i++)
		say("member", list[i].state, &list[i]);
	if (n >= 0)
		printf("members %d\n", n);
}

static void key(void)
{
	const char *service = word();
	struct sivshmem_member list[64];
	int n = sivshmem_members(group, list, 64), i, b, rc;
	uint8_t k[32];

	for (i = 0; i < n && i < 64; i++) {
		if (strcmp(list[i].service, service))
			continue;
		rc = sivshmem_session_key(group, list[i].number, k);
		printf("key %s ", service);
		for (b = 0; b < 32 && !rc; b++)
			printf("%02x", k[b]);
		puts(rc ? strerrorname_np(-rc) : "");
	}
}

static void in_child(void)
{
	uint8_t k[32];
	int rc;

	fflush(stdout);
	if (!fork()) {
		rc = sivshmem_session_key(group, 1, k);
		printf("child key %s\n", strerrorname_np(-rc));
		rc = sivshmem_members(group, NULL, 0);
		printf("child members %s\n", rc < 0 ? strerrorname_np(-rc) : "0");
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

static void operate(const char *op)
{
	if (!strcmp(op, "create"))
		join(O_RDWR | O_CREAT);
	else if (!strcmp(op, "join"))
		join(O_RDWR);
	else if (!strcmp(op, "read"))
		join(O_RDONLY);
	else if (!strcmp(op, "await"))
		await();
	else if (!strcmp(op, "event") && !event(number()))
		puts("event none");
	else if (!strcmp(op, "serve"))
		serve(number());
	else if (!strcmp(op, "members"))
		members();
	else if (!strcmp(op, "key"))
		key();
	else if (!strcmp(op, "leave"))
		printf("leave %d\n", sivshmem_leave(group));
	else if (!strcmp(op, "sleep"))
		sivshmem_sleep_ms((unsigned int)number());
	else if (!strcmp(op, "fork"))
		in_child();
	else if (!strcmp(op, "hold"))
		pause();
	else if (strcmp(op, "event"))
		errx(2, "no such operation: %s", op);
}

int main(int argc, char **argv)
{
	struct sivshmem_options options = {
		.identity = getenv("SIVSHMEM_IDENTITY"),
		.transport = getenv("SIVSHMEM_TRANSPORT"),
	};
	char why[SIVSHMEM_ERROR_MAX];

	if (argc < 4)
		errx(2, "usage: membertool CHANNEL OBJECT OPERATION...");
	setvbuf(stdout, NULL, _IOLBF, 0);
	channel = argv[1];
	object = argv[2];
	if (sivshmem_connect(&session, &options, why, sizeof(why)))
		errx(1, "%s", why);
	for (next = argv + 3; *next; )
		operate(*next++);
	return 0;
}
