/* SPDX-License-Identifier: MIT */
/* Which addresses are a channel's: added, cut, read meanwhile, and in children. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../shim/region.h"
#include "real.h"
#include "test.h"

#define PAGE	4096ul
#define BASE	(UINT64_C(1) << 40)
#define PAGES	1024

REAL_SLOT(mmap);

static uintptr_t page(size_t n)
{
	return BASE + n * PAGE;
}

static bool has(uintptr_t address)
{
	return shim_in_channel((void *)address);
}

static void only_what_is_added(void)
{
	CHECK(!has(0) && !has(page(0)) && !shim_region_span);
	CHECK(shim_region_add(page(1), 2 * PAGE));
	CHECK(!has(page(1) - 1) && has(page(1)) && has(page(3) - 1) && !has(page(3)));
	CHECK(!has(0) && !has(UINTPTR_MAX));
	shim_region_remove(page(0), PAGES * PAGE);
	CHECK(!has(page(1)) && !shim_region_span);
}

static void whole_pages(void)
{
	CHECK(shim_region_add(page(0), 1) && shim_region_add(page(2), PAGE + 1));
	CHECK(has(page(1) - 1) && !has(page(1)) && has(page(4) - 1) && !has(page(4)));
	shim_region_remove(page(2), 1);
	CHECK(!has(page(2)) && has(page(3)));
	shim_region_remove(page(0), PAGES * PAGE);
	CHECK(!shim_region_span);
}

/* as many as a table has room for, and one less and more */
static void every_number_of_regions(void)
{
	size_t n, i;

	for (n = 1; n <= PAGES / 2; n++) {
		CHECK(shim_region_add(page(2 * n), PAGE));
		shim_region_remove(page(2 * n), PAGE);
		CHECK(!has(page(2 * n)));
		CHECK(shim_region_add(page(2 * n), PAGE));
	}
	for (i = 1; i <= PAGES / 2; i++) {
		CHECK(has(page(2 * i)) && !has(page(2 * i + 1)));
		shim_region_remove(page(2 * i), PAGE);
		CHECK(!has(page(2 * i)));
	}
	CHECK(!shim_region_span);
}

/* against a plain list of pages */
static void at_random(void)
{
	static bool model[PAGES];
	size_t first, length, i, n;
	bool add;

	srandom(1);
	for (n = 0; n < 20000; n++) {
		first = (size_t)random() % PAGES;
		length = (size_t)random() % (n % 2 ? 4 : 40) + 1;
		length = length < PAGES - first ? length : PAGES - first;
		add = random() % 2;
		if (add)
			CHECK(shim_region_add(page(first), length * PAGE));
		else
			shim_region_remove(page(first), length * PAGE);
		memset(model + first, add, length);
		for (i = 0; i < PAGES; i++)
			CHECK(has(page(i)) == model[i]);
	}
	shim_region_remove(page(0), PAGES * PAGE);
	CHECK(!shim_region_span);
}

/* Until it is known whether it leaves: part of one, all of the next, a gap, a third. */
static void what_leaves_comes_back_or_not(void)
{
	struct shim_region_leaving l;
	size_t i;

	for (i = 0; i < 4; i++) {
		bool moves = i == 3;

		CHECK(shim_region_add(page(10), 4 * PAGE) && shim_region_add(page(20), PAGE));
		CHECK(shim_region_add(page(30), 4 * PAGE));
		CHECK(shim_region_any(page(12), 20 * PAGE) && !shim_region_any(page(14), 6 * PAGE));
		CHECK(shim_region_leave(&l, page(12), 20 * PAGE));
		CHECK(has(page(11)) && !has(page(12)) && !has(page(20)) && !has(page(31)) &&
		      has(page(32)));
		if (i % 2 == 0)
			shim_region_stay(&l);
		else
			shim_region_left(&l, page(40), moves ? 2 * PAGE : 0);
		CHECK(has(page(11)) && has(page(32)) && !has(page(14)) && !has(page(34)));
		CHECK(has(page(12)) == (i % 2 == 0) && has(page(20)) == (i % 2 == 0) &&
		      has(page(31)) == (i % 2 == 0) && has(page(40)) == moves);
		shim_region_remove(page(0), PAGES * PAGE);
		CHECK(!shim_region_span);
	}
}

/* the only one */
static void the_last_one_comes_back(void)
{
	struct shim_region_leaving l;

	CHECK(shim_region_add(page(5), PAGE) && shim_region_leave(&l, page(0), PAGES * PAGE));
	CHECK(!has(page(5)) && !shim_region_span);
	shim_region_stay(&l);
	CHECK(has(page(5)) && shim_region_is_hot(page(5)) && !has(page(6)));
	shim_region_remove(page(0), PAGES * PAGE);
	CHECK(!has(page(5)) && !shim_region_span);
}

static atomic_bool done;

static void leave_or_not(uintptr_t at, bool leaves)
{
	struct shim_region_leaving l;

	if (!shim_region_leave(&l, at, 3 * PAGE))
		return;
	if (leaves)
		shim_region_left(&l, 0, 0);
	else
		shim_region_stay(&l);
}

static void *churn(void *arg)
{
	uintptr_t at = (uintptr_t)arg;
	size_t n;

	for (n = 0; !done; n++) {
		shim_region_add(at + n % 100 * 4 * PAGE, 2 * PAGE);
		shim_region_remove(at + n % 50 * 8 * PAGE, 8 * PAGE);
		leave_or_not(at + n % 60 * 6 * PAGE, n % 2);
	}
	return NULL;
}

/* Nothing that stays is ever missed, nor is anything else taken for it. */
static size_t misses(size_t tries)
{
	size_t bad = 0, n;

	for (n = 0; n < tries; n++)
		bad += !has(page(512)) + has(page(513)) + has(BASE - 1) + has(page(2048));
	return bad;
}

static bool child_goes_on(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm(10);
		_exit(misses(10) || !shim_region_add(page(3000), PAGE) || !has(page(3000)));
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

/* No handler of fork(2) has seen to it that the writers are at rest. */
static bool bare_child_reads(void)
{
	pid_t pid = (pid_t)syscall(SYS_fork);
	int status;

	if (!pid) {
		alarm(10);
		_exit(misses(10) != 0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

static void readers_and_children_meanwhile(void)
{
	pthread_t low, high;
	size_t bad, forks;

	CHECK(shim_region_add(page(512), PAGE));
	CHECK(!pthread_create(&low, NULL, churn, (void *)page(0)));
	CHECK(!pthread_create(&high, NULL, churn, (void *)page(1024)));
	bad = misses(300000);
	for (forks = 0; forks < 100 && !bad; forks++)
		bad += !child_goes_on() + !bare_child_reads();
	done = true;
	pthread_join(low, NULL);
	pthread_join(high, NULL);
	CHECK(!bad && has(page(512)));
}

static void *come_and_go(void *arg)
{
	(void)arg;
	while (!done) {
		shim_region_add(page(0), PAGE);
		shim_region_add(page(100), PAGE);
		shim_region_remove(page(0), PAGES * PAGE);
		shim_region_add(page(200), 50 * PAGE);
		shim_region_remove(page(200), 50 * PAGE);
	}
	return NULL;
}

/* Beside or between regions, while the first of them come and the last go. */
static void other_memory_is_never_taken_for_one(void)
{
	size_t bad = 0, n;
	pthread_t t;

	shim_region_remove(page(0), PAGES * PAGE);
	done = false;
	CHECK(!pthread_create(&t, NULL, come_and_go, NULL));
	for (n = 0; n < 5000000; n++)
		bad += has(page(1)) + has(page(50)) + has(page(101)) + has(10 * PAGE);
	done = true;
	pthread_join(t, NULL);
	CHECK(!bad);
	CHECK(shim_region_add(page(512), PAGE));
}

/* A handler of another library, while ours has the lock and blocks signals. */
static bool watched, handled;

static void map_in_fork(void)
{
	if (watched)
		handled = shim_region_add(page(600), PAGE) && has(page(600));
	shim_region_remove(page(600), PAGE);
}

static atomic_bool freed;
static bool in_time;
static pthread_t other;

static void *free_other(void *unused)
{
	shim_region_remove(page(700), PAGE);
	freed = true;
	return unused;
}

/* Another thread gives memory back, with a lock that an allocator's handler wants. */
static void wait_for_other(void)
{
	int i;

	if (!watched || pthread_create(&other, NULL, free_other, NULL))
		return;
	for (i = 0; i < 500 && !freed; i++)
		usleep(10000);
	in_time = freed;
}

/* before region.c has registered its own */
static __attribute__((constructor(101))) void handle_fork(void)
{
	pthread_atfork(map_in_fork, map_in_fork, map_in_fork);
	pthread_atfork(wait_for_other, NULL, NULL);
}

static void handlers_of_fork_may_map(void)
{
	pid_t test = getpid(), killer = fork();

	if (!killer) {
		sleep(20);
		kill(test, SIGKILL);
		_exit(0);
	}
	CHECK(shim_region_add(page(900), PAGE) && shim_region_near(page(700)));
	watched = true;
	CHECK(child_goes_on() && handled && !has(page(600)) && has(page(512)));
	CHECK(in_time && !pthread_join(other, NULL));
	kill(killer, SIGKILL);
	waitpid(killer, NULL, 0);
}

int main(void)
{
	RUN(only_what_is_added);
	RUN(whole_pages);
	RUN(every_number_of_regions);
	RUN(at_random);
	RUN(what_leaves_comes_back_or_not);
	RUN(the_last_one_comes_back);
	RUN(readers_and_children_meanwhile);
	RUN(other_memory_is_never_taken_for_one);
	RUN(handlers_of_fork_may_map);
	return test_failures != 0;
}
