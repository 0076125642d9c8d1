/* SPDX-License-Identifier: MIT */
/*
 * keys TRANSPORT IDENTITY VERB: what of a process's secrets gets out of it.
 *
 *   fork CHANNEL    children, by fork(2) and by clone(2): has one its parent's keys?
 *                   Each and the parent then open objects of the channel.
 *   flags CHANNEL   what the kernel is told of the memory of keys and of a channel
 *   dump CHANNEL    print the keys and what a core may show, in hex, and abort
 *   midway          fork in the middle of a handshake: has the child the signing key?
 *   loading         the same while it is read from its file
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sodium.h>

#include "../../shim/lib/session.h"

#define VEIL	0x5a		/* what is looked for is nowhere in clear */

static struct sivshmem_options options;
static struct sivshmem_session *s;

static void connected(void)
{
	char text[SIVSHMEM_ERROR_MAX];

	if (sivshmem_connect(&s, &options, text, sizeof(text)))
		errx(3, "%s", text);
}

static int opened(const char *channel, const char *object)
{
	int fd = sivshmem_open(s, channel, object, O_RDWR | O_CREAT, 0600, NULL);

	if (fd < 0)
		errx(3, "%s: %s", object, sivshmem_error_text(s));
	return fd;
}

static char *mapped(int fd, size_t size)
{
	char *at;

	if (sivshmem_resize(s, fd, size, 0))
		errx(3, "%s", sivshmem_error_text(s));
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		err(3, "mmap");
	return at;
}

/* --- fork --- */

static bool is_zero(const void *at, size_t size)
{
	return sodium_is_zero(at, size);
}

static int child(const char *how, const char *channel, uint64_t parents)
{
	bool wiped = is_zero(s->secret, sizeof(*s->secret));
	struct sivshmem_session_info info;

	close(opened(channel, "keys-child"));
	sivshmem_session_get(s, &info);
	printf("%s: keys %s, session %s\n", how, wiped ? "wiped" : "LEFT",
	       info.id != parents ? "another" : "THE SAME");
	fflush(stdout);
	return !wiped || info.id == parents;
}

static int try_fork(const char *channel)
{
	struct sivshmem_session_info before, after;
	int i, status, bad = 0;
	pid_t pid;

	connected();
	sivshmem_session_get(s, &before);
	for (i = 0; i < 2; i++) {
		pid = i ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
		if (!pid)
			_exit(child(i ? "clone" : "fork", channel, before.id));
		waitpid(pid, &status, 0);
		bad |= status;
	}
	close(opened(channel, "keys-parent"));
	sivshmem_session_get(s, &after);
	printf("parent: session %s\n", before.id == after.id ? "goes on" : "ANOTHER");
	sivshmem_unlink(s, channel, "keys-child");
	sivshmem_unlink(s, channel, "keys-parent");
	return bad || before.id != after.id;
}

/* --- flags --- */

/* VmFlags of the mapping at `at`, and whether some of it is locked. */
static void print_flags(const char *what, const void *at)
{
	unsigned long start, end, locked = 0;
	FILE *f = fopen("/proc/self/smaps", "r");
	bool here = false;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = (uintptr_t)at >= start && (uintptr_t)at < end;
		else if (here && sscanf(line, "Locked: %lu", &locked) == 1)
			continue;
		else if (here && !strncmp(line, "VmFlags:", 8))
			printf("%s: %s%s", what, locked ? "locked" : "NOT LOCKED", line + 8);
	}
	if (f)
		fclose(f);
}

static int show_flags(const char *channel)
{
	struct sivshmem_bundle bundle;
	struct sivshmem_error e;
	char *map;

	connected();
	map = mapped(opened(channel, "keys-flags"), 8192);
	*map = 1;
	print_flags("session keys", s->secret);
	if (sivshmem_bundle_load(&bundle, options.identity, &e))
		errx(3, "%s", e.text);
	print_flags("signing key", bundle.secret);
	sivshmem_bundle_free(&bundle);
	print_flags("channel", map);
	sivshmem_unlink(s, channel, "keys-flags");
	return 0;
}

/* --- dump --- */

static void print_hex(const char *what, const uint8_t *bytes, size_t n)
{
	size_t i;

	printf("%s ", what);
	for (i = 0; i < n; i++)
		printf("%02x", bytes[i]);
	putchar('\n');
}

/* 32 bytes that are nowhere else in this program: random, stored once. */
static void brand(const char *what, uint8_t *at)
{
	uint8_t byte;
	int i;

	printf("%s ", what);
	for (i = 0; i < 32; i++) {
		randombytes_buf(&byte, 1);
		at[i] = byte;
		printf("%02x", byte);
	}
	putchar('\n');
}

static int dump(const char *channel)
{
	uint8_t *heap = malloc(64);
	char *map;

	connected();
	map = mapped(opened(channel, "keys-dump"), 8192);
	sivshmem_unlink(s, channel, "keys-dump");
	if (!heap)
		return 3;
	brand("in-core heap", heap);
	brand("secret channel", (uint8_t *)map + 100);
	print_hex("secret send", s->secret->keys.send, 32);
	print_hex("secret receive", s->secret->keys.receive, 32);
	fflush(stdout);
	abort();
}

/* --- midway --- */

static uint8_t veiled[32], veiled_text[40];	/* the same, as it is in the file */

static void load_seed(void)
{
	struct sivshmem_error e;
	uint8_t key[64];
	char path[512], text[41];
	int i;

	snprintf(path, sizeof(path), "%s/" SIVSHMEM_KEY_FILE, options.identity);
	if (sivshmem_key_read(path, key, &e))
		errx(3, "%s", e.text);
	for (i = 0; i < 32; i++)
		veiled[i] = key[i] ^ VEIL;
	sodium_bin2base64(text, sizeof(text), key, 30, sodium_base64_VARIANT_ORIGINAL);
	for (i = 0; i < 40; i++)
		veiled_text[i] = (uint8_t)text[i] ^ VEIL;
	sodium_memzero(key, sizeof(key));
	sodium_memzero(text, sizeof(text));
}

static bool is_there(const volatile uint8_t *at, const uint8_t *what, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if ((at[i] ^ VEIL) != what[i])
			return false;
	return true;
}

/* How often the seed, or its text, is in this process's own writable memory. */
static int count_seeds(void)
{
	unsigned long start, end, at;
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512], mode[8];
	int n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) != 3 ||
		    strncmp(mode, "rw", 2))
			continue;
		for (at = start; at + 40 <= end; at++)
			n += is_there((const volatile uint8_t *)at, veiled, 32) ||
			     is_there((const volatile uint8_t *)at, veiled_text, 40);
	}
	if (f)
		fclose(f);
	return n;
}

static void *in_thread(void *arg)
{
	char text[SIVSHMEM_ERROR_MAX];

	(void)arg;
	sivshmem_connect(&s, &options, text, sizeof(text));
	return NULL;
}

static int midway(const char *unused)
{
	int own, status;
	pthread_t t;
	pid_t pid;

	(void)unused;
	load_seed();
	pthread_create(&t, NULL, in_thread, NULL);
	sleep(1);			/* now it waits for HOST, with the key loaded */
	own = count_seeds();
	pid = fork();
	if (!pid)
		_exit(count_seeds());
	waitpid(pid, &status, 0);
	printf("midway: parent %s the key, child %s\n", own ? "has" : "LACKS",
	       status ? "HAS IT" : "has not");
	return !own || status;
}

/* --- loading: what the library calls meanwhile is where another thread may fork --- */

static bool armed;
static int moments, parents, children;

static void fork_now(void)
{
	int status;
	pid_t pid;

	if (!armed)
		return;
	armed = false;
	moments++;
	parents += count_seeds() > 0;
	pid = fork();
	if (!pid)
		_exit(count_seeds() > 0);
	waitpid(pid, &status, 0);
	children += status != 0;
	armed = true;
}

int close(int fd)
{
	fork_now();
	return (int)syscall(SYS_close, fd);
}

int crypto_sign_seed_keypair(unsigned char *public_key, unsigned char *secret,
			     const unsigned char *seed)
{
	int rc = crypto_sign_ed25519_seed_keypair(public_key, secret, seed);

	fork_now();
	return rc;
}

static int loading(const char *unused)
{
	struct sivshmem_bundle bundle;
	struct sivshmem_error e;
	int rc;

	(void)unused;
	load_seed();
	armed = true;
	rc = sivshmem_bundle_load(&bundle, options.identity, &e);
	armed = false;
	if (rc)
		errx(3, "%s", e.text);
	sivshmem_bundle_free(&bundle);
	printf("loading: %d children, parent has the key at %d, children at %d\n", moments,
	       parents, children);
	return !parents || children;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const char *channel);
	} verbs[] = {
		{ "fork", try_fork }, { "flags", show_flags }, { "dump", dump },
		{ "midway", midway }, { "loading", loading },
	};
	size_t i;

	if (argc < 4 || sodium_init() < 0)
		errx(2, "usage: keys TRANSPORT IDENTITY fork|flags|dump|midway|loading [CHANNEL]");
	options.transport = argv[1];
	options.identity = argv[2];
	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(argv[3], verbs[i].name))
			return verbs[i].run(argc > 4 ? argv[4] : "main");
	errx(2, "unknown verb '%s'", argv[3]);
}
