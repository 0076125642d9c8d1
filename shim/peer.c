/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/group.h"
#include "lib/member.h"

#define PATIENCE_MS	2000		/* with a peer that is there, without wait= */
#define POLL_MS		10
#define SERVE_FIRST_MS	5
#define SERVE_MAX_MS	400
#define STALE_MS	1000
#define DOWN_MS		10000		/* connecting may take as long, inside */
#define STACK		(256 * 1024)

/* under the core's lock */
static bool serving, joined_anew, told_down;
static int64_t again;			/* not to connect before */

/* --- answering peers, for a program that knows nothing of them --- */

static void report(struct sivshmem_group *g)
{
	struct sivshmem_event e;

	/* those that were fetched already: the host is not asked */
	while (g->count && sivshmem_next_event(g, &e, 0) == 1) {
		if (e.type == SIVSHMEM_REFUSED)
			shim_say("'%.63s': %.63s is not taken for a peer: %s", g->place.object,
				 e.member.service, e.member.reason);
	}
}

/*
 * The connection is gone, and with it all that the host knew of this process. An
 * object that lost its name has no openers left to be told. false: give it up.
 */
static bool come_back(struct sivshmem_group *g)
{
	int rc = sivshmem_now_ms() < again ? -EAGAIN : sivshmem_group_rejoin(g);

	switch (rc) {
	case 0:
		told_down = false;
		return true;
	case -EAGAIN:
		return true;
	case -ESTALE:		/* by the certificate of before a renewal */
		sivshmem_session_drop(g->session);
		again = sivshmem_now_ms() + STALE_MS;
		return true;
	case -EHOSTDOWN:
		if (!told_down)
			shim_say("'%.63s': no peer can verify this process: %s", g->place.object,
				 sivshmem_error_text(g->session));
		told_down = true;
		again = sivshmem_now_ms() + DOWN_MS;
		return true;
	case -ENOENT:
		return false;
	}
	shim_say("'%.63s': no peer can verify this process any more: %s", g->place.object,
		 sivshmem_error_text(g->session));
	return false;
}

struct round {
	unsigned int groups;
	bool news;
};

static void serve_session(struct sivshmem_session *s, void *data)
{
	struct sivshmem_group *g, *next;
	struct round *round = data;

	for (g = s->groups; g; g = next) {
		int rc = sivshmem_group_refresh(g);

		next = g->next;
		round->news |= g->count != 0;
		report(g);
		/* else all uses of the object have ended, or the host lies */
		if (!rc || (rc != -EPROTO && sivshmem_group_lost(g) && come_back(g)))
			round->groups++;
		else
			sivshmem_leave(g);
	}
}

static bool serve_all(unsigned int *pause)
{
	struct round round = { 0 };
	struct shim_section s;

	if (!shim_enter_core(&s))
		return false;
	shim_each_session(serve_session, &round);
	if (round.news || joined_anew)
		*pause = SERVE_FIRST_MS;
	joined_anew = false;
	serving = round.groups != 0;
	shim_leave_core(&s);
	return round.groups != 0;
}

static void *serve(void *unused)
{
	unsigned int pause = SERVE_FIRST_MS;

	do {
		sivshmem_sleep_ms(pause);
		pause = pause * 2 > SERVE_MAX_MS ? SERVE_MAX_MS : pause * 2;
	} while (serve_all(&pause));
	return unused;
}

/* The program's signals are for its own threads. */
static int start_serving(void)
{
	sigset_t all, old;
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	joined_anew = true;
	if (serving)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	r = pthread_create(&thread, &attr, serve, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	serving = !r;
	return -r;
}

void peer_after_fork(void)
{
	serving = told_down = false;
	again = 0;
}

/* --- the line's word --- */

int peer_join(const struct shim_name *name, const struct shim_section *s,
	      const struct sivp_result *opened)
{
	struct sivshmem_group *g = sivshmem_group_find(s->session, opened->generation);
	int rc;

	if (g && !sivshmem_group_refresh(g))
		return start_serving();
	if (g)
		sivshmem_leave(g);
	rc = sivshmem_group_join(s->session, name->rule->channel, name->object, opened, &g);
	return rc ? rc : start_serving();
}

static bool is_creator(const char *service, const struct sivp_result *opened)
{
	return !strncmp(opened->creator, service, sizeof(opened->creator));
}

/* 1: not yet; else as peer_await(), negative, with text. */
static int look(const struct shim_name *name, struct sivshmem_session *s,
		const struct sivp_result *opened, char *text, size_t size)
{
	const char *peer = name->rule->peer;
	struct sivshmem_group *g = sivshmem_group_find(s, opened->generation);
	const struct sivshmem_member *m;
	bool own = is_creator(s->info.service, opened);
	int rc = g ? sivshmem_group_refresh(g) : -ESTALE;

	if (rc) {
		snprintf(text, size, "%s: %s", peer, g ? sivshmem_error_text(s) :
			 "the connection to the host was lost while waiting for it");
		return rc;
	}
	report(g);
	m = sivshmem_group_best(g, peer);
	if (m && m->state == SIVSHMEM_CONFIRMED && (own || is_creator(peer, opened)))
		return 0;
	if (!m && own)
		return 0;		/* it made the object for the peer to come */
	if (m && m->state == SIVSHMEM_CONFIRMED) {
		snprintf(text, size, "%s, which its line of the map file expects, takes part, but "
			 "%.63s created the object", peer, opened->creator);
		return -EACCES;
	}
	if (m && m->state == SIVSHMEM_REFUSED) {
		snprintf(text, size, "%s, which its line of the map file expects, does not prove "
			 "itself: %s", peer, m->reason);
		return -EACCES;
	}
	if (m)
		snprintf(text, size, "%s, which its line of the map file expects, is certified but "
			 "did not confirm itself in time", peer);
	else
		snprintf(text, size, "its line of the map file expects %s, which has not joined the "
			 "object (%.63s created it); see that it runs, with peer= too", peer,
			 opened->creator);
	return 1;
}

static void give_up(struct sivshmem_session *s, const struct sivp_result *opened, int fd)
{
	struct sivshmem_group *g = sivshmem_group_find(s, opened->generation);

	if (g && g->grant == opened->grant)
		sivshmem_leave(g);
	sivshmem_give_back(s, fd, opened->grant);
}

int peer_await(const struct shim_name *name, const struct sivp_result *opened, int fd)
{
	unsigned int wait = name->rule->wait;
	int64_t deadline = sivshmem_now_ms() + (wait ? wait * 1000 : PATIENCE_MS);
	char text[SIVSHMEM_ERROR_MAX];
	struct shim_section s;
	int rc;

	if (!strcmp(name->rule->peer, "*"))
		return 0;
	for (;;) {
		rc = shim_enter(name, &s);
		if (rc)
			return rc;
		rc = look(name, s.session, opened, text, sizeof(text));
		if (rc <= 0 || sivshmem_now_ms() >= deadline)
			break;
		shim_leave(name, &s, 0);
		sivshmem_sleep_ms(POLL_MS);
	}
	if (!rc) {
		shim_leave(name, &s, 0);
		return 0;
	}
	give_up(s.session, opened, fd);
	return shim_leave_failed(name, &s, rc > 0 && wait ? ETIMEDOUT : EACCES, text);
}
