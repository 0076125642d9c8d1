/* SPDX-License-Identifier: MIT */
/* The policy file, from text to links. */
#include "fuzz.h"

#include "../../ca-host/policy.h"

/* libconfig 1.5 leaks the begun string of a text that ends in it; we load once */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	atexit(drop_file);
	return 0;
}

static void check_channel(const struct policy *p, const struct policy_channel *c)
{
	ALWAYS(policy_find_channel(p, c->name) == c);
	ALWAYS(c->link == POLICY_ON_HOST || c->link < p->link_count);
	for (uint32_t i = 0; i < c->member_count; i++) {
		const struct policy_member *m = &c->members[i];
		const struct policy_service *s;

		ALWAYS(m->service < p->service_count && m->rights &&
		       !(m->rights & ~SIVSHMEM_RIGHTS_ALL));
		s = &p->services[m->service];
		ALWAYS(policy_rights(p, c, s) == m->rights);
		ALWAYS((s->vm == POLICY_ON_HOST) == (c->link == POLICY_ON_HOST));
		ALWAYS(s->vm == POLICY_ON_HOST || (s->vm < p->vm_count &&
		       p->links[c->link].readers >> s->vm & 1));
	}
}

static void check_link(const struct policy *p, const struct policy_link *l)
{
	ALWAYS(!(l->writers & ~l->readers) && l->memory >= 2u << 20 &&
	       !(l->memory & (l->memory - 1)) &&
	       (l->writers ? l->usable < l->memory : l->usable == l->memory) &&
	       l->usable % 4096 == 0);
	for (uint32_t i = 0; i < p->vm_count; i++)
		ALWAYS(!(l->readers >> i & 1) == !l->position[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sivshmem_error err;
	struct policy *p;

	if (policy_load(file_with(data, size), &p, &err)) {
		ALWAYS(!p && err.text[0]);
		return 0;
	}
	ALWAYS(p->vm_count <= POLICY_MAX_VMS && p->link_count <= POLICY_MAX_LINKS);
	for (uint32_t i = 0; i < p->channel_count; i++)
		check_channel(p, &p->channels[i]);
	for (uint32_t i = 0; i < p->link_count; i++)
		check_link(p, &p->links[i]);
	policy_free(p);
	return 0;
}
