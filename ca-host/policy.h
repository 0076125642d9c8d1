/* SPDX-License-Identifier: MIT */
/*
 * The policy file (sivshmem-policy(5)) and what follows from it: who may do
 * what, which VMs share which link. Read by sivshmem-ca and the monitor;
 * immutable once loaded.
 */
#ifndef SIVSHMEM_CA_POLICY_H
#define SIVSHMEM_CA_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include <sivshmem/proto.h>
#include <sivshmem/uapi.h>
#include "../shim/lib/keyfile.h"

#define POLICY_HOST_VM		"host"	/* the VM name of processes on the host */
#define POLICY_MAX_VMS		64
#define POLICY_MAX_LINKS	64

/* Of a VM, or of a service; 0: as many as there may be otherwise. */
struct policy_limits {
	uint64_t bytes;			/* of objects that it created, page-rounded */
	uint32_t objects;		/* that it created */
	uint32_t sessions;		/* at once */
	uint32_t handshakes, log;	/* each second: handshakes; lines in the audit log */
};
#define POLICY_SESSIONS_MAX	1024	/* of a VM */
#define POLICY_RATE_MAX		100000

struct policy_vm {
	char name[SIVP_VM_LEN];		/* [A-Za-z0-9._-]+ */
	uint32_t index;			/* IVPosition: SIVRING_ID_CONTROL | index */
	bool any_uid;
	uint32_t uid;			/* that QEMU must run as, if !any_uid */
	struct policy_limits limits;
	uint32_t line;
};

struct policy_service {
	char name[SIVP_NAME_LEN];
	uint32_t vm;			/* index into vms, or POLICY_ON_HOST */
	bool any_uid;
	uint32_t uid;			/* that the process must have, if !any_uid */
	struct policy_limits limits;
	uint32_t line;
};
#define POLICY_ON_HOST		0xffffffffu

struct policy_member {
	uint32_t service;		/* index into services */
	uint32_t rights;		/* SIVSHMEM_RIGHT_* */
};

struct policy_channel {
	char name[SIVP_NAME_LEN];
	uint64_t quota;			/* bytes, all objects, page-rounded */
	uint32_t objects;		/* how many may exist */
	uint32_t link;			/* index into links; POLICY_ON_HOST: local */
	uint32_t member_count;
	struct policy_member *members;
	uint32_t line;
};

/* One per distinct pair of (VMs that may write, VMs that may read). */
struct policy_link {
	uint64_t writers, readers;	/* bit i: vms[i]; writers is within readers */
	uint64_t memory;		/* bytes, power of two, >= 2 MiB */
	uint64_t usable;		/* of them, before the wake table and the holders */
	bool split;			/* some VM may only read: the table is elsewhere */
	/* the IVPosition of vms[i] on it: SIVRING_ID_LINK | index; 0 if not on it */
	uint16_t position[POLICY_MAX_VMS];
};

struct policy {
	char host[SIVP_HOST_LEN];
	struct policy_limits limits;	/* of the host's processes, and VMs without their own */
	uint32_t vm_count, service_count, channel_count, link_count;
	struct policy_vm *vms;
	struct policy_service *services;
	struct policy_channel *channels;
	struct policy_link *links;
};

/* -errno with err->text "file:line: what, got 'value'; what to do" */
int policy_load(const char *path, struct policy **policy,
	struct sivshmem_error *err);
void policy_free(struct policy *policy);

/* NULL when there is none */
const struct policy_vm *policy_find_vm(const struct policy *p, const char *name);
const struct policy_service *policy_find_service(const struct policy *p,
	const char *name);
const struct policy_channel *policy_find_channel(const struct policy *p,
	const char *name);
/* 0 when the service is no member */
uint32_t policy_rights(const struct policy *p, const struct policy_channel *c,
	const struct policy_service *s);

/* Socket paths, the same for daemon and `sivshmem-ca qemu-args`. */
/* May VM `from` ring VM `to` on the link? */
bool policy_may_wake(const struct policy_link *link, uint32_t from, uint32_t to);
void policy_control_path(const struct policy *p, const char *run_dir,
	uint32_t vm, char *path, size_t size);	/* RUN/vm/NAME/control.sock */
void policy_link_path(const struct policy *p, const char *run_dir,
	uint32_t vm, uint32_t link, char *path, size_t size); /* .../linkN.sock */
void policy_memory_path(const struct policy *p, const char *run_dir,
	uint32_t vm, uint32_t link, char *path, size_t size); /* .../linkN.memory */
/* The VMs that reach the link and may not write it. */
uint64_t policy_only_read(const struct policy_link *link);

#endif
