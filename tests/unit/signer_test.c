/* SPDX-License-Identifier: MIT */
/* The signer, from the monitor that asks it: what it signs, and how it is lost. */
#include "test.h"
#include "party.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../ca-host/monitor.h"
#include "../../ca-host/signer_process.h"
#include "../../shim/lib/keyfile.h"

static char dir[] = "/tmp/sivshmem-signer-test.XXXXXX";
static char key[64], other_key[64];
static struct party host, other;
static const uint8_t hash[HOST_SIGN_LEN] = { 1, 2, 3 };

static pid_t parent_of(const char *pid)
{
	char path[300], text[512];
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fgets(text, sizeof(text), f) && strrchr(text, ')'))
		sscanf(strrchr(text, ')') + 1, " %*c %d", &parent);
	fclose(f);
	return parent;
}

/* The newest child, if its program runs already */
static pid_t child(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	pid_t pid = 0;

	while ((e = readdir(proc)))
		if (atoi(e->d_name) > pid && parent_of(e->d_name) == getpid())
			pid = atoi(e->d_name);
	closedir(proc);
	return pid;
}

/* What the loop of the daemon does on SIGCHLD; those that were replaced end too. */
static bool reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) > 0)
		if (host_signer_reaped(pid, status))
			return true;
	return false;
}

static bool fresh(void)
{
	static struct sivshmem_error e;

	return !host_signer_start(key, host.public_key, &e);
}

static bool signs(const struct party *as)
{
	uint8_t sig[64];

	return !host_sign(HOST_SIGN_HANDSHAKE, hash, sizeof(hash), sig) &&
	       sivshmem_verify_hash(sig, SIVP_CTX_HOST_AUTH, hash, as->public_key);
}

static void nobody_signs_without_one(void)
{
	uint8_t sig[64];

	CHECK(host_sign(HOST_SIGN_HANDSHAKE, hash, sizeof(hash), sig) == -EAGAIN);
}

static void signs_a_handshake(void)
{
	CHECK(fresh());
	CHECK(signs(&host));
}

/* A certificate's bytes begin with another string; so whatever is signed is none. */
static void signs_nothing_else(void)
{
	static const char *const others[] = {
		SIVP_CTX_CERT, "sivshmem revocation list v1", SIVP_CTX_SERVICE_AUTH,
	};
	uint8_t sig[64], long_one[64] = { 0 };

	CHECK(fresh());
	for (uint32_t context = 0; context < 300; context++) {
		const char *name = signer_context(context);

		memset(sig, 0, sizeof(sig));
		CHECK(host_sign(context, hash, sizeof(hash), sig) == (name ? 0 : -EPERM));
		CHECK(name || sodium_is_zero(sig, sizeof(sig)));
		for (size_t i = 0; name && i < sizeof(others) / sizeof(*others); i++) {
			CHECK(strcmp(name, others[i]));
			CHECK(!sivshmem_verify_hash(sig, others[i], hash, host.public_key));
		}
	}
	CHECK(!signer_context(UINT32_MAX));
	CHECK(host_sign(HOST_SIGN_HANDSHAKE, long_one, sizeof(long_one), sig) == -EINVAL);
	CHECK(host_sign(HOST_SIGN_HANDSHAKE, hash, 31, sig) == -EINVAL);
	CHECK(signs(&host));
}

/* How the signer ends that gets these bytes: its status */
static int ends_after(const void *bytes, size_t size)
{
	char *argv[] = { (char[]){ "x" }, (char[]){ SIGNER_ARG }, key, (char[]){ "" },
			 (char[]){ "-" }, (char[]){ "-" }, (char[]){ "-" }, NULL };
	struct signer_hello hello;
	int pair[2], status;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		return -1;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(pair[1], SIGNER_FD);
		for (int i = SIGNER_FD + 1; i < 64; i++)
			close(i);
		execv("/proc/self/exe", argv);
		_exit(99);
	}
	close(pair[1]);
	if (recv(pair[0], &hello, sizeof(hello), 0) != sizeof(hello) || hello.error ||
	    memcmp(hello.public_key, host.public_key, 32))
		return -1;
	if (bytes)
		send(pair[0], bytes, size, 0);
	shutdown(pair[0], SHUT_WR);
	waitpid(pid, &status, 0);
	close(pair[0]);
	return status;
}

static void a_request_has_one_size(void)
{
	struct signer_request q[2] = { { .context = HOST_SIGN_HANDSHAKE } };

	CHECK(ends_after(NULL, 0) == 0);
	CHECK(ends_after(q, sizeof(q[0])) == 0);
	CHECK(ends_after(q, sizeof(q[0]) - 1) == 3 << 8);
	CHECK(ends_after(q, 1) == 3 << 8);
	CHECK(ends_after(q, sizeof(q[0]) + 1) == 3 << 8);
	CHECK(ends_after(q, sizeof(q)) == 3 << 8);
}

static void one_that_dies_is_replaced(void)
{
	pid_t first;

	CHECK(fresh());
	first = child();
	CHECK(first && !kill(first, SIGKILL));
	CHECK(reap());
	CHECK(child() != first);
	CHECK(signs(&host));
}

static void one_that_dies_is_missed_at_once(void)
{
	pid_t first;

	usleep(1100000);		/* not twice in a second */
	CHECK(fresh());
	first = child();
	CHECK(first && !kill(first, SIGKILL));
	CHECK(signs(&host));
	CHECK(reap());
	CHECK(signs(&host));
}

static void one_that_is_silent_is_replaced(void)
{
	int64_t before;

	usleep(1100000);
	CHECK(fresh());
	CHECK(!kill(child(), SIGSTOP));
	before = sivshmem_now_ms();
	CHECK(signs(&host));
	CHECK(sivshmem_now_ms() - before < 1500);
	CHECK(reap());
	CHECK(signs(&host));
}

static void another_key_takes_its_place_only_if_it_fits(void)
{
	struct sivshmem_error e;

	CHECK(fresh());
	CHECK(host_signer_start(other_key, host.public_key, &e) == -EBADMSG);
	CHECK(strstr(e.text, "does not belong to host.cert"));
	CHECK(host_signer_start("/nowhere", host.public_key, &e) == -ENOENT);
	CHECK(strstr(e.text, "/nowhere"));
	CHECK(!chmod(other_key, 0644));
	CHECK(host_signer_start(other_key, other.public_key, &e) < 0);
	CHECK(strstr(e.text, "0644"));
	CHECK(!chmod(other_key, 0600));
	CHECK(signs(&host));
	CHECK(!host_signer_start(other_key, other.public_key, &e));
	CHECK(signs(&other));
}

int main(int argc, char **argv)
{
	struct sivshmem_error e;

	if (argc > 1)
		return signer_main(argc, argv);
	strcpy(monitor.signer_uid, "-");
	strcpy(monitor.signer_gid, "-");
	strcpy(monitor.empty, "-");
	if (sodium_init() < 0 || !mkdtemp(dir))
		return 1;
	snprintf(key, sizeof(key), "%s/host.key", dir);
	snprintf(other_key, sizeof(other_key), "%s/other.key", dir);
	make_party(&host, 1, SIVP_CERT_HOST, "h", &host);
	make_party(&other, 2, SIVP_CERT_HOST, "o", &other);
	if (sivshmem_key_write(key, host.secret, &e) ||
	    sivshmem_key_write(other_key, other.secret, &e))
		return 1;
	RUN(nobody_signs_without_one);
	RUN(signs_a_handshake);
	RUN(signs_nothing_else);
	RUN(a_request_has_one_size);
	RUN(one_that_dies_is_replaced);
	RUN(one_that_dies_is_missed_at_once);
	RUN(one_that_is_silent_is_replaced);
	RUN(another_key_takes_its_place_only_if_it_fits);
	unlink(key);
	unlink(other_key);
	rmdir(dir);
	return test_failures != 0;
}
