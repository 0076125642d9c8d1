/* SPDX-License-Identifier: MIT */
#include "session_request.h"

#include <errno.h>
#include <string.h>

#include "../shim/lib/cert.h"
#include "session.h"
#include "session_member.h"

#define OFLAGS	(SIVP_O_CREAT | SIVP_O_EXCL | SIVP_O_TRUNC)

bool wrequest_padded(const char *name, size_t size)
{
	size_t used = strnlen(name, size);

	if (used == size)
		return false;
	while (used < size) {
		if (name[used++])
			return false;
	}
	return true;
}

bool wrequest_object_valid(const char *name)
{
	if (!name[0] || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (; *name; name++) {
		if ((unsigned char)*name < 0x20 || *name == 0x7f || *name == '/')
			return false;
	}
	return true;
}

static bool well_formed(const struct sivp_request *r)
{
	return !r->pad && r->grow_only <= 1 &&
	       wrequest_padded(r->channel, sizeof(r->channel)) &&
	       wrequest_padded(r->object, sizeof(r->object)) &&
	       wrequest_padded(r->to, sizeof(r->to)) &&
	       (r->op == SIVP_OP_RENAME || !r->to[0]);
}

static bool names_valid(const struct sivp_request *r)
{
	return sivshmem_name_valid(r->channel, sizeof(r->channel)) &&
	       wrequest_object_valid(r->object);
}

static bool open_valid(const struct sivp_request *r)
{
	return !(r->oflag & ~OFLAGS) && r->mode <= 07777 &&
	       (r->rights == SIVSHMEM_RIGHT_READ ||
		r->rights == (SIVSHMEM_RIGHT_READ | SIVSHMEM_RIGHT_WRITE));
}

static void put_names(struct priv_request *ask, const struct sivp_request *r)
{
	ask->name.oflag = r->oflag;
	ask->name.rights = r->rights;
	ask->name.mode = r->mode;
	memcpy(ask->name.channel, r->channel, sizeof(ask->name.channel));
	memcpy(ask->name.object, r->object, sizeof(ask->name.object));
	memcpy(ask->name.to, r->to, sizeof(ask->name.to));
}

static void put_grant(struct sivp_result *result, const struct priv_reply *reply)
{
	const struct sivring_grant *grant = &reply->grant.grant;

	result->grant = grant->grant;
	result->object = grant->object.object;
	result->generation = grant->object.generation;
	result->size = grant->object.size;
	result->rights = grant->rights;
	result->created = reply->grant.created;
	memcpy(result->creator, reply->grant.creator, sizeof(result->creator));
}

static void run_open(struct worker *worker, struct wsession *session,
		     const struct sivp_request *r, struct sivp_result *result)
{
	struct priv_request ask = {
		.op = PRIV_OPEN,
		.session = wsession_link(session)->id,
	};
	const struct priv_reply *reply;

	if (!names_valid(r) || !open_valid(r)) {
		result->error = EINVAL;
		return;
	}
	put_names(&ask, r);
	reply = worker_call(&ask);
	result->error = (uint32_t)reply->error;
	if (reply->error)
		return;
	put_grant(result, reply);
	worker->carrier->granted(worker, session, &reply->grant.grant,
				 reply->extents);
}

static void run_unlink(const struct wsession_link *link,
		       const struct sivp_request *r, struct sivp_result *result)
{
	struct priv_request ask = { .op = PRIV_UNLINK, .session = link->id };

	if (!names_valid(r) || r->oflag) {
		result->error = EINVAL;
		return;
	}
	put_names(&ask, r);
	result->error = (uint32_t)worker_call(&ask)->error;
}

static void run_rename(const struct wsession_link *link,
		       const struct sivp_request *r, struct sivp_result *result)
{
	struct priv_request ask = { .op = PRIV_RENAME, .session = link->id };

	if (!names_valid(r) || !wrequest_object_valid(r->to) || r->oflag & ~SIVP_O_EXCL) {
		result->error = EINVAL;
		return;
	}
	put_names(&ask, r);
	result->error = (uint32_t)worker_call(&ask)->error;
}

static void run_grant(enum priv_op op, const struct wsession_link *link,
		      const struct sivp_request *r, struct sivp_result *result)
{
	struct priv_request ask = { .op = op, .session = link->id };
	const struct priv_reply *reply;

	ask.grant.grant = r->grant;
	ask.grant.size = r->size;
	ask.grant.grow_only = r->grow_only;
	reply = worker_call(&ask);
	result->error = (uint32_t)reply->error;
	result->grant = r->grant;
	if (!reply->error && op == PRIV_RESIZE)
		put_grant(result, reply);
}

int wrequest_run(struct worker *worker, struct wsession *session,
		 const struct sivp_long_request *asked, struct sivp_long_result *answer,
		 size_t *length)
{
	const struct wsession_link *link = wsession_link(session);
	const struct sivp_request *request = &asked->head;
	struct sivp_result *result = &answer->head;

	memset(answer, 0, sizeof(*answer));
	*length = sizeof(*result);
	if (!well_formed(request))
		return -EPROTO;
	result->op = request->op;
	if (request->op == SIVP_OP_OPEN)
		run_open(worker, session, request, result);
	else if (request->op == SIVP_OP_UNLINK)
		run_unlink(link, request, result);
	else if (request->op == SIVP_OP_RENAME)
		run_rename(link, request, result);
	else if (wmember_is(request->op))
		wmember_run(link->id, asked, answer, length);
	else if (request->op == SIVP_OP_RESIZE && worker->local)
		run_grant(PRIV_RESIZE, link, request, result);
	else if (request->op == SIVP_OP_RELEASE && worker->local)
		run_grant(PRIV_RELEASE, link, request, result);
	else
		result->error = EOPNOTSUPP;
	return 0;
}
