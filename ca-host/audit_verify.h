/* SPDX-License-Identifier: MIT */
/*
 * Is an audit log whole? Its lines are handed over in order, of one file after
 * the other; what is wrong with them comes back as findings. Layout and chain:
 * audit_chain.h.
 *
 * The chain has no key, so a line proves nothing until a checkpoint comes. The
 * next daemon goes on from whatever it finds: its checkpoints say nothing of
 * lines that the one before it did not sign. Those are unproven.
 */
#ifndef SIVSHMEM_CA_AUDIT_VERIFY_H
#define SIVSHMEM_CA_AUDIT_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sivshmem/proto.h>

#include "audit_chain.h"
#include "crl.h"

struct audit_verify {
	struct sivp_cert root;
	const struct crl *crl;		/* host certificates that prove nothing; or NULL */
	int64_t now;			/* s since 1970: is a signature overdue? 0: don't ask */
	/* a fault, or (fault false) something to know; for FILE:LINE */
	void (*say)(void *context, bool fault, const char *text);
	void *context;

	/* results */
	uint64_t first, last;		/* numbers of lines; 0: none yet */
	uint64_t lines, checkpoints;
	uint64_t faults;
	uint64_t unproven;		/* lines */
	uint64_t signed_last;		/* the last line that a signature covers */
	char host[SIVP_NAME_LEN + 1];	/* who signed; "": nobody yet */
	char time[40];			/* of the last line */

	/* own */
	uint8_t chain[AUDIT_CHAIN_LEN];
	uint8_t key[SIVP_KEY_LEN];
	bool foreign;			/* the line before was none of ours, */
	bool torn;			/* and had no newline */
	bool stopping;			/* the line before was a stop, */
	bool stopped;			/* or the signature under one */
	int64_t when;			/* the last line's time */
};

/* One line without its newline; whole: it had one. */
void audit_verify_line(struct audit_verify *v, const char *line, size_t length, bool whole);
/* After the last; head: what the file beside the log has, or NULL. */
void audit_verify_end(struct audit_verify *v, const char *head);

#endif
