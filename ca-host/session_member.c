/* SPDX-License-Identifier: MIT */
#include "session_member.h"

#include <errno.h>
#include <string.h>

bool wmember_is(uint32_t op)
{
	return op >= SIVP_OP_JOIN && op <= SIVP_OP_LEAVE;
}

size_t wmember_tail(uint32_t op)
{
	return op == SIVP_OP_JOIN ? sizeof(struct sivp_join) :
	       op == SIVP_OP_CONFIRM ? sizeof(struct sivp_confirm) : 0;
}

static enum priv_op op_of(uint32_t op)
{
	return op == SIVP_OP_JOIN ? PRIV_JOIN : op == SIVP_OP_MEMBERS ? PRIV_MEMBERS :
	       op == SIVP_OP_CONFIRM ? PRIV_CONFIRM : PRIV_LEAVE;
}

static bool valid(const struct sivp_request *r)
{
	return !r->oflag && !r->rights && !r->mode && !r->grow_only && !r->channel[0] &&
	       !r->object[0] && (!r->size || r->op == SIVP_OP_MEMBERS);
}

void wmember_run(uint64_t session, const struct sivp_long_request *request,
		 struct sivp_long_result *result, size_t *length)
{
	struct priv_request ask = { .op = op_of(request->head.op), .session = session };
	const struct priv_reply *reply;

	if (!valid(&request->head)) {
		result->head.error = EINVAL;
		return;
	}
	ask.member.grant = request->head.grant;
	ask.member.after = request->head.size;
	memcpy(&ask.member.join, &request->join, wmember_tail(request->head.op));
	reply = worker_call(&ask);
	result->head.error = (uint32_t)reply->error;
	if (reply->error)
		return;
	if (ask.op == PRIV_JOIN) {
		result->attest = reply->attest;
		*length += sizeof(result->attest);
	} else if (ask.op == PRIV_MEMBERS) {
		uint32_t count = reply->members.roster.count;

		if (count > SIVP_SLOTS_MAX)
			count = SIVP_SLOTS_MAX;
		result->roster = reply->members.roster;
		memcpy(result->slots, reply->members.slots, count * sizeof(*result->slots));
		*length += sizeof(result->roster) + count * sizeof(*result->slots);
	}
}
