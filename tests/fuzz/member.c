/* SPDX-License-Identifier: MIT */
/*
 * A member of an object under a hostile host and a hostile member: rosters of
 * any content, attested by the host's real key. The host has neither the honest
 * service's key nor its pair keys, only what that one has said to it; nobody may
 * be taken for it but itself, as the host described it to itself.
 */
#include "fuzz.h"

#include <errno.h>
#include <sys/stat.h>

#include <sivshmem/uapi.h>

#include "../../shim/lib/group.h"
#include "../../shim/lib/member.h"
#include "../../shim/lib/secret.h"
#include "../unit/party.h"

#define SELF	1		/* our number in the roster */

enum { CAM, VIEW, VIEW_TOO, ROGUE, WHO };
static const char *const services[WHO] = { "app/cam", "app/view", "app/view", "app/rogue" };

static struct party root, host, parties[WHO];
static struct sivp_member honest[WHO];
static uint8_t secrets[WHO][32], hashes[WHO][32];
static struct sivp_confirm confirms[WHO];	/* to us, as each would make it */
static struct sivshmem_place place;
static const struct sivshmem_keys client_keys = { .sent = 2, .received = 2 };
static struct sivshmem_keys host_keys;

static struct input *in;
static unsigned int confirmed;		/* events of the honest service */

/* --- the world --- */

static void make_member(int who, uint8_t role, uint32_t rights)
{
	struct sivp_member *m = &honest[who];
	struct sivp_join *j = &m->join;

	memset(secrets[who], 0x40 + who, sizeof(secrets[who]));
	make_party(&parties[who], who == VIEW_TOO ? 3 + VIEW : 3 + who, SIVP_CERT_SERVICE,
		   services[who], &root);
	m->chain = (struct sivp_chain){ .count = 1, .cert[0] = parties[who].cert };
	j->role = role;
	j->rights = rights;
	j->generation = place.generation;
	memcpy(j->epoch, place.epoch, sizeof(j->epoch));
	memcpy(j->host, place.host, sizeof(j->host));
	memcpy(j->channel, place.channel, sizeof(j->channel));
	memcpy(j->object, place.object, sizeof(j->object));
	crypto_scalarmult_base(j->ej, secrets[who]);
	sivshmem_join_sign(j, &parties[who].cert, parties[who].secret);
	m->attest = (struct sivp_attest){ .rights = rights, .member = SELF + (uint32_t)who,
		.session = 70 + (uint64_t)who, .uid = 1000, .pid = 5, .vm = "vm1" };
	party_attest(&host, &m->attest, j);
	sivshmem_member_hash(hashes[who], m);
}

/* What it answers to us, when the host shows it who we are. */
static void make_confirm(struct sivp_confirm *c, const uint8_t secret[32], const uint8_t mh[32],
			 uint32_t number)
{
	uint8_t pk[32];

	*c = (struct sivp_confirm){ .from = number, .to = SELF, .roster = 9 };
	if (sivshmem_pair_key(pk, secret, honest[CAM].join.ej, mh, hashes[CAM]))
		sivshmem_confirm_mac(c->mac, pk, mh, hashes[CAM]);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	if (sodium_init() < 0)
		return 1;
	make_party(&root, 1, SIVP_CERT_ROOT, "root", &root);
	make_party(&host, 2, SIVP_CERT_HOST, "host-a", &root);
	place = (struct sivshmem_place){ .root = root.cert, .host = "host-a", .epoch = { 3 },
		.channel = "camera", .object = "frame 0", .generation = 9, .now = 5000 };
	memcpy(place.host_key, host.public_key, sizeof(place.host_key));
	make_member(CAM, SIVP_ROLE_CREATOR, 15);
	make_member(VIEW, SIVP_ROLE_READER, SIVSHMEM_RIGHT_READ);
	make_member(VIEW_TOO, SIVP_ROLE_WRITER, SIVSHMEM_RIGHT_READ | SIVSHMEM_RIGHT_WRITE);
	make_member(ROGUE, SIVP_ROLE_WRITER, SIVSHMEM_RIGHT_READ | SIVSHMEM_RIGHT_WRITE);
	for (int who = VIEW; who < WHO; who++)
		make_confirm(&confirms[who], secrets[who], hashes[who], SELF + (uint32_t)who);
	return 0;
}

/* --- the host's answers --- */

/* The rogue signs whatever it likes; who else's JOIN is changed is not signed. */
static void lie(struct sivp_slot *slot, int who, uint8_t lies)
{
	struct sivp_member *m = &slot->proof;

	if (lies & 1)
		slot->member = take_uint8(in);
	if (lies & 2)
		patch(in, &m->join, sizeof(m->join));
	if (lies & 16) {
		m->join.role = take_uint8(in) & 3;
		m->join.rights = m->attest.rights = take_uint8(in) & 15;
	}
	if (lies & 18 && who == ROGUE)
		sivshmem_join_sign(&m->join, &parties[ROGUE].cert, parties[ROGUE].secret);
	m->attest.member = slot->member;
	if (lies & 4)
		patch(in, &m->attest, sizeof(m->attest));
	if (lies & 23)
		party_attest(&host, &m->attest, &m->join);
	if (lies & 8)
		patch(in, m, sizeof(*m));
}

static void fill_slot(struct sivp_slot *slot, uint64_t changed)
{
	uint8_t how = take_uint8(in), mh[32];
	int who = how & 3;

	*slot = (struct sivp_slot){ .member = SELF + (uint32_t)who, .state = how >> 2 & 7,
		.changed = changed, .proof = honest[who] };
	if (how & 32)
		lie(slot, who, take_uint8(in));
	if (how & 64)
		slot->confirm = confirms[who];
	if (how & 128) {
		sivshmem_member_hash(mh, &slot->proof);
		make_confirm(&slot->confirm, secrets[ROGUE], mh, slot->member);
	}
	if ((how & 192) == 192)
		patch(in, &slot->confirm, sizeof(slot->confirm));
}

static size_t roster(struct sivp_long_result *r, uint64_t after)
{
	uint8_t how = take_uint8(in);
	uint32_t count = how & 3;

	r->roster = (struct sivp_roster){ .roster = after + count, .count = count,
		.more = how >> 2 & 1 };
	for (uint32_t i = 0; i < count; i++)
		fill_slot(&r->slots[i], after + 1 + i);
	if (how & 8)
		r->roster.forgotten = take_uint8(in);
	if (how & 16)
		patch(in, &r->roster, sizeof(r->roster));
	return sizeof(r->head) + sizeof(r->roster) + count * sizeof(*r->slots);
}

static struct sivp_long_request request;

static int host_hears(struct sivshmem_transport *t, const void *message, size_t length)
{
	size_t plain = length - sizeof(struct sivp_hdr) - SIVP_TAG_LEN;

	(void)t;
	memset(&request, 0, sizeof(request));
	ALWAYS(plain >= sizeof(request.head) && plain <= sizeof(request));
	ALWAYS(!sivshmem_record_open(&host_keys, SIVP_REQUEST, message, length, &request, plain));
	return 0;
}

static ssize_t host_says(struct sivshmem_transport *t, void *message, size_t size)
{
	const struct sivp_abort gone = { .hdr = { .type = SIVP_ABORT, .length = 8 }, .status = 3 };
	struct sivp_long_result r = { .head.op = request.head.op };
	uint8_t record[SIVP_MSG_MAX], how = take_uint8(in);
	size_t length = sizeof(r.head);

	(void)t;
	if ((how & 15) == 15)
		return -ECONNRESET;
	if ((how & 15) == 14) {
		memcpy(message, &gone, sizeof(gone));
		return sizeof(gone);
	}
	if (how & 16)
		r.head.error = take_uint8(in);
	if (request.head.op == SIVP_OP_MEMBERS)
		length = roster(&r, request.head.size);
	if (how & 32)
		patch(in, &r.head, sizeof(r.head));
	if (how & 64)
		length = take_uint16(in) % (sizeof(r) + 1);
	length = sivshmem_record_seal(&host_keys, SIVP_RESULT, &r, length, record);
	if (how & 128)
		patch(in, record, length);
	ALWAYS(length <= size);
	memcpy(message, record, length);
	return (ssize_t)length;
}

static bool yes(const struct sivshmem_transport *t)
{
	(void)t;
	return true;
}

/* --- the member --- */

static const struct sivshmem_carrier carrier = {
	.send = host_hears, .receive = host_says, .still_ours = yes, .local = true,
};

static struct sivshmem_session *session_new(void)
{
	struct sivshmem_session *s = calloc(1, sizeof(*s));
	struct stat st;

	ALWAYS(s && (s->secret = secret_pages(sizeof(*s->secret))));
	s->transport = (struct sivshmem_transport){ .carrier = &carrier, .pending_fd = -1,
		.fd = open("/dev/null", O_RDWR | O_CLOEXEC) };
	ALWAYS(!fstat(s->transport.fd, &st));
	s->transport.dev = st.st_dev;
	s->transport.ino = st.st_ino;
	s->secret->keys = client_keys;
	s->secret->owner = getpid();
	s->info.host_time = place.now;
	s->connected = sivshmem_now_ms();
	s->serial = 1;
	host_keys = (struct sivshmem_keys){ .sent = client_keys.received,
		.received = client_keys.sent };
	return s;
}

static struct sivshmem_group *group_new(struct sivshmem_session *s)
{
	struct sivshmem_group *g = calloc(1, sizeof(*g));

	ALWAYS(g && !group_secret_create(&g->secret));
	g->session = s;
	g->serial = s->serial;
	g->connected = s->connected;
	g->grant = 12;
	g->place = place;
	g->number = SELF;
	memcpy(g->mh, hashes[CAM], sizeof(g->mh));
	memcpy(g->ej, honest[CAM].join.ej, sizeof(g->ej));
	memcpy(g->secret->ej, secrets[CAM], sizeof(secrets[CAM]));
	g->next = s->groups;
	s->groups = g;
	return g;
}

/* What holds of a peer that the application may believe in. */
static void check_believed(const struct sivshmem_group *g, const struct peer *p)
{
	const struct sivshmem_member *m = &p->info;
	bool view = !strcmp(m->service, "app/view");
	int who = !memcmp(p->mh, hashes[VIEW], 32) ? VIEW : VIEW_TOO;
	uint8_t key[32], expected[32], pk[32];

	ALWAYS(view || !strcmp(m->service, "app/rogue"));	/* nobody is ourselves */
	ALWAYS(m->rights & SIVSHMEM_RIGHT_READ);
	ALWAYS(m->role != SIVP_ROLE_READER || !(m->rights & SIVSHMEM_RIGHT_WRITE));
	if (m->state != SIVSHMEM_CONFIRMED) {
		ALWAYS(sivshmem_session_key(g, m->number, key) || m->state != SIVSHMEM_VERIFIED);
		return;
	}
	ALWAYS(!sivshmem_session_key(g, m->number, key));
	if (!view)
		return;
	/* the honest one, as it knows itself, and nobody else has its key */
	ALWAYS(!memcmp(p->mh, hashes[who], 32));
	ALWAYS(m->rights == honest[who].join.rights && m->role == honest[who].join.role);
	ALWAYS(m->number == honest[who].attest.member && m->uid == 1000 && !strcmp(m->vm, "vm1"));
	ALWAYS(sivshmem_pair_key(pk, secrets[who], honest[CAM].join.ej, hashes[who], hashes[CAM]));
	sivshmem_pair_app_key(expected, pk);
	ALWAYS(!memcmp(key, expected, sizeof(key)));
}

static void check(const struct sivshmem_group *g)
{
	ALWAYS(g->count <= EVENTS_MAX && g->first < EVENTS_MAX && g->seen_count <= SEEN_MAX);
	for (size_t i = 0; i < PEERS_MAX; i++) {
		const struct peer *p = &g->peers[i];

		if (!p->used)
			continue;
		ALWAYS(p->info.state >= SIVSHMEM_VERIFIED && p->info.state <= SIVSHMEM_REVOKED);
		ALWAYS(memchr(p->info.reason, 0, sizeof(p->info.reason)));
		ALWAYS(memchr(p->info.service, 0, sizeof(p->info.service)));
		ALWAYS(p->info.number != SELF);
		if (p->info.state <= SIVSHMEM_CONFIRMED)
			check_believed(g, p);
		else
			ALWAYS(sodium_is_zero(g->secret->pk[i], 32));
		for (size_t j = 0; j < i; j++)
			ALWAYS(!g->peers[j].used || g->peers[j].info.number != p->info.number);
	}
}

static void read_events(struct sivshmem_group *g)
{
	struct sivshmem_event event;

	for (int n = 0; n < 8 && sivshmem_next_event(g, &event, 0) == 1; n++) {
		ALWAYS(event.type >= SIVSHMEM_CONFIRMED && event.type <= SIVSHMEM_REVOKED);
		if (event.type == SIVSHMEM_CONFIRMED && !strcmp(event.member.service, "app/view"))
			confirmed++;
	}
}

static void step(struct sivshmem_group *g)
{
	struct sivshmem_member list[4];
	uint8_t how = take_uint8(in);

	switch (how & 3) {
	case 0:
		ALWAYS(sivshmem_members(g, list, 4) <= PEERS_MAX);
		break;
	case 1:
		if (!sivshmem_await_member(g, how & 4 ? "app/view" : "app/rogue", 0, list))
			ALWAYS(list->state == SIVSHMEM_CONFIRMED);
		break;
	case 2:
		read_events(g);
		break;
	default:
		sivshmem_group_refresh(g);
	}
	check(g);
	ALWAYS(memchr(g->session->err.text, 0, sizeof(g->session->err.text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct sivshmem_session *s = session_new();
	struct sivshmem_group *g = group_new(s);

	in = &input;
	confirmed = 0;
	for (int n = 0; n < 8 && in->left; n++)
		step(g);
	/* there are two of them, and each can begin once */
	ALWAYS(confirmed <= 2);
	sivshmem_close(s);
	return 0;
}
