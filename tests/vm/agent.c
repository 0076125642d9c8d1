// SPDX-License-Identifier: MIT
/*
 * The guest's init: runs the commands that the host sends over one virtio
 * port, many at a time. Frames both ways: see struct frame.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK 16384
#define WINDOW (16 * CHUNK)	/* bytes of one command that the host has not read yet */
#define MAX_JOBS 256
#define MAX_REQUEST (1 << 20)
#define DRAIN_MS 200		/* a background child may hold the pipes open */
#define REAP_MS 2000

struct frame {
	uint32_t len, id;
	char type;		/* to us: run, ack, kill; from us: boot, out, err, exit */
	char pad[3];
};

struct job {
	bool used, exited, late;
	uint32_t id, unread;
	pid_t pid;
	int fd[2], status;
	int64_t deadline, drain_until;
};

static struct job jobs[MAX_JOBS];
static int port;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void die(const char *what)
{
	printf("sivshmem-vm: agent: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void send_frame(uint32_t id, char type, const void *data, uint32_t len)
{
	static char buf[sizeof(struct frame) + CHUNK];
	struct frame head = { .len = len, .id = id, .type = type };
	size_t done = 0, all = sizeof(head) + len;
	ssize_t n;

	memcpy(buf, &head, sizeof(head));
	memcpy(buf + sizeof(head), data, len);
	while (done < all) {
		n = write(port, buf + done, all - done);
		if (n < 0 && errno != EINTR)
			die("write");
		done += n > 0 ? (size_t)n : 0;
	}
}

static struct job *find(uint32_t id)
{
	for (struct job *j = jobs; j < jobs + MAX_JOBS; j++)
		if (j->used && j->id == id)
			return j;
	return NULL;
}

static void hang_up(struct job *j, int i)
{
	if (j->fd[i] >= 0)
		close(j->fd[i]);
	j->fd[i] = -1;
}

static void finish(struct job *j)
{
	int32_t code = 124;

	if (!j->late)
		code = WIFEXITED(j->status) ? WEXITSTATUS(j->status) : 128 + WTERMSIG(j->status);
	hang_up(j, 0);
	hang_up(j, 1);
	j->used = false;
	send_frame(j->id, 'x', &code, sizeof(code));
}

/* The child: what it can not do it says on its standard error. */
static void child(const char *user, char **env, char **argv)
{
	unsigned int uid, gid;
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (sscanf(user, "%u:%u", &uid, &gid) == 2 &&
	    (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid)))
		goto fail;
	if (chdir("/tmp"))
		goto fail;
	clearenv();
	setenv("PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("LANG", "C.UTF-8", 1);
	setenv("HOME", getuid() ? "/tmp" : "/root", 1);
	for (; *env; env++)
		putenv(*env);
	execvp(argv[0], argv);
fail:
	dprintf(2, "vm exec: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static int spawn(struct job *j, const char *user, char **env, char **argv)
{
	int out[2], err[2], null;

	if (pipe2(out, O_CLOEXEC))
		return -errno;
	if (pipe2(err, O_CLOEXEC)) {
		close(out[0]);
		close(out[1]);
		return -EMFILE;
	}
	j->pid = fork();
	if (j->pid == 0) {
		null = open("/dev/null", O_RDWR);
		dup2(null, 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		close(null);
		child(user, env, argv);
	}
	close(out[1]);
	close(err[1]);
	j->fd[0] = out[0];
	j->fd[1] = err[0];
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(err[0], F_SETFL, O_NONBLOCK);
	return j->pid < 0 ? -EAGAIN : 0;
}

/* A request is strings: milliseconds, "uid:gid" or "", n, n of K=V, the command. */
static void run(uint32_t id, char *p, uint32_t len)
{
	struct job *j = jobs;
	char **word, *end = p + len, **env, **argv;
	size_t n = 0, nenv;

	while (j < jobs + MAX_JOBS && j->used)
		j++;
	word = calloc(len + 2, sizeof(*word));
	if (!word || j == jobs + MAX_JOBS || !len || end[-1])
		goto refuse;
	for (; p < end; p += strlen(p) + 1)
		word[n++] = p;
	nenv = n > 3 ? strtoul(word[2], NULL, 10) : 0;
	if (n < 4 || nenv >= n - 3)
		goto refuse;
	env = word + 3;
	argv = env + nenv;
	memmove(argv + 1, argv, (n - 3 - nenv) * sizeof(*argv));
	*argv++ = NULL;
	*j = (struct job){ .used = true, .id = id, .fd = { -1, -1 } };
	j->deadline = now_ms() + atoll(word[0]);
	if (spawn(j, word[1], env, argv)) {
		j->exited = true;
		j->status = 125 << 8;
		finish(j);
	}
	free(word);
	return;
refuse:
	free(word);
	send_frame(id, 'x', &(int32_t){ 125 }, sizeof(int32_t));
}

static void take_frame(const struct frame *f, char *data)
{
	struct job *j = find(f->id);
	uint32_t n;

	if (f->type == 'r') {
		run(f->id, data, f->len);
	} else if (j && f->type == 'k') {
		j->deadline = 0;
	} else if (j && f->type == 'a' && f->len == sizeof(n)) {
		memcpy(&n, data, sizeof(n));
		j->unread -= n < j->unread ? n : j->unread;
	}
}

static void read_port(void)
{
	static char buf[sizeof(struct frame) + MAX_REQUEST];
	static size_t have;
	struct frame f;
	ssize_t n = read(port, buf + have, sizeof(buf) - have);
	size_t used = 0;

	if (n <= 0) {
		/* the host's end is always open, but for the moment of its start */
		usleep(10000);
		return;
	}
	have += (size_t)n;
	while (have - used >= sizeof(f)) {
		memcpy(&f, buf + used, sizeof(f));
		if (f.len > MAX_REQUEST)
			die("oversized request");
		if (have - used < sizeof(f) + f.len)
			break;
		take_frame(&f, buf + used + sizeof(f));
		used += sizeof(f) + f.len;
	}
	memmove(buf, buf + used, have - used);
	have -= used;
}

static void read_pipe(struct job *j, int i)
{
	char buf[CHUNK];
	ssize_t n = read(j->fd[i], buf, sizeof(buf));

	if (n > 0) {
		j->unread += (uint32_t)n;
		j->drain_until = now_ms() + DRAIN_MS;
		send_frame(j->id, i ? 'e' : 'o', buf, (uint32_t)n);
	} else if (n == 0 || errno != EAGAIN) {
		hang_up(j, i);
	}
}

static void reap(int sigfd)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(sigfd, &info, sizeof(info)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (struct job *j = jobs; j < jobs + MAX_JOBS; j++)
			if (j->used && !j->exited && j->pid == pid) {
				j->exited = true;
				j->status = status;
				j->drain_until = now_ms() + DRAIN_MS;
			}
}

/* Kill what is late, end what is done; returns the ms until the next such event. */
static int64_t expire(struct job *j, int64_t now)
{
	bool open = j->fd[0] >= 0 || j->fd[1] >= 0;

	if (!j->exited && !j->late && now >= j->deadline) {
		kill(-j->pid, SIGKILL);
		j->late = true;
		j->deadline = now;
	}
	if (j->late ? j->exited || now >= j->deadline + REAP_MS :
	    j->exited && (!open || now >= j->deadline ||
			  (now >= j->drain_until && j->unread < WINDOW))) {
		finish(j);
		return INT64_MAX;
	}
	if (j->late)
		return j->deadline + REAP_MS - now;
	if (j->exited && j->unread < WINDOW)
		return j->drain_until - now;
	return j->deadline - now;
}

static void turn(int sigfd)
{
	struct pollfd p[2 + 2 * MAX_JOBS] = { { port, POLLIN, 0 }, { sigfd, POLLIN, 0 } };
	struct { struct job *job; int i; } of[2 + 2 * MAX_JOBS];
	int64_t wait = 3600 * 1000, left, now = now_ms();
	nfds_t n = 2;

	for (struct job *j = jobs; j < jobs + MAX_JOBS; j++) {
		if (!j->used)
			continue;
		left = expire(j, now);
		wait = left < wait ? left : wait;
		for (int i = 0; j->used && i < 2; i++)
			if (j->fd[i] >= 0 && j->unread < WINDOW) {
				of[n].job = j;
				of[n].i = i;
				p[n++] = (struct pollfd){ j->fd[i], POLLIN, 0 };
			}
	}
	if (poll(p, n, (int)(wait < 0 ? 0 : wait)) < 0 && errno != EINTR)
		die("poll");
	for (nfds_t k = 2; k < n; k++)
		if (p[k].revents)
			read_pipe(of[k].job, of[k].i);
	if (p[1].revents)
		reap(sigfd);
	if (p[0].revents)
		read_port();
}

int main(int argc, char **argv)
{
	struct timespec up;
	char text[32];
	sigset_t set;
	int sigfd;

	setvbuf(stdout, NULL, _IOLBF, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	port = open(argc > 1 ? argv[1] : "", O_RDWR | O_CLOEXEC);
	if (port < 0 || sigfd < 0)
		die(argc > 1 ? argv[1] : "usage: agent PORT");
	clock_gettime(CLOCK_BOOTTIME, &up);
	snprintf(text, sizeof(text), "%d.%02d", (int)up.tv_sec, (int)(up.tv_nsec / 10000000));
	printf("sivshmem-vm: agent up after %s s\n", text);
	send_frame(0, 'b', text, (uint32_t)strlen(text));
	for (;;)
		turn(sigfd);
}
