/* SPDX-License-Identifier: MIT */
/*
 * racer IDENTITY CHANNEL claim ROUNDS   threads ask for the file of one grant at once
 * racer IDENTITY CHANNEL end ROUNDS     a session ends while threads and a child map,
 *                                       touch, read and unmap what it granted
 * Counts what should not have been; exits 1 if there was any.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sodium.h>

#include <sivshmem/uapi.h>

#include "../../shim/lib/session.h"

#define PAGE	4096
#define PAGES	16
#define CLAIMERS 4

static struct sivshmem_options options = { .transport = "dev" };
static const char *channel;
static struct sivshmem_session *s;
static int fd;

static void connected(void)
{
	char text[SIVSHMEM_ERROR_MAX];

	if (sivshmem_connect(&s, &options, text, sizeof(text)))
		errx(3, "%s", text);
	fd = sivshmem_open(s, channel, "race", O_RDWR | O_CREAT, 0600, NULL);
	if (fd < 0 || ftruncate(fd, PAGES * PAGE))
		errx(3, "open: %s", sivshmem_error_text(s));
}

/* --- claim --- */

static pthread_barrier_t together;
static uint64_t grant;
static atomic_int winners;

static void *claimer(void *arg)
{
	struct sivshmem_grant_fd g = { .grant = grant };
	char *at;

	(void)arg;
	pthread_barrier_wait(&together);
	if (ioctl(s->transport.fd, SIVSHMEM_IOC_GRANT_FD, &g))
		return NULL;
	winners++;
	at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, g.fd, 0);
	close(g.fd);
	if (at != MAP_FAILED)
		munmap(at, PAGE);
	return NULL;
}

static int claim(int rounds)
{
	struct sivp_request q = { .op = SIVP_OP_OPEN, .rights = SIVSHMEM_RIGHT_READ };
	int i, t, many = 0, none = 0;
	struct sivp_result result;
	pthread_t thread[CLAIMERS];

	connected();
	strcpy(q.channel, channel);
	strcpy(q.object, "race");
	pthread_barrier_init(&together, NULL, CLAIMERS);
	for (i = 0; i < rounds; i++) {
		if (sivshmem_session_exchange(s, &q, &result) || result.error)
			errx(3, "open %d: %s", i, sivshmem_error_text(s));
		grant = result.grant;
		winners = 0;
		for (t = 0; t < CLAIMERS; t++)
			pthread_create(&thread[t], NULL, claimer, NULL);
		for (t = 0; t < CLAIMERS; t++)
			pthread_join(thread[t], NULL);
		many += winners > 1;
		none += winners == 0;
	}
	sivshmem_unlink(s, channel, "race");
	printf("claim: %d rounds, %d with two files, %d with none\n", rounds, many, none);
	return many || none;
}

/* --- end --- */

static volatile char *map;
static atomic_bool ended, over;
static atomic_int late;
static __thread sigjmp_buf out;

static void on_bus(int sig) { (void)sig; siglongjmp(out, 1); }

/* A byte that is read after the end was told is a page that outlived it. */
static void touch(const volatile char *at)
{
	bool before = ended;

	if (sigsetjmp(out, 1))
		return;
	(void)*at;
	late += before;
}

static void *toucher(void *arg)
{
	size_t i = (uintptr_t)arg;

	while (!over)
		touch(map + i++ % PAGES * PAGE);
	return NULL;
}

static void *mapper(void *arg)
{
	(void)arg;
	while (!over) {
		bool before = ended;
		char *at = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);

		if (at == MAP_FAILED)
			continue;
		late += before;		/* a new mapping after the end */
		touch(at + PAGE);
		munmap(at, PAGES * PAGE);
	}
	return NULL;
}

static void *reader(void *arg)
{
	char byte;

	(void)arg;
	while (!over) {
		bool before = ended;

		late += pread(fd, &byte, 1, 0) == 1 && before;
		late += pwrite(fd, &byte, 1, 1) == 1 && before;
	}
	return NULL;
}

/* Shares the mapping and nothing else: told of the end by a pipe. */
static pid_t child(int told)
{
	pid_t pid = fork();
	char byte;

	if (pid)
		return pid;
	fcntl(told, F_SETFL, O_NONBLOCK);
	while (read(told, &byte, 1) < 0)
		touch(map);
	if (sigsetjmp(out, 1))
		_exit(0);
	_exit(*map ? 2 : 1);
}

static void one_end(unsigned int us)
{
	void *(*const run[])(void *) = { toucher, toucher, mapper, reader };
	pthread_t thread[4];
	int told[2], status;
	size_t i;
	pid_t pid;

	connected();
	ended = over = false;
	map = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || pipe(told))
		err(3, "mmap");
	pid = child(told[0]);
	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, run[i], (void *)i);
	usleep(us);
	if (ioctl(s->transport.fd, SIVSHMEM_IOC_END))
		err(3, "end");
	ended = true;
	if (write(told[1], "", 1) != 1)
		err(3, "write");
	usleep(2000);
	over = true;
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	waitpid(pid, &status, 0);
	late += status != 0;
	munmap((void *)(uintptr_t)map, PAGES * PAGE);
	close(fd);
	close(told[0]);
	close(told[1]);
	sivshmem_close(s);
}

static int end(int rounds)
{
	struct sigaction action = { .sa_handler = on_bus };
	int i;

	sigaction(SIGBUS, &action, NULL);
	for (i = 0; i < rounds; i++)
		one_end(randombytes_uniform(20000));
	connected();
	sivshmem_unlink(s, channel, "race");
	printf("end: %d rounds, %d late\n", rounds, (int)late);
	return late != 0;
}

int main(int argc, char **argv)
{
	if (argc != 5 || sodium_init() < 0)
		errx(2, "usage: racer IDENTITY CHANNEL claim|end ROUNDS");
	options.identity = argv[1];
	channel = argv[2];
	return strcmp(argv[3], "claim") ? end(atoi(argv[4])) : claim(atoi(argv[4]));
}
