/* SPDX-License-Identifier: MIT */
/* Domains, their sessions, and the worker of each. */
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <bsd/err.h>
#include <bsd/unistd.h>

#include "host_sign.h"
#include "keep.h"
#include "limits.h"
#include "send_fd.h"
#include "worker.h"

#define BACKOFF_MAX	200	/* ms: with its start, new opens work within a second */
#define LIVED_WELL	5000

/* --- sessions --- */

struct session *domain_session(struct domain *domain, uint64_t id)
{
	struct session *s;

	LIST_FOREACH(s, &domain->sessions, node)
		if (s->id == id)
			return s;
	return NULL;
}

struct session *session_create(struct domain *domain, uint64_t id,
			       const struct sivring_session *who, int conn)
{
	struct session *s;

	if (domain->session_count >= MONITOR_SESSIONS_MAX)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->domain = domain;
	s->id = id;
	s->host_id = ++monitor.next_session;
	s->who = *who;
	s->who.payer = limits_payer(domain, who->payer);
	s->who.comm[sizeof(s->who.comm) - 1] = 0;
	s->conn = conn;
	s->since = sivshmem_now_ms();
	LIST_INIT(&s->grants);
	LIST_INSERT_HEAD(&domain->sessions, s, node);
	domain->session_count++;
	keep_session(s);
	return s;
}

void session_destroy(struct session *session)
{
	struct grant *g;

	while ((g = LIST_FIRST(&session->grants)))
		store_release(g);
	keep_session_gone(session);
	LIST_REMOVE(session, node);
	session->domain->session_count--;
	if (session->conn >= 0)
		close(session->conn);
	free(session);
}

void domain_reset(struct domain *domain)
{
	struct session *s;

	while ((s = LIST_FIRST(&domain->sessions)))
		session_destroy(s);	/* NOLINT(clang-analyzer-unix.Malloc): it leaves the list */
}

/* --- workers --- */

static _Noreturn void become_worker(const struct domain *d, int rpc, int event)
{
	char name[] = "sivshmem-cad", mode[] = WORKER_ARG, locale[] = "LC_ALL=C";
	char *argv[] = { name, mode, monitor.uid, monitor.gid, monitor.empty, NULL };
	char *envp[] = { locale, NULL };
	int from[] = { rpc, event, d->memory, d->wake, d->ring };
	int n = d->vm ? 5 : 2, i;
	sigset_t none;

	/* first out of the way of 3..7, then into place */
	for (i = 0; i < n; i++) {
		from[i] = fcntl(from[i], F_DUPFD, 64);
		if (from[i] < 0)
			_exit(3);
	}
	for (i = 0; i < n; i++)
		if (dup2(from[i], PRIV_FD_RPC + i) < 0)
			_exit(3);
	closefrom(PRIV_FD_RPC + n);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve("/proc/self/exe", argv, envp);
	_exit(3);
}

/* The monitor's ends, ready to be heard; -errno. */
static int make_pairs(struct domain *d, int *rpc, int *event)
{
	int r[2], e[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, r))
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, e)) {
		close(r[0]);
		close(r[1]);
		return -errno;
	}
	d->event = e[0];
	d->rpc = (struct watch){ .fd = r[0], .ready = rpc_ready, .owner = d };
	*rpc = r[1];
	*event = e[1];
	return loop_add(&d->rpc, EPOLLIN);
}

/* What fails here is tried again: the other domains go on meanwhile. */
static void spawn(struct domain *d)
{
	int rpc = -1, event = -1, r;
	pid_t pid = -1;

	r = make_pairs(d, &rpc, &event);
	if (!r) {
		pid = fork();
		r = -errno;
	}
	if (!pid)
		become_worker(d, rpc, event);
	if (rpc >= 0)
		close(rpc);
	if (event >= 0)
		close(event);
	if (pid < 0) {
		warnc(-r, "%s: cannot start a worker", d->name);
		loop_drop(&d->rpc);
		if (d->event >= 0)
			close(d->event);
		d->event = -1;
		d->restart_at = sivshmem_now_ms() + BACKOFF_MAX;
		return;
	}
	d->worker = pid;
	d->started = sivshmem_now_ms();
	if (!d->vm)
		local_listen(true);
}

static void forget_worker(struct domain *d)
{
	store_forget_resize(d);
	loop_drop(&d->rpc);
	if (d->event >= 0)
		close(d->event);
	d->event = -1;
	d->worker = 0;
	/* local processes spoke with it alone: their handshakes died with it */
	if (d->vm)
		return;
	domain_reset(d);
	local_listen(false);
}

/* Handshakes are gone, grants are not; see ring.h. */
static void worker_ended(struct domain *d)
{
	int64_t now = sivshmem_now_ms();

	forget_worker(d);
	d->failures = now - d->started < LIVED_WELL ? d->failures + 1 : 0;
	d->restart_at = now;
	if (d->failures > 2)
		d->restart_at += d->failures > 5 ? BACKOFF_MAX : 25 << (d->failures - 3);
}

void domain_restart(struct domain *domain)
{
	if (domain->worker)
		kill(domain->worker, SIGKILL);	/* domains_reap() goes on */
}

void domains_reap(void)
{
	int status;
	uint32_t i;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (host_signer_reaped(pid, status))
			continue;
		for (i = 0; i < monitor.domain_count; i++) {
			struct domain *d = &monitor.domains[i];

			if (d->worker != pid)
				continue;
			audit_write(&(struct audit){ .event = "worker-exit", .domain = d,
				.reason = WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) :
								"exited" });
			worker_ended(d);
		}
	}
}

int domains_deadline(void)
{
	int64_t first = -1, now = sivshmem_now_ms();
	uint32_t i;

	for (i = 0; i < monitor.domain_count; i++) {
		const struct domain *d = &monitor.domains[i];

		if (!d->worker && (first < 0 || d->restart_at < first))
			first = d->restart_at;
	}
	if (first < 0)
		return -1;
	return first > now ? (int)(first - now) : 0;
}

void domains_tick(void)
{
	uint32_t i;

	for (i = 0; i < monitor.domain_count; i++) {
		struct domain *d = &monitor.domains[i];

		if (!d->worker && sivshmem_now_ms() >= d->restart_at)
			spawn(d);
	}
}

int domain_send(struct domain *domain, const struct priv_event *event,
		uint32_t extents, int fd)
{
	if (domain->event < 0)
		return -EAGAIN;
	return send_fd(domain->event, event,
		       sizeof(*event) + extents * sizeof(struct sivring_extent), fd, MSG_DONTWAIT);
}

/* --- */

static void domain_init(struct domain *d, const struct policy_vm *vm)
{
	d->vm = vm;
	d->name = vm ? vm->name : POLICY_HOST_VM;
	d->memory = d->wake = d->ring = d->event = d->rpc.fd = -1;
	d->control.listener.fd = d->control.conn.fd = -1;
	LIST_INIT(&d->sessions);
}

int domains_start(void)
{
	uint32_t i;

	monitor.domain_count = monitor.policy->vm_count + 1;
	monitor.domains = calloc(monitor.domain_count, sizeof(*monitor.domains));
	if (!monitor.domains)
		return -ENOMEM;
	for (i = 0; i < monitor.domain_count; i++)
		domain_init(&monitor.domains[i], i < monitor.policy->vm_count ?
			    &monitor.policy->vms[i] : NULL);
	return 0;
}

void domains_stop(void)
{
	uint32_t i;

	for (i = 0; i < monitor.domain_count; i++)
		domain_restart(&monitor.domains[i]);
}
