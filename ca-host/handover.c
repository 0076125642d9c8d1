/* SPDX-License-Identifier: MIT */
#include "handover.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <bsd/err.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>

#include "send_fd.h"

#define FIRST		3		/* SD_LISTEN_FDS_START */
#define STATE		"state"
#define NAME_MAX_	24
#define PENDING		64		/* more files that leave at once */

struct came {
	uint64_t number;
	int fd;
};

static int notify_fd = -1;		/* connected, datagrams */
static bool keeps;			/* it takes files, too */
static char **program;
static struct came *came;
static size_t came_count;
static int state_fd = -1;
static uint64_t last_number, *number_of;	/* by fd */
static size_t number_room;
static uint64_t *leaving;		/* numbers, until what says so is committed */
static size_t leaving_count, leaving_room;

/* --- the other end --- */

static int send_text(const char *text, int fd)
{
	return notify_fd < 0 ? -ENOTCONN : send_fd(notify_fd, text, strlen(text), fd, 0);
}

void handover_notify(const char *text)
{
	int r = send_text(text, -1);

	if (r && r != -ENOTCONN)
		warnc(-r, "cannot tell who started us '%s'", text);
}

static void connect_systemd(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (!path || strlcpy(to.sun_path, path, sizeof(to.sun_path)) >= sizeof(to.sun_path))
		return;
	if (to.sun_path[0] == '@')
		to.sun_path[0] = 0;
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (notify_fd >= 0 &&
	    connect(notify_fd, (struct sockaddr *)&to,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)))) {
		warn("%s", path);
		close(notify_fd);
		notify_fd = -1;
	}
}

static void connect_holder(const char *number)
{
	notify_fd = (int)strtonum(number, 0, 1 << 20, NULL);
	if (fcntl(notify_fd, F_SETFD, FD_CLOEXEC))
		errx(2, HANDOVER_FD_VAR "=%s: no such file; only --hold sets it", number);
}

/* --- what came --- */

static void take_name(const char *name, int fd)
{
	char *end;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (!strcmp(name, STATE)) {
		state_fd = fd;
		return;
	}
	came[came_count].number = name[0] == 'f' ? strtoull(name + 1, &end, 16) : 0;
	if (came[came_count].number > last_number)
		last_number = came[came_count].number;
	came[came_count++].fd = fd;
}

static void take_files(void)
{
	const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID"), *bad;
	char *names = getenv("LISTEN_FDNAMES"), *name;
	int n, fd;

	if (!count || !pid || !names || strtoll(pid, NULL, 10) != getpid())
		return;
	n = (int)strtonum(count, 0, 1 << 20, &bad);
	came = calloc((size_t)n + 1, sizeof(*came));
	if (bad || !came)
		errx(3, "LISTEN_FDS=%s: cannot take so many files over", count);
	for (fd = FIRST; fd < FIRST + n; fd++) {
		name = strsep(&names, ":");
		take_name(name ? name : "", fd);
	}
}

void handover_init(char **argv)
{
	const char *holder = getenv(HANDOVER_FD_VAR);

	program = argv;
	take_files();
	if (holder)
		connect_holder(holder);
	else
		connect_systemd(getenv("NOTIFY_SOCKET"));
	keeps = notify_fd >= 0;		/* systemd drops what its unit does not ask it to keep */
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
}

bool handover_on(void)
{
	return keeps;
}

int handover_state(void)
{
	return state_fd;
}

static void remove_name(const char *name)
{
	char text[64];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	send_text(text, -1);
}

static void remove_number(uint64_t number)
{
	char name[NAME_MAX_];

	snprintf(name, sizeof(name), "f%llx", (unsigned long long)number);
	remove_name(name);
}

/* FDPOLL=0: a connection stays though its peer hangs up: we want to hear of that. */
static int store(int fd, const char *name)
{
	char text[80];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	return send_text(text, fd);
}

static bool room_for(int fd)
{
	size_t room = ((size_t)fd + 1024) & ~(size_t)1023;
	uint64_t *more;

	if ((size_t)fd < number_room)
		return true;
	more = reallocarray(number_of, room, sizeof(*more));
	if (!more)
		return false;
	memset(more + number_room, 0, (room - number_room) * sizeof(*more));
	number_of = more;
	number_room = room;
	return true;
}

uint64_t handover_put(int fd)
{
	char name[NAME_MAX_];
	int r;

	if (!keeps || fd < 0 || !room_for(fd))
		return 0;
	if (number_of[fd])
		return number_of[fd];
	snprintf(name, sizeof(name), "f%llx", (unsigned long long)++last_number);
	r = store(fd, name);
	if (r) {
		warnc(-r, "a file can't be kept for a restart");
		return 0;
	}
	return number_of[fd] = last_number;
}

void handover_put_state(int fd)
{
	if (!keeps)
		return;
	if (store(fd, STATE))
		warnx("the state can't be kept for a restart");
}

int handover_take(uint64_t number)
{
	size_t i;
	int fd;

	for (i = 0; number && i < came_count; i++) {
		fd = came[i].fd;
		if (came[i].number != number || fd < 0 || !room_for(fd))
			continue;
		came[i].fd = -1;
		number_of[fd] = number;
		return fd;
	}
	return -1;
}

void handover_settle(void)
{
	while (leaving_count)
		remove_number(leaving[--leaving_count]);
}

void handover_forget(int fd)
{
	if (fd < 0 || (size_t)fd >= number_room || !number_of[fd])
		return;
	if (leaving_count == leaving_room) {
		uint64_t *more = reallocarray(leaving, leaving_room + PENDING, sizeof(*more));

		if (!more)
			err(3, "files that leave");
		leaving = more;
		leaving_room += PENDING;
	}
	leaving[leaving_count++] = number_of[fd];
	number_of[fd] = 0;
}

void handover_finish(void)
{
	size_t i;

	for (i = 0; i < came_count; i++) {
		if (came[i].fd < 0)
			continue;
		close(came[i].fd);
		if (came[i].number)
			remove_number(came[i].number);
	}
	came_count = 0;
}

_Noreturn void handover_cold(const char *why)
{
	size_t i;

	warnx("cannot take over from the last monitor: %s; starting without its objects, "
	      "VMs must be started anew", why);
	for (i = 0; i < came_count; i++)
		if (came[i].number)
			remove_number(came[i].number);
	remove_name(STATE);
	if (getenv(HANDOVER_FD_VAR))
		fcntl(notify_fd, F_SETFD, 0);
	execv("/proc/self/exe", program);
	err(3, "/proc/self/exe");
}
