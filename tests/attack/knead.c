/* SPDX-License-Identifier: MIT */
/*
 * knead NAME ROUNDS: ask the kernel for all that it does with memory, on mappings
 * of the object: advice, locking, moving between nodes and addresses, poisoning,
 * futexes, robust lists and what else it writes by itself. Half of the object
 * is a pattern, which must be there afterwards. Knows Linux only.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <sivshmem/uapi.h>

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#define PAGE	4096ul

static int fd;
static size_t size;
static char *map;
static unsigned int tried, done;

static void tell(long result)
{
	tried++;
	done += result >= 0;
}

static uint8_t pattern(size_t at) { return (uint8_t)(at * 31 + at / PAGE); }

/* --- of which nothing may change the bytes --- */

static void advise(char *at, size_t length)
{
	int advice;

	for (advice = 0; advice <= 30; advice++) {
		if (advice == MADV_REMOVE)
			continue;
		/* there is something to do it to, of 2 MiB where the kernel maps so */
		for (size_t i = 0; i < length; i += 512 * PAGE)
			*(volatile char *)(at + i);
		tell(madvise(at, length, advice));
	}
	tell(madvise(at, PAGE, MADV_HWPOISON));
	tell(madvise(at, PAGE, MADV_SOFT_OFFLINE));
}

static void lock(char *at, size_t length)
{
	tell(mlock(at, length));
	tell(mlock2(at, length, MLOCK_ONFAULT));
	tell(mlockall(MCL_CURRENT));
	tell(munlockall());
	tell(munlock(at, length));
}

static void move(char *at, size_t length)
{
	void *pages[4] = { at, at + PAGE, at + length - PAGE, at };
	unsigned long nodes = 1;
	int node[4] = { 0 }, status[4];
	unsigned char in[8];

	tell(syscall(SYS_mbind, at, length, MPOL_BIND, &nodes, 64, MPOL_MF_MOVE | MPOL_MF_STRICT));
	tell(syscall(SYS_mbind, at, length, MPOL_BIND, &nodes, 64, MPOL_MF_MOVE_ALL));
	tell(syscall(SYS_move_pages, 0, 4, pages, node, status, MPOL_MF_MOVE));
	tell(syscall(SYS_move_pages, 0, 4, pages, node, status, MPOL_MF_MOVE_ALL));
	tell(syscall(SYS_move_pages, 0, 4, pages, NULL, status, 0));
	tell(syscall(SYS_migrate_pages, 0, 64, &nodes, &nodes));
	tell(syscall(SYS_get_mempolicy, node, NULL, 0, at, MPOL_F_ADDR | MPOL_F_NODE));
	tell(mincore(at, 8 * PAGE, in));
	tell(msync(at, length, MS_SYNC));
	tell(msync(at, length, MS_ASYNC | MS_INVALIDATE));
	tell(syscall(SYS_remap_file_pages, at, PAGE, 0, 0, 0));
}

static void readdress(size_t length)
{
	char *one = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	char *two;

	if (one == MAP_FAILED)
		err(3, "mmap");
	tell(mprotect(one + PAGE, PAGE, PROT_NONE));
	tell(mprotect(one, length, PROT_READ));
	tell(mprotect(one, length, PROT_READ | PROT_WRITE));
	two = mremap(one, length, length, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	tell(two == MAP_FAILED ? -1 : 0);
	if (two != MAP_FAILED) {
		tell(madvise(two, length, MADV_POPULATE_WRITE));
		munmap(two, length);
	}
	two = mremap(one, length / 2, length / 2, MREMAP_MAYMOVE | MREMAP_FIXED,
		     one + (1ul << 32));
	tell(two == MAP_FAILED ? -1 : 0);
	if (two != MAP_FAILED)
		munmap(two, length / 2);
	munmap(one, length);
	one = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
	tell(one == MAP_FAILED ? -1 : 0);
	if (one != MAP_FAILED) {
		advise(one, length);
		munmap(one, length);
	}
}

/* --- which write, to the half that may change --- */

static void futexes(uint32_t *word)
{
	static const int ops[] = {
		FUTEX_LOCK_PI, FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI, FUTEX_LOCK_PI2, FUTEX_WAIT,
		FUTEX_WAKE_OP, FUTEX_CMP_REQUEUE_PI, FUTEX_WAIT_REQUEUE_PI, FUTEX_FD, FUTEX_REQUEUE,
	};
	struct timespec soon;
	size_t i;

	for (i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		*word = i % 2 ? (uint32_t)getpid() : (uint32_t)rand();
		clock_gettime(CLOCK_MONOTONIC, &soon);
		tell(syscall(SYS_futex, word, ops[i], *word, ops[i] == FUTEX_WAIT ?
			     &(struct timespec){ 0, 1000000 } : &soon, word + 1, rand()));
	}
}

/* What the kernel does for a thread at its end, in memory that others write. */
static void last_words(void)
{
	struct robust_list_head *head = (void *)(map + size / 2 + 2 * PAGE);
	pid_t pid = fork();

	if (pid) {
		waitpid(pid, NULL, 0);
		return;
	}
	alarm(5);
	head->list.next = rand() % 2 ? &head->list : (void *)(map + size / 2 + PAGE);
	*(void **)(void *)(map + size / 2 + PAGE) = map + size / 2 + PAGE;	/* its own next */
	head->futex_offset = rand() % 64 & ~3;
	head->list_op_pending = (void *)(map + size - 8);
	tell(syscall(SYS_set_robust_list, head, sizeof(*head)));
	tell(syscall(SYS_set_tid_address, map + size / 2 + 64));
	_exit(0);
}

static void transfer(void)
{
	char *target = map + size / 2, bytes[PAGE];
	struct iovec l = { bytes, PAGE }, r = { target, PAGE };
	int p[2];

	tell(process_vm_writev(getpid(), &l, 1, &r, 1, 0));
	tell(process_vm_readv(getpid(), &l, 1, &r, 1, 0));
	if (pipe(p))
		err(3, "pipe");
	tell(vmsplice(p[1], &r, 1, SPLICE_F_GIFT));
	tell(read(p[0], target + PAGE, PAGE));
	tell(splice(fd, &(off_t){ 0 }, p[1], NULL, PAGE, SPLICE_F_MOVE));
	tell(tee(p[0], p[1], PAGE, SPLICE_F_NONBLOCK));
	close(p[0]);
	close(p[1]);
	tell(getrandom(target, PAGE, 0));
	tell(read(fd, target, PAGE));
	tell(pwrite(fd, target, PAGE, (off_t)(size / 2)));	/* out of itself, into itself */
}

/* The kernel is to say which pages were written since, of entries that it has. */
static void track(void)
{
	volatile char *fresh = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int f = open("/proc/self/clear_refs", O_WRONLY);
	size_t at;

	for (at = size / 2; at < size; at += PAGE)
		fresh[at];
	tell(write(f, "4", 1));
	close(f);
	for (at = size / 2; at < size; at += PAGE)
		fresh[at] = 1;
	munmap((void *)(uintptr_t)fresh, size);
}

static size_t changed(void)
{
	char *now = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	size_t i, n = 0;

	for (i = 0; i < size / 2; i++)
		n += (uint8_t)now[i] != pattern(i);
	return n;
}

int main(int argc, char **argv)
{
	struct statfs fs;
	struct stat st;
	size_t i;
	int k;

	if (argc != 3)
		errx(2, "usage: knead NAME ROUNDS");
	fd = shm_open(argv[1], O_RDWR, 0);
	if (fd < 0 || fstat(fd, &st) || fstatfs(fd, &fs))
		err(3, "%s", argv[1]);
	/* elsewhere the machine itself would lose the pages that are poisoned */
	if (fs.f_type != SIVSHMEM_FS_MAGIC)
		errx(3, "%s: in no channel of a VM", argv[1]);
	size = (size_t)st.st_size;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(3, "mmap");
	for (i = 0; i < size / 2; i++)
		map[i] = (char)pattern(i);
	signal(SIGBUS, SIG_DFL);
	for (k = 0; k < atoi(argv[2]); k++) {
		advise(map, size / 2);
		lock(map, size);
		move(map, size / 2);
		readdress(size);
		futexes((uint32_t *)(void *)(map + size / 2));
		last_words();
		transfer();
		track();
		lseek(fd, 0, SEEK_SET);
	}
	printf("kneaded: %u calls, %u done, %zu bytes changed\n", tried, done, changed());
	return changed() != 0;
}
