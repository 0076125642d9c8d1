/* SPDX-License-Identifier: MIT */
/*
 * atomic_wait ping|pong NAME ROUNDS: two C++20 semaphores, which libstdc++
 * builds on the wait and notify of an atomic: a futex by syscall(), no pthread.
 *
 * Not std::atomic::notify itself: libstdc++ counts waiters in each process, and
 * wakes nobody in another.
 */
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <iostream>
#include <new>
#include <semaphore>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct Table {
	std::atomic<uint32_t> ready{0};
	uint32_t ball = 0;
	std::counting_semaphore<> ping{1}, pong{0}, done{0};
};

static void *map(int fd)
{
	void *p = mmap(nullptr, sizeof(Table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		err(1, "mmap");
	return p;
}

static Table *make(const char *name)
{
	int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(Table)))
		err(1, "%s", name);
	auto *t = new (map(fd)) Table;
	t->ready = 1;
	return t;
}

static void nap(int *tries)
{
	if (!(*tries)--)
		errx(1, "waited in vain for the other end");
	usleep(5000);
}

static Table *join(const char *name)
{
	const char *s = getenv("JOIN_SECONDS");
	int tries = (s ? atoi(s) : 60) * 200, fd;
	struct stat st;

	while ((fd = shm_open(name, O_RDWR, 0)) < 0 || fstat(fd, &st) ||
	       st.st_size != sizeof(Table)) {
		if (fd < 0 && errno != ENOENT)
			err(1, "%s", name);
		if (fd >= 0)
			close(fd);
		nap(&tries);
	}
	auto *t = static_cast<Table *>(map(fd));
	while (!t->ready)
		nap(&tries);
	return t;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		errx(2, "usage: atomic_wait ping|pong NAME ROUNDS");
	bool first = argv[1][1] == 'i';
	uint32_t rounds = static_cast<uint32_t>(atol(argv[3]));
	Table *t = first ? make(argv[2]) : join(argv[2]);
	auto &mine = first ? t->ping : t->pong, &other = first ? t->pong : t->ping;

	for (uint32_t i = 0; i < rounds; i++) {
		mine.acquire();
		if (t->ball != 2 * i + !first)
			errx(1, "round %u: the ball is at %u", i, t->ball);
		t->ball++;
		other.release();
	}
	if (first)
		t->done.acquire();
	else
		t->done.release();
	std::cout << argv[1] << ": " << rounds << " rounds, ball " << t->ball << std::endl;
	if (first && shm_unlink(argv[2]))
		err(1, "shm_unlink");
	return 0;
}
