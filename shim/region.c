/* SPDX-License-Identifier: MIT */
#include "region.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "real.h"

#define ROOM_FIRST	250		/* a page of them */
#define NEW_MAX		3		/* by one move: it cuts two, and adds one */

struct region {
	_Atomic uintptr_t start, end;
};

/* Sorted, none touching the next. A smaller one is left where it is: half as big. */
struct table {
	size_t room;
	_Atomic size_t count;
	struct region region[];
};

_Atomic uintptr_t shim_region_start;
_Atomic size_t shim_region_span;
_Atomic uint64_t shim_region_hot;

/*
 * Twice the same: a writer changes the spare one, lets it be read, and does the
 * same with the other. So none waits for a writer, that a child made by _Fork(3)
 * or clone(2) need not have.
 */
static struct table *_Atomic table, *spare;
static atomic_uint sequence;		/* of what is read */
static atomic_flag writing = ATOMIC_FLAG_INIT;

/* --- readers --- */

/* Is any of these addresses in a region? */
static bool search(const struct table *t, uintptr_t first, uintptr_t last)
{
	size_t low = 0, high = t ? atomic_load_explicit(&t->count, memory_order_relaxed) : 0;

	if (t && high > t->room)
		high = t->room;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (last < t->region[middle].start)
			high = middle;
		else if (first >= t->region[middle].end)
			low = middle + 1;
		else
			return true;
	}
	return false;
}

static bool has_any(uintptr_t first, uintptr_t last)
{
	unsigned int before;
	bool found;

	do {
		before = atomic_load(&sequence);
		found = search(atomic_load(&table), first, last);
	} while (atomic_load(&sequence) != before);
	return found;
}

bool shim_region_has(uintptr_t address)
{
	return has_any(address, address);
}

/* --- writers: with no signal between, whose handler would wait for ever --- */

/* In fork(2), where other handlers of it may map and unmap: the lock is held. */
static __thread bool forking __attribute__((tls_model("initial-exec")));

static void begin(sigset_t *old)
{
	sigset_t all;

	if (forking)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, old);
	while (atomic_flag_test_and_set(&writing))
		sched_yield();
}

static void end(const sigset_t *old)
{
	if (forking)
		return;
	atomic_flag_clear(&writing);
	pthread_sigmask(SIG_SETMASK, old, NULL);
}

static sigset_t fork_mask;

static void fork_prepare(void)
{
	sigset_t old;

	begin(&old);
	fork_mask = old;
	forking = true;
}

static void fork_done(void)
{
	sigset_t old = fork_mask;

	forking = false;
	end(&old);
}

/* The first, so that its lock is the last that fork(2) takes: others map under theirs. */
static __attribute__((constructor(102))) void start(void)
{
	pthread_atfork(fork_prepare, fork_done, fork_done);
}

static void copy(struct table *to, const struct table *from)
{
	size_t i;

	for (i = 0; i < from->count; i++) {
		to->region[i].start = from->region[i].start;
		to->region[i].end = from->region[i].end;
	}
	to->count = from->count;
}

/* The same or a copy, with room for NEW_MAX more; NULL: no memory. */
static struct table *with_room(struct table *old)
{
	size_t room = old ? old->room * 2 : ROOM_FIRST;
	struct table *more;

	if (old && old->count + NEW_MAX <= old->room)
		return old;
	more = real_mmap(NULL, sizeof(*more) + room * sizeof(more->region[0]),
			 PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (more == MAP_FAILED)
		return NULL;
	more->room = room;
	if (old)
		copy(more, old);
	return more;
}

static void move(struct table *t, size_t from, size_t to)
{
	t->region[to].start = t->region[from].start;
	t->region[to].end = t->region[from].end;
}

static void insert(struct table *t, size_t at, uintptr_t start, uintptr_t end)
{
	size_t i;

	for (i = t->count; i > at; i--)
		move(t, i - 1, i);
	t->region[at].start = start;
	t->region[at].end = end;
	t->count++;
}

static void drop(struct table *t, size_t at)
{
	size_t i;

	t->count--;
	for (i = at; i < t->count; i++)
		move(t, i + 1, i);
}

/* there is room for one more */
static void cut(struct table *t, uintptr_t start, uintptr_t end)
{
	size_t i = 0;

	while (i < t->count) {
		struct region *r = &t->region[i];
		uintptr_t r_end = r->end;

		if (r_end <= start || r->start >= end) {
			i++;
		} else if (r->start < start) {
			r->end = start;
			if (r_end > end)
				insert(t, i + 1, end, r_end);
			i++;
		} else if (r_end > end) {
			r->start = end;
			i++;
		} else {
			drop(t, i);
		}
	}
}

/* Never smaller while there are regions, so a reader between the two is not wrong. */
static void widen(uintptr_t start, uintptr_t end)
{
	uintptr_t first = shim_region_start;
	size_t span = shim_region_span;

	if (!span) {
		shim_region_start = start;
		shim_region_span = end - start;
		return;
	}
	if (start < first) {
		shim_region_span = span += first - start;
		shim_region_start = first = start;
	}
	if (end > first + span)
		shim_region_span = end - first;
}

uintptr_t shim_page_up(uintptr_t n)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	return (n + page - 1) & ~(page - 1);
}

/* 0: it does not fit into the word, as with addresses beyond 48 bits */
static uint64_t pack(uintptr_t start, uintptr_t end)
{
	uint64_t page = start >> SHIM_HOT_SHIFT, pages = (end - start) >> SHIM_HOT_SHIFT;

	return page >> (64 - SHIM_HOT_PAGES) || pages >> SHIM_HOT_PAGES ?
		0 : page << SHIM_HOT_PAGES | pages;
}

/* The newest is what a program works with most likely. */
static void choose_hot(const struct table *t, uintptr_t start)
{
	size_t i, chosen = 0;

	for (i = 0; i < t->count; i++)
		if (t->region[i].start == start)
			chosen = i;
	shim_region_hot = t->count ? pack(t->region[chosen].start, t->region[chosen].end) : 0;
}

static void change_copy(struct table *t, uintptr_t start, uintptr_t stop, bool add)
{
	size_t at;

	cut(t, start, stop);
	if (!add)
		return;
	for (at = 0; at < t->count && t->region[at].start < start; at++)
		;
	insert(t, at, start, stop);
}

/* What is read is the other one from here on. */
static void swap(void)
{
	struct table *other = table;

	table = spare;
	atomic_fetch_add(&sequence, 1);
	spare = other;
}

static void settle(uintptr_t start)
{
	const struct table *t = table;

	if (!t->count)
		shim_region_span = 0;
	choose_hot(t, start);
}

static void change_both(uintptr_t start, uintptr_t stop, bool add)
{
	change_copy(spare, start, stop, add);
	swap();
	change_copy(spare, start, stop, add);
	if (add)
		widen(start, stop);
	settle(start);
}

/* false: there is no memory to note it in */
static bool make_room(void)
{
	struct table *first, *second;
	int saved = errno;

	first = with_room(table);
	if (first)
		table = first;
	second = with_room(spare);
	if (second)
		spare = second;
	errno = saved;
	return first && second;
}

static bool change(uintptr_t start, uintptr_t stop, bool add)
{
	sigset_t old;
	bool room;

	begin(&old);
	room = make_room();
	if (room)
		change_both(start, stop, add);
	end(&old);
	return room;
}

bool shim_region_add(uintptr_t start, size_t length)
{
	uintptr_t stop = shim_page_up(start + length);

	return stop > start && change(start, stop, true);
}

bool shim_region_any(uintptr_t start, size_t length)
{
	uintptr_t first = shim_region_start, stop;
	size_t span = shim_region_span;

	if (!span)
		return false;
	stop = shim_page_up(start + length);
	return start < first + span && stop > first && stop > start && has_any(start, stop - 1);
}

/* Without the lock for other memory, which an allocator frees in a lock of its own. */
void shim_region_remove(uintptr_t start, size_t length)
{
	if (shim_region_any(start, length))
		change(start, shim_page_up(start + length), false);
}

/* --- what leaves: meanwhile the spare is as it was --- */

bool shim_region_leave(struct shim_region_leaving *l, uintptr_t start, size_t length)
{
	l->start = start;
	l->stop = shim_page_up(start + length);
	begin(&l->mask);
	if (!make_room()) {
		end(&l->mask);
		errno = ENOMEM;
		return false;
	}
	l->span = shim_region_span;
	l->hot = shim_region_hot;
	if (l->stop > l->start)
		cut(spare, l->start, l->stop);
	swap();
	settle(start);
	return true;
}

void shim_region_stay(const struct shim_region_leaving *l)
{
	shim_region_span = l->span;
	swap();
	copy(spare, table);
	shim_region_hot = l->hot;
	end(&l->mask);
}

void shim_region_left(const struct shim_region_leaving *l, uintptr_t to, size_t length)
{
	uintptr_t stop = shim_page_up(to + length);

	if (l->stop > l->start)
		cut(spare, l->start, l->stop);
	if (length && stop > to)
		change_both(to, stop, true);
	end(&l->mask);
}
