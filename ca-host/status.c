/* SPDX-License-Identifier: MIT */
/* RUN/status.sock: who connects gets one JSON document of what it may see. */
#include "keep.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "alloc.h"
#include "limits.h"

#define CLIENTS_MAX	16
#define CLIENTS_OF_UID	2	/* that do not read; root and we have no limit */

struct client {
	LIST_ENTRY(client) node;
	uid_t uid;
	struct watch watch;
	char *text;
	size_t length, sent;
};

static struct watch listener = { .fd = -1 };
static char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
static LIST_HEAD(client_list, client) clients = LIST_HEAD_INITIALIZER(clients);

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *list_vms(void)
{
	json_t *all = json_array();
	uint32_t i;

	for (i = 0; i < monitor.domain_count; i++) {
		const struct domain *d = &monitor.domains[i];

		json_array_append_new(all, json_pack("{s:s, s:b, s:i, s:i}",
			"name", d->name, "up", d->vm ? d->up : 1,
			"worker_pid", (int)d->worker, "sessions", (int)d->session_count));
	}
	return all;
}

static json_t *list_links(void)
{
	json_t *all = json_array();
	uint32_t i;

	for (i = 0; i < monitor.policy->link_count; i++)
		json_array_append_new(all, json_pack("{s:i, s:o, s:o}", "link", (int)i,
			"memory", number(monitor.policy->links[i].memory),
			"free", number(pages_free(monitor.links[i].pages))));
	return all;
}

static bool sees_object(const struct object *o, uid_t uid, bool all)
{
	const struct grant *g;

	if (all)
		return true;
	LIST_FOREACH(g, &o->grants, of_object)
		if (!g->session->domain->vm && g->session->who.uid == uid)
			return true;
	return false;
}

static void list_channel(const struct policy_channel *c, json_t *channels,
			 json_t *objects, uid_t uid, bool all)
{
	const struct object *o;
	int count = 0;

	/* of a VM's objects no grant is anybody's of this host */
	if (!all && c->link != POLICY_ON_HOST)
		return;
	for (o = store_first(c); o; o = LIST_NEXT(o, node)) {
		count++;
		if (!sees_object(o, uid, all))
			continue;
		json_array_append_new(objects, json_pack("{s:s, s:o, s:o, s:o, s:b, s:i}",
			"channel", c->name, "name", audit_text(o->name, sizeof(o->name)), "size", number(o->size),
			"generation", number(o->generation), "unlinked", o->unlinked,
			"grants", (int)o->grant_count));
	}
	if (all)
		json_array_append_new(channels, json_pack("{s:s, s:o, s:o, s:i}",
			"name", c->name, "quota", number(c->quota),
			"used", number(store_used(c)), "objects", count));
}

static json_t *one_session(const struct session *s)
{
	const struct grant *g;
	json_t *held = json_array();
	char name[2 * SIVP_NAME_LEN + 8];

	LIST_FOREACH(g, &s->grants, of_session) {
		snprintf(name, sizeof(name), "%s/%s", g->object->channel->name, g->object->name);
		json_array_append_new(held, audit_text(name, sizeof(name)));
	}
	return json_pack("{s:o, s:s, s:s?, s:i, s:i, s:o, s:o, s:o}",
		"session", number(s->host_id), "vm", s->domain->name,
		"service", s->holder ? s->holder->name : NULL,
		"uid", (int)s->who.uid, "pid", (int)s->who.pid, "comm", audit_text(s->who.comm, sizeof(s->who.comm)),
		"age_s", number((uint64_t)(sivshmem_now_ms() - s->since) / 1000), "objects", held);
}

static json_t *list_sessions(uid_t uid, bool all)
{
	json_t *out = json_array();
	uint32_t i;

	for (i = 0; i < monitor.domain_count; i++) {
		const struct domain *d = &monitor.domains[i];
		const struct session *s;

		LIST_FOREACH(s, &d->sessions, node)
			if (all || (!d->vm && s->who.uid == uid))
				json_array_append_new(out, one_session(s));
	}
	return out;
}

static char *document(uid_t uid)
{
	bool all = uid == 0 || uid == geteuid();
	json_t *doc = json_object(), *channels = json_array(), *objects = json_array();
	char *text;
	uint32_t i;

	json_object_set_new(doc, "host", json_string(monitor.host));
	json_object_set_new(doc, "revocation_epoch", number(revoke_epoch()));
	if (all) {
		json_object_set_new(doc, "vms", list_vms());
		json_object_set_new(doc, "links", list_links());
	}
	for (i = 0; i < monitor.policy->channel_count; i++)
		list_channel(&monitor.policy->channels[i], channels, objects, uid, all);
	json_object_set_new(doc, "channels", channels);
	json_object_set_new(doc, "objects", objects);
	json_object_set_new(doc, "sessions", list_sessions(uid, all));
	text = json_dumps(doc, JSON_INDENT(1));
	json_decref(doc);
	return text;
}

static void client_ready(struct watch *watch, uint32_t events)
{
	struct client *c = watch->owner;
	ssize_t n = -1;

	if (!(events & (EPOLLERR | EPOLLHUP)))
		n = send(watch->fd, c->text + c->sent, c->length - c->sent,
			 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		c->sent += (size_t)n;
	if (n > 0 && c->sent < c->length)
		return;
	if (n < 0 && errno == EAGAIN && !(events & (EPOLLERR | EPOLLHUP)))
		return;
	loop_drop(watch);
	LIST_REMOVE(c, node);
	free(c->text);
	free(c);
}

static bool may_ask(uid_t uid)
{
	unsigned int all = 0, own = 0;
	const struct client *c;

	LIST_FOREACH(c, &clients, node) {
		all++;
		own += c->uid == uid;
	}
	if (uid == 0 || uid == geteuid())
		return all < 2 * CLIENTS_MAX;
	return all < CLIENTS_MAX && own < CLIENTS_OF_UID && limits_status(uid);
}

static void serve(int fd)
{
	socklen_t size = sizeof(struct ucred);
	struct client *c = NULL;
	struct ucred peer;

	if (fd >= monitor.fd_end || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) ||
	    !may_ask(peer.uid))
		goto fail;
	c = calloc(1, sizeof(*c));
	if (!c)
		goto fail;
	c->uid = peer.uid;
	c->text = document(peer.uid);
	if (!c->text)
		goto fail;
	c->length = strlen(c->text);
	c->watch = (struct watch){ .fd = fd, .ready = client_ready, .owner = c };
	if (loop_add(&c->watch, EPOLLOUT)) {
		free(c->text);
		goto fail;
	}
	LIST_INSERT_HEAD(&clients, c, node);
	return;
fail:
	free(c);
	close(fd);
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0)
		serve(fd);
}

int status_start(void)
{
	snprintf(path, sizeof(path), "%s/status.sock", monitor.run_dir);
	listener.fd = keep_take_socket("status");
	if (listener.fd < 0)
		listener.fd = monitor_listen(path, SOCK_STREAM, 0666);
	if (listener.fd < 0)
		return listener.fd;
	keep_socket("status", listener.fd);
	listener.ready = listener_ready;
	return loop_add(&listener, EPOLLIN);
}

void status_stop(void)
{
	unlink(path);
}
