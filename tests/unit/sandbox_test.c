/* SPDX-License-Identifier: MIT */
/* What a worker that was taken over can still do to the rest of the system. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../ca-host/worker_priv.h"

#if defined(__SANITIZE_ADDRESS__)
#define FILTERED	0	/* the sanitizer needs calls of its own */
#else
#define FILTERED	1
#endif

/* How a child in the sandbox ends that does this: its exit code, or -signal. */
static int sandboxed(void (*deed)(void))
{
	const char *what;
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (!child) {
		if (worker_sandbox("-", "-", "-", 16, &what))
			_exit(99);
		deed();
		_exit(0);
	}
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void nothing(void) { }
static void kill_parent(void) { kill(getppid(), 0); }
static void kill_neighbour(void) { syscall(SYS_tgkill, 1, 1, 0); }
static void kill_self(void) { syscall(SYS_tgkill, getpid(), getpid(), SIGTERM); }
static void open_file(void) { close(open("/etc/passwd", O_RDONLY)); }
static void make_socket(void) { socket(AF_UNIX, SOCK_STREAM, 0); }
static void trace(void) { ptrace(PTRACE_TRACEME, 0, 0, 0); }
static void start_program(void) { execl("/bin/true", "true", (char *)0); }
static void make_process(void) { syscall(SYS_fork); }
static void map_code(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void works(void)
{
	CHECK(sandboxed(nothing) == 0);
}

static void reaches_no_other_process(void)
{
	CHECK(sandboxed(kill_parent) == -SIGSYS);
	CHECK(sandboxed(kill_neighbour) == -SIGSYS);
	CHECK(sandboxed(trace) == -SIGSYS);
	CHECK(sandboxed(kill_self) == -SIGTERM);	/* as abort(3) does */
}

static void gets_nothing_new(void)
{
	CHECK(sandboxed(open_file) == -SIGSYS);
	CHECK(sandboxed(make_socket) == -SIGSYS);
	CHECK(sandboxed(start_program) == -SIGSYS);
	CHECK(sandboxed(make_process) == -SIGSYS);
	CHECK(sandboxed(map_code) == -SIGSYS);
}

int main(void)
{
	RUN(works);
	if (FILTERED) {
		RUN(reaches_no_other_process);
		RUN(gets_nothing_new);
	}
	return test_failures != 0;
}
