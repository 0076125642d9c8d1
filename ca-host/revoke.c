/* SPDX-License-Identifier: MIT */
/*
 * Certificates that are not believed any more. Sessions that stand on them end
 * at once. What such a session could write is not trusted with its name any
 * more either: whoever opens the name next gets new memory. (A certificate that
 * only expires opens nothing more; what it has mapped it keeps.)
 */
#include "keep.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bsd/err.h>

#include "../shim/lib/cert.h"
#include "crl.h"
#include "writers.h"

#define SEEN_FILE	"revoked.epoch"		/* the highest that was ever believed */

static char *list_path, *seen_path;
static struct crl list;

/* --- one session --- */

/* Its name is free, the memory stays with those who have it. */
static void quarantine(const struct session *s)
{
	struct grant *g;

	LIST_FOREACH(g, &s->grants, of_session) {
		lock_drop(g);
		roster_leave(g, SIVP_MEMBER_REVOKED);
		if (!(g->rights & SIVSHMEM_RIGHT_WRITE) || g->object->unlinked)
			continue;
		store_unlink_object(g->object);
		audit_write(&(struct audit){ .event = "quarantine", .session = s,
			.channel = g->object->channel->name, .object = g->object->name,
			.reason = "revoked" });
	}
}

/*
 * The session and its grants stay known until the guest's kernel says that
 * nothing there reaches the memory any more, or until its device is gone.
 */
static void end(struct session *s)
{
	struct priv_event event = {
		.type = PRIV_EVENT_END, .reason = EKEYREVOKED, .session = s->id,
	};

	audit_write(&(struct audit){ .event = "revoke", .session = s, .refused = true,
				     .reason = "revoked" });
	quarantine(s);
	s->revoked = true;
	keep_session(s);
	/* a worker that does not listen is replaced; the next one is told on asking */
	if (domain_send(s->domain, &event, 0, -1))
		domain_restart(s->domain);
}

/* --- all of them --- */

bool revoke_has(const struct sivp_chain *chain)
{
	return crl_has_chain(&list, chain);
}

static bool has_serial(uint64_t serial)
{
	return crl_has(&list, serial);
}

/* What a session could write that has ended before: its process may have it mapped still. */
static void quarantine_rest(const struct policy_channel *channel)
{
	struct object *o, *next;
	uint64_t serial;

	for (o = store_first(channel); o; o = next) {
		next = LIST_NEXT(o, node);
		serial = o->unlinked ? 0 : writers_find(o, has_serial);
		if (!serial)
			continue;
		audit_write(&(struct audit){ .event = "quarantine", .serial = serial,
			.domain = monitor_host_domain(), .channel = channel->name,
			.object = o->name, .reason = "revoked" });
		store_unlink_object(o);
	}
}

void revoke_sessions(bool again)
{
	struct session *s;
	uint32_t i;

	for (i = 0; i < monitor.domain_count; i++) {
		LIST_FOREACH(s, &monitor.domains[i].sessions, node) {
			if ((again || !s->revoked) && revoke_has(&s->chain))
				end(s);
		}
	}
	for (i = 0; i < monitor.policy->channel_count; i++)
		if (monitor.policy->channels[i].link == POLICY_ON_HOST)
			quarantine_rest(&monitor.policy->channels[i]);
}

uint64_t revoke_epoch(void)
{
	return list.epoch;
}

/* --- the list --- */

/* -1: it cannot be known */
static int read_seen(uint64_t *epoch)
{
	FILE *f = fopen(seen_path, "re");
	int n;

	*epoch = 0;
	if (!f)
		return errno == ENOENT ? 0 : -1;
	n = fscanf(f, "%20" SCNu64, epoch);
	fclose(f);
	return n == 1 ? 0 : -1;
}

static int write_seen(uint64_t epoch)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", epoch);
	int fd = open(seen_path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	int rc = 0;

	if (fd < 0)
		return -errno;
	/* one write of a number that only grows longer: never half of another */
	if (write(fd, text, (size_t)n) != n || fdatasync(fd))
		rc = -EIO;
	close(fd);
	return rc;
}

/* NULL, or why the list in the file cannot take the place of ours */
static const char *take(struct crl *fresh, char *text, size_t size)
{
	struct sivshmem_error e;
	uint64_t seen;

	/* the host's own chain holds, so its intermediate may speak for the host */
	if (crl_read(list_path, &monitor.root,
		     monitor.chain.count == 2 ? &monitor.chain.cert[1] : NULL, fresh, &e)) {
		snprintf(text, size, "%s", e.text);
		return text;
	}
	if (read_seen(&seen)) {
		snprintf(text, size, "%s: not a number; restore it", seen_path);
		return text;
	}
	if (seen < list.epoch)
		seen = list.epoch;
	if (fresh->epoch < seen) {
		snprintf(text, size, "%s: epoch %" PRIu64 ", but epoch %" PRIu64
			 " was believed already: an old list was brought back; restore the newest",
			 list_path, fresh->epoch, seen);
		return text;
	}
	if (fresh->epoch > seen && write_seen(fresh->epoch)) {
		snprintf(text, size, "%s: cannot write: %s", seen_path, strerror(errno));
		return text;
	}
	return NULL;
}

static const char *load(void)
{
	static char text[1024];
	struct crl fresh;
	const char *bad = take(&fresh, text, sizeof(text));

	if (bad) {
		crl_free(&fresh);
		return bad;
	}
	crl_free(&list);
	list = fresh;
	return NULL;
}

void revoke_reload(void)
{
	const char *bad = load();

	audit_write(&(struct audit){ .event = "revocation-list", .refused = bad != NULL,
				     .reason = bad });
	if (bad) {
		warnx("%s; the list of epoch %" PRIu64 " stays in force", bad, list.epoch);
		return;
	}
	warnx("revocation list: epoch %" PRIu64 ", %zu serials", list.epoch, list.count);
	revoke_sessions(false);
}

void revoke_start(const char *ca_dir)
{
	const char *bad;

	if (asprintf(&list_path, "%s/" CRL_FILE, ca_dir) < 0 ||
	    asprintf(&seen_path, "%s/" SEEN_FILE, ca_dir) < 0)
		err(3, "asprintf");
	bad = load();
	if (bad)
		errx(3, "%s", bad);
}
