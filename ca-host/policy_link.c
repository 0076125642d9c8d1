/* SPDX-License-Identifier: MIT */
/* From channels to links: one per distinct pair of writing and reading VMs. */
#include "policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sivshmem/ring.h>
#include <sivshmem/wake.h>

#include "policy_parse.h"

#define LINK_MEMORY_MIN	(2ull << 20)	/* what the guest kernel can map */

static void vm_sets(const struct policy *p, const struct policy_channel *c,
		    uint64_t *writers, uint64_t *readers)
{
	*writers = *readers = 0;
	for (uint32_t i = 0; i < c->member_count; i++) {
		uint64_t vm = 1ull << p->services[c->members[i].service].vm;

		*readers |= vm;
		if (c->members[i].rights & SIVSHMEM_RIGHT_WRITE)
			*writers |= vm;
	}
}

static uint32_t find_link(const struct policy *p, uint64_t writers,
			  uint64_t readers)
{
	uint32_t i;

	for (i = 0; i < p->link_count; i++) {
		if (p->links[i].writers == writers && p->links[i].readers == readers)
			break;
	}
	return i;
}

/* Until links are sized, `memory` is the sum of their channels' quotas. */
static int place_channel(const struct policy_parser *parser,
			 struct policy_channel *c)
{
	struct policy *p = parser->policy;
	uint64_t writers, readers;

	vm_sets(p, c, &writers, &readers);
	c->link = find_link(p, writers, readers);
	if (c->link == POLICY_MAX_LINKS)
		return policy_bad(parser, c->line,
			"more than %u links, got '%s' for another set of VMs; let channels share sets of writers and readers",
			POLICY_MAX_LINKS, c->name);
	if (c->link == p->link_count) {
		p->links[c->link].writers = writers;
		p->links[c->link].readers = readers;
		p->link_count++;
	}
	p->links[c->link].memory += c->quota;
	/* each quota is bounded, so this sum never wraps before we notice */
	if (p->links[c->link].memory > POLICY_MEMORY_MAX)
		return policy_bad(parser, c->line,
			"quotas of one link exceed 64G, got '%s'; lower a quota", c->name);
	return 0;
}

static uint64_t round_up_pow2(uint64_t n)
{
	uint64_t size = LINK_MEMORY_MIN;

	while (size < n)
		size <<= 1;
	return size;
}

static uint32_t first_line(const struct policy *p, uint32_t link)
{
	uint32_t i;

	for (i = 0; p->channels[i].link != link; i++)
		;
	return p->channels[i].line;
}

static int size_links(const struct policy_parser *parser)
{
	struct policy *p = parser->policy;
	uint64_t total = 0;

	for (uint32_t i = 0; i < p->link_count; i++) {
		struct policy_link *link = &p->links[i];
		uint64_t tables = (uint64_t)__builtin_popcountll(link->writers) *
			sizeof(struct sivwake_holders);

		link->split = policy_only_read(link) != 0;
		if (!link->split)
			tables += (uint64_t)__builtin_popcountll(link->readers) *
				sizeof(struct sivwake_slot);
		link->memory = round_up_pow2(link->memory + tables);
		link->usable = link->memory - tables;
		total += link->memory;
		if (total > POLICY_MEMORY_MAX)
			return policy_bad(parser, first_line(p, i),
				"links need more than 64G in all, got '%lluM' with this one; lower quotas",
				(unsigned long long)(total >> 20));
	}
	return 0;
}

static void number_links(struct policy *p)
{
	uint16_t next = 1;

	for (uint32_t i = 0; i < p->link_count; i++) {
		for (uint32_t vm = 0; vm < p->vm_count; vm++) {
			if (p->links[i].readers & (1ull << vm))
				p->links[i].position[vm] = next++ |
					(p->links[i].split ? SIVRING_ID_BELL : SIVRING_ID_LINK);
		}
	}
}

uint64_t policy_only_read(const struct policy_link *link)
{
	return link->readers & ~link->writers;
}

bool policy_may_wake(const struct policy_link *link, uint32_t from, uint32_t to)
{
	uint64_t a = UINT64_C(1) << from, b = UINT64_C(1) << to;

	/* two readers have nothing to say to each other */
	return from != to && (link->readers & a) && (link->readers & b) &&
	       (link->writers & (a | b));
}

int policy_make_links(const struct policy_parser *parser)
{
	struct policy *p = parser->policy;
	int rc = 0;

	p->links = calloc(POLICY_MAX_LINKS, sizeof(*p->links));
	if (!p->links)
		return sivshmem_error_set(parser->err, -ENOMEM,
			"%s: no memory for the policy", parser->path);
	for (uint32_t i = 0; !rc && i < p->channel_count; i++) {
		if (p->channels[i].link != POLICY_ON_HOST)
			rc = place_channel(parser, &p->channels[i]);
	}
	if (!rc)
		rc = size_links(parser);
	if (!rc)
		number_links(p);
	return rc;
}

_Static_assert(POLICY_MAX_VMS <= 64, "a set of VMs is a 64-bit mask");
_Static_assert(POLICY_MAX_VMS * sizeof(struct sivwake_slot) <= SIVWAKE_MEMORY, "wake table");
_Static_assert(POLICY_MAX_LINKS * POLICY_MAX_VMS < SIVRING_ID_MASK, "link positions");
