/* SPDX-License-Identifier: MIT */
/* What the commands of sivshmem-ca share. */
#ifndef SIVSHMEM_CA_CA_H
#define SIVSHMEM_CA_CA_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <jansson.h>
#include <sivshmem/proto.h>
#include "../shim/lib/cert.h"
#include "../shim/lib/keyfile.h"
#include "policy.h"

#define CA_DIR		"/etc/sivshmem"
#define CA_RUN_DIR	"/run/sivshmem"

enum { EXIT_OK, EXIT_REFUSED, EXIT_USAGE, EXIT_SYSTEM };

struct ca {
	const char *dir;
	const char *passphrase_file;	/* NULL: ask at the terminal */
	const char *usage;		/* of the command that runs */
};

/* One command: argv[0] is its name, the exit code comes back. */
int cmd_init(const struct ca *ca, int argc, char **argv);
int cmd_issue(const struct ca *ca, int argc, char **argv);
int cmd_list(const struct ca *ca, int argc, char **argv);
int cmd_show(const struct ca *ca, int argc, char **argv);
int cmd_revoke(const struct ca *ca, int argc, char **argv);
int cmd_reload(const struct ca *ca, int argc, char **argv);
int cmd_renew(const struct ca *ca, int argc, char **argv);
int cmd_rotate_host(const struct ca *ca, int argc, char **argv);
int cmd_intermediate(const struct ca *ca, int argc, char **argv);
int cmd_passphrase(const struct ca *ca, int argc, char **argv);
int cmd_check(const struct ca *ca, int argc, char **argv);
int cmd_qemu_args(const struct ca *ca, int argc, char **argv);
int cmd_audit(const struct ca *ca, int argc, char **argv);
int cmd_libvirt_xml(const struct ca *ca, int argc, char **argv);
int cmd_status(const struct ca *ca, int argc, char **argv);

/* QEMU's arguments for the VM that argv names, by its options; json NULL: none of those. */
int ca_vm_args(const struct ca *ca, int argc, char **argv, bool *json, json_t **args);

/* Print the message (and how the command is used); return the exit code. */
int ca_usage(const struct ca *ca, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int ca_fail(int code, const struct sivshmem_error *err);

/* DIR/file of the CA; dies when it is too long. */
const char *ca_path(const struct ca *ca, const char *file, char path[PATH_MAX]);
/* The CA's one root certificate. */
int ca_root(const struct ca *ca, struct sivp_cert *root,
	struct sivshmem_error *err);
/* 1 when an example was written, 0 when there is a policy already; -errno */
int ca_example_policy(const char *path, const char *host, struct sivshmem_error *err);
/* Tell the daemon of run_dir, if one runs, to read its files again. */
int ca_reload(const char *run_dir);
int ca_revoke(const struct ca *ca, char *serial);
/* Why the chain does not hold at `now`, without any binding. */
enum sivshmem_cert_error ca_verify(const struct sivp_chain *chain,
	const struct sivp_cert *root, int64_t now);

/* By time, so that files sort; two of one millisecond rarely meet. */
uint64_t ca_new_serial(void);

/* "2026-01-31T12:00:00Z"; 0 gives "no end" */
const char *ca_time_text(int64_t t, char text[32]);
/* RFC 3339 or seconds since 1970 */
bool ca_time_parse(const char *text, int64_t *t);
/* "any" or the number */
const char *ca_id_text(uint32_t id, char text[16]);
/* "16M", or bytes where no unit fits */
const char *ca_size_text(uint64_t bytes, char text[32]);
/* "rw,create" */
const char *ca_rights_text(uint32_t rights, char text[32]);
const char *ca_kind_text(uint8_t kind);
/* "valid", "expired", "not yet", or the reason */
const char *ca_state_text(enum sivshmem_cert_error error);

/* All that a certificate says; the caller owns the object. */
json_t *ca_cert_json(const struct sivp_cert *cert);
/* Print and free; EXIT_SYSTEM when there is no memory or no room. */
int ca_json_print(json_t *json);

/* Left-aligned columns. Cells are copied; control bytes become '?'. */
struct ca_table {
	size_t columns, cells;
	char **cell;
};
void ca_table_cell(struct ca_table *table, const char *text);
void ca_table_cells(struct ca_table *table, const char *const *texts, size_t count);
#define ca_table_row(table, ...) \
	ca_table_cells(table, (const char *const []){ __VA_ARGS__ }, \
		sizeof((const char *const []){ __VA_ARGS__ }) / sizeof(const char *))
/* Print with the given indentation, and free. */
void ca_table_print(struct ca_table *table, const char *indent);
void ca_table_free(struct ca_table *table);

#endif
