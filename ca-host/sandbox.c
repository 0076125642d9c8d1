/* SPDX-License-Identifier: MIT */
#include "sandbox.h"
#include "worker_priv.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <bsd/stdlib.h>

#define MEMORY_MAX	(64u << 20)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED	1	/* wants memory and system calls of its own */
#else
#define SANITIZED	0
#endif

static int limit(int resource, rlim_t value)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)resource, &r))
		return -errno;
	if (value < r.rlim_max)
		r.rlim_max = value;
	r.rlim_cur = r.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &r) ? -errno : 0;
}

static int set_limits(unsigned int fds, size_t memory)
{
	int r = limit(RLIMIT_CORE, 0);

	if (!r)
		r = limit(RLIMIT_NPROC, 0);
	if (!r)
		r = limit(RLIMIT_NOFILE, fds);
	if (!r && !SANITIZED)
		r = limit(RLIMIT_DATA, memory);
	return r;
}

static bool left_out(const char *arg)
{
	return !strcmp(arg, "-");
}

static int enter_directory(const char *dir)
{
	if (left_out(dir))
		return 0;
	if (chroot(dir) || chdir("/"))
		return -errno;
	return 0;
}

static int parse_id(const char *text, uint32_t *id)
{
	const char *wrong;

	/* 0 is what the drop is to leave behind, 2^32-1 is "no change" */
	*id = (uint32_t)strtonum(text, 1, UINT_MAX - 1, &wrong);
	return wrong ? -EINVAL : 0;
}

static int drop_ids(const char *uid_text, const char *gid_text)
{
	uint32_t uid, gid;
	int r;

	if (left_out(uid_text) && left_out(gid_text))
		return 0;
	r = parse_id(uid_text, &uid);
	if (!r)
		r = parse_id(gid_text, &gid);
	if (r)
		return r;
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) ||
	    setresuid(uid, uid, uid))
		return -errno;
	return setuid(0) == 0 ? -EPERM : 0;
}

static int allow_worker(void *filter)
{
	static const int calls[] = {
		SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close),
		SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto),
		SCMP_SYS(sendmsg), SCMP_SYS(shutdown), SCMP_SYS(poll),
		SCMP_SYS(ppoll), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
		SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(brk),
		SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
		SCMP_SYS(mlock), SCMP_SYS(munlock), SCMP_SYS(futex),
		SCMP_SYS(getrandom), SCMP_SYS(clock_gettime), SCMP_SYS(time),
		SCMP_SYS(gettimeofday), SCMP_SYS(restart_syscall),
		SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(getpid),
		SCMP_SYS(gettid), SCMP_SYS(newfstatat),
		SCMP_SYS(fstat), SCMP_SYS(exit), SCMP_SYS(exit_group),
	};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(calls) / sizeof(calls[0]); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	/* abort(3), and no other process of the same user */
	if (!r)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	/* memory yes, code no */
	if (!r)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!r)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return r;
}

static int filter_calls(int (*allow)(void *filter))
{
	scmp_filter_ctx filter;
	int r;

	if (SANITIZED)
		return 0;
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return -ENOMEM;
	r = allow(filter);
	if (!r)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

int sandbox_enter(const struct sandbox *sandbox, const char **what)
{
	int r;

	*what = "resource limits";
	r = set_limits(sandbox->fds, sandbox->memory);
	if (r)
		return r;
	*what = "chroot";
	r = enter_directory(sandbox->dir);
	if (r)
		return r;
	*what = "uid and gid";
	r = drop_ids(sandbox->uid, sandbox->gid);
	if (r)
		return r;
	*what = "prctl";
	/* the last, since a change of ids takes it back: no worker outlives its monitor */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		return -errno;
	*what = "system call filter";
	return filter_calls(sandbox->allow);
}

int worker_sandbox(const char *uid, const char *gid, const char *dir,
		   unsigned int fds, const char **what)
{
	const struct sandbox sandbox = {
		.uid = uid, .gid = gid, .dir = dir, .fds = fds,
		.memory = MEMORY_MAX, .allow = allow_worker,
	};

	return sandbox_enter(&sandbox, what);
}
