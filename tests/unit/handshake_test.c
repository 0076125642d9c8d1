/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sodium.h>

#include "../../shim/lib/handshake_internal.h"
#include "handshake_vectors.h"
#include "party.h"
#include "test.h"

static struct party root, host_party, service, other_root;
static struct sivshmem_bundle bundle;

static const uint8_t epoch[16] = { [0 ... 15] = 0x33 };

/* one exchange, each message kept */
struct exchange {
	struct sivshmem_handshake client, host_end;
	struct sivp_hello hello;
	struct sivp_host host;
	struct sivp_host_body host_body;
	struct sivp_auth auth;
	struct sivp_auth_body auth_body;
	struct sivp_ready_body ready_body, ready_seen;
	struct sivp_ready ready;
	struct sivshmem_keys client_keys, host_keys;
	struct sivshmem_proof proof;	/* the monitor's */
	int64_t host_time;
	enum sivshmem_cert_error reason;
};

static void make_parties(void)
{
	make_party(&root, 1, SIVP_CERT_ROOT, "root", &root);
	make_party(&host_party, 2, SIVP_CERT_HOST, "host-a", &root);
	make_party(&service, 3, SIVP_CERT_SERVICE, "app/cam", &root);
	make_party(&other_root, 4, SIVP_CERT_ROOT, "other", &other_root);
	memcpy(service.cert.vm, "vm1", 3);
	memcpy(service.cert.host, "host-a", 6);
	service.cert.uid = 1000;
	sivshmem_cert_sign(&service.cert, root.secret);
	bundle.secret = service.secret;
	bundle.chain = (struct sivp_chain){ .count = 1, .cert[0] = service.cert };
	bundle.root = root.cert;
}

static int host_answers(struct exchange *x, const struct party *as)
{
	uint8_t ephemeral[32];
	int r;

	memset(ephemeral, 0x22, sizeof(ephemeral));
	x->host_body = (struct sivp_host_body){
		.host_time = 5000,
		.crl_epoch = 5,
		.policy_epoch = 6,
		.chain = { .count = 1, .cert[0] = as->cert },
	};
	r = sivshmem_hs_host_hello_with(&x->host_end, ephemeral, &x->hello,
					sizeof(x->hello), 77, epoch, &x->host);
	if (r)
		return r;
	memset(&x->proof, 0, sizeof(x->proof));
	r = party_prove(as, &x->proof, &x->hello, x->host.clear.eh, 77, epoch, &x->host_body);
	if (r)
		return r;
	return sivshmem_hs_host_finish(&x->host_end, &x->host, &x->host_body);
}

static int client_auths(struct exchange *x, const char *host)
{
	return sivshmem_hs_client_auth(&x->client, &x->host, sizeof(x->host),
				       &bundle, host, &x->auth, &x->host_time,
				       &x->reason);
}

static int host_auths(struct exchange *x)
{
	return sivshmem_hs_host_auth(&x->host_end, &x->auth, sizeof(x->auth),
				     &x->auth_body);
}

static int host_readies(struct exchange *x, uint32_t status)
{
	x->ready_body = (struct sivp_ready_body){
		.status = status, .uid = 1000, .gid = 1001, .pid = 42,
		.session = 77, .start_time = 123456789, .vm = "vm1",
	};
	return sivshmem_hs_host_ready(&x->host_end, &x->ready_body, &x->ready,
				      &x->host_keys);
}

static int client_readies(struct exchange *x)
{
	return sivshmem_hs_client_ready(&x->client, &x->ready, sizeof(x->ready),
					&x->ready_seen, &x->client_keys);
}

static void client_starts(struct exchange *x)
{
	uint8_t ephemeral[32];

	memset(x, 0, sizeof(*x));
	memset(ephemeral, 0x11, sizeof(ephemeral));
	sivshmem_hs_client_hello_with(&x->client, ephemeral, &x->hello);
}

/* Run up to and with AUTH as the host took it; 0 or the first error. */
static int through_auth(struct exchange *x)
{
	int r;

	client_starts(x);
	r = host_answers(x, &host_party);
	if (!r)
		r = client_auths(x, "host-a");
	return r ? r : host_auths(x);
}

static int whole(struct exchange *x)
{
	int r = through_auth(x);

	if (!r)
		r = host_readies(x, SIVP_OK);
	return r ? r : client_readies(x);
}

static bool same(const void *data, size_t length, const char *hex)
{
	char text[2 * 1024 + 1];

	if (length > 1024)
		return false;
	sodium_bin2hex(text, sizeof(text), data, length);
	return !strcmp(text, hex);
}

#define SAME(thing, name)	same(&(thing), sizeof(thing), vector_##name)

static void vectors(void)
{
	uint8_t record[8 + 5 + 16];
	struct exchange x;

	CHECK(SAME(root.cert, root_cert));
	CHECK(SAME(service.cert, service_cert));
	CHECK(!whole(&x));
	CHECK(SAME(x.hello, hello));
	CHECK(SAME(x.host, host));
	CHECK(SAME(x.auth, auth));
	CHECK(SAME(x.ready, ready));
	CHECK(SAME(x.client_keys.send, to_host));
	CHECK(SAME(x.client_keys.receive, to_client));
	CHECK(SAME(x.ready_seen.binder, binder));
	CHECK(sivshmem_record_seal(&x.client_keys, SIVP_REQUEST, "hello", 5,
				   record) == sizeof(record));
	CHECK(SAME(record, record));
}

static void full_exchange(void)
{
	struct exchange x;

	CHECK(!whole(&x));
	CHECK(x.host_time == 5000 && x.reason == SIVSHMEM_CERT_OK);
	CHECK(!memcmp(&x.auth_body.chain, &bundle.chain, sizeof(bundle.chain)));
	CHECK(sivshmem_hs_proven(&x.proof, &x.auth_body));
	CHECK(!memcmp(&x.ready_seen, &x.ready_body, sizeof(x.ready_body)));
	CHECK(!memcmp(x.client_keys.send, x.host_keys.receive, 32));
	CHECK(!memcmp(x.client_keys.receive, x.host_keys.send, 32));
	CHECK(memcmp(x.client_keys.send, x.client_keys.receive, 32));
	CHECK(x.host_keys.sent == 1 && x.client_keys.received == 1);
	CHECK(sodium_is_zero((uint8_t *)&x.client, sizeof(x.client)));
	CHECK(sodium_is_zero((uint8_t *)&x.host_end, sizeof(x.host_end)));
}

static void ephemeral_keys_differ(void)
{
	struct sivshmem_handshake hs;
	struct sivp_hello one, two;

	CHECK(!sivshmem_hs_client_hello(&hs, &one));
	CHECK(!sivshmem_hs_client_hello(&hs, &two));
	CHECK(memcmp(one.ec, two.ec, 32));
}

static void refused_ready_gives_no_keys(void)
{
	struct exchange x;

	CHECK(!through_auth(&x));
	CHECK(!host_readies(&x, SIVP_REFUSED));
	CHECK(!client_readies(&x));
	CHECK(x.ready_seen.status == SIVP_REFUSED);
	CHECK(sodium_is_zero((uint8_t *)&x.client_keys, sizeof(x.client_keys)));
	CHECK(sodium_is_zero((uint8_t *)&x.host_keys, sizeof(x.host_keys)));
}

/* A changed HELLO either displeases the host or breaks the transcript. */
static void flips_of_hello(void)
{
	struct exchange x;

	for (size_t bit = 0; bit < 8 * sizeof(x.hello); bit++) {
		client_starts(&x);
		((uint8_t *)&x.hello)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (host_answers(&x, &host_party))
			continue;
		CHECK(client_auths(&x, NULL) == -EPROTO);
		CHECK(sodium_is_zero((uint8_t *)&x.auth, sizeof(x.auth)));
	}
}

static void flips_of_host(void)
{
	struct exchange x, good;

	client_starts(&good);
	CHECK(!host_answers(&good, &host_party));
	for (size_t i = 0; i < sizeof(x.host); i++) {
		x = good;
		((uint8_t *)&x.host)[i] ^= (uint8_t)(1 << i % 8);
		CHECK(client_auths(&x, NULL) == -EPROTO);
		CHECK(sodium_is_zero((uint8_t *)&x.client, sizeof(x.client)));
		x = good;
		((uint8_t *)&x.host)[i] ^= 0x80;
		CHECK(client_auths(&x, NULL) == -EPROTO);
	}
}

static void flips_of_auth(void)
{
	struct exchange x, good;

	client_starts(&good);
	CHECK(!host_answers(&good, &host_party) && !client_auths(&good, NULL));
	for (size_t i = 0; i < sizeof(x.auth); i++) {
		x = good;
		((uint8_t *)&x.auth)[i] ^= (uint8_t)(1 << i % 8);
		CHECK(host_auths(&x) == -EPROTO);
		CHECK(sodium_is_zero((uint8_t *)&x.host_end, sizeof(x.host_end)));
		CHECK(sodium_is_zero((uint8_t *)&x.auth_body, sizeof(x.auth_body)));
	}
}

static void flips_of_ready(void)
{
	struct exchange x, good;

	CHECK(!through_auth(&good) && !host_readies(&good, SIVP_OK));
	for (size_t i = 0; i < sizeof(x.ready); i++) {
		x = good;
		((uint8_t *)&x.ready)[i] ^= (uint8_t)(1 << i % 8);
		CHECK(client_readies(&x) == -EPROTO);
		CHECK(sodium_is_zero((uint8_t *)&x.client_keys, sizeof(x.client_keys)));
		CHECK(sodium_is_zero((uint8_t *)&x.ready_seen, sizeof(x.ready_seen)));
	}
}

/* each message at every length but its own; the buffer goes one byte beyond */
static void wrong_lengths(void)
{
	uint8_t longer[sizeof(struct sivp_host) + 1] = { 0 };
	struct exchange x, good;

	CHECK(!through_auth(&good) && !host_readies(&good, SIVP_OK));
	for (size_t n = 0; n <= sizeof(good.hello) + 1; n++) {
		memcpy(longer, &good.hello, sizeof(good.hello));
		if (n != sizeof(good.hello))
			CHECK(sivshmem_hs_host_hello(&x.host_end, longer, n, 77, epoch,
						     &x.host) == -EPROTO);
	}
	for (size_t n = 0; n <= sizeof(good.host) + 1; n++) {
		client_starts(&x);
		memcpy(longer, &good.host, sizeof(good.host));
		if (n != sizeof(good.host))
			CHECK(sivshmem_hs_client_auth(&x.client, longer, n, &bundle, NULL,
						      &x.auth, &x.host_time,
						      &x.reason) == -EPROTO);
	}
	for (size_t n = 0; n <= sizeof(good.auth) + 1; n++) {
		client_starts(&x);
		CHECK(!host_answers(&x, &host_party));
		memcpy(longer, &good.auth, sizeof(good.auth));
		if (n != sizeof(good.auth))
			CHECK(sivshmem_hs_host_auth(&x.host_end, longer, n,
						    &x.auth_body) == -EPROTO);
	}
	for (size_t n = 0; n <= sizeof(good.ready) + 1; n++) {
		x = good;
		memcpy(longer, &good.ready, sizeof(good.ready));
		if (n != sizeof(good.ready))
			CHECK(sivshmem_hs_client_ready(&x.client, longer, n, &x.ready_seen,
						       &x.client_keys) == -EPROTO);
	}
}

static void reflection(void)
{
	uint8_t plain[8], record[8 + 8 + 16];
	struct exchange x;

	client_starts(&x);
	CHECK(sivshmem_hs_client_auth(&x.client, &x.hello, sizeof(x.hello), &bundle,
				      NULL, &x.auth, &x.host_time,
				      &x.reason) == -EPROTO);
	/* the client's own HELLO key comes back as the host's */
	client_starts(&x);
	CHECK(!host_answers(&x, &host_party));
	memcpy(x.host.clear.eh, x.hello.ec, 32);
	CHECK(client_auths(&x, NULL) == -EPROTO);
	/* a record comes back to whoever sealed it */
	CHECK(!whole(&x));
	sivshmem_record_seal(&x.client_keys, SIVP_RESULT, "to host", 8, record);
	x.client_keys.received = 0;
	CHECK(sivshmem_record_open(&x.client_keys, SIVP_RESULT, record,
				   sizeof(record), plain, 8) == -EPROTO);
}

static void replay_from_another_session(void)
{
	struct exchange old, x;

	CHECK(!through_auth(&old) && !host_readies(&old, SIVP_OK));
	/* HOST of another session to a client with a fresh key */
	memset(&x, 0, sizeof(x));
	CHECK(!sivshmem_hs_client_hello(&x.client, &x.hello));
	x.host = old.host;
	CHECK(client_auths(&x, NULL) == -EPROTO);
	/* HELLO and AUTH of another session to a host with a fresh key */
	x.host_body = old.host_body;
	CHECK(!sivshmem_hs_host_hello(&x.host_end, &old.hello, sizeof(old.hello), 78,
				      epoch, &x.host));
	CHECK(!sivshmem_hs_host_finish(&x.host_end, &x.host, &x.host_body));
	x.auth = old.auth;
	CHECK(host_auths(&x) == -EPROTO);
	/* READY of another session to a client that waits for one */
	memset(&x, 0, sizeof(x));
	CHECK(!sivshmem_hs_client_hello(&x.client, &x.hello));
	CHECK(!host_answers(&x, &host_party) && !client_auths(&x, NULL));
	x.ready = old.ready;
	CHECK(client_readies(&x) == -EPROTO);
}

static int offer(uint16_t min, uint16_t max, uint32_t suites, bool reaches_client)
{
	struct exchange x;
	int r;

	client_starts(&x);
	x.hello.version_min = min;
	x.hello.version_max = max;
	x.hello.suites = suites;
	r = host_answers(&x, &host_party);
	return r || !reaches_client ? r : client_auths(&x, NULL);
}

static void downgrade(void)
{
	CHECK(offer(0, 1, 1, false) == -EPROTO);
	CHECK(offer(2, 1, 1, false) == -EPROTO);
	CHECK(offer(1, 1, 0, false) == -EPROTO);
	CHECK(offer(2, 9, 1, false) == -EPROTONOSUPPORT);
	CHECK(offer(1, 1, 2, false) == -EPROTONOSUPPORT);
	CHECK(offer(1, 9, 3, false) == 0);
	/* the same offer, but not the one that this client made */
	CHECK(offer(1, 9, 1, true) == -EPROTO);
	CHECK(offer(1, 1, 3, true) == -EPROTO);
}

static void zero_shared_key(void)
{
	static const uint8_t small[2][32] = { { 0 }, { 1 } };
	struct exchange x;

	for (int i = 0; i < 2; i++) {
		client_starts(&x);
		memcpy(x.hello.ec, small[i], 32);
		CHECK(host_answers(&x, &host_party) == -EPROTO);
		client_starts(&x);
		CHECK(!host_answers(&x, &host_party));
		memcpy(x.host.clear.eh, small[i], 32);
		CHECK(client_auths(&x, NULL) == -EPROTO);
	}
}

static int client_meets(const struct party *as, const char *name,
			enum sivshmem_cert_error *reason)
{
	struct exchange x;
	int r;

	client_starts(&x);
	r = host_answers(&x, as);
	if (!r)
		r = client_auths(&x, name);
	*reason = x.reason;
	return r;
}

static void wrong_hosts(void)
{
	enum sivshmem_cert_error reason;
	struct party as = host_party;

	CHECK(client_meets(&as, "host-a", &reason) == 0);
	CHECK(client_meets(&as, NULL, &reason) == 0);
	CHECK(client_meets(&as, "host-b", &reason) == -EKEYREJECTED);
	CHECK(reason == SIVSHMEM_CERT_WRONG_HOST);

	memcpy(as.secret, service.secret, 64);	/* has the certificate, not its key */
	CHECK(client_meets(&as, NULL, &reason) == -EKEYREJECTED);
	CHECK(reason == SIVSHMEM_CERT_BAD_SIGNATURE);

	make_party(&as, 2, SIVP_CERT_HOST, "host-a", &other_root);
	CHECK(client_meets(&as, NULL, &reason) == -EKEYREJECTED);
	CHECK(reason == SIVSHMEM_CERT_UNKNOWN_CA);

	CHECK(client_meets(&service, NULL, &reason) == -EKEYREJECTED);
	CHECK(reason == SIVSHMEM_CERT_WRONG_KIND);

	as = host_party;
	as.cert.not_after = 4999;
	sivshmem_cert_sign(&as.cert, root.secret);
	CHECK(client_meets(&as, NULL, &reason) == -EKEYREJECTED);
	CHECK(reason == SIVSHMEM_CERT_EXPIRED);
}

/* a host whose clock is before our own certificate tells a stale time */
static void stale_host_time(void)
{
	enum sivshmem_cert_error reason;

	bundle.chain.cert[0].not_before = 5001;
	sivshmem_cert_sign(&bundle.chain.cert[0], root.secret);
	int r = client_meets(&host_party, NULL, &reason);
	bundle.chain.cert[0] = service.cert;
	CHECK(r == -EKEYREJECTED && reason == SIVSHMEM_CERT_NOT_YET_VALID);
}

static void out_of_turn(void)
{
	struct exchange x, good;

	CHECK(!through_auth(&good) && !host_readies(&good, SIVP_OK));
	client_starts(&x);
	x.ready = good.ready;
	CHECK(client_readies(&x) == -EPROTO);
	client_starts(&x);
	CHECK(!host_answers(&x, &host_party) && !client_auths(&x, NULL));
	CHECK(client_auths(&x, NULL) == -EPROTO);	/* HOST twice */
	CHECK(client_readies(&x) == -EPROTO);		/* and the state is dead */
	client_starts(&x);
	CHECK(!host_answers(&x, &host_party));
	CHECK(sivshmem_hs_host_finish(&x.host_end, &x.host, &x.host_body) == -EPROTO);
	memset(&x, 0, sizeof(x));
	x.auth = good.auth;
	CHECK(host_auths(&x) == -EPROTO);
	CHECK(host_readies(&x, SIVP_OK) == -EPROTO);
}

/* What a worker that was taken over can get out of the monitor. */
static void the_monitor_proves_once(void)
{
	struct exchange x, other;
	struct sivp_host_body body;

	CHECK(!through_auth(&x));
	body = x.host_body;
	CHECK(party_prove(&host_party, &x.proof, &x.hello, x.host.clear.eh, 77, epoch,
			  &body) == -EPROTO);
	CHECK(sivshmem_hs_proven(&x.proof, &x.auth_body));
	CHECK(!sivshmem_hs_proven(&x.proof, &x.auth_body));
	CHECK(party_prove(&host_party, &x.proof, &x.hello, x.host.clear.eh, 77, epoch,
			  &body) == -EPROTO);
	/* an answer to one HOST is none to that of another session */
	memset(&other.proof, 0, sizeof(other.proof));
	CHECK(!sivshmem_hs_proven(&other.proof, &x.auth_body));
	memset(&other.proof, 0, sizeof(other.proof));
	CHECK(!party_prove(&host_party, &other.proof, &x.hello, x.host.clear.eh, 78, epoch,
			   &body));
	CHECK(!sivshmem_hs_proven(&other.proof, &x.auth_body));
	/* nor to one that the service never saw, with an older clock say */
	memset(&other.proof, 0, sizeof(other.proof));
	body.host_time--;
	CHECK(!party_prove(&host_party, &other.proof, &x.hello, x.host.clear.eh, 77, epoch,
			   &body));
	CHECK(!sivshmem_hs_proven(&other.proof, &x.auth_body));
	/* it signs nothing but answers to a HELLO */
	memset(&other.proof, 0, sizeof(other.proof));
	x.hello.hdr.type = SIVP_AUTH;
	CHECK(party_prove(&host_party, &other.proof, &x.hello, x.host.clear.eh, 77, epoch,
			  &body) == -EPROTO);
}

static void binder_and_session_must_match(void)
{
	struct exchange x;

	CHECK(!through_auth(&x));
	x.host_end.binder[0] ^= 1;
	CHECK(!host_readies(&x, SIVP_OK) && client_readies(&x) == -EPROTO);
	CHECK(!through_auth(&x));
	x.ready_body = (struct sivp_ready_body){ .session = 78 };
	CHECK(!sivshmem_hs_host_ready(&x.host_end, &x.ready_body, &x.ready,
				      &x.host_keys));
	CHECK(client_readies(&x) == -EPROTO);
	CHECK(sodium_is_zero((uint8_t *)&x.client_keys, sizeof(x.client_keys)));
}

static void signatures_keep_their_context(void)
{
	uint8_t signature[64], hash[32] = { 7 };

	sivshmem_sign_hash(signature, SIVP_CTX_HOST_AUTH, hash, host_party.secret);
	CHECK(sivshmem_verify_hash(signature, SIVP_CTX_HOST_AUTH, hash,
				   host_party.public_key));
	CHECK(!sivshmem_verify_hash(signature, SIVP_CTX_SERVICE_AUTH, hash,
				    host_party.public_key));
	CHECK(!sivshmem_verify_hash(signature, SIVP_CTX_HOST_AUTH, hash,
				    service.public_key));
	hash[0] = 8;
	CHECK(!sivshmem_verify_hash(signature, SIVP_CTX_HOST_AUTH, hash,
				    host_party.public_key));
}

int main(void)
{
	if (sodium_init() < 0)
		return 3;
	make_parties();
	RUN(vectors);
	RUN(full_exchange);
	RUN(ephemeral_keys_differ);
	RUN(refused_ready_gives_no_keys);
	RUN(flips_of_hello);
	RUN(flips_of_host);
	RUN(flips_of_auth);
	RUN(flips_of_ready);
	RUN(wrong_lengths);
	RUN(reflection);
	RUN(replay_from_another_session);
	RUN(downgrade);
	RUN(zero_shared_key);
	RUN(wrong_hosts);
	RUN(stale_host_time);
	RUN(out_of_turn);
	RUN(the_monitor_proves_once);
	RUN(binder_and_session_must_match);
	RUN(signatures_keep_their_context);
	return test_failures != 0;
}
