/* SPDX-License-Identifier: MIT */
/*
 * storm PREFIX SECONDS SEED: processes that do everything at random to objects
 * PREFIX0 to PREFIX7, to the devices and to each other, and are killed at it. No
 * call has to succeed; the kernel must have nothing to complain about. Prints
 * how many calls were made, and how many of them succeeded.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES	4
#define SLOTS		12
#define LARGE		(4u << 20)

/* as include/sivshmem/uapi.h has them; this program has no headers of ours */
#define IOC(number)	(0xb700u | (number))

static const char *prefix;
static uint64_t state;
static int files[SLOTS], device = -1, waiter = -1, peers[2], pipes[2];
static struct { unsigned char *at; size_t size; } maps[SLOTS];
static struct counts { volatile unsigned long calls, good; } *counts;
static sigjmp_buf fault;
static char buffer[65536];

static uint32_t any(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 20) % below;
}

static void on_fault(int signal)
{
	(void)signal;
	siglongjmp(fault, 1);
}

static void tell(long result)
{
	counts->calls++;
	counts->good += result >= 0;
}

/* --- files --- */

static void put_file(int fd)
{
	int slot = (int)any(SLOTS);

	tell(fd);
	if (fd < 0)
		return;
	if (files[slot] >= 0)
		close(files[slot]);
	files[slot] = fd;
}

static void open_object(int fd)
{
	static const int flags[] = { O_RDWR | O_CREAT, O_RDWR, O_RDONLY, O_RDWR | O_CREAT | O_TRUNC,
				     O_RDWR | O_CREAT | O_EXCL };
	char name[256];

	(void)fd;
	snprintf(name, sizeof(name), "%s%u", prefix, any(8));
	if (!any(6))
		tell(shm_unlink(name));
	else
		put_file(shm_open(name, flags[any(5)], 0600));
}

static void open_again(int fd)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	put_file(any(2) ? open(name, any(2) ? O_RDWR : O_RDONLY) : dup(fd));
}

static void change_size(int fd)
{
	off_t size = any(8) ? any(65536) : any(LARGE);

	switch (any(4)) {
	case 0:
		tell(fallocate(fd, (int)any(4), any(65536), size));
		break;
	case 1:
		tell(lseek(fd, any(65536), (int)any(5)));
		break;
	default:
		tell(ftruncate(fd, size));
	}
}

static void transfer(int fd)
{
	struct iovec iov[2] = { { buffer, any(9000) }, { buffer + 9000, any(9000) } };
	off_t at = any(70000);

	switch (any(6)) {
	case 0: tell(pread(fd, buffer, any(sizeof(buffer)), at)); break;
	case 1: tell(pwrite(fd, buffer, any(sizeof(buffer)), at)); break;
	case 2: tell(preadv(fd, iov, 2, at)); break;
	case 3: tell(pwritev(fd, iov, 2, at)); break;
	case 4: tell(read(fd, buffer, any(5000))); break;
	default: tell(write(fd, buffer, any(5000)));
	}
}

static void splice_some(int fd)
{
	loff_t at = any(65536);
	struct iovec iov = { NULL, 8192 };
	int slot = (int)any(SLOTS);

	if (any(2)) {
		tell(splice(fd, &at, pipes[1], NULL, any(20000), SPLICE_F_NONBLOCK));
	} else if (maps[slot].at) {
		iov.iov_base = maps[slot].at;
		tell(vmsplice(pipes[1], &iov, 1, SPLICE_F_NONBLOCK));
	}
	if (any(2))
		tell(splice(pipes[0], NULL, fd, &at, any(20000), SPLICE_F_NONBLOCK));
	else
		tell(read(pipes[0], buffer, any(sizeof(buffer))));
}

static void lock_some(int fd)
{
	struct flock lock = { .l_type = (short)any(3), .l_start = any(100), .l_len = any(100) };

	if (any(2))
		tell(flock(fd, (any(3) ? LOCK_EX : LOCK_SH) | LOCK_NB));
	else if (any(3))
		tell(fcntl(fd, any(2) ? F_SETLK : F_GETLK, &lock));
	else
		tell(flock(fd, LOCK_UN));
}

static void look(int fd)
{
	struct stat st;

	tell(fstat(fd, &st));
	tell(fcntl(fd, F_GETFL));
	tell(ioctl(fd, IOC(any(10)), buffer));
	tell(fsync(fd));
}

/* --- memory --- */

static void map_it(int fd)
{
	int slot = (int)any(SLOTS), prot = (int)any(8);
	size_t size = (any(6) ? 1 + any(16) : 1 + any(LARGE / 4096)) * (size_t)4096;
	void *at = mmap(NULL, size, prot, any(5) ? MAP_SHARED : MAP_PRIVATE, fd, any(8) * 4096);

	tell(at == MAP_FAILED ? -1 : 0);
	if (at == MAP_FAILED)
		return;
	if (maps[slot].at)
		munmap(maps[slot].at, maps[slot].size);
	maps[slot].at = at;
	maps[slot].size = size;
}

static void touch(unsigned char *at, size_t size)
{
	volatile unsigned char *byte = at + (size_t)any(UINT32_MAX) % size;

	if (sigsetjmp(fault, 1)) {
		tell(-1);
		return;
	}
	if (any(2))
		*byte = (unsigned char)any(256);
	else
		(void)*byte;
	tell(0);
}

static void change_map(int fd)
{
	static const int advice[] = { MADV_DONTNEED, MADV_WILLNEED, MADV_HUGEPAGE, MADV_DONTFORK,
				      MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_REMOVE,
				      MADV_COLD };
	int slot = (int)any(SLOTS);
	unsigned char *at = maps[slot].at, *moved;
	size_t size = maps[slot].size;

	(void)fd;
	if (!at)
		return;
	switch (any(9)) {
	case 0:
		tell(mprotect(at, size, (int)any(8)));
		break;
	case 1:
		tell(madvise(at, size, advice[any(8)]));
		break;
	case 2:
		moved = mremap(at, size, 4096 * (1 + any(32)), MREMAP_MAYMOVE);
		tell(moved == MAP_FAILED ? -1 : 0);
		if (moved == MAP_FAILED)
			break;
		/* what is left of it is not known exactly: give it all up */
		munmap(moved, 4096);
		maps[slot].at = NULL;
		break;
	case 3:
		tell(munmap(at, size));
		maps[slot].at = NULL;
		break;
	case 4:
		tell(msync(at, size, MS_SYNC));
		break;
	default:
		touch(at, size);
	}
}

/* --- devices --- */

static void session(int fd)
{
	(void)fd;
	if (device < 0) {
		device = open("/dev/sivshmem", O_RDWR | O_NONBLOCK | O_CLOEXEC);
		tell(device);
		return;
	}
	for (unsigned int i = 0; i < 64; i++)
		buffer[i] = (char)any(256);
	switch (any(6)) {
	case 0: tell(write(device, buffer, 1 + any(4096))); break;
	case 1: tell(read(device, buffer, sizeof(buffer))); break;
	case 2: tell(ioctl(device, (unsigned long)any(UINT32_MAX), buffer)); break;
	case 3: tell(ioctl(device, IOC(any(10)) | 0xc0000000 | any(64) << 16, buffer)); break;
	case 4: tell(ioctl(device, IOC(4), 0)); break;
	default:
		close(device);
		device = -1;
	}
}

/* The shim's own session, which lies above 900: ended, or closed under it. */
static void shims_session(int fd)
{
	(void)fd;
	if (any(20))
		return;
	if (any(2))
		tell(ioctl(900, IOC(4), 0));
	else
		tell(close(900));
}

static void wait_for_word(int fd)
{
	struct { uint64_t address; uint32_t a, flags, bitset; int32_t clock; int64_t s, ns; } w = { 0 };
	int slot = (int)any(SLOTS);
	struct timespec now;

	(void)fd;
	if (waiter < 0)
		waiter = open("/dev/sivshmem-wait", O_RDWR | O_CLOEXEC);
	clock_gettime(CLOCK_MONOTONIC, &now);
	w.address = (uintptr_t)maps[slot].at + any(4096) * 4;
	w.a = any(3);
	w.flags = 1 | any(2) << 1;
	w.bitset = any(3) ? UINT32_MAX : any(4);
	w.clock = CLOCK_MONOTONIC;
	w.s = now.tv_sec;
	w.ns = now.tv_nsec + any(3000000);
	switch (any(4)) {
	case 0:
	case 1:
		tell(ioctl(waiter, _IOC(_IOC_WRITE, 0xb7, 6, 48), &w));
		break;
	case 2:
		w.flags = any(2);
		tell(ioctl(waiter, _IOC(_IOC_WRITE, 0xb7, 7, 24), &w));
		break;
	default:
		tell(ioctl(waiter, _IOC(_IOC_READ | _IOC_WRITE, 0xb7, 8, 16), &w));
	}
}

/* --- processes --- */

static void pass(int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { buffer, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int got;

	if (any(2)) {
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
		tell(sendmsg(peers[0], &msg, MSG_DONTWAIT));
		return;
	}
	if (recvmsg(peers[1], &msg, MSG_DONTWAIT) < 0)
		return;
	c = CMSG_FIRSTHDR(&msg);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return;
	memcpy(&got, CMSG_DATA(c), sizeof(int));
	put_file(got);
}

static void child(int fd)
{
	pid_t pid;

	if (any(8))
		return;
	pid = fork();
	tell(pid);
	if (pid)
		return;
	for (int n = 0; n < 20; n++) {
		change_map(fd);
		transfer(fd);
	}
	_exit(0);
}

static void let_go(int fd)
{
	for (int i = 0; i < SLOTS; i++) {
		if (files[i] != fd)
			continue;
		files[i] = -1;
	}
	tell(close(fd));
}

static void (*const acts[])(int fd) = {
	open_object, open_object, open_again, change_size, transfer, transfer, splice_some,
	lock_some, look, map_it, map_it, change_map, change_map, change_map, change_map, session,
	session, shims_session, wait_for_word, wait_for_word, pass, child, let_go,
};

static void be(uint64_t seed)
{
	struct sigaction action = { .sa_handler = on_fault };

	state = seed * 0x9e3779b97f4a7c15u | 1;
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (pipe2(pipes, O_NONBLOCK | O_CLOEXEC))
		_exit(3);
	for (int i = 0; i < SLOTS; i++)
		files[i] = -1;
	for (;;) {
		unsigned int act = any(sizeof(acts) / sizeof(*acts));
		int fd = files[any(SLOTS)];

		if (fd >= 0 || acts[act] == open_object || acts[act] == session)
			acts[act](fd);
	}
}

static pid_t start(uint64_t seed)
{
	pid_t pid = fork();

	if (!pid)
		be(seed);
	return pid;
}

int main(int argc, char **argv)
{
	pid_t pids[PROCESSES];
	uint64_t seed;
	time_t end;

	if (argc != 4)
		errx(2, "storm PREFIX SECONDS SEED");
	prefix = argv[1];
	end = time(NULL) + atoi(argv[2]);
	seed = strtoull(argv[3], NULL, 0);
	state = seed | 1;
	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED || socketpair(AF_UNIX, SOCK_DGRAM, 0, peers))
		err(3, "storm");
	for (int i = 0; i < PROCESSES; i++)
		pids[i] = start(++seed * 1000003);
	while (time(NULL) < end) {
		int victim = (int)any(PROCESSES);

		usleep(100000 + any(900000));
		if (pids[victim] > 0) {
			kill(pids[victim], SIGKILL);
			waitpid(pids[victim], NULL, 0);
		}
		pids[victim] = start(++seed * 1000003);
	}
	for (int i = 0; i < PROCESSES; i++) {
		if (pids[i] <= 0)
			continue;
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	printf("storm: seed %s, %lu calls, %lu of them succeeded\n", argv[3], counts->calls,
	       counts->good);
	return counts->good == 0;
}
