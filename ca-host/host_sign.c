/* SPDX-License-Identifier: MIT */
#include "host_sign.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bsd/err.h>
#include <bsd/unistd.h>
#include <sodium.h>

#include "monitor.h"
#include "signer_process.h"

#define START_MS	5000
#define ANSWER_MS	500
#define RESTART_MS	1000	/* not more often */

struct signer {
	pid_t pid;
	int fd;
};

static struct signer now_signing = { .fd = -1 };
static pid_t given_up;			/* killed, its end is yet to be told */
static char *key_path;
static uint8_t key_public[32];
static uint64_t last_number;
static int64_t restart_at;

/* --- start --- */

static _Noreturn void become_signer(int socket, char *key)
{
	char name[] = "sivshmem-cad", mode[] = SIGNER_ARG, locale[] = "LC_ALL=C";
	char *argv[] = { name, mode, key, monitor.passphrase_file, monitor.signer_uid, monitor.signer_gid,
			 monitor.empty, NULL };
	char *envp[] = { locale, NULL };
	int null, i;
	sigset_t none;

	socket = fcntl(socket, F_DUPFD, 64);
	null = open("/dev/null", O_RDWR);
	if (socket < 0 || null < 0 || dup2(socket, SIGNER_FD) < 0)
		_exit(3);
	for (i = 0; i < SIGNER_FD; i++)
		if (dup2(null, i) < 0)
			_exit(3);
	closefrom(SIGNER_FD + 1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve("/proc/self/exe", argv, envp);
	_exit(3);
}

static int wait_at_most(int fd, int ms)
{
	const struct timeval t = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) ? -errno : 0;
}

static void give_up(struct signer *s)
{
	if (s->pid > 0)
		kill(s->pid, SIGKILL);
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct signer){ .fd = -1 };
}

static int spawn(struct signer *s, char *key)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	s->fd = pair[0];
	s->pid = fork();
	r = s->pid < 0 ? -errno : 0;
	if (!s->pid)
		become_signer(pair[1], key);
	close(pair[1]);
	return r;
}

static int hear_hello(int fd, const char *key, const uint8_t public_key[32],
		      struct sivshmem_error *err)
{
	struct signer_hello hello;
	ssize_t n;

	if (wait_at_most(fd, START_MS))
		return sivshmem_error_set(err, -errno, "signer: %s", strerror(errno));
	n = recv(fd, &hello, sizeof(hello), MSG_TRUNC);
	if (n != sizeof(hello))
		return sivshmem_error_set(err, -EIO, "%s: the signer does not start: %s", key,
			n < 0 ? strerror(errno) : "it ended");
	hello.text[sizeof(hello.text) - 1] = 0;
	if (hello.error)
		return sivshmem_error_set(err, -hello.error, "%s", hello.text);
	if (memcmp(hello.public_key, public_key, 32))
		return sivshmem_error_set(err, -EBADMSG, "%s: does not belong to host.cert", key);
	return wait_at_most(fd, ANSWER_MS);
}

static int start(struct signer *s, char *key, const uint8_t public_key[32],
		 struct sivshmem_error *err)
{
	int r = spawn(s, key);

	if (r)
		sivshmem_error_set(err, r, "cannot start the signer: %s", strerror(-r));
	else
		r = hear_hello(s->fd, key, public_key, err);
	if (r)
		give_up(s);
	return r;
}

int host_signer_start(const char *key, const uint8_t public_key[32],
		      struct sivshmem_error *err)
{
	struct signer next = { .fd = -1 };
	char *path = strdup(key);
	int r;

	if (!path)
		return sivshmem_error_set(err, -ENOMEM, "no memory");
	r = start(&next, path, public_key, err);
	if (r) {
		free(path);
		return r;
	}
	give_up(&now_signing);
	now_signing = next;
	free(key_path);
	key_path = path;
	memcpy(key_public, public_key, sizeof(key_public));
	return 0;
}

/* Not in a circle: what asks meanwhile is refused. */
static int restart(void)
{
	int64_t now = sivshmem_now_ms();
	struct sivshmem_error e;
	int r;

	if (!key_path || now < restart_at)
		return -EAGAIN;
	restart_at = now + RESTART_MS;
	r = start(&now_signing, key_path, key_public, &e);
	if (r)
		warnx("%s; no service can be authenticated until there is a signer", e.text);
	return r;
}

/* --- use --- */

static int ask(const struct signer_request *q, struct signer_reply *reply)
{
	ssize_t n;

	if (send(now_signing.fd, q, sizeof(*q), MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(*q))
		return -EIO;
	do
		n = recv(now_signing.fd, reply, sizeof(*reply), MSG_TRUNC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		warnx("the signer does not answer; it is replaced");
	return n == sizeof(*reply) && reply->number == q->number ? 0 : -EIO;
}

int host_sign(enum host_context context, const uint8_t *msg, size_t len, uint8_t sig[64])
{
	struct signer_request q = { .context = context, .number = ++last_number };
	struct signer_reply reply;
	int tries, r;

	if (len != sizeof(q.hash))
		return -EINVAL;
	memcpy(q.hash, msg, sizeof(q.hash));
	for (tries = 0; tries < 2; tries++) {
		r = now_signing.fd < 0 ? restart() : 0;
		if (r)
			return r;
		if (!ask(&q, &reply)) {
			memcpy(sig, reply.signature, sizeof(reply.signature));
			return -reply.error;
		}
		given_up = now_signing.pid;
		give_up(&now_signing);
	}
	return -EIO;
}

bool host_signer_reaped(pid_t pid, int status)
{
	const char *how = WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "exited";

	if (!pid || (pid != now_signing.pid && pid != given_up))
		return false;
	warnx("the signer ended: %s; another takes its place", how);
	if (pid == given_up) {
		given_up = 0;
	} else {
		now_signing.pid = 0;
		give_up(&now_signing);
	}
	if (now_signing.fd < 0)
		restart();
	audit_write(&(struct audit){ .event = "signer-exit", .reason = how });
	return true;
}
