/* SPDX-License-Identifier: MIT */
/*
 * upgrade NAME r|rw: open the object that another made, with a 'secret' at its
 * start, and try every way to write it, or to make it executable. Prints one
 * line per way: "through WAY" or "held WAY ERRNO"; the object's bytes decide,
 * not what a call returned. Knows POSIX and Linux only.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/userfaultfd.h>

#include "uring.h"

#define SIZE	4096

static int fd;
static volatile char *map;
static char self[64];
static char page[SIZE] = "BROKEN";

static int source(void)
{
	int f = memfd_create("source", 0);

	if (f < 0 || write(f, page, SIZE) != SIZE || lseek(f, 0, SEEK_SET))
		exit(3);
	return f;
}

static int flags_of(int f, int add)
{
	return fcntl(f, F_SETFL, fcntl(f, F_GETFL) | add);
}

static void by_pwrite(void) { if (pwrite(fd, page, 6, 0) < 0) return; errno = 0; }
static void by_append(void)
{
	flags_of(fd, O_APPEND);
	lseek(fd, 0, SEEK_SET);
	pwritev2(fd, &(struct iovec){ page, 6 }, 1, 0, RWF_APPEND);
	if (!errno)
		pwrite(fd, page, 6, 0);
}
static void by_mmap(void)
{
	char *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (m != MAP_FAILED)
		memcpy(m, page, 6);
}
static void by_validate(void)
{
	char *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);

	if (m == MAP_FAILED)
		m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE, fd, 0);
	if (m != MAP_FAILED)
		memcpy(m, page, 6);
}
static void by_mprotect(void)
{
	char *m = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	if (m != MAP_FAILED && !mprotect(m, SIZE, PROT_READ | PROT_WRITE))
		memcpy(m, page, 6);
}
static void by_remap(void)
{
	char *m = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *o = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	if (o == MAP_FAILED || mremap(o, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, m) == MAP_FAILED)
		return;
	if (!mprotect(m, 2 * SIZE, PROT_READ | PROT_WRITE))
		memcpy(m, page, 6);
}
static void by_reopen(void)
{
	int f = open(self, O_RDWR);

	if (f >= 0 && pwrite(f, page, 6, 0) == 6)
		errno = 0;
}
static void by_chmod_reopen(void)
{
	fchmod(fd, 0666);
	by_reopen();
}
static void by_proc_mem(void)
{
	int f = open("/proc/self/mem", O_RDWR);

	if (f >= 0)
		pwrite(f, page, 6, (off_t)(uintptr_t)map);
}
static void by_vm_writev(void)
{
	struct iovec l = { page, 6 }, r = { (void *)(uintptr_t)map, 6 };

	process_vm_writev(getpid(), &l, 1, &r, 1, 0);
}
static void by_ptrace(void)
{
	pid_t child = fork();
	long word;

	if (!child) {
		raise(SIGSTOP);
		_exit(0);
	}
	if (ptrace(PTRACE_SEIZE, child, 0, 0) || ptrace(PTRACE_INTERRUPT, child, 0, 0)) {
		kill(child, SIGKILL);
		return;
	}
	waitpid(child, NULL, __WALL);
	memcpy(&word, page, sizeof(word));
	ptrace(PTRACE_POKEDATA, child, (void *)(uintptr_t)map, word);
	kill(child, SIGKILL);
	waitpid(child, NULL, __WALL);
}
static void by_private(void)
{
	char *m = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);

	if (m == MAP_FAILED || mprotect(m, SIZE, PROT_READ | PROT_WRITE))
		return;
	memcpy(m, page, 6);
	msync(m, SIZE, MS_SYNC);
}
static void by_truncate(void) { ftruncate(fd, 0); }
static void by_truncate_path(void) { truncate(self, 0); }
static void by_trunc_open(void) { close(open(self, O_RDONLY | O_TRUNC)); }
static void by_fallocate(void)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE))
		fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, SIZE);
}
static void by_sendfile(void) { lseek(fd, 0, SEEK_SET); sendfile(fd, source(), NULL, SIZE); }
static void by_copy_range(void)
{
	off_t in = 0, out = 0;

	copy_file_range(source(), &in, fd, &out, SIZE, 0);
}
static void by_splice(void)
{
	off_t to = 0;
	int p[2];

	if (pipe(p) || write(p[1], page, 6) != 6)
		exit(3);
	splice(p[0], NULL, fd, &to, 6, 0);
}
/* a page spliced out of the file, then written through the pipe's merge */
static void by_dirty_pipe(void)
{
	off_t from = 0;
	int p[2], i;

	if (pipe(p))
		exit(3);
	for (i = 0; i < 16; i++)
		if (write(p[1], page, SIZE) != SIZE || read(p[0], page, SIZE) != SIZE)
			exit(3);
	if (splice(fd, &from, p[1], NULL, 1, 0) == 1 && write(p[1], page + 1, 5) != 5)
		exit(3);
}
static void by_clone(void) { ioctl(fd, FICLONE, source()); }
static void by_madvise(void)
{
	madvise((void *)(uintptr_t)map, SIZE, MADV_REMOVE);
	madvise((void *)(uintptr_t)map, SIZE, MADV_POPULATE_WRITE);
}
static void by_setfl(void)
{
	fcntl(fd, F_SETFL, O_RDWR);
	pwrite(fd, page, 6, 0);
}
static void by_all_fds(void)
{
	struct dirent *e;
	DIR *d = opendir("/proc/self/fd");

	while (d && (e = readdir(d))) {
		int f = atoi(e->d_name);

		if (f > 2 && f != dirfd(d))
			pwrite(f, page, 6, 0);
	}
	closedir(d);
}
static void by_child_fd(void)
{
	pid_t child = fork();

	if (!child) {
		char path[64];
		int f;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getppid(), fd);
		f = open(path, O_RDWR);
		_exit(f < 0 ? errno : pwrite(f, page, 6, 0) != 6);
	}
	waitpid(child, &(int){ 0 }, 0);
}
static void by_uring(void)
{
	uring_run(&(struct io_uring_sqe){ .opcode = IORING_OP_WRITE, .fd = fd, .len = 6,
					  .addr = (uintptr_t)page }, NULL);
}
/* a buffer that the kernel pins once, and then writes to as it likes */
static void by_uring_fixed(void)
{
	struct iovec buffer = { (void *)(uintptr_t)map, SIZE };

	uring_run(&(struct io_uring_sqe){ .opcode = IORING_OP_READ_FIXED, .fd = source(), .len = 6,
					  .addr = (uintptr_t)map }, &buffer);
}
static void by_uring_open(void)
{
	int f = uring_run(&(struct io_uring_sqe){ .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD,
		.addr = (uintptr_t)self, .open_flags = O_RDWR }, NULL);

	if (f >= 0)
		pwrite(f, page, 6, 0);
}
static void by_aio(void)
{
	struct iocb request = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = (uint32_t)fd,
				.aio_buf = (uintptr_t)page, .aio_nbytes = 6 };
	aio_context_t context = 0;

	if (!syscall(SYS_io_setup, 1, &context))
		syscall(SYS_io_submit, context, 1, (struct iocb *[]){ &request });
}
static void by_read_into(void) { read(source(), (void *)(uintptr_t)map, 6); }
static void by_pkey(void)
{
	char *m = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	if (m != MAP_FAILED && !pkey_mprotect(m, SIZE, PROT_READ | PROT_WRITE, -1))
		memcpy(m, page, 6);
}
/* dropped, so that the next access asks this process what is there */
static void by_userfault(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .range = { (uintptr_t)map, SIZE },
					.mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_copy copy = { .dst = (uintptr_t)map, .src = (uintptr_t)page, .len = SIZE };
	int f = (int)syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY | O_NONBLOCK);

	if (f < 0 || ioctl(f, UFFDIO_API, &api) || ioctl(f, UFFDIO_REGISTER, &area))
		return;
	madvise((void *)(uintptr_t)map, SIZE, MADV_DONTNEED);
	ioctl(f, UFFDIO_COPY, &copy);
}
static void by_map_files(void)
{
	char path[96];
	int f;

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)map,
		 (unsigned long)map + SIZE);
	f = open(path, O_RDWR);
	if (f >= 0)
		pwrite(f, page, 6, 0);
}
static void by_execution(void)
{
	char *m = mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);

	if (m == MAP_FAILED)
		m = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	if (m != MAP_FAILED && !mprotect(m, SIZE, PROT_READ | PROT_EXEC))
		puts("through execution");
}

static const struct {
	const char *name;
	void (*try)(void);
} ways[] = {
	{ "pwrite", by_pwrite }, { "append", by_append }, { "mmap", by_mmap },
	{ "validate", by_validate }, { "mprotect", by_mprotect }, { "mremap", by_remap },
	{ "reopen", by_reopen }, { "chmod", by_chmod_reopen }, { "proc-mem", by_proc_mem },
	{ "vm_writev", by_vm_writev }, { "ptrace", by_ptrace }, { "private", by_private },
	{ "ftruncate", by_truncate }, { "truncate", by_truncate_path },
	{ "o_trunc", by_trunc_open }, { "fallocate", by_fallocate },
	{ "sendfile", by_sendfile }, { "copy_file_range", by_copy_range },
	{ "splice", by_splice }, { "dirty-pipe", by_dirty_pipe }, { "ficlone", by_clone },
	{ "madvise", by_madvise }, { "setfl", by_setfl }, { "all-fds", by_all_fds },
	{ "child", by_child_fd }, { "io_uring", by_uring }, { "uring-fixed", by_uring_fixed },
	{ "uring-open", by_uring_open }, { "aio", by_aio }, { "read-into", by_read_into },
	{ "pkey", by_pkey }, { "userfault", by_userfault }, { "map_files", by_map_files },
	{ "execution", by_execution },
};

/* As read(2) sees it, so that no mapping of ours can deceive. */
static int changed(void)
{
	char now[6] = "";
	struct stat st;

	return fstat(fd, &st) || st.st_size != SIZE || pread(fd, now, 6, 0) != 6 ||
	       memcmp(now, "secret", 6);
}

int main(int argc, char **argv)
{
	int writable = argc == 3 && !strcmp(argv[2], "rw");
	size_t i;

	if (argc != 3)
		return 2;
	fd = shm_open(argv[1], writable ? O_RDWR : O_RDONLY, 0);
	if (fd < 0 || changed()) {
		perror(argv[1]);
		return 3;
	}
	map = mmap(NULL, SIZE, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	for (i = 0; map != MAP_FAILED && i < sizeof(ways) / sizeof(*ways); i++) {
		errno = 0;
		ways[i].try();
		if (!changed()) {
			printf("held %s %s\n", ways[i].name, strerrorname_np(errno));
			continue;
		}
		printf("through %s\n", ways[i].name);
		/* as it was, for the next */
		fcntl(fd, F_SETFL, 0);
		if (writable && pwrite(fd, "secret", 6, 0) != 6)
			return 3;
	}
	printf("tried %zu\n", i);
	return 0;
}
