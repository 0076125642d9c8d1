/* SPDX-License-Identifier: MIT */
/* Members of an object: known answers, and every lie that must not be believed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>

#include <sivshmem/uapi.h>

#include "../../shim/lib/handshake.h"
#include "../../shim/lib/member.h"
#include "member_vectors.h"
#include "party.h"
#include "test.h"

static struct party root, host, cam, inter, viewer, other_root, stranger, other_host;
static uint8_t binder[32], x_cam[32], x_view[32];
/* the honest world: both sides, and what the host hands on */
static struct sivp_member m_cam, m_view;
static struct sivshmem_place place;
static uint8_t mh_cam[32], mh_view[32], pk[32];

static bool same(const void *data, size_t length, const char *hex)
{
	char text[2 * 4096 + 1];

	sodium_bin2hex(text, sizeof(text), data, length);
	return !strcmp(text, hex);
}
#define SAME(thing, name)	same(&(thing), sizeof(thing), vector_##name)

static void unhex(uint8_t *to, size_t size, const char *hex)
{
	sodium_hex2bin(to, size, hex, strlen(hex), NULL, NULL, NULL);
}

static void resign(struct party *p, const struct party *issuer)
{
	sivshmem_cert_sign(&p->cert, issuer->secret);
}

static void fill_join(struct sivp_join *j, uint8_t role, uint32_t rights, const uint8_t x[32])
{
	memset(j, 0, sizeof(*j));
	j->role = role;
	j->rights = rights;
	j->generation = 9;
	j->expires = 9000;
	memset(j->epoch, 0x33, sizeof(j->epoch));
	strcpy(j->host, "host-a");
	strcpy(j->channel, "camera");
	strcpy(j->object, "frame 0");
	crypto_scalarmult_base(j->ej, x);
}

static void attest(struct sivp_member *m, uint32_t number, const struct party *by)
{
	m->attest.member = number;
	m->attest.rights = m->join.rights;
	m->attest.roster = number;
	m->attest.session = 76 + number;
	m->attest.host_time = 5001;
	m->attest.start_time = 123456789;
	party_attest(by, &m->attest, &m->join);
}

static void make_parties(void)
{
	make_party(&root, 1, SIVP_CERT_ROOT, "root", &root);
	make_party(&host, 2, SIVP_CERT_HOST, "host-a", &root);
	make_party(&cam, 3, SIVP_CERT_SERVICE, "app/cam", &root);
	strcpy(cam.cert.vm, "vm1");
	strcpy(cam.cert.host, "host-a");
	cam.cert.uid = 1000;
	resign(&cam, &root);
	make_party(&inter, 7, SIVP_CERT_INTERMEDIATE, "fleet", &root);
	strcpy(inter.cert.host, "host-a");
	resign(&inter, &root);
	make_party(&viewer, 5, SIVP_CERT_SERVICE, "app/view", &inter);
	strcpy(viewer.cert.vm, "vm2");
	viewer.cert.gid = 44;
	resign(&viewer, &inter);
	make_party(&other_root, 4, SIVP_CERT_ROOT, "other", &other_root);
	make_party(&stranger, 6, SIVP_CERT_SERVICE, "app/view", &other_root);
	make_party(&other_host, 8, SIVP_CERT_HOST, "host-a", &root);
	unhex(binder, sizeof(binder), "9a7f839039ef18662eefa9c70937f202993f41e09dd6d2901a467bcc12abf174");
	memset(x_cam, 0x44, 32);
	memset(x_view, 0x55, 32);
}

static void make_members(void)
{
	m_cam = (struct sivp_member){ .chain = { .count = 1, .cert[0] = cam.cert } };
	fill_join(&m_cam.join, SIVP_ROLE_CREATOR, 15, x_cam);
	memcpy(m_cam.join.binder, binder, 32);
	sivshmem_join_sign(&m_cam.join, &cam.cert, cam.secret);
	m_cam.attest = (struct sivp_attest){ .uid = 1000, .gid = 1001, .pid = 42, .vm = "vm1" };
	attest(&m_cam, 1, &host);
	m_view = (struct sivp_member){ .chain = { .count = 2, .cert = { viewer.cert, inter.cert } } };
	fill_join(&m_view.join, SIVP_ROLE_READER, 1, x_view);
	memset(m_view.join.binder, 0x66, 32);
	sivshmem_join_sign(&m_view.join, &viewer.cert, viewer.secret);
	m_view.attest = (struct sivp_attest){ .uid = 33, .gid = 44, .pid = 55, .vm = "vm2" };
	attest(&m_view, 2, &host);
	place = (struct sivshmem_place){ .root = root.cert, .host = "host-a", .channel = "camera",
					 .object = "frame 0", .generation = 9, .now = 5000 };
	memcpy(place.host_key, host.public_key, 32);
	memset(place.epoch, 0x33, sizeof(place.epoch));
	sivshmem_member_hash(mh_cam, &m_cam);
	sivshmem_member_hash(mh_view, &m_view);
	sivshmem_pair_key(pk, x_cam, m_view.join.ej, mh_cam, mh_view);
}

static enum sivshmem_member_error judge(const struct sivp_member *m, uint32_t number)
{
	enum sivshmem_cert_error cert;

	return sivshmem_member_verify(&place, m, number, &cert);
}

/* --- known answers --- */

static void vectors(void)
{
	uint8_t key[32], mac[32];
	struct sivp_confirm c = { .from = 1, .to = 2, .roster = 2 };

	make_members();
	CHECK(SAME(host.cert, host_cert));
	CHECK(SAME(inter.cert, inter_cert));
	CHECK(SAME(viewer.cert, viewer_cert));
	CHECK(SAME(m_cam.join, cam_join));
	CHECK(SAME(m_view.join, view_join));
	CHECK(SAME(m_cam.attest, cam_attest));
	CHECK(SAME(m_view.attest, view_attest));
	CHECK(SAME(m_cam, cam_member));
	CHECK(SAME(m_view, view_member));
	CHECK(SAME(mh_cam, cam_mh));
	CHECK(SAME(mh_view, view_mh));
	CHECK(SAME(pk, pk));
	sivshmem_pair_app_key(key, pk);
	CHECK(SAME(key, app_key));
	sivshmem_confirm_mac(c.mac, pk, mh_cam, mh_view);
	CHECK(SAME(c, cam_confirm));
	sivshmem_confirm_mac(mac, pk, mh_view, mh_cam);
	CHECK(same(mac, sizeof(mac), vector_view_confirm + 32));
}

static struct sivp_long_request asks(uint32_t op)
{
	return (struct sivp_long_request){ .head = { .op = op, .grant = 12 } };
}

static bool sealed(struct sivshmem_keys *keys, enum sivp_type type, const void *plain,
		   size_t length, const char *hex)
{
	uint8_t record[SIVP_MSG_MAX];

	return same(record, sivshmem_record_seal(keys, type, plain, length, record), hex);
}

static void vectors_of_requests(void)
{
	const size_t head = sizeof(struct sivp_request);
	struct sivshmem_keys keys = { 0 };
	struct sivp_long_request r = { .head = { .op = SIVP_OP_OPEN, .oflag = SIVP_O_CREAT,
		.rights = 3, .mode = 0600, .channel = "camera", .object = "frame 0" } };

	make_members();
	unhex(keys.send, 32, vector_to_host);
	CHECK(sealed(&keys, SIVP_REQUEST, &r, head, vector_request_0));
	r = asks(SIVP_OP_JOIN);
	r.join = m_cam.join;
	CHECK(sealed(&keys, SIVP_REQUEST, &r, head + sizeof(r.join), vector_request_1));
	r = asks(SIVP_OP_MEMBERS);
	r.head.size = 1;
	CHECK(sealed(&keys, SIVP_REQUEST, &r, head, vector_request_2));
	r = asks(SIVP_OP_CONFIRM);
	r.confirm = (struct sivp_confirm){ .from = 1, .to = 2, .roster = 2 };
	sivshmem_confirm_mac(r.confirm.mac, pk, mh_cam, mh_view);
	CHECK(sealed(&keys, SIVP_REQUEST, &r, head + sizeof(r.confirm), vector_request_3));
	r = asks(SIVP_OP_LEAVE);
	CHECK(sealed(&keys, SIVP_REQUEST, &r, head, vector_request_4));
}

static void vectors_of_results(void)
{
	const size_t head = sizeof(struct sivp_result);
	struct sivshmem_keys keys = { .sent = 1 };
	struct sivp_long_result r = { .head = { .op = SIVP_OP_OPEN, .grant = 12, .object = 3,
		.generation = 9, .size = 4096, .rights = 15, .created = 1, .creator = "app/cam" } };

	make_members();
	unhex(keys.send, 32, vector_to_client);
	CHECK(sealed(&keys, SIVP_RESULT, &r, head, vector_result_0));
	r = (struct sivp_long_result){ .head.op = SIVP_OP_JOIN, .attest = m_cam.attest };
	CHECK(sealed(&keys, SIVP_RESULT, &r, head + sizeof(r.attest), vector_result_1));
	memset(&r, 0, sizeof(r));
	r.head.op = SIVP_OP_MEMBERS;
	r.roster = (struct sivp_roster){ .roster = 3, .count = 1 };
	r.slots[0] = (struct sivp_slot){ .member = 2, .state = SIVP_MEMBER_PRESENT, .changed = 3,
		.confirm = { .from = 2, .to = 1, .roster = 2 }, .proof = m_view };
	sivshmem_confirm_mac(r.slots[0].confirm.mac, pk, mh_view, mh_cam);
	CHECK(sealed(&keys, SIVP_RESULT, &r, head + sizeof(r.roster) + sizeof(r.slots[0]),
		     vector_result_2));
	memset(&r, 0, sizeof(r));
	r.head.op = SIVP_OP_CONFIRM;
	CHECK(sealed(&keys, SIVP_RESULT, &r, head, vector_result_3));
	r.head.op = SIVP_OP_LEAVE;
	CHECK(sealed(&keys, SIVP_RESULT, &r, head, vector_result_4));
}

/* --- what one member must refuse of another --- */

static void honest_ones_are_taken(void)
{
	uint8_t other[32];

	make_members();
	CHECK(judge(&m_view, 2) == SIVSHMEM_MEMBER_OK);
	CHECK(judge(&m_cam, 1) == SIVSHMEM_MEMBER_OK);
	CHECK(sivshmem_pair_key(other, x_view, m_cam.join.ej, mh_view, mh_cam));
	CHECK(!memcmp(other, pk, 32));
}

static void altered_bytes(void)
{
	struct sivp_member m;

	make_members();
	for (size_t at = 0; at < sizeof(m); at++) {
		m = m_view;
		((uint8_t *)&m)[at] ^= (uint8_t)(1 << at % 8);
		CHECK(judge(&m, 2) != SIVSHMEM_MEMBER_OK);
	}
}

/* The service signed it, and the host attests it: for another place. */
#define ELSEWHERE(field, value, expected) do { \
	make_members(); \
	memset(&m_view.join.field, 0, sizeof(m_view.join.field)); \
	memcpy(&m_view.join.field, &(value), sizeof(value)); \
	sivshmem_join_sign(&m_view.join, &viewer.cert, viewer.secret); \
	attest(&m_view, 2, &host); \
	CHECK(judge(&m_view, 2) == (expected)); \
} while (0)

static void joins_of_elsewhere(void)
{
	const char name[] = "other", upper[] = "host-b";
	const uint8_t epoch[16] = { 0x34 };
	const uint64_t generation = 8;
	const int64_t expired = 4999;

	ELSEWHERE(channel, name, SIVSHMEM_MEMBER_CHANNEL);
	ELSEWHERE(object, name, SIVSHMEM_MEMBER_OBJECT);
	ELSEWHERE(epoch, epoch, SIVSHMEM_MEMBER_EPOCH);
	ELSEWHERE(generation, generation, SIVSHMEM_MEMBER_GENERATION);
	ELSEWHERE(host, upper, SIVSHMEM_MEMBER_HOST);
	ELSEWHERE(expires, expired, SIVSHMEM_MEMBER_EXPIRED);
}

static void other_rights(void)
{
	make_members();
	m_view.join.rights = 3;		/* a reader that claims to write */
	sivshmem_join_sign(&m_view.join, &viewer.cert, viewer.secret);
	attest(&m_view, 2, &host);
	CHECK(judge(&m_view, 2) == SIVSHMEM_MEMBER_MALFORMED);
	make_members();
	m_view.attest.rights = 3;
	party_attest(&host, &m_view.attest, &m_view.join);
	CHECK(judge(&m_view, 2) == SIVSHMEM_MEMBER_RIGHTS);
}

static void foreign_root(void)
{
	make_members();
	m_view.chain = (struct sivp_chain){ .count = 1, .cert[0] = stranger.cert };
	sivshmem_join_sign(&m_view.join, &stranger.cert, stranger.secret);
	attest(&m_view, 2, &host);
	CHECK(judge(&m_view, 2) == SIVSHMEM_MEMBER_CERT);
}

static void certificate_of_elsewhere(void)
{
	make_members();
	strcpy(m_view.attest.vm, "vm3");
	attest(&m_view, 2, &host);
	CHECK(judge(&m_view, 2) == SIVSHMEM_MEMBER_CERT);
	make_members();
	m_view.attest.gid = 45;
	attest(&m_view, 2, &host);
	CHECK(judge(&m_view, 2) == SIVSHMEM_MEMBER_CERT);
	/* a host's certificate is no service's */
	make_members();
	m_view.chain = (struct sivp_chain){ .count = 1, .cert[0] = host.cert };
	sivshmem_join_sign(&m_view.join, &host.cert, host.secret);
	attest(&m_view, 2, &host);
	CHECK(judge(&m_view, 2) == SIVSHMEM_MEMBER_CERT);
}

static void attested_by_another(void)
{
	make_members();
	attest(&m_view, 2, &other_host);
	CHECK(judge(&m_view, 2) == SIVSHMEM_MEMBER_ATTEST);
	attest(&m_view, 2, &cam);
	CHECK(judge(&m_view, 2) == SIVSHMEM_MEMBER_ATTEST);
	make_members();
	m_view.attest = m_cam.attest;	/* that of another JOIN */
	strcpy(m_view.attest.vm, "vm2");
	m_view.attest.gid = 44;
	m_view.attest.rights = 1;
	memcpy(m_view.attest.join_hash, m_cam.attest.join_hash, 32);
	CHECK(judge(&m_view, 1) == SIVSHMEM_MEMBER_ATTEST);
	make_members();
	CHECK(judge(&m_view, 3) == SIVSHMEM_MEMBER_OTHER_JOIN);
}

/* The host has the certificate of a service, which is no secret, but not its key. */
static void invented_by_the_host(void)
{
	make_members();
	sivshmem_join_sign(&m_view.join, &viewer.cert, host.secret);
	attest(&m_view, 2, &host);
	CHECK(judge(&m_view, 2) == SIVSHMEM_MEMBER_SIGNATURE);
	make_members();
	sivshmem_join_sign(&m_view.join, &cam.cert, cam.secret);	/* a member in another's name */
	attest(&m_view, 2, &host);
	CHECK(judge(&m_view, 2) == SIVSHMEM_MEMBER_OTHER_CERT);
}

static void weak_keys(void)
{
	uint8_t zero[32] = { 0 }, key[32];

	make_members();
	CHECK(!sivshmem_pair_key(key, x_cam, zero, mh_cam, mh_view));
	CHECK(!sivshmem_pair_key(key, x_cam, m_view.join.ej, mh_cam, mh_cam));
}

/* --- the states, with the roster as the liar --- */

static struct sivshmem_group *group;

static void start_group(void)
{
	make_members();
	group = calloc(1, sizeof(*group));
	group_secret_create(&group->secret);
	memcpy(group->secret->ej, x_cam, 32);
	memcpy(group->ej, m_cam.join.ej, 32);
	memcpy(group->mh, mh_cam, 32);
	group->number = 1;
	group->place = place;
}

static void end_group(void)
{
	group_secret_free(group->secret);
	free(group->seen);
	free(group);
}

static struct sivp_slot slot_of(const struct sivp_member *m, uint32_t number, uint32_t state)
{
	return (struct sivp_slot){ .member = number, .state = state, .changed = 9, .proof = *m };
}

static struct sivp_slot confirmed_slot(void)
{
	struct sivp_slot slot = slot_of(&m_view, 2, SIVP_MEMBER_PRESENT);

	slot.confirm.from = 2;
	slot.confirm.to = 1;
	sivshmem_confirm_mac(slot.confirm.mac, pk, mh_view, mh_cam);
	return slot;
}

static uint32_t state_after(const struct sivp_slot *slot)
{
	group_take_slot(group, slot);
	return group->peers[0].info.state;
}

static bool has_key(void)
{
	return !sodium_is_zero(group->secret->pk[0], 32);
}

static uint32_t last_event(void)
{
	return group->count ? group->events[(group->first + group->count - 1) % EVENTS_MAX].type : 0;
}

static void verified_then_confirmed(void)
{
	struct sivp_slot slot;
	struct sivp_confirm c;
	uint8_t mac[32];
	struct peer *p;

	start_group();
	slot = slot_of(&m_view, 2, SIVP_MEMBER_PRESENT);
	CHECK(state_after(&slot) == SIVSHMEM_VERIFIED && !group->count);
	p = group_to_confirm(group, &c);
	CHECK(p && c.from == 1 && c.to == 2);
	sivshmem_confirm_mac(mac, pk, mh_cam, mh_view);
	CHECK(!memcmp(mac, c.mac, 32));
	p->to_confirm = false;
	slot = confirmed_slot();
	CHECK(state_after(&slot) == SIVSHMEM_CONFIRMED && last_event() == SIVSHMEM_CONFIRMED);
	CHECK(!group_to_confirm(group, &c));
	CHECK(!memcmp(group->secret->pk[0], pk, 32));
	slot = slot_of(&m_view, 2, SIVP_MEMBER_LEFT);
	CHECK(state_after(&slot) == SIVSHMEM_LEFT && last_event() == SIVSHMEM_LEFT && !has_key());
	/* and it does not come back, nor under another number */
	slot = confirmed_slot();
	CHECK(state_after(&slot) == SIVSHMEM_LEFT);
	m_view.attest.member = 3;
	slot = slot_of(&m_view, 3, SIVP_MEMBER_PRESENT);
	group_take_slot(group, &slot);
	CHECK(last_event() == SIVSHMEM_REFUSED);
	end_group();
}

static void forged_and_reflected_confirms(void)
{
	struct sivp_slot slot;

	start_group();
	slot = confirmed_slot();
	slot.confirm.mac[31] ^= 1;
	CHECK(state_after(&slot) == SIVSHMEM_REFUSED && !has_key());
	slot = confirmed_slot();
	CHECK(state_after(&slot) == SIVSHMEM_REFUSED);	/* once is enough */
	end_group();
	start_group();
	slot = confirmed_slot();		/* our own, sent back */
	sivshmem_confirm_mac(slot.confirm.mac, pk, mh_cam, mh_view);
	CHECK(state_after(&slot) == SIVSHMEM_REFUSED && !has_key());
	end_group();
	start_group();
	slot = confirmed_slot();		/* to another */
	slot.confirm.to = 3;
	CHECK(state_after(&slot) == SIVSHMEM_REFUSED);
	end_group();
	start_group();
	slot = confirmed_slot();		/* by one who knows all but a secret */
	memset(slot.confirm.mac, 0, 32);
	CHECK(state_after(&slot) == SIVSHMEM_REFUSED);
	end_group();
}

static void reflected_members(void)
{
	struct sivp_slot slot;

	start_group();
	slot = slot_of(&m_cam, 1, SIVP_MEMBER_PRESENT);
	slot.member = 2;			/* oneself, by another number */
	CHECK(state_after(&slot) == SIVSHMEM_REFUSED && !has_key());
	end_group();
	/* a lying host attests our JOIN a second time */
	start_group();
	attest(&m_cam, 2, &host);
	slot = slot_of(&m_cam, 2, SIVP_MEMBER_PRESENT);
	CHECK(state_after(&slot) == SIVSHMEM_REFUSED && !has_key());
	end_group();
}

static void replayed_members(void)
{
	struct sivp_slot slot;

	/* another in the place of one who was verified */
	start_group();
	slot = slot_of(&m_view, 2, SIVP_MEMBER_PRESENT);
	CHECK(state_after(&slot) == SIVSHMEM_VERIFIED);
	m_view.attest.pid++;
	attest(&m_view, 2, &host);
	slot = slot_of(&m_view, 2, SIVP_MEMBER_PRESENT);
	CHECK(state_after(&slot) == SIVSHMEM_REFUSED && !has_key());
	end_group();
	/* one who is gone, and whose place was taken by others since */
	start_group();
	slot = slot_of(&m_view, 2, SIVP_MEMBER_PRESENT);
	CHECK(state_after(&slot) == SIVSHMEM_VERIFIED);
	memset(&group->peers[0], 0, sizeof(group->peers[0]));
	CHECK(state_after(&slot) == SIVSHMEM_REFUSED);
	end_group();
}

static bool comes(uint32_t number)
{
	struct sivp_slot slot;
	bool verified = false;

	attest(&m_view, number, &host);
	slot = slot_of(&m_view, number, SIVP_MEMBER_PRESENT);
	if (group_take_slot(group, &slot))
		return false;
	for (size_t i = 0; i < PEERS_MAX; i++)
		verified |= group->peers[i].used && group->peers[i].info.number == number &&
			    group->peers[i].info.state == SIVSHMEM_VERIFIED;
	slot.state = SIVP_MEMBER_LEFT;
	return !group_take_slot(group, &slot) && verified;
}

/* More than can be remembered: each is taken once, and not a second time. */
static void very_many_members(void)
{
	const uint32_t first = 1000, last = first + SEEN_MAX + 300;
	uint32_t n;

	start_group();
	for (n = first; n < first + SEEN_MAX; n++)
		CHECK(comes(n));
	/* of a host that counts as it likes */
	CHECK(comes(5) && comes(n++) && !comes(first) && !comes(5));
	for (; n <= last; n++)
		CHECK(comes(n));
	CHECK(group->seen_count == SEEN_MAX);
	for (n = first; n <= last; n++)
		CHECK(!comes(n));
	CHECK(comes(last + 1) && !comes(last + 1));
	end_group();
}

static void forgotten_by_the_host(void)
{
	struct sivp_slot slot;

	start_group();
	slot = confirmed_slot();
	CHECK(state_after(&slot) == SIVSHMEM_CONFIRMED);
	group_relist(group);
	group_relisted(group);
	CHECK(group->peers[0].info.state == SIVSHMEM_DIED && last_event() == SIVSHMEM_DIED);
	CHECK(!has_key());
	end_group();
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	make_parties();
	RUN(vectors);
	RUN(vectors_of_requests);
	RUN(vectors_of_results);
	RUN(honest_ones_are_taken);
	RUN(altered_bytes);
	RUN(joins_of_elsewhere);
	RUN(other_rights);
	RUN(foreign_root);
	RUN(certificate_of_elsewhere);
	RUN(attested_by_another);
	RUN(invented_by_the_host);
	RUN(weak_keys);
	RUN(verified_then_confirmed);
	RUN(forged_and_reflected_confirms);
	RUN(reflected_members);
	RUN(replayed_members);
	RUN(very_many_members);
	RUN(forgotten_by_the_host);
	return test_failures != 0;
}
