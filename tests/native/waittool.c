/* SPDX-License-Identifier: MIT */
/*
 * A program of the native API: waittool CHANNEL OBJECT OPERATION..., each on
 * the 32-bit word at a byte offset. Prints one line for each, as it is done.
 *	create BYTES | open | openro | set OFF VALUE | expect OFF VALUE | sleep MS
 *	wait OFF EXPECTED [MS]	0 or an errno's name, and whether it took its time
 *	wake OFF COUNT | own OFF (the word names this thread) | waitowner OFF
 *	alarm MS restart|interrupt | hold (until killed)
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <sivshmem/sivshmem.h>
#include "../../shim/lib/clock.h"
#include "../../shim/lib/word.h"

static struct sivshmem_session *session;
static const char *channel, *object;
static uint8_t *memory;
static size_t size;
static char **next;

static const char *word(void)
{
	if (!*next)
		errx(2, "an operation lacks a word");
	return *next++;
}

static long number(void)
{
	return strtol(word(), NULL, 0);
}

static const char *name(int r)
{
	return r < 0 ? strerrorname_np(-r) : "0";
}

static uint32_t *at(void)
{
	size_t offset = (size_t)number();

	if (!memory || offset > size - 4)
		errx(2, "offset %zu is not in the object", offset);
	return (uint32_t *)(void *)(memory + offset);
}

static void map(int oflag)
{
	int fd = sivshmem_open(session, channel, object, oflag, 0666, NULL);
	struct stat st;

	if (fd < 0)
		errx(1, "%s: %s", object, sivshmem_error_text(session));
	if (oflag & O_CREAT) {
		size = (size_t)number();
		if (sivshmem_resize(session, fd, size, 0))
			errx(1, "%s", sivshmem_error_text(session));
	} else {
		if (fstat(fd, &st))
			err(1, "fstat");
		size = (size_t)st.st_size;
	}
	memory = mmap(NULL, size, oflag == O_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE,
		      MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		err(1, "mmap");
	close(fd);
	puts("mapped");
}

static void do_wait(void)
{
	uint32_t *w = at(), expected = (uint32_t)number();
	bool timed = *next && **next >= '0' && **next <= '9';
	long ms = timed ? number() : 0;
	struct timespec timeout = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	int64_t began = sivshmem_now_ms();
	int r = sivshmem_wait(w, expected, SIVSHMEM_FOR, timed ? &timeout : NULL);

	printf("wait %s%s\n", name(r),
	       r == -ETIMEDOUT && sivshmem_now_ms() - began < ms ? " too early" : "");
}

static void own(void)
{
	uint32_t *w = at(), id = 0;
	int r = sivshmem_word_owner(w, &id);

	if (!r)
		__atomic_store_n(w, id, __ATOMIC_SEQ_CST);
	printf("own %s\n", name(r));
}

static void wait_owner(void)
{
	const uint32_t *w = at();
	uint32_t now = __atomic_load_n(w, __ATOMIC_SEQ_CST);
	int64_t began = sivshmem_now_ms();
	int r = sivshmem_word_wait((const _Atomic uint32_t *)w, now, SIVSHMEM_WORD_OWNED,
				   ~0u, CLOCK_MONOTONIC, NULL);

	printf("waitowner %s\n", name(r));
	fprintf(stderr, "after %lld ms\n", (long long)(sivshmem_now_ms() - began));
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void set_alarm(void)
{
	long ms = number();
	struct itimerval in = { .it_value = { ms / 1000, ms % 1000 * 1000 } };
	struct sigaction act = { .sa_handler = on_alarm };

	if (!strcmp(word(), "restart"))
		act.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &in, NULL);
}

static void run(const char *what)
{
	if (!strcmp(what, "create")) {
		map(O_RDWR | O_CREAT | O_EXCL);
	} else if (!strcmp(what, "open")) {
		map(O_RDWR);
	} else if (!strcmp(what, "openro")) {
		map(O_RDONLY);
	} else if (!strcmp(what, "set")) {
		uint32_t *w = at();

		__atomic_store_n(w, (uint32_t)number(), __ATOMIC_SEQ_CST);
	} else if (!strcmp(what, "expect")) {
		const uint32_t *w = at();
		uint32_t want = (uint32_t)number(), is = __atomic_load_n(w, __ATOMIC_SEQ_CST);

		if (is != want)
			errx(1, "the word is %#x, not %#x", is, want);
	} else if (!strcmp(what, "sleep")) {
		sivshmem_sleep_ms((unsigned int)number());
	} else if (!strcmp(what, "wait")) {
		do_wait();
	} else if (!strcmp(what, "wake")) {
		const uint32_t *w = at();

		printf("wake %d\n", sivshmem_wake(w, (unsigned int)number()));
	} else if (!strcmp(what, "own")) {
		own();
	} else if (!strcmp(what, "waitowner")) {
		wait_owner();
	} else if (!strcmp(what, "alarm")) {
		set_alarm();
	} else if (!strcmp(what, "hold")) {
		for (;;)
			pause();
	} else {
		errx(2, "unknown operation '%s'", what);
	}
}

int main(int argc, char **argv)
{
	struct sivshmem_options options = {
		.identity = getenv("SIVSHMEM_IDENTITY"), .transport = getenv("TRANSPORT"),
	};
	char text[SIVSHMEM_ERROR_MAX];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 4)
		errx(2, "usage: waittool CHANNEL OBJECT OPERATION...");
	channel = argv[1];
	object = argv[2];
	next = argv + 3;
	if (sivshmem_connect(&session, &options, text, sizeof(text)))
		errx(1, "%s", text);
	while (*next)
		run(*next++);
	return 0;
}
