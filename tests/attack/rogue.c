/* SPDX-License-Identifier: MIT */
/*
 * rogue CARRIER VERB ...: a client that breaks the rules. CARRIER is
 * /dev/sivshmem or the path of the daemon's UNIX socket.
 *
 *   auth DIR [ROOTFILE]  handshake with a bundle that nobody checked here;
 *                        prints the host's verdict
 *   garbage COUNT SEED   random and damaged messages on COUNT sessions
 *   order                each message out of its turn
 *   stall COUNT SECONDS  open COUNT half handshakes and hold them
 *   churn PROCESSES SECONDS  open and close sessions without end
 *   crowd UID COUNT SECONDS  half handshakes of COUNT users, in a user namespace
 *                        that UID made (as root, who maps them; device only)
 *   ioctl COUNT SEED     random ioctls and grants (device only)
 *   inherit              use the parent's session in a child (device only)
 *
 * Prints what happened; exits 1 if the other end let anything through.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>
#include <sivshmem/uapi.h>

#include "../../shim/lib/handshake.h"

static const char *carrier;

static int is_device(void)
{
	return !strncmp(carrier, "/dev/", 5);
}

static int dial(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	if (is_device())
		return open(carrier, O_RDWR | O_CLOEXEC);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", carrier);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* one message, or 0 when the session ended, or -1 after 5 s of silence */
static ssize_t receive(int fd, void *buffer, size_t size, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return -1;
	n = read(fd, buffer, size);
	return n < 0 ? 0 : n;
}

/* Load a bundle with none of the checks that the library makes. */
static void load(struct sivshmem_bundle *b, const char *dir, const char *root)
{
	struct sivshmem_error e;
	struct sivp_chain chain;
	char path[512];

	b->secret = sodium_malloc(64);
	snprintf(path, sizeof(path), "%s/" SIVSHMEM_KEY_FILE, dir);
	if (sivshmem_key_read(path, b->secret, &e))
		errx(3, "%s", e.text);
	snprintf(path, sizeof(path), "%s/" SIVSHMEM_CERT_FILE, dir);
	if (sivshmem_chain_read(path, &b->chain, &e))
		errx(3, "%s", e.text);
	snprintf(path, sizeof(path), "%s/" SIVSHMEM_ROOT_FILE, dir);
	if (sivshmem_chain_read(root ? root : path, &chain, &e))
		errx(3, "%s", e.text);
	b->root = chain.cert[0];
}

static int do_auth(int argc, char **argv)
{
	struct sivshmem_bundle bundle = { 0 };
	struct sivshmem_handshake hs;
	enum sivshmem_cert_error why;
	struct sivp_ready_body ready;
	struct sivshmem_keys keys;
	struct sivp_hello hello;
	struct sivp_auth auth;
	char m[SIVP_MSG_MAX];
	int64_t when;
	ssize_t n;
	int fd;

	if (argc < 1)
		errx(2, "auth DIR [ROOTFILE]");
	load(&bundle, argv[0], argv[1]);
	fd = dial();
	if (fd < 0)
		err(3, "%s", carrier);
	sivshmem_hs_client_hello(&hs, &hello);
	if (write(fd, &hello, sizeof(hello)) < 0)
		err(3, "write HELLO");
	n = receive(fd, m, sizeof(m), 5000);
	if (n <= 0 || sivshmem_hs_client_auth(&hs, m, (size_t)n, &bundle, NULL,
					      &auth, &when, &why))
		errx(3, "no valid HOST");
	if (write(fd, &auth, sizeof(auth)) < 0)
		err(3, "write AUTH");
	n = receive(fd, m, sizeof(m), 5000);
	if (n <= 0 || sivshmem_hs_client_ready(&hs, m, (size_t)n, &ready, &keys)) {
		puts("verdict: cut off");
		return 0;
	}
	printf("verdict: %s\n", ready.status == SIVP_OK ? "accepted" : "refused");
	return ready.status == SIVP_OK;
}

/* Whatever comes back, it must not be READY or RESULT. */
static int drain(int fd)
{
	char m[SIVP_MSG_MAX];
	struct sivp_hdr h;
	ssize_t n;
	int bad = 0;

	while ((n = receive(fd, m, sizeof(m), 20)) > 0) {
		if ((size_t)n < sizeof(h))
			continue;
		memcpy(&h, m, sizeof(h));
		bad |= h.type == SIVP_READY || h.type == SIVP_RESULT ||
		       h.type == SIVP_LOCAL_FD;
	}
	return bad;
}

static size_t make_garbage(uint8_t *m, uint32_t kind)
{
	struct sivshmem_handshake hs;
	struct sivp_hello hello;
	size_t n = randombytes_uniform(SIVP_MSG_MAX) + 1;

	randombytes_buf(m, SIVP_MSG_MAX);
	if (kind % 4 == 0)
		return n;
	sivshmem_hs_client_hello(&hs, &hello);
	memcpy(m, &hello, sizeof(hello));
	if (kind % 4 == 1) {			/* one damaged byte */
		m[randombytes_uniform(16)] ^= (uint8_t)(1 + randombytes_uniform(255));
		return sizeof(hello);
	}
	if (kind % 4 == 2)			/* cut short */
		return 1 + randombytes_uniform(sizeof(hello) - 1);
	return sizeof(hello) + 1 + randombytes_uniform(100);	/* and more */
}

static int do_garbage(int argc, char **argv)
{
	uint8_t m[SIVP_MSG_MAX];
	int i, k, fd, bad = 0, sent = 0;

	if (argc < 1)
		errx(2, "garbage COUNT");
	for (i = 0; i < atoi(argv[0]); i++) {
		fd = dial();
		if (fd < 0)
			err(3, "%s after %d sessions", carrier, i);
		for (k = 0; k < 8; k++)
			sent += write(fd, m, make_garbage(m, (uint32_t)(i + k))) > 0;
		bad |= drain(fd);
		close(fd);
	}
	printf("garbage: %d messages, %s\n", sent, bad ? "ANSWERED" : "none answered");
	return bad;
}

static int do_order(int argc, char **argv)
{
	static const uint16_t types[] = { SIVP_HOST, SIVP_AUTH, SIVP_READY,
		SIVP_REQUEST, SIVP_RESULT, SIVP_ABORT, SIVP_LOCAL_FD, 0, 999 };
	struct sivshmem_handshake hs;
	struct sivp_hello hello;
	uint8_t m[1024] = { 0 };
	size_t i;
	int fd, bad = 0, second;

	(void)argc;
	(void)argv;
	for (i = 0; i < 2 * sizeof(types) / sizeof(*types); i++) {
		struct sivp_hdr h = { .type = types[i / 2] };

		second = (int)(i & 1);
		fd = dial();
		if (fd < 0)
			err(3, "%s", carrier);
		sivshmem_hs_client_hello(&hs, &hello);
		if (second && write(fd, &hello, sizeof(hello)) < 0)
			err(3, "write");
		h.length = (uint32_t)(h.type == SIVP_AUTH ?
			sizeof(struct sivp_auth) - sizeof(h) : 200);
		memcpy(m, &h, sizeof(h));
		if (write(fd, m, sizeof(h) + h.length) < 0)
			puts("order: already closed");
		bad |= drain(fd);
		close(fd);
	}
	printf("order: %s\n", bad ? "ANSWERED" : "none answered");
	return bad;
}

static int do_stall(int argc, char **argv)
{
	struct sivshmem_handshake hs;
	struct sivp_hello hello;
	int i, fd, held = 0;

	if (argc < 2)
		errx(2, "stall COUNT SECONDS");
	for (i = 0; i < atoi(argv[0]); i++) {
		fd = dial();
		if (fd < 0)
			continue;
		sivshmem_hs_client_hello(&hs, &hello);
		held += write(fd, &hello, sizeof(hello)) > 0;
	}
	printf("stall: %d half handshakes\n", held);
	fflush(stdout);
	sleep((unsigned int)atoi(argv[1]));
	return 0;
}

static int do_churn(int argc, char **argv)
{
	time_t end;
	int i;

	if (argc < 2)
		errx(2, "churn PROCESSES SECONDS");
	end = time(NULL) + atoi(argv[1]);
	for (i = 0; i < atoi(argv[0]); i++) {
		if (fork())
			continue;
		while (time(NULL) < end) {
			int fd = open(carrier, O_RDWR | O_CLOEXEC);

			if (fd >= 0)
				close(fd);
		}
		_exit(0);
	}
	printf("churn: %d processes\n", i);
	fflush(stdout);
	while (wait(NULL) > 0)
		;
	return 0;
}

static void write_map(pid_t pid, const char *which)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, which);
	fd = open(path, O_WRONLY);
	if (fd < 0 || dprintf(fd, "0 200000 60000\n") < 0)
		err(3, "%s", path);
	close(fd);
}

static int be_many(int count, unsigned int seconds)
{
	struct sivshmem_handshake hs;
	struct sivp_hello hello;
	int i, fd, held = 0;

	if (setresuid(0, 0, 0))
		err(3, "uid 0 in the namespace");
	for (i = 1; i <= count; i++) {
		/* of this thread alone: the C library would ask the others too */
		if (syscall(SYS_setresuid, -1, i, -1))
			err(3, "uid %d", i);
		fd = open(carrier, O_RDWR | O_CLOEXEC);
		sivshmem_hs_client_hello(&hs, &hello);
		held += fd >= 0 && write(fd, &hello, sizeof(hello)) > 0;
		if (syscall(SYS_setresuid, -1, 0, -1))
			err(3, "uid 0");
	}
	printf("crowd: %d half handshakes\n", held);
	fflush(stdout);
	sleep(seconds);
	return 0;
}

static int do_crowd(int argc, char **argv)
{
	const struct rlimit files = { 8192, 8192 };
	int made[2], mapped[2];
	char byte = 0;
	pid_t pid;

	if (argc < 3)
		errx(2, "crowd UID COUNT SECONDS");
	if (setrlimit(RLIMIT_NOFILE, &files) || pipe(made) || pipe(mapped))
		err(3, "crowd");
	pid = fork();
	if (!pid) {
		uid_t owner = (uid_t)atoi(argv[0]);

		if (setgid(owner) || setuid(owner) || unshare(CLONE_NEWUSER) ||
		    write(made[1], &byte, 1) != 1 || read(mapped[0], &byte, 1) != 1)
			err(3, "a user namespace");
		_exit(be_many(atoi(argv[1]), (unsigned int)atoi(argv[2])));
	}
	close(made[1]);
	if (read(made[0], &byte, 1) != 1)
		errx(3, "no user namespace");
	write_map(pid, "uid_map");
	write_map(pid, "gid_map");
	if (write(mapped[1], &byte, 1) != 1)
		err(3, "crowd");
	return waitpid(pid, NULL, 0) == pid ? 0 : 3;
}

static int do_ioctl(int argc, char **argv)
{
	static uint8_t arg[4096];
	struct sivshmem_grant_fd g = { 0 };
	int i, fd = dial(), bad = 0;

	if (argc < 1 || fd < 0)
		err(3, "%s", carrier);
	for (i = 0; i < atoi(argv[0]); i++) {
		unsigned long cmd = randombytes_random();
		void *where = i % 3 ? (void *)arg : (void *)(uintptr_t)randombytes_random();

		if (i % 2)
			cmd = (cmd & ~0xffffUL) | 0xB700 | (cmd & 7);
		if (cmd == SIVSHMEM_IOC_END)
			continue;
		randombytes_buf(arg, 64);
		ioctl(fd, cmd, where);
		g.grant = i < 1000 ? (uint64_t)i : randombytes_random();
		g.flags = i & 3;
		if (!ioctl(fd, SIVSHMEM_IOC_GRANT_FD, &g)) {
			printf("ioctl: got fd %d for a guessed grant\n", g.fd);
			bad = 1;
		}
	}
	if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED) {
		puts("ioctl: the device itself could be mapped");
		bad = 1;
	}
	printf("ioctl: %s\n", bad ? "LET THROUGH" : "nothing got through");
	return bad;
}

static int do_inherit(int argc, char **argv)
{
	struct sivshmem_handshake hs;
	struct sivp_hello hello;
	int fd = dial(), status;

	(void)argc;
	(void)argv;
	if (fd < 0)
		err(3, "%s", carrier);
	sivshmem_hs_client_hello(&hs, &hello);
	if (!fork()) {
		struct sivshmem_info info;
		int let = write(fd, &hello, sizeof(hello)) >= 0 || errno != EPERM;

		let |= ioctl(fd, SIVSHMEM_IOC_INFO, &info) >= 0 || errno != EPERM;
		_exit(let);
	}
	wait(&status);
	printf("inherit: %s\n", status ? "LET THROUGH" : "EPERM");
	return status != 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} verbs[] = {
		{ "auth", do_auth }, { "garbage", do_garbage }, { "order", do_order },
		{ "stall", do_stall }, { "churn", do_churn }, { "crowd", do_crowd },
		{ "ioctl", do_ioctl }, { "inherit", do_inherit },
	};
	size_t i;

	if (argc < 3 || sodium_init() < 0)
		errx(2, "usage: rogue CARRIER auth|garbage|order|stall|churn|crowd|ioctl|inherit ...");
	carrier = argv[1];
	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(argv[2], verbs[i].name))
			return verbs[i].run(argc - 3, argv + 3);
	errx(2, "unknown verb '%s'", argv[2]);
}
