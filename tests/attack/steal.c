/* SPDX-License-Identifier: MIT */
/*
 * steal IDENTITY CHANNEL UID: as root in a VM, take the descriptors of a process
 * of user UID by pidfd_getfd(2), SCM_RIGHTS, /proc/PID/fd and a pid that comes
 * again, and use them. One line per try: "held WHAT ERRNO", "through WHAT", or
 * "may WHAT" for what a descriptor is meant to give.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sodium.h>

#include <sivshmem/uapi.h>

#include "../../shim/lib/session.h"

#define OBJECT	"m-stolen"
#define SIZE	8192
#define OTHER	4242		/* a user who is nobody here */

static const char *identity, *channel;
static uid_t uid;

/* What the victim tells of itself. */
struct victim {
	pid_t pid;
	int session, rw, ro;	/* its descriptors' numbers */
	uint64_t id, unclaimed;	/* its session's, and of a grant it has no file of yet */
	int talk;		/* our end */
	int pidfd;
};

static void said(bool through, const char *way, const char *what)
{
	int e = errno;

	if (through)
		printf("through %s: %s\n", way, what);
	else
		printf("held %s: %s %s\n", way, what, strerrorname_np(e));
}

static void must(bool may, const char *way, const char *what)
{
	printf("%s %s: %s\n", may ? "may" : "CANNOT", way, what);
}

/* --- the victim --- */

static uint64_t unclaimed_grant(struct sivshmem_session *s)
{
	struct sivp_request q = {
		.op = SIVP_OP_OPEN, .rights = SIVSHMEM_RIGHT_READ | SIVSHMEM_RIGHT_WRITE,
	};
	struct sivp_result result;

	strcpy(q.channel, channel);
	strcpy(q.object, OBJECT);
	if (sivshmem_session_exchange(s, &q, &result) || result.error)
		errx(3, "unclaimed: %u", result.error);
	return result.grant;
}

static void hand_over(int talk, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
			       .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(talk, &m, 0) != 1)
		err(3, "sendmsg");
}

static _Noreturn void be_victim(int talk)
{
	struct sivshmem_options options = { .identity = identity, .transport = "dev" };
	char text[SIVSHMEM_ERROR_MAX], command;
	struct victim v = { .pid = getpid() };
	struct sivshmem_info info;
	struct sivshmem_session *s;

	if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		err(3, "setresuid");
	if (sivshmem_connect(&s, &options, text, sizeof(text)))
		errx(3, "%s", text);
	v.session = s->transport.fd;
	v.rw = sivshmem_open(s, channel, OBJECT, O_RDWR | O_CREAT, 0600, NULL);
	v.ro = sivshmem_open(s, channel, OBJECT, O_RDONLY, 0, NULL);
	if (v.rw < 0 || v.ro < 0 || ftruncate(v.rw, SIZE) || pwrite(v.rw, "secret", 6, 0) != 6 ||
	    ioctl(v.session, SIVSHMEM_IOC_INFO, &info))
		errx(3, "victim: %s", sivshmem_error_text(s));
	v.id = info.session;
	v.unclaimed = unclaimed_grant(s);
	if (write(talk, &v, sizeof(v)) != sizeof(v))
		err(3, "write");
	while (read(talk, &command, 1) == 1) {
		switch (command) {
		case 'S':
			hand_over(talk, v.session);
			break;
		case 'E':		/* what revocation does, at the opener's wish */
			if (ioctl(v.session, SIVSHMEM_IOC_END) || write(talk, "", 1) != 1)
				err(3, "end");
		}
	}
	_exit(0);
}

static void make_victim(struct victim *v)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		err(3, "socketpair");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(pair[0]);
		be_victim(pair[1]);
	}
	close(pair[1]);
	if (read(pair[0], v, sizeof(*v)) != sizeof(*v))
		errx(3, "no victim");
	v->talk = pair[0];
	v->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
}

static void end_victim(struct victim *v)
{
	close(v->talk);
	waitpid(v->pid, NULL, 0);
	close(v->pidfd);
}

static int take(const struct victim *v, int number)
{
	return (int)syscall(SYS_pidfd_getfd, v->pidfd, number, 0);
}

static int receive_fd(int talk)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	int fd = -1;

	if (write(talk, "S", 1) != 1 || recvmsg(talk, &m, 0) != 1 || !CMSG_FIRSTHDR(&m))
		errx(3, "no descriptor came");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

static int reopen(const struct victim *v, int number, int oflag)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)v->pid, number);
	return open(path, oflag);
}

/* --- a session's descriptor --- */

static void use_session(const struct victim *v, int fd, const char *way)
{
	struct sivshmem_grant_fd g = { .grant = v->unclaimed };
	struct sivshmem_list list = { 0 };
	struct sivshmem_info info;
	char message[64] = { 0 };

	if (fd < 0)
		err(3, "%s", way);
	said(write(fd, message, sizeof(message)) >= 0 || errno != EPERM, way, "write");
	said(read(fd, message, sizeof(message)) >= 0 || errno != EPERM, way, "read");
	said(!ioctl(fd, SIVSHMEM_IOC_INFO, &info) || errno != EPERM, way, "info");
	said(!ioctl(fd, SIVSHMEM_IOC_GRANT_FD, &g) || errno != EPERM, way, "grant");
	said(!ioctl(fd, SIVSHMEM_IOC_LIST, &list) || errno != EPERM, way, "list");
	said(!ioctl(fd, SIVSHMEM_IOC_END) || errno != EPERM, way, "end");
	said(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED, way, "mmap");
}

/* Opening it anew makes a session of one's own, with nothing in it. */
static void open_session_again(const struct victim *v)
{
	struct sivshmem_grant_fd g = { .grant = v->unclaimed };
	int fd = reopen(v, v->session, O_RDWR);
	struct sivshmem_info info = { 0 };

	if (fd < 0 || ioctl(fd, SIVSHMEM_IOC_INFO, &info))
		err(3, "/proc/PID/fd");
	said(info.session == v->id, "/proc/PID/fd", "the victim's session");
	said(!ioctl(fd, SIVSHMEM_IOC_GRANT_FD, &g), "/proc/PID/fd", "the victim's grant");
	close(fd);
}

/* --- a channel's descriptor --- */

static bool maps(int fd, int prot, int then)
{
	char *at = mmap(NULL, SIZE, prot, MAP_SHARED, fd, 0);
	bool done = at != MAP_FAILED && (then == prot || !mprotect(at, SIZE, then));
	int e = errno;

	if (at != MAP_FAILED)
		munmap(at, SIZE);
	errno = e;
	return done;
}

static void use_readonly(const struct victim *v, int fd)
{
	char text[7] = "";
	int again;

	must(pread(fd, text, 6, 0) == 6 && !strcmp(text, "secret"), "read-only", "read");
	must(maps(fd, PROT_READ, PROT_READ), "read-only", "map");
	said(pwrite(fd, "BROKEN", 6, 0) >= 0, "read-only", "write");
	said(maps(fd, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE), "read-only", "map to write");
	said(maps(fd, PROT_READ, PROT_READ | PROT_WRITE), "read-only", "mprotect");
	said(!ftruncate(fd, 0), "read-only", "truncate");
	again = reopen(v, v->ro, O_RDONLY);
	must(again >= 0, "read-only", "open by /proc");
	said(reopen(v, v->ro, O_RDWR) >= 0 && v->ro >= 0, "as root", "open to write by /proc");
}

static sigjmp_buf out;
static void on_bus(int sig) { (void)sig; siglongjmp(out, 1); }

static bool readable(const volatile char *at)
{
	if (sigsetjmp(out, 1))
		return false;
	(void)*at;
	return true;
}

/* One that was passed on dies with the session that it is of. */
static void outlive(const struct victim *v, int fd, char *map)
{
	char self[64], byte;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	must(readable(map) && pwrite(fd, "s", 1, 0) == 1, "passed on", "write");
	if (write(v->talk, "E", 1) != 1 || read(v->talk, &byte, 1) != 1)
		errx(3, "the victim does not end its session");
	errno = 0;
	said(readable(map), "revoked", "the old mapping");
	said(pread(fd, &byte, 1, 0) >= 0 || errno != EKEYREVOKED, "revoked", "read");
	said(pwrite(fd, "x", 1, 0) >= 0 || errno != EKEYREVOKED, "revoked", "write");
	said(!ftruncate(fd, 2 * SIZE) || errno != EKEYREVOKED, "revoked", "truncate");
	said(maps(fd, PROT_READ, PROT_READ) || errno != EKEYREVOKED, "revoked", "a new mapping");
	said(open(self, O_RDONLY) >= 0 || errno != EKEYREVOKED, "revoked", "open");
}

/* --- others --- */

static void as_another(const struct victim *v)
{
	fflush(stdout);
	if (!fork()) {
		if (setgroups(0, NULL) || setresgid(OTHER, OTHER, OTHER) ||
		    setresuid(OTHER, OTHER, OTHER))
			_exit(3);
		said(take(v, v->rw) >= 0, "another user", "pidfd_getfd");
		said(reopen(v, v->rw, O_RDONLY) >= 0, "another user", "/proc/PID/fd");
		said(reopen(v, v->session, O_RDWR) >= 0, "another user", "/proc/PID/fd of the session");
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

/* A process that gets the dead victim's pid is not the victim. */
static void as_namesake(const struct victim *dead, int fd)
{
	int tries;

	for (tries = 0; tries < 200; tries++) {
		FILE *f = fopen("/proc/sys/kernel/ns_last_pid", "w");
		pid_t pid;

		if (!f || fprintf(f, "%d", (int)dead->pid - 1) < 0 || fclose(f))
			err(3, "ns_last_pid");
		fflush(stdout);
		pid = fork();
		if (!pid) {
			if (getpid() != dead->pid)
				_exit(1);
			use_session(dead, fd, "the same pid");
			fflush(stdout);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		if (pid == dead->pid)
			return;
	}
	errx(3, "the pid does not come again");
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_bus };
	struct victim v;
	char *map;
	int fd;

	if (argc != 4 || sodium_init() < 0)
		errx(2, "usage: steal IDENTITY CHANNEL UID");
	identity = argv[1];
	channel = argv[2];
	uid = (uid_t)atoi(argv[3]);
	sigaction(SIGBUS, &action, NULL);
	make_victim(&v);
	use_session(&v, take(&v, v.session), "pidfd_getfd");
	use_session(&v, receive_fd(v.talk), "SCM_RIGHTS");
	open_session_again(&v);
	as_another(&v);
	use_readonly(&v, take(&v, v.ro));
	fd = take(&v, v.rw);
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(3, "mmap");
	outlive(&v, fd, map);
	end_victim(&v);
	make_victim(&v);
	fd = take(&v, v.session);
	end_victim(&v);
	as_namesake(&v, fd);
	return 0;
}
