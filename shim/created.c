/* SPDX-License-Identifier: MIT */
#include "created.h"

#include <stdlib.h>
#include <string.h>

static struct created {
	struct created *next;
	uint64_t id;			/* the host's, of the object */
	char channel[SIVP_NAME_LEN];
	char object[SIVP_NAME_LEN];
} *all;

/* The link that points to it, or to NULL. */
static struct created **find(const char *channel, const char *object)
{
	struct created **at = &all;

	while (*at && (strcmp((*at)->object, object) || strcmp((*at)->channel, channel)))
		at = &(*at)->next;
	return at;
}

void created_forget(const char *channel, const char *object)
{
	struct created **at = find(channel, object), *c = *at;

	if (!c)
		return;
	*at = c->next;
	free(c);
}

bool created_here(const char *channel, const char *object)
{
	return *find(channel, object) != NULL;
}

void created_note(const char *channel, const char *object,
		  const struct sivp_result *result)
{
	struct created *c = *find(channel, object);

	/* somebody else removed ours and made another */
	if (c && !result->created && c->id != result->object)
		created_forget(channel, object);
	if (!result->created)
		return;
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return;
		strncpy(c->channel, channel, sizeof(c->channel) - 1);
		strncpy(c->object, object, sizeof(c->object) - 1);
		c->next = all;
		all = c;
	}
	c->id = result->object;
}
