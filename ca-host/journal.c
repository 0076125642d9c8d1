/* SPDX-License-Identifier: MIT */
#include "journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bsd/err.h>

#define HEAD		4096u
#define TOTAL		(HEAD + 2 * JOURNAL_HALF)
#define ANEW		(UINT64_C(1) << 20)	/* bytes before it is written anew at all */
#define SECOND		(UINT64_C(1) << 63)	/* of `committed`: which half */
#define VALID		(UINT64_C(1) << 62)

static const char magic[8] = "SIVSTATE";

struct head {
	char magic[8];
	uint32_t version, pad;
	uint64_t committed;		/* bytes of a half, and which */
};

struct journal {
	int fd;
	uint8_t *memory;
	uint64_t at;			/* where the next record goes, in its half */
	uint64_t done;			/* what counts of it */
	uint64_t base;			/* bytes after the last rewriting */
	bool second, full;
};

static struct head *head_of(const struct journal *j)
{
	return (struct head *)j->memory;
}

static uint8_t *half_of(uint8_t *memory, bool second)
{
	return memory + HEAD + (second ? JOURNAL_HALF : 0);
}

static uint64_t padded(uint64_t length)
{
	return (length + 7) & ~UINT64_C(7);
}

static uint32_t checksum(const struct journal_record *r, const uint8_t *data, size_t length)
{
	struct journal_record head = *r;
	uint32_t sum = 2166136261u;
	size_t i;

	head.check = 0;
	for (i = 0; i < sizeof(head); i++)
		sum = (sum ^ ((const uint8_t *)&head)[i]) * 16777619u;
	for (i = 0; i < length; i++)
		sum = (sum ^ data[i]) * 16777619u;
	return sum;
}

struct journal *journal_create(void)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->fd = memfd_create("sivshmem:state", MFD_CLOEXEC);
	if (j->fd >= 0 && !ftruncate(j->fd, (off_t)TOTAL))
		j->memory = mmap(NULL, TOTAL, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_NORESERVE, j->fd, 0);
	if (j->fd < 0 || !j->memory || j->memory == MAP_FAILED) {
		if (j->fd >= 0)
			close(j->fd);
		free(j);
		return NULL;
	}
	memcpy(head_of(j)->magic, magic, sizeof(magic));
	head_of(j)->version = JOURNAL_VERSION;
	return j;
}

struct journal *journal_adopt(int fd)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->fd = fd;
	j->memory = mmap(NULL, TOTAL, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			 fd, 0);
	if (j->memory == MAP_FAILED) {
		free(j);
		return NULL;
	}
	j->second = head_of(j)->committed & SECOND;
	j->at = j->done = head_of(j)->committed & ~(SECOND | VALID);
	return j;
}

int journal_fd(const struct journal *j)
{
	return j->fd;
}

void journal_close(struct journal *j)
{
	munmap(j->memory, TOTAL);
	close(j->fd);
	free(j);
}

static void append(struct journal *j, struct journal_record r, const void *fixed,
		   const void *tail)
{
	uint64_t need = sizeof(r) + padded((uint64_t)r.fixed + r.tail);
	uint8_t *to = half_of(j->memory, j->second) + j->at;

	if (j->full || need > JOURNAL_HALF - j->at) {
		j->full = true;
		return;
	}
	if (r.fixed)
		memcpy(to + sizeof(r), fixed, r.fixed);
	if (r.tail)
		memcpy(to + sizeof(r) + r.fixed, tail, r.tail);
	r.check = checksum(&r, to + sizeof(r), (size_t)r.fixed + r.tail);
	memcpy(to, &r, sizeof(r));
	j->at += need;
}

void journal_put(struct journal *j, uint32_t kind, uint64_t key, const void *fixed,
		 size_t fixed_length, const void *tail, size_t tail_length)
{
	append(j, (struct journal_record){ .kind = kind, .key = key,
		.fixed = (uint32_t)fixed_length, .tail = (uint32_t)tail_length }, fixed, tail);
}

void journal_gone(struct journal *j, uint32_t kind, uint64_t key)
{
	append(j, (struct journal_record){ .kind = kind, .key = key, .gone = 1 }, NULL, NULL);
}

bool journal_commit(struct journal *j)
{
	if (j->full)
		return true;		/* what counts is as it was before */
	if (j->at == j->done)
		return false;
	j->done = j->at;
	__atomic_store_n(&head_of(j)->committed,
			 j->at | VALID | (j->second ? SECOND : 0), __ATOMIC_RELEASE);
	return j->at > ANEW && j->at / 4 > j->base;
}

void journal_rewrite(struct journal *j, void (*all)(void))
{
	uint8_t *old = half_of(j->memory, j->second);

	j->second = !j->second;
	j->full = false;
	j->at = j->done = 0;
	all();
	if (j->full) {
		warnx("the state for a restart is too large; a restart will know nothing");
		journal_void(j);
	}
	journal_commit(j);
	j->base = j->at;
	madvise(old, JOURNAL_HALF, MADV_REMOVE);
}

void journal_void(struct journal *j)
{
	__atomic_store_n(&head_of(j)->committed, 0, __ATOMIC_RELEASE);
}

/* --- reading --- */

struct item {
	const struct journal_record *record;
};

struct list {
	struct item *r;
	size_t count, room;
};

static int add(struct list *l, const struct journal_record *r)
{
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 1024;
		struct item *more = reallocarray(l->r, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->r = more;
		l->room = room;
	}
	l->r[l->count++].record = r;
	return 0;
}

/* Later ones last: they lie behind. */
static int order(const void *a, const void *b)
{
	const struct journal_record *x = ((const struct item *)a)->record;
	const struct journal_record *y = ((const struct item *)b)->record;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x < y ? -1 : 1;
}

static int collect(const uint8_t *half, uint64_t length, struct list *l, const char **why)
{
	uint64_t at = 0;
	int r;

	*why = "a record is broken";
	while (at < length) {
		const struct journal_record *rec = (const void *)(half + at);
		uint64_t data;

		if (length - at < sizeof(*rec))
			return -EBADMSG;
		data = (uint64_t)rec->fixed + rec->tail;
		if (padded(data) > length - at - sizeof(*rec) ||
		    checksum(rec, (const uint8_t *)(rec + 1), data) != rec->check)
			return -EBADMSG;
		r = add(l, rec);
		if (r)
			return r;
		at += sizeof(*rec) + padded(data);
	}
	return 0;
}

static int give(const struct list *l, int (*take)(const struct journal_record *,
		const void *, const void *, void *), void *context)
{
	size_t i;
	int r = 0;

	for (i = 0; i < l->count && !r; i++) {
		const struct journal_record *rec = l->r[i].record;
		const uint8_t *data = (const uint8_t *)(rec + 1);

		if (rec->gone || (i + 1 < l->count && l->r[i + 1].record->kind == rec->kind &&
				  l->r[i + 1].record->key == rec->key))
			continue;
		r = take(rec, data, data + rec->fixed, context);
	}
	return r;
}

static int read_mapped(uint8_t *memory, const char **why,
		       int (*take)(const struct journal_record *, const void *,
				   const void *, void *), void *context)
{
	struct head head;
	struct list l = { 0 };
	uint64_t length;
	int r;

	memcpy(&head, memory, sizeof(head));
	length = head.committed & ~(SECOND | VALID);
	*why = "it is of another version of sivshmem-cad";
	if (memcmp(head.magic, magic, sizeof(magic)) || head.version != JOURNAL_VERSION ||
	    head.pad)
		return -EPROTONOSUPPORT;
	*why = "nothing in it counts";
	if (!(head.committed & VALID) || length > JOURNAL_HALF)
		return -ENODATA;
	r = collect(half_of(memory, head.committed & SECOND), length, &l, why);
	if (!r && l.count)
		qsort(l.r, l.count, sizeof(*l.r), order);
	if (!r)
		r = give(&l, take, context);
	free(l.r);
	return r;
}

int journal_read(int fd, const char **why,
		 int (*take)(const struct journal_record *, const void *, const void *,
			     void *), void *context)
{
	struct stat st;
	uint8_t *memory;
	int r;

	*why = "it is no state of sivshmem-cad";
	if (fstat(fd, &st))
		return -errno;
	if (st.st_size != (off_t)TOTAL)
		return -EBADMSG;
	memory = mmap(NULL, TOTAL, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	r = read_mapped(memory, why, take, context);
	munmap(memory, TOTAL);
	return r;
}
