/* SPDX-License-Identifier: MIT */
/*
 * A log in shared memory that outlives its writer at any instruction: records
 * are appended, and count from the commit on, which is one store of 64 bits.
 * Of several records of a kind and key the last counts. Knows nothing of what
 * is in them.
 */
#ifndef SIVSHMEM_CA_JOURNAL_H
#define SIVSHMEM_CA_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_VERSION	2
#define JOURNAL_HALF	(UINT64_C(1) << 30)	/* bytes; pages exist once written */

struct journal_record {
	uint32_t kind, check;
	uint64_t key;
	uint32_t fixed, tail;		/* bytes that follow; padded to 8 */
	uint32_t gone, pad;		/* 1: what the key named is no more */
};

struct journal;
/* An empty one; NULL with errno. */
struct journal *journal_create(void);
/* Go on with one that journal_read() has accepted. */
struct journal *journal_adopt(int fd);
int journal_fd(const struct journal *journal);
void journal_close(struct journal *journal);

void journal_put(struct journal *journal, uint32_t kind, uint64_t key,
	const void *fixed, size_t fixed_length, const void *tail, size_t tail_length);
void journal_gone(struct journal *journal, uint32_t kind, uint64_t key);
/*
 * All that was appended counts now, unless there was no room for it. True when
 * it should be written anew:
 */
bool journal_commit(struct journal *journal);
/* what `all` puts replaces everything, at once. */
void journal_rewrite(struct journal *journal, void (*all)(void));
/* Nothing in it counts any more. */
void journal_void(struct journal *journal);

/*
 * Read what somebody who may be dead has written. Calls `take` with the last
 * record of each kind and key that is not gone, kinds and keys in order; stops
 * when it returns other than 0. -errno, with *why, for what is no journal.
 */
int journal_read(int fd, const char **why,
	int (*take)(const struct journal_record *record, const void *fixed,
		    const void *tail, void *context), void *context);

#endif
