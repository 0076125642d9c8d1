/* SPDX-License-Identifier: MIT */
/* The audit log: nothing can be altered, taken out or put in without a finding. */
#include "test.h"
#include "party.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <sodium.h>

#include "../../ca-host/audit_verify.h"
#include "../../ca-host/host_sign.h"
#include "../../ca-host/monitor.h"
#include "../../ca-host/signer_process.h"
#include "../../shim/lib/cert.h"

#define LINES_MAX	400
#define OF_ALL_KINDS	10	/* the whole first file, and the start of the next */

static char dir[] = "/tmp/sivshmem-verify-test.XXXXXX";
static char path[64], rotated[64], head_path[64];
static struct party ca, host;
static struct sivp_cert root;
static char *lines[LINES_MAX];
static int count;
static char head[128], finding[512];

static void make_keys(void)
{
	struct sivshmem_error e;
	char key[64];

	make_party(&ca, 1, SIVP_CERT_ROOT, "root", &ca);
	make_party(&host, 2, SIVP_CERT_HOST, "h1", &ca);
	root = ca.cert;
	monitor.chain.count = 1;
	monitor.chain.cert[0] = host.cert;
	strcpy(monitor.signer_uid, "-");
	strcpy(monitor.signer_gid, "-");
	strcpy(monitor.empty, "-");
	snprintf(key, sizeof(key), "%s/host.key", dir);
	if (sivshmem_key_write(key, host.secret, &e) ||
	    host_signer_start(key, host.public_key, &e))
		exit(1);
	unlink(key);
}

static void some(int n)
{
	while (n--)
		audit_write(&(struct audit){ .event = "open", .object = "o", .refused = n & 1 });
}

static void read_lines(const char *name)
{
	FILE *f = fopen(name, "r");
	char text[AUDIT_LINE_MAX];

	while (f && count < LINES_MAX && fgets(text, sizeof(text), f)) {
		text[strcspn(text, "\n")] = '\0';
		lines[count++] = strdup(text);
	}
	if (f)
		fclose(f);
}

static void make_log(void)
{
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(rotated, sizeof(rotated), "%s/log.1", dir);
	snprintf(head_path, sizeof(head_path), "%s/log.head", dir);
	make_keys();
	if (audit_start(path))
		exit(1);
	some(5);
	rename(path, rotated);
	audit_reopen();
	some(300);
	audit_stop();
	read_lines(rotated);
	read_lines(path);
	f = fopen(head_path, "r");
	if (!f || !fgets(head, sizeof(head), f))
		exit(1);
	fclose(f);
}

static void note(void *context, bool fault, const char *text)
{
	(void)context;
	if (fault)
		snprintf(finding, sizeof(finding), "%s", text);
}

static struct audit_verify verify_first(int n)
{
	struct audit_verify v = { .root = root, .say = note };
	int i;

	finding[0] = '\0';
	for (i = 0; i < n; i++)
		if (lines[i])
			audit_verify_line(&v, lines[i], strlen(lines[i]), true);
	audit_verify_end(&v, n == count ? head : NULL);
	return v;
}

static struct audit_verify verify(void)
{
	return verify_first(count);
}

static void a_log_over_a_rotation_is_whole(void)
{
	struct audit_verify v = verify();

	CHECK(!v.faults && v.first == 1 && v.lines == (uint64_t)count && v.last == v.lines);
	CHECK(v.signed_last == v.last && v.checkpoints == 5 && !strcmp(v.host, "h1"));
}

static void every_altered_byte_is_found(void)
{
	int i, missed = 0;
	size_t at;

	/* lines of all kinds, and the signature after them */
	for (i = 0; i < OF_ALL_KINDS; i++) {
		for (at = 0; at < strlen(lines[i]); at++) {
			lines[i][at] ^= 1;
			missed += !verify_first(OF_ALL_KINDS).faults;
			lines[i][at] ^= 1;
		}
	}
	CHECK(!missed);
}

static void every_missing_line_is_found(void)
{
	int i, missed = 0;

	for (i = 0; i < count; i++) {
		char *line = lines[i];

		lines[i] = NULL;
		/* the first is like a file that was thrown away, which is said, no fault */
		missed += i && !verify().faults;
		lines[i] = line;
	}
	CHECK(!missed);
}

static void order_and_doubles_are_found(void)
{
	int i, missed = 0;

	for (i = 0; i + 1 < count; i++) {
		char *line = lines[i], *next = lines[i + 1];

		lines[i] = next;
		lines[i + 1] = line;
		missed += !verify().faults;
		lines[i + 1] = next;
		missed += !verify().faults;
		lines[i] = line;
	}
	CHECK(!missed);
}

/* Who can write the file, but has no key, makes the chain anew from a line on. */
static void a_new_chain_has_no_signatures(void)
{
	uint8_t chain[AUDIT_CHAIN_LEN];
	char hex[65], *old[LINES_MAX];
	uint64_t number;
	size_t text;
	int i;

	memcpy(old, lines, sizeof(old));
	CHECK(audit_chain_split(lines[3], strlen(lines[3]), &number, chain, &text));
	for (i = 4; i < count; i++) {
		uint8_t was[AUDIT_CHAIN_LEN];
		char *line = malloc(AUDIT_LINE_MAX);

		CHECK(audit_chain_split(old[i], strlen(old[i]), &number, was, &text));
		memcpy(line, old[i], text);
		if (i == 4)
			memcpy(strstr(line, "open"), "read", 4);
		audit_chain_next(chain, line, text);
		sodium_bin2hex(hex, sizeof(hex), chain, sizeof(chain));
		snprintf(line + text, AUDIT_LINE_MAX - text, ",\"chain\":\"%s\"}", hex);
		lines[i] = line;
	}
	CHECK(verify().faults && strstr(finding, "not the one that the daemon wrote"));
	snprintf(head, sizeof(head), "%020d %s\n", count, hex);
	CHECK(verify().faults >= 4);
	for (i = 4; i < count; i++) {
		free(lines[i]);
		lines[i] = old[i];
	}
}

/* Logs of their own: of a daemon that is killed, of certificates that are over or revoked */
static struct audit_verify verify_file(const char *name, const struct crl *crl, int64_t now)
{
	struct audit_verify v = { .root = root, .say = note, .crl = crl, .now = now };
	char text[AUDIT_LINE_MAX];
	FILE *f = fopen(name, "r");

	finding[0] = '\0';
	while (f && fgets(text, sizeof(text), f))
		audit_verify_line(&v, text, strcspn(text, "\n"), true);
	if (f)
		fclose(f);
	audit_verify_end(&v, NULL);
	return v;
}

/* A daemon that writes n lines and stops, or is killed */
static bool run_daemon(const char *name, int n, bool stops)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (audit_start(name))
			_exit(1);
		some(n);
		if (stops)
			audit_stop();
		_exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

static void remove_log(const char *name)
{
	char beside[128];

	snprintf(beside, sizeof(beside), "%s.head", name);
	unlink(name);
	unlink(beside);
}

static void a_daemon_that_only_found_them_signs_no_lines(void)
{
	struct audit_verify v;
	char name[64];

	snprintf(name, sizeof(name), "%s/killed", dir);
	CHECK(run_daemon(name, 3, false));
	v = verify_file(name, NULL, 0);
	CHECK(!v.faults && !v.unproven && v.last == 5);
	v = verify_file(name, NULL, time(NULL));
	CHECK(!v.faults && !v.unproven);
	v = verify_file(name, NULL, time(NULL) + 60);
	CHECK(!v.faults && v.unproven == 3);
	/* the next one goes on: it had not seen them written */
	CHECK(run_daemon(name, 1, true));
	v = verify_file(name, NULL, 0);
	CHECK(!v.faults && v.unproven == 3 && strstr(finding, "unproven: lines 3 to 5,"));
	CHECK(v.last == v.signed_last && v.last == 10);
	remove_log(name);
}

static void a_host_whose_time_is_over_signs_nothing(void)
{
	struct sivp_cert *cert = &monitor.chain.cert[0];
	struct audit_verify v;
	char name[64];

	snprintf(name, sizeof(name), "%s/over", dir);
	cert->not_after = 2000;
	sivshmem_cert_sign(cert, ca.secret);
	CHECK(run_daemon(name, 0, true));
	v = verify_file(name, NULL, 0);
	CHECK(v.faults == 1 && strstr(finding, "at the time of this line: expired"));
	*cert = host.cert;
	remove_log(name);
}

static void a_revoked_host_signs_nothing(void)
{
	uint64_t serial = host.cert.serial + 1;
	struct crl crl = { .epoch = 1, .count = 1, .serial = &serial };
	struct audit_verify v;
	char name[64];

	snprintf(name, sizeof(name), "%s/revoked", dir);
	CHECK(run_daemon(name, 0, true));
	v = verify_file(name, &crl, 0);
	CHECK(!v.faults);
	serial--;
	v = verify_file(name, &crl, 0);
	CHECK(v.faults == 1 && strstr(finding, "is revoked"));
	remove_log(name);
}

static void another_hosts_key_signs_nothing(void)
{
	struct audit_verify v;
	uint8_t other[64];

	crypto_sign_keypair(root.public_key, other);
	v = verify();
	CHECK(v.faults && !v.checkpoints);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return signer_main(argc, argv);
	if (sodium_init() < 0 || !mkdtemp(dir))
		return 1;
	make_log();
	RUN(a_log_over_a_rotation_is_whole);
	RUN(every_altered_byte_is_found);
	RUN(every_missing_line_is_found);
	RUN(order_and_doubles_are_found);
	RUN(a_new_chain_has_no_signatures);
	RUN(a_daemon_that_only_found_them_signs_no_lines);
	RUN(a_host_whose_time_is_over_signs_nothing);
	RUN(a_revoked_host_signs_nothing);
	RUN(another_hosts_key_signs_nothing);
	unlink(path);
	unlink(rotated);
	unlink(head_path);
	rmdir(dir);
	return test_failures != 0;
}
