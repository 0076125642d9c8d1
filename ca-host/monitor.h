/* SPDX-License-Identifier: MIT */
/* What the files of the monitor share. One monitor per process. */
#ifndef SIVSHMEM_CA_MONITOR_H
#define SIVSHMEM_CA_MONITOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/un.h>

#include "../shim/lib/clock.h"
#include "../shim/lib/handshake.h"
#include "policy.h"
#include "privsep.h"

#define MONITOR_SESSIONS_MAX	1024	/* of a domain */
#define MONITOR_GRANTS_MAX	256	/* of a session */

/* --- loop.c: one fd, one function --- */
struct watch {
	int fd;
	void (*ready)(struct watch *watch, uint32_t events);
	void *owner;
};
int loop_init(void);
int loop_add(struct watch *watch, uint32_t events);
int loop_change(struct watch *watch, uint32_t events);
/* Close the fd and forget events of this round; fine for fd -1. */
void loop_drop(struct watch *watch);
/* Run until stop; deadline gives the ms until `tick` wants to be called, or -1. */
void loop_run(const bool *stop, int (*deadline)(void), void (*tick)(void));

/* --- send_fd.c: all of data and, unless -1, an fd, without waiting; -errno --- */
int monitor_send(int socket, const void *data, size_t length, int fd);

/* --- sessions and grants, as the monitor knows them --- */
struct object;
struct domain;
LIST_HEAD(grant_list, grant);
LIST_HEAD(session_list, session);
LIST_HEAD(object_list, object);

struct session {
	LIST_ENTRY(session) node;
	struct domain *domain;
	uint64_t id;			/* the domain's */
	uint64_t host_id;
	struct sivring_session who;
	const struct policy_service *service;	/* NULL: not authenticated */
	uint64_t serial;
	int64_t not_after;		/* of its certificates, 0: never */
	struct sivshmem_proof proof;
	int conn;			/* local: to send memfds on; else -1 */
	int64_t since;
	uint32_t grant_count;
	struct grant_list grants;
};

struct grant {
	LIST_ENTRY(grant) of_session, of_object, by_id;
	uint64_t id;
	uint32_t rights;
	struct session *session;
	struct object *object;
};

LIST_HEAD(lock_list, lock);
struct object {
	LIST_ENTRY(object) node;
	const struct policy_channel *channel;
	char name[SIVP_NAME_LEN];
	char creator[SIVP_NAME_LEN];	/* the service */
	uint64_t id, generation, size, change;
	uint64_t pages;			/* that it holds */
	uint32_t mode, uid, gid;
	bool unlinked;
	int memfd;			/* local, else -1 */
	uint32_t extent_count;
	struct sivring_extent *extents;
	uint32_t grant_count;
	struct grant_list grants;
	struct lock_list locks;
	bool lock_wanted;		/* somebody waits for the end of one */
};

/* --- hub.c: the sockets that QEMU connects to --- */
struct device {
	struct watch listener, conn;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct domain *domain;
	int link;			/* index, or -1: control */
	uint32_t sent;			/* messages of the greeting */
};
int hub_start(void);
void hub_stop(void);

/* --- domain.c --- */
struct domain {
	const struct policy_vm *vm;	/* NULL: processes of the host */
	const char *name;
	int memory, wake, ring;		/* of a VM: control memfd, eventfds */
	uint64_t ring_epoch;
	pid_t worker;			/* 0: none now */
	int64_t started, restart_at;
	unsigned int failures;
	struct watch rpc;
	int event;
	bool up;			/* a QEMU holds the control device */
	uint32_t session_count;
	struct session_list sessions;
	struct device control;
};
int domains_start(void);
void domains_stop(void);
int domains_deadline(void);
void domains_tick(void);
void domains_reap(void);
/* Kill the worker; the next one starts with a new ring epoch. */
void domain_restart(struct domain *domain);
/* Forget every session and grant: its guest or its worker's clients are gone. */
void domain_reset(struct domain *domain);
/* Returns 0 or -errno; -EAGAIN: the worker does not listen. fd -1: none. */
int domain_send(struct domain *domain, const struct priv_event *event,
	uint32_t extents, int fd);
struct session *domain_session(struct domain *domain, uint64_t id);
/* who->... is copied; NULL when there are too many. */
struct session *session_create(struct domain *domain, uint64_t id,
	const struct sivring_session *who, int conn);
void session_destroy(struct session *session);

/* --- rpc.c --- */
void rpc_ready(struct watch *watch, uint32_t events);

/* --- store.c: objects and grants. Errors are positive errnos. --- */
int store_start(void);
/* oflag and rights as in the protocol; *reason for the audit log, or NULL. */
int store_open(struct session *session, const struct policy_channel *channel,
	const char *name, uint32_t oflag, uint32_t rights, uint32_t mode,
	struct grant **grant, bool *created, const char **reason);
int store_unlink(struct session *session, const struct policy_channel *channel,
	const char *name, const char **reason);
/* As rename(2): an object `to` is unlinked, unless `exclusive`. */
int store_rename(struct session *session, const struct policy_channel *channel,
	const char *from, const char *to, bool exclusive, const char **reason);
int store_resize(struct grant *grant, uint64_t size, bool grow_only,
	const char **reason);
struct grant *store_grant(uint64_t id);
void store_release(struct grant *grant);
/* Describe for the wire; link is the IVPosition as the grant's VM sees it. */
void store_describe(const struct grant *grant, struct sivring_object *out);
struct object *store_first(const struct policy_channel *channel);
/* Tell the kernels of all VMs that have the object, but of `except`, how it is. */
void store_announce(const struct object *object, const struct domain *except);
uint64_t store_used(const struct policy_channel *channel);	/* bytes */

/* --- lock.c: flock(2) and fcntl(2) locks between VMs --- */
/* 0 or a positive errno; EAGAIN: *in_way is the first that is. */
int lock_set(struct grant *grant, const struct sivring_lock *wanted,
	struct sivring_lock *in_way);
void lock_drop(const struct grant *grant);	/* all that it holds */

/* --- links, made by hub.c --- */
struct link {
	int memory;			/* memfd */
	int bell[POLICY_MAX_VMS];	/* eventfd of each VM, or -1 */
	struct device device[POLICY_MAX_VMS];
	struct pages *pages;		/* alloc.h */
	struct sivwake_slot *slots;	/* of the VMs: sivshmem/wake.h */
};

/* --- wake.c --- */
int wake_start(uint32_t link);		/* -errno */
void wake_vm_gone(uint32_t link, uint32_t vm);
/* Another kernel runs in the VM, or the same says again which of its threads live. */
void wake_kernel_gone(const struct domain *domain);

/* --- local.c, status.c --- */
int local_start(void);
void local_stop(void);
/* Send a fresh open of the memfd, so that nobody shares offset and flags; -errno. */
int local_send_fd(int conn, const void *message, size_t length, int memfd, bool write);
int status_start(void);
void status_stop(void);
/* A listening socket at RUN/name; -errno. */
int monitor_listen(const char *path, int type, mode_t mode);

/* --- audit.c --- */
struct audit {
	const char *event;
	const struct session *session;
	const struct domain *domain;	/* where there is no session */
	const char *channel, *object;
	uint32_t rights;		/* 0: not said */
	bool refused;
	const char *reason;
	const char *subject;		/* claimed, when there is no service yet */
	uint64_t serial;
};
int audit_start(const char *path);
void audit_write(const struct audit *audit);
/* A JSON string of at most max bytes, whatever bytes they are. */
json_t *audit_text(const char *text, size_t max);

struct monitor {
	struct policy *policy;
	const char *run_dir;
	char host[SIVP_HOST_LEN];
	struct sivp_cert root;
	struct sivp_chain chain;	/* the host's */
	uint8_t *secret;		/* host key, sodium_malloc */
	uint8_t boot_epoch[16];
	uint64_t next_session;
	char uid[16], gid[16], empty[256];	/* for workers; "-": no drop */
	int fd_end;			/* fds from here on are the monitor's own reserve */
	struct domain *domains;		/* one per VM, the host's last */
	uint32_t domain_count;
	struct link *links;
};
extern struct monitor monitor;

static inline struct domain *monitor_host_domain(void)
{
	return &monitor.domains[monitor.domain_count - 1];
}

#endif
