/* SPDX-License-Identifier: MIT */
/* The journal: what counts, in which order, after which death of its writer. */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../ca-host/journal.h"

#define KEYS	64

static uint64_t got[KEYS], order, count;
static bool ordered;

static int take(const struct journal_record *r, const void *fixed, const void *tail, void *c)
{
	(void)c;
	ordered &= r->key >= order;
	order = r->key;
	count++;
	if (r->key >= KEYS || r->fixed != 8 || r->tail % 8)
		return -EINVAL;
	memcpy(&got[r->key], fixed, 8);
	for (uint32_t i = 0; i < r->tail / 8; i++)
		if (memcmp((const uint8_t *)tail + 8 * i, fixed, 8))
			return -EINVAL;
	return 0;
}

static int look(int fd)
{
	const char *why;

	memset(got, 0, sizeof(got));
	order = count = 0;
	ordered = true;
	return journal_read(fd, &why, take, NULL);
}

static void put(struct journal *j, uint64_t key, uint64_t value, uint32_t tail)
{
	uint64_t more[100];

	for (uint32_t i = 0; i < tail; i++)
		more[i] = value;
	journal_put(j, 1, key, &value, 8, more, 8 * tail);
}

static void what_was_committed_counts(void)
{
	struct journal *j = journal_create();

	CHECK(j && look(journal_fd(j)) == -ENODATA);
	put(j, 3, 30, 5);
	put(j, 1, 10, 0);
	put(j, 3, 31, 2);
	CHECK(look(journal_fd(j)) == -ENODATA);
	journal_commit(j);
	put(j, 2, 20, 0);
	journal_gone(j, 1, 1);
	CHECK(!look(journal_fd(j)) && count == 2 && ordered && got[3] == 31 && got[1] == 10);
	journal_commit(j);
	CHECK(!look(journal_fd(j)) && count == 2 && got[3] == 31 && got[2] == 20 && !got[1]);
	journal_void(j);
	CHECK(look(journal_fd(j)) == -ENODATA);
	journal_close(j);
}

static struct journal *writer;
static uint64_t now;

static void all(void)
{
	for (uint64_t k = 0; k < KEYS; k++)
		put(writer, k, now, 90);
}

/* Every key has the same value at each commit; the child is killed anywhere. */
static void is_whole_at_any_death(void)
{
	uint64_t i, deaths;

	for (deaths = 0; deaths < 40; deaths++) {
		struct journal *j = journal_create();
		pid_t child;

		CHECK(j);
		child = fork();
		if (!child) {
			writer = j;
			for (now = 1;; now++) {
				all();
				if (journal_commit(j))
					journal_rewrite(j, all);
			}
		}
		while (look(journal_fd(j)) == -ENODATA)
			usleep(1000);
		usleep((useconds_t)(2000 + 977 * deaths));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		CHECK(!look(journal_fd(j)) && count == KEYS);
		for (i = 1; i < KEYS; i++)
			CHECK(got[i] == got[0]);
		/* and the next one goes on with it */
		writer = journal_adopt(dup(journal_fd(j)));
		CHECK(writer);
		put(writer, 7, 777, 1);
		journal_commit(writer);
		CHECK(!look(journal_fd(j)) && got[7] == 777 && got[8] == got[0]);
		journal_rewrite(writer, all);
		CHECK(!look(journal_fd(j)) && got[7] == now);
		journal_close(writer);
		journal_close(j);
	}
}

/* What there is no room for is missing until it is written anew, all of it. */
static void more_than_there_is_room_for(void)
{
	const size_t large = 128u << 20;
	const uint64_t zero = 0;
	uint8_t *tail = calloc(1, large);
	struct journal *j = journal_create();
	int i;

	CHECK(j && tail);
	put(j, 5, 50, 0);
	CHECK(!journal_commit(j));
	for (i = 0; i < 9; i++)
		journal_put(j, 1, 6, &zero, 8, tail, large);
	CHECK(journal_commit(j) && !look(journal_fd(j)) && count == 1 && got[5] == 50);
	writer = j;
	now = 9;
	journal_rewrite(j, all);
	CHECK(!look(journal_fd(j)) && count == KEYS && got[5] == 9);
	put(j, 5, 51, 0);
	CHECK(!journal_commit(j) && !look(journal_fd(j)) && count == KEYS && got[5] == 51);
	journal_close(j);
	free(tail);
}

/* Any byte of it: refused, or what was written. */
static void broken_ones_are_refused(void)
{
	struct journal *j = journal_create();
	uint8_t *bytes;
	int i, bit, refused = 0;

	put(j, 1, 10, 3);
	put(j, 2, 20, 0);
	journal_commit(j);
	bytes = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, journal_fd(j), 0);
	for (i = 0; i < 4096 + 32 + 32 + 32 + 8; i++) {
		if (i == 24)
			i = 4096;		/* the rest of the head has nothing */
		for (bit = 0; bit < 8; bit++) {
			bytes[i] ^= 1 << bit;
			if (look(journal_fd(j)))
				refused++;
			bytes[i] ^= 1 << bit;
		}
	}
	CHECK(refused == 8 * (24 + 104));
	CHECK(!look(journal_fd(j)) && count == 2);
	/* as long as it says, or no record is whole */
	for (i = 1; i < 104; i++) {
		bytes[16] = (uint8_t)i;
		CHECK(look(journal_fd(j)) || (i == 64 && count == 1));
	}
	bytes[16] = 112;		/* zeros are no record */
	CHECK(look(journal_fd(j)) == -EBADMSG);
	CHECK(look(memfd_create("empty", 0)) == -EBADMSG);
	CHECK(!ftruncate(journal_fd(j), 4096));
	CHECK(look(journal_fd(j)) == -EBADMSG);
	munmap(bytes, 8192);
	journal_close(j);
}

int main(void)
{
	RUN(what_was_committed_counts);
	RUN(is_whole_at_any_death);
	RUN(more_than_there_is_room_for);
	RUN(broken_ones_are_refused);
	return test_failures != 0;
}
