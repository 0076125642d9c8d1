/* SPDX-License-Identifier: MIT */
/* What the files of the monitor share. One monitor per process. */
#ifndef SIVSHMEM_CA_MONITOR_H
#define SIVSHMEM_CA_MONITOR_H

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/un.h>

#include "../shim/lib/clock.h"
#include "../shim/lib/handshake.h"
#include "bucket.h"
#include "policy.h"
#include "privsep.h"

#define MONITOR_SESSIONS_MAX	POLICY_SESSIONS_MAX
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
	const struct policy_service *holder;	/* whose its grants are; NULL: it never was */
	uint64_t serial;
	int64_t not_after;		/* of its certificates, 0: never */
	bool revoked;			/* over, but its guest may have the memory yet */
	struct sivp_chain chain;	/* the holder's */
	struct sivshmem_proof proof;
	int conn;			/* local: to send memfds on; else -1 */
	int64_t since;
	uint32_t grant_count;
	struct grant_list grants;
};

LIST_HEAD(lock_list, lock);
struct grant {
	LIST_ENTRY(grant) of_session, of_object, by_id, of_changed;
	uint64_t id;
	uint32_t rights;
	struct session *session;
	struct object *object;
	struct lock_list locks;
	bool relock;			/* while lock.c changes them */
};

struct object {
	LIST_ENTRY(object) node;
	const struct policy_channel *channel;
	char name[SIVP_NAME_LEN];
	char creator[SIVP_NAME_LEN];	/* the service */
	const struct policy_service *maker;	/* it, or NULL: not in this policy */
	uint64_t id, generation, size, change;
	uint64_t pages;			/* that it holds */
	struct domain *resizer;		/* whose resize goes on: to this, from here to there */
	uint64_t resize_to, zero_at, zero_end;
	uint32_t mode, uid, gid;
	bool unlinked;
	int memfd;			/* local, else -1 */
	uint64_t *writers;		/* of a local one: writers.h */
	uint32_t writer_count;
	uint32_t extent_count;
	struct sivring_extent *extents;
	uint32_t grant_count;
	struct grant_list grants;
	struct lock_list locks;
	bool lock_wanted;		/* somebody waits for the end of one */
	struct roster *roster;		/* NULL: nobody has joined */
};

/* --- hub.c: the sockets that QEMU connects to --- */
struct device {
	struct watch listener, conn;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct domain *domain;
	int link;			/* index, or -1: control */
	uint32_t sent;			/* messages of the greeting */
	struct bucket returns;		/* how often it may listen anew */
	bool waits;			/* for that */
};
int hub_start(void);
void hub_stop(void);
int hub_deadline(void);
void hub_tick(void);

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
	struct object *resizing;	/* by its worker's request, which is looked at again */
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

/* The last that were given; none is given twice. */
extern struct store_ids {
	uint64_t object, grant, generation;
} store_ids;

/* --- rpc.c --- */
void rpc_ready(struct watch *watch, uint32_t events);

/* --- store.c: objects and grants. Errors are positive errnos. --- */
#define STORE_LATER	EINPROGRESS	/* not done yet: ask the same again, soon */
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
/* resize.c. The domain asks for something else: a resize that goes on is given up. */
void store_forget_resize(struct domain *domain);
struct grant *store_grant(uint64_t id);
void store_release(struct grant *grant);
void store_unlink_object(struct object *object);	/* whoever asks; it may be gone then */
/* Describe for the wire; link is the IVPosition as the grant's VM sees it. */
void store_describe(const struct grant *grant, struct sivring_object *out);
struct object *store_first(const struct policy_channel *channel);
/* Tell the kernels of all VMs that have the object, but of `except`, how it is. */
void store_announce(const struct object *object, const struct domain *except);
uint64_t store_used(const struct policy_channel *channel);	/* bytes */

/* For keep_load.c. The object as it was, at its pages; NULL: others have them. */
struct object *store_adopt(const struct object *was, const struct sivring_extent *extents);
/* Rights that the policy gives no more end the session; false: no memory. */
bool store_adopt_grant(uint64_t id, uint32_t rights, struct session *session,
	struct object *object);
void store_adopt_lost(uint32_t link, const struct sivring_extent *extent);
void store_adopted(void);

/* --- lock.c: flock(2) and fcntl(2) locks between VMs --- */
/* 0 or a positive errno; EAGAIN: *in_way is the first that is. */
int lock_set(struct grant *grant, const struct sivring_lock *wanted,
	struct sivring_lock *in_way);
void lock_drop(const struct grant *grant);	/* all that it holds */
const struct lock *lock_next(const struct lock *lock);	/* of its grant */
const struct sivring_lock *lock_is(const struct lock *lock);

/* --- roster.c: the members of an object. Errors are positive errnos. --- */
/* Verify and attest; *reason for the audit log, or NULL. */
int roster_join(struct grant *grant, const struct sivp_join *join,
	struct sivp_attest *attest, const char **reason);
/* What changed after roster number `after`, the oldest first. */
int roster_list(const struct grant *grant, uint64_t after, struct sivp_roster *roster,
	struct sivp_slot slots[SIVP_SLOTS_MAX]);
int roster_confirm(const struct grant *grant, const struct sivp_confirm *confirm);
/* ENOENT: it had not joined. */
int roster_leave(const struct grant *grant, enum sivp_member_state how);
void roster_free(struct object *object);
/* The number of the last member; none is given twice. */
uint32_t roster_last(const struct object *object);
bool roster_adopt(struct object *object, uint32_t last);
/* PRIV_JOIN, MEMBERS, CONFIRM, LEAVE */
int roster_request(const struct session *session, const struct priv_request *request,
	struct priv_reply *reply);

/* --- links, made by hub.c --- */
struct link {
	int memory;			/* memfd, or of `file` */
	int table;			/* memfd with the wake table: the memory, or one of its own */
	char *file;			/* of a split link: link_file.c; else NULL */
	int bell[POLICY_MAX_VMS];	/* eventfd of each VM, or -1 */
	struct device device[POLICY_MAX_VMS];
	struct pages *pages;		/* alloc.h */
	uint32_t wiping;		/* runs that are not free yet: wipe.h */
	struct sivwake_slot *slots;	/* of the VMs: sivshmem/wake.h */
};

/* --- link_file.c: memory that QEMU opens itself --- */
int link_file_make(uint32_t link);	/* an fd, or -errno */
/* link->memory came from the last monitor: false with errno when its file is gone */
bool link_file_take(uint32_t link);
void link_file_names(uint32_t link);	/* where `qemu-args` says it is */
void link_file_stop(void);

/* --- wake.c --- */
int wake_start(uint32_t link);		/* -errno */
void wake_vm_gone(uint32_t link, uint32_t vm);
/* Another kernel runs in the VM, or the same says again which of its threads live. */
void wake_kernel_gone(const struct domain *domain);

/* --- identity.c: certificates and key of the host --- */
int identity_load(const char *ca_dir, struct sivshmem_error *err);	/* -errno */
int identity_start_signer(struct sivshmem_error *err);
void identity_reload(void);		/* their files may be others */

/* --- revoke.c: what is not believed any more, and sessions that stood on it --- */
void revoke_start(const char *ca_dir);
void revoke_reload(void);		/* the list's file may be another */
/* End those that stand on what it names; again: also those that are cut off already. */
void revoke_sessions(bool again);
bool revoke_has(const struct sivp_chain *chain);
uint64_t revoke_epoch(void);

/* --- local.c, status.c --- */
int local_start(void);
void local_stop(void);
void local_listen(bool on);		/* who connects without a worker waits for it */
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
	const char *to;			/* its new name */
	uint32_t rights;		/* 0: not said */
	bool refused;
	const char *reason;
	const char *subject;		/* claimed, when there is no service yet */
	uint64_t serial;
	uint64_t handshakes, lines;	/* that there were too many of */
};
int audit_start(const char *path);
void audit_reopen(void);	/* the file may have been moved away */
void audit_stop(void);
void audit_seal(void);		/* sign what there is now */
void audit_origin(const char *event);	/* who signs from here on */
int audit_deadline(void);
void audit_tick(void);
void audit_write(const struct audit *audit);
/* A JSON string of at most max bytes, whatever bytes they are. */
json_t *audit_text(const char *text, size_t max);

struct monitor {
	struct policy *policy;
	const char *run_dir;
	char host[SIVP_HOST_LEN];
	struct sivp_cert root;
	struct sivp_chain chain;	/* the host's */
	uint8_t boot_epoch[16];
	uint64_t next_session;
	char uid[16], gid[16], empty[256];	/* for workers; "-": no drop */
	char signer_uid[16], signer_gid[16];
	char passphrase_file[PATH_MAX];	/* of the host's key; "": it is not sealed */
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
