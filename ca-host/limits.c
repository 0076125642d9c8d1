/* SPDX-License-Identifier: MIT */
#include "limits.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "bucket.h"

#define SAY_MS	1000	/* between two lines on what was not done and not said */
#define DOCUMENTS	4	/* of the status, for a payer in a second */

struct usage {
	struct bucket handshakes, lines, refusals;
	uint64_t undone, unsaid;	/* handshakes, lines; since the last that told of them */
	int64_t since;
};

static struct usage *of_domain, *of_service;
static struct payer {
	struct bucket handshakes, documents;	/* the latter of the host's alone */
} *of_named, *of_others;		/* of a service's uid, of a domain's others */
static uint32_t untold;			/* how many of them have something to say */

static void usage_init(struct usage *u, const struct policy_limits *l)
{
	uint32_t refusals = l->log > 1 ? l->log / 2 : l->log;

	u->handshakes = (struct bucket){ .rate = l->handshakes, .burst = l->handshakes };
	u->lines = (struct bucket){ .rate = l->log, .burst = l->log };
	u->refusals = (struct bucket){ .rate = refusals, .burst = refusals };
}

/* None has more than half of the domain's handshakes. */
static struct payer payer(const struct policy_limits *l)
{
	const uint32_t half = (l->handshakes + 1) / 2;

	return (struct payer){
		.handshakes = { .rate = half, .burst = half },
		.documents = { .rate = DOCUMENTS, .burst = 2 * DOCUMENTS },
	};
}

const struct policy_limits *limits_of(const struct domain *domain)
{
	return domain->vm ? &domain->vm->limits : &monitor.policy->limits;
}

int limits_start(void)
{
	const struct policy *p = monitor.policy;
	uint32_t i;

	of_domain = calloc(monitor.domain_count, sizeof(*of_domain));
	of_service = calloc(p->service_count + 1, sizeof(*of_service));
	of_named = calloc(p->service_count + 1, sizeof(*of_named));
	of_others = calloc(monitor.domain_count, sizeof(*of_others));
	if (!of_domain || !of_service || !of_named || !of_others)
		return -ENOMEM;
	for (i = 0; i < monitor.domain_count; i++) {
		usage_init(&of_domain[i], limits_of(&monitor.domains[i]));
		of_others[i] = payer(limits_of(&monitor.domains[i]));
	}
	for (i = 0; i < p->service_count; i++) {
		const struct policy_service *service = &p->services[i];

		usage_init(&of_service[i], &service->limits);
		of_named[i] = payer(service->vm == POLICY_ON_HOST ? &p->limits :
				    &p->vms[service->vm].limits);
	}
	return 0;
}

static struct usage *usage_of(const struct domain *d)
{
	return &of_domain[d - monitor.domains];
}

static struct usage *service_usage(const struct policy_service *s)
{
	return &of_service[s - monitor.policy->services];
}

static void count(struct usage *u, uint64_t *what)
{
	if (!u->undone && !u->unsaid) {
		u->since = sivshmem_now_ms();
		untold++;
	}
	++*what;
}

/* --- sessions --- */

/* The first that names this uid as its own. */
static const struct policy_service *named(const struct domain *d, uint32_t uid)
{
	const uint32_t vm = d->vm ? d->vm->index : POLICY_ON_HOST;
	uint32_t i;

	for (i = 0; i < monitor.policy->service_count; i++) {
		const struct policy_service *s = &monitor.policy->services[i];

		if (s->vm == vm && !s->any_uid && s->uid == uid)
			return s;
	}
	return NULL;
}

uint32_t limits_payer(const struct domain *d, uint32_t uid)
{
	return named(d, uid) ? uid : SIVP_ANY_ID;
}

static struct payer *payer_of(const struct domain *d, uint32_t uid)
{
	const struct policy_service *s = named(d, uid);

	return s ? &of_named[s - monitor.policy->services] : &of_others[d - monitor.domains];
}

static bool begin_handshake(struct usage *u)
{
	if (bucket_take(&u->handshakes))
		return true;
	count(u, &u->undone);
	return false;
}

bool limits_handshake(const struct session *s)
{
	struct usage *u = usage_of(s->domain);

	if (bucket_take(&payer_of(s->domain, s->who.payer)->handshakes))
		return begin_handshake(u);
	count(u, &u->undone);
	return false;
}

bool limits_status(uint32_t uid)
{
	return bucket_take(&payer_of(monitor_host_domain(), uid)->documents);
}

int limits_session(const struct session *session, const struct policy_service *service)
{
	const struct session *s;
	uint32_t n = 1;

	if (!begin_handshake(service_usage(service)))
		return EAGAIN;
	LIST_FOREACH(s, &session->domain->sessions, node)
		n += s != session && (s->service == service || s->holder == service);
	return service->limits.sessions && n > service->limits.sessions ? EDQUOT : 0;
}

/* --- objects --- */

struct amount {
	uint64_t pages, objects;
};

/* Of the service's, or with none of all services of the VM. */
static struct amount used(uint32_t vm, const struct policy_service *service)
{
	struct amount a = { 0 };
	const struct object *o;
	uint32_t i;

	for (i = 0; i < monitor.policy->channel_count; i++)
		for (o = store_first(&monitor.policy->channels[i]); o; o = LIST_NEXT(o, node)) {
			if (!o->maker || o->maker->vm != vm || (service && o->maker != service))
				continue;
			a.pages += o->pages;
			a.objects++;
		}
	return a;
}

static bool within(const struct policy_limits *l, uint32_t vm, const struct policy_service *service,
		   const struct amount *more)
{
	struct amount have;

	/* what is not limited need not be counted */
	if ((!l->bytes || !more->pages) && (!l->objects || !more->objects))
		return true;
	have = used(vm, service);
	return (!l->bytes || have.pages + more->pages <= l->bytes / ALLOC_PAGE) &&
	       (!l->objects || have.objects + more->objects <= l->objects);
}

static const struct policy_limits *limits_of_vm(uint32_t vm)
{
	return vm == POLICY_ON_HOST ? &monitor.policy->limits : &monitor.policy->vms[vm].limits;
}

const char *limits_object(const struct policy_service *creator)
{
	const struct amount one = { .objects = 1 };

	if (!within(&creator->limits, creator->vm, creator, &one))
		return "over the service's limit of objects";
	return within(limits_of_vm(creator->vm), creator->vm, NULL, &one) ? NULL :
	       "over the VM's limit of objects";
}

const char *limits_pages(const struct object *object, uint64_t more)
{
	const struct policy_service *maker = object->maker;
	const struct amount pages = { .pages = more };

	if (!maker)
		return NULL;		/* another policy's */
	if (!within(&maker->limits, maker->vm, maker, &pages))
		return "over the limit of bytes of the service that created it";
	return within(limits_of_vm(maker->vm), maker->vm, NULL, &pages) ? NULL :
	       "over the limit of bytes of the VM that created it";
}

/* --- the audit log --- */

bool limits_may_log(const struct session *s)
{
	return bucket_has(&usage_of(s->domain)->lines) &&
	       (!s->service || bucket_has(&service_usage(s->service)->lines));
}

static bool may_say(struct usage *u, bool refused)
{
	if (!u)
		return true;
	if (refused && !(bucket_has(&u->lines) && bucket_take(&u->refusals))) {
		count(u, &u->unsaid);
		return false;
	}
	bucket_owe(&u->lines);
	return true;
}

void limits_log(const struct audit *a)
{
	const struct session *s = a->session;
	struct usage *service = s && s->service ? service_usage(s->service) : NULL;

	if (may_say(service, a->refused) &&
	    may_say(usage_of(s ? s->domain : a->domain), a->refused))
		audit_write(a);
}

static void tell(struct usage *u, const struct domain *domain, const char *service)
{
	struct audit a = {
		.event = "limit", .domain = domain, .subject = service, .refused = true,
		.handshakes = u->undone, .lines = u->unsaid,
		.reason = "over the policy's limits of a second",
	};

	if (!u->undone && !u->unsaid)
		return;
	u->undone = u->unsaid = 0;
	untold--;
	audit_write(&a);
}

static const struct domain *home_of(const struct policy_service *s)
{
	return s->vm == POLICY_ON_HOST ? monitor_host_domain() : &monitor.domains[s->vm];
}

static void tell_all(int64_t before)
{
	uint32_t i;

	for (i = 0; untold && i < monitor.domain_count; i++)
		if (of_domain[i].since <= before)
			tell(&of_domain[i], &monitor.domains[i], NULL);
	for (i = 0; untold && i < monitor.policy->service_count; i++)
		if (of_service[i].since <= before)
			tell(&of_service[i], home_of(&monitor.policy->services[i]),
			     monitor.policy->services[i].name);
}

int limits_deadline(void)
{
	return untold ? SAY_MS / 4 : -1;
}

void limits_tick(void)
{
	if (untold)
		tell_all(sivshmem_now_ms() - SAY_MS);
}

void limits_stop(void)
{
	tell_all(INT64_MAX);
}
