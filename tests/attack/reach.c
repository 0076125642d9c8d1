/* SPDX-License-Identifier: MIT */
/*
 * reach NAME LIMIT: open the object, and look for bytes behind its end: page by
 * page, then in steps, up to LIMIT bytes, by mappings of all kinds and by calls. What
 * is found and holds "secret" is another's. Exits 1 if any byte was reached.
 * Knows POSIX and Linux only, but for the wait device.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <sivshmem/uapi.h>

#define PAGE	4096ull
#define NEAR	(4ull << 20)		/* so far each page, then one of many */
#define STEP	61

static int fd, wait_fd;
static uint64_t size;
static unsigned int tried, reached, secrets;
static sigjmp_buf out;

static void on_bus(int sig) { (void)sig; siglongjmp(out, 1); }

static void found(const char *how, uint64_t offset, const char *bytes)
{
	bool secret = bytes && memmem(bytes, PAGE, "secret", 6);

	secrets += secret;
	if (++reached <= 20)
		printf("reached %#llx by %s%s\n", (unsigned long long)offset, how,
		       secret ? ": another's secret" : "");
}

static void look(const char *how, uint64_t offset, const volatile char *at)
{
	static char copy[PAGE];
	uint64_t i;

	tried++;
	if (sigsetjmp(out, 1))
		return;
	for (i = 0; i < PAGE; i++)
		copy[i] = at[i];
	found(how, offset, copy);
}

/* The wait device reads the word too: EAGAIN says that it is another one. */
static void ask_word(uint64_t offset, const char *at)
{
	struct sivshmem_wait arg = {
		.address = (uintptr_t)at, .expected = 0x12345678, .bitset = 1,
		.flags = SIVSHMEM_WAIT_DEADLINE, .clock = CLOCK_MONOTONIC,
	};

	tried++;
	if (wait_fd >= 0 && (!ioctl(wait_fd, SIVSHMEM_IOC_WAIT, &arg) || errno == EAGAIN ||
			     errno == ETIMEDOUT))
		found("the wait device", offset, NULL);
}

static void one_page(uint64_t offset)
{
	char *at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, (off_t)offset);
	char bytes[PAGE];

	tried++;
	if (pread(fd, bytes, PAGE, (off_t)offset) > 0)
		found("pread", offset, bytes);
	if (at == MAP_FAILED)
		return;
	look("mmap", offset, at);
	ask_word(offset, at);
	munmap(at, PAGE);
}

static void each_page(uint64_t limit)
{
	uint64_t offset = (size + PAGE - 1) & ~(PAGE - 1);
	int shift;

	while (offset < limit) {
		one_page(offset);
		offset += offset < size + NEAR ? PAGE : STEP * PAGE;
	}
	/* far ones, and those whose sum with a length comes round */
	for (shift = 24; shift < 64; shift++) {
		one_page(1ull << shift);
		one_page((1ull << shift) - PAGE);
		one_page(-(1ull << shift));
	}
	one_page(-PAGE);
}

/* One mapping over the end; large enough for entries of 2 MiB. */
static void over_the_end(uint64_t length)
{
	char *at = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
	uint64_t offset;
	char bytes[PAGE];

	if (at == MAP_FAILED)
		return;
	(void)*(volatile char *)at;		/* with an entry of 2 MiB, if there is one */
	for (offset = (size + PAGE - 1) & ~(PAGE - 1); offset < length; offset += PAGE) {
		struct iovec to = { bytes, PAGE }, from = { at + offset, PAGE };

		look("a long mapping", offset, at + offset);
		if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) > 0)
			found("process_vm_readv", offset, bytes);
	}
	munmap(at, length);
}

static void grown(void)
{
	char *at = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), *more;

	if (at == MAP_FAILED)
		err(3, "mmap");
	more = mremap(at, PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	if (more != MAP_FAILED) {
		if (size <= 63 * PAGE)
			look("mremap", size, more + ((size + PAGE - 1) & ~(PAGE - 1)));
		at = more;
	}
	/* another page into the same mapping */
	if (!syscall(SYS_remap_file_pages, at, PAGE, 0, (size + PAGE - 1) / PAGE + 1, 0))
		look("remap_file_pages", size + PAGE, at);
}

static void copied(void)
{
	off_t from = (off_t)((size + PAGE - 1) & ~(PAGE - 1));
	int file = memfd_create("copy", 0), p[2];

	if (file < 0 || pipe(p))
		err(3, "memfd");
	tried += 2;
	if (copy_file_range(fd, &from, file, NULL, PAGE, 0) > 0)
		found("copy_file_range", size, NULL);
	if (splice(fd, &from, p[1], NULL, PAGE, SPLICE_F_NONBLOCK) > 0)
		found("splice", size, NULL);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_bus };
	struct stat st;

	if (argc != 3)
		errx(2, "usage: reach NAME LIMIT");
	fd = shm_open(argv[1], O_RDONLY, 0);
	if (fd < 0 || fstat(fd, &st))
		err(3, "%s", argv[1]);
	size = (uint64_t)st.st_size;
	wait_fd = open(SIVSHMEM_WAIT_DEVICE, O_RDWR);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	over_the_end((size + NEAR) & ~(PAGE - 1));
	grown();
	copied();
	each_page(strtoull(argv[2], NULL, 0));
	printf("tried %u, reached %u, secrets %u\n", tried, reached, secrets);
	return reached != 0;
}
