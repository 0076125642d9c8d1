/* SPDX-License-Identifier: MIT */
#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <bsd/err.h>
#include <bsd/string.h>

#include "../shim/lib/clock.h"
#include "close_large.h"
#include "handover.h"

#define FILES_MAX	16384		/* as many as a monitor opens, see cad.c */
#define NAME_LEN	32
#define TEXT_MAX	512
#define FIRST		3		/* where the next monitor finds them */
#define LIVED_WELL	5000		/* ms */
#define PAUSE_MAX	2000
#define STOP_WAIT	10000

static struct file {
	int fd;
	char name[NAME_LEN];
} files[FILES_MAX];
static size_t file_count;
static char program[PATH_MAX];
static pid_t monitor_pid;
static int to_monitor = -1, signal_fd;
static bool was_ready, stopping;

static void remove_files(const char *name)
{
	size_t i = 0;

	while (i < file_count) {
		if (strcmp(files[i].name, name)) {
			i++;
			continue;
		}
		close_large(files[i].fd);
		files[i] = files[--file_count];
	}
}

static void add_file(int fd, const char *name)
{
	if (fd < 0)
		return;
	if (file_count == FILES_MAX || !name[0] || strchr(name, ':')) {
		warnx("cannot keep a file '%s' of the monitor: %zu are here", name, file_count);
		close(fd);
		return;
	}
	files[file_count].fd = fd;
	strlcpy(files[file_count++].name, name, NAME_LEN);
}

/* sd_notify(3): lines of NAME=VALUE */
static void take_text(char *text, int fd)
{
	bool add = false, gone = false;
	const char *name = "", *line;

	while ((line = strsep(&text, "\n"))) {
		if (!strcmp(line, "FDSTORE=1"))
			add = true;
		else if (!strcmp(line, "FDSTOREREMOVE=1"))
			gone = true;
		else if (!strcmp(line, "READY=1"))
			was_ready = true;
		else if (!strncmp(line, "FDNAME=", 7))
			name = line + 7;
	}
	if (gone)
		remove_files(name);
	if (add)
		add_file(fd, name);
	else if (fd >= 0)
		close(fd);
}

/* False when there is nothing more. */
static bool take_message(void)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char text[TEXT_MAX + 1];
	struct iovec iov = { .iov_base = text, .iov_len = TEXT_MAX };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(to_monitor, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c;
	int fd = -1;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(int));
	text[n] = 0;
	take_text(text, fd);
	return true;
}

/* --- the monitor --- */

static void put_number(const char *name, long number)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", number);
	if (setenv(name, text, 1))
		_exit(3);
}

static _Noreturn void cannot_start(void)
{
	warn("cannot give the monitor its %zu files", file_count);
	_exit(3);
}

/* Whichever of them has the place of files[i] goes out of its way. */
static void make_room(size_t i)
{
	const int place = FIRST + (int)i;
	size_t k;

	for (k = i + 1; k < file_count; k++)
		if (files[k].fd == place) {
			files[k].fd = fcntl(place, F_DUPFD_CLOEXEC, FIRST + (int)file_count);
			if (files[k].fd < 0)
				cannot_start();
			return;
		}
}

/* Each moves by itself: there may be nearly as many as this process may have. */
static void put_files(int channel)
{
	char *names = calloc(file_count + 1, NAME_LEN + 1), *end = names;
	size_t i;

	channel = fcntl(channel, F_DUPFD, FIRST + (int)file_count);
	if (!names || channel < 0)
		cannot_start();
	for (i = 0; i < file_count; i++) {
		make_room(i);
		if (files[i].fd == FIRST + (int)i) {
			if (fcntl(files[i].fd, F_SETFD, 0))
				cannot_start();
		} else {
			if (dup2(files[i].fd, FIRST + (int)i) < 0)
				cannot_start();
			close(files[i].fd);
		}
		end += sprintf(end, "%s%s", i ? ":" : "", files[i].name);
	}
	put_number(HANDOVER_FD_VAR, channel);
	put_number("LISTEN_PID", getpid());
	put_number("LISTEN_FDS", (long)file_count);
	if (setenv("LISTEN_FDNAMES", names, 1))
		cannot_start();
}

static _Noreturn void become_monitor(int channel, char **argv)
{
	sigset_t none;

	put_files(channel);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* by its path: after an upgrade the new one starts */
	execv(program, argv);
	warn("%s", program);
	_exit(3);
}

static void start_monitor(char **argv)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair))
		err(3, "socketpair");
	monitor_pid = fork();
	if (monitor_pid < 0)
		err(3, "fork");
	if (!monitor_pid)
		become_monitor(pair[1], argv);
	close(pair[1]);
	to_monitor = pair[0];
}

/* A stop is for good: the monitor takes its sockets away, which else it leaves. */
static void take_signal(void)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != sizeof(info) || info.ssi_signo == SIGCHLD)
		return;
	if (info.ssi_signo == SIGHUP) {
		kill(monitor_pid, SIGHUP);
		return;
	}
	stopping = true;
	kill(monitor_pid, SIGINT);
}

/* Until the monitor has ended: its status. */
static int serve(void)
{
	struct pollfd fds[] = {
		{ .fd = to_monitor, .events = POLLIN },
		{ .fd = signal_fd, .events = POLLIN },
	};
	int64_t until = 0;
	int status;

	for (;;) {
		if (poll(fds, 2, stopping ? 100 : -1) < 0 && errno != EINTR)
			err(3, "poll");
		if (fds[1].revents)
			take_signal();
		if (stopping && !until)
			until = sivshmem_now_ms() + STOP_WAIT;
		if (until && sivshmem_now_ms() > until)
			kill(monitor_pid, SIGKILL);
		if (fds[0].revents & POLLIN)
			while (take_message())
				;
		else if (fds[0].revents)
			fds[0].fd = -1;
		if (waitpid(monitor_pid, &status, WNOHANG) != monitor_pid)
			continue;
		while (take_message())
			;
		close(to_monitor);
		return status;
	}
}

static void prepare(void)
{
	struct rlimit r;
	sigset_t set;
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (n <= 0)
		err(3, "/proc/self/exe");
	if (getrlimit(RLIMIT_NOFILE, &r))
		err(3, "getrlimit");
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		err(3, "signalfd");
}

int hold_main(char **argv)
{
	int pause = 0, status;
	int64_t started;

	prepare();
	for (;;) {
		started = sivshmem_now_ms();
		start_monitor(argv);
		status = serve();
		/* one that can't even start the first time is the user's to see to */
		if (stopping || !was_ready)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
		pause = sivshmem_now_ms() - started > LIVED_WELL ? 0 : pause * 2 + 20;
		if (pause > PAUSE_MAX)
			pause = PAUSE_MAX;
		fprintf(stderr, "sivshmem-cad: the monitor ended (%s), starting the next\n",
			WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exit");
		usleep((useconds_t)pause * 1000);
	}
}
