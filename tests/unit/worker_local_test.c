/* SPDX-License-Identifier: MIT */
/* A real worker process for local use; this test is its monitor and its client. */
#include <errno.h>
#include <signal.h>

#include "../../ca-host/session.h"
#include "../../shim/lib/handshake.h"
#include "priv_peer.h"
#include "test.h"

#define ID	7

static struct sivshmem_bundle bundle;
static struct sivshmem_handshake hs;
static struct sivshmem_keys keys;
static struct sivp_ready_body ready_body;
static uint8_t message[SIVP_MSG_MAX];

/* A process connects; -1 unless the worker announces it. */
static int connect_as(uint64_t id)
{
	struct priv_event event = { .type = PRIV_EVENT_CONN, .session = id };
	struct iovec iov = { .iov_base = &event, .iov_len = sizeof(event) };
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control = { 0 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		return -1;
	control.header = (struct cmsghdr){
		.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
		.cmsg_len = CMSG_LEN(sizeof(int)),
	};
	memcpy(CMSG_DATA(&control.header), &pair[1], sizeof(int));
	if (sendmsg(peer.event, &msg, 0) < 0 || !gave_session(id))
		return -1;
	close(pair[1]);
	return pair[0];
}

static ssize_t hear(int fd)
{
	return readable(fd) ? recv(fd, message, sizeof(message), 0) : -1;
}

static bool aborted(int fd, enum sivp_status status)
{
	struct sivp_abort abort_message;

	if (hear(fd) != sizeof(abort_message))
		return false;
	memcpy(&abort_message, message, sizeof(abort_message));
	return abort_message.hdr.type == SIVP_ABORT && abort_message.status == status;
}

/* the worker hangs up and says so */
static bool closed(int fd, uint64_t id)
{
	bool ok = hear(fd) == 0 && asked_ok(PRIV_SESSION_CLOSE) &&
		  peer.asked.session == id;

	close(fd);
	return ok;
}

static bool signs(void)
{
	return gave_host(0);
}

/* HELLO out, HOST in, AUTH made */
static bool half_way(int fd, struct sivp_auth *auth)
{
	enum sivshmem_cert_error reason;
	struct sivp_hello hello;
	int64_t host_time;
	ssize_t n;

	sivshmem_hs_client_hello(&hs, &hello);
	if (send(fd, &hello, sizeof(hello), 0) < 0 || !signs())
		return false;
	n = hear(fd);
	return n > 0 && !sivshmem_hs_client_auth(&hs, message, (size_t)n, &bundle,
						 "host-a", auth, &host_time, &reason) &&
	       host_time >= time(NULL) - 60;
}

static bool judged(uint32_t status)
{
	struct priv_reply reply = {
		.ready = { .status = status, .uid = 1, .gid = 2, .pid = 3, .vm = "host" },
	};
	const struct sivp_auth_body *body = &peer.asked.auth;

	if (!asked(PRIV_AUTH) ||
	    memcmp(&body->chain, &bundle.chain, sizeof(body->chain)) ||
	    !sivshmem_hs_proven(&peer.proof, body))
		return false;
	answer(&reply, NULL, 0);
	return true;
}

static bool took_ready(int fd)
{
	ssize_t n = hear(fd);

	return n > 0 && !sivshmem_hs_client_ready(&hs, message, (size_t)n, &ready_body,
						  &keys);
}

static bool shaken(int fd)
{
	struct sivp_auth auth;

	return half_way(fd, &auth) && send(fd, &auth, sizeof(auth), 0) > 0 &&
	       judged(SIVP_OK) && took_ready(fd) && ready_body.status == SIVP_OK;
}

static void request(int fd, const struct sivp_request *r)
{
	size_t n = sivshmem_record_seal(&keys, SIVP_REQUEST, r, sizeof(*r), message);

	if (send(fd, message, n, 0) < 0)
		perror("request");
}

static bool result(int fd, struct sivp_result *r)
{
	ssize_t n = hear(fd);

	return n > 0 && !sivshmem_record_open(&keys, SIVP_RESULT, message, (size_t)n, r,
					      sizeof(*r));
}

static const struct sivp_request open_cam = {
	.op = SIVP_OP_OPEN, .oflag = SIVP_O_CREAT, .mode = 0600,
	.rights = SIVSHMEM_RIGHT_READ | SIVSHMEM_RIGHT_WRITE,
	.channel = "camera", .object = "cam0",
};

static const struct priv_reply granted = {
	.grant = {
		.created = 1,
		.grant = {
			.grant = 5, .rights = SIVSHMEM_RIGHT_READ,
			.object = { .object = 6, .generation = 7, .size = 8 },
		},
	},
};

static void handshake_and_requests(void)
{
	struct sivp_request r = open_cam;
	struct sivp_result got;
	int fd;

	CHECK(worker_up(true));
	CHECK((fd = connect_as(ID)) >= 0 && shaken(fd));
	CHECK(ready_body.session == 1000 + ID && ready_body.uid == 1);
	request(fd, &r);
	CHECK(asked(PRIV_OPEN) && peer.asked.session == ID);
	CHECK(!strcmp(peer.asked.name.channel, "camera"));
	CHECK(!strcmp(peer.asked.name.object, "cam0"));
	CHECK(peer.asked.name.oflag == r.oflag && peer.asked.name.mode == r.mode &&
	      peer.asked.name.rights == r.rights);
	answer(&granted, NULL, 0);
	CHECK(result(fd, &got) && !got.error && got.op == SIVP_OP_OPEN);
	CHECK(got.grant == 5 && got.rights == 1 && got.object == 6 &&
	      got.generation == 7 && got.size == 8 && got.created == 1);

	r.op = SIVP_OP_RESIZE;
	r.grant = 5;
	r.size = 4096;
	request(fd, &r);
	CHECK(asked(PRIV_RESIZE) && peer.asked.session == ID &&
	      peer.asked.grant.grant == 5 && peer.asked.grant.size == 4096);
	answer_error(ENOSPC);
	CHECK(result(fd, &got) && got.error == ENOSPC && got.op == SIVP_OP_RESIZE);

	r.op = SIVP_OP_RELEASE;
	request(fd, &r);
	CHECK(asked_ok(PRIV_RELEASE) && peer.asked.grant.grant == 5);
	CHECK(result(fd, &got) && !got.error);

	close(fd);
	CHECK(asked_ok(PRIV_SESSION_CLOSE) && peer.asked.session == ID);
	CHECK(worker_down() == 0);
}

static void requests_in_one_flight(void)
{
	struct sivp_result got;
	int fd;

	CHECK(worker_up(true));
	CHECK((fd = connect_as(ID)) >= 0 && shaken(fd));
	for (int i = 0; i < 40; i++)	/* more than one wake-up's worth */
		request(fd, &open_cam);
	for (int i = 0; i < 40; i++) {
		CHECK(asked(PRIV_OPEN));
		answer(&granted, NULL, 0);
		CHECK(result(fd, &got) && !got.error && got.grant == 5);
	}
	close(fd);
	CHECK(worker_down() == 0);
}

static void refused_service(void)
{
	struct sivp_auth auth;
	int fd;

	CHECK(worker_up(true));
	CHECK((fd = connect_as(ID)) >= 0 && half_way(fd, &auth));
	CHECK(send(fd, &auth, sizeof(auth), 0) > 0);
	CHECK(judged(SIVP_REFUSED) && took_ready(fd));
	CHECK(ready_body.status == SIVP_REFUSED);
	CHECK(sodium_is_zero((uint8_t *)&keys, sizeof(keys)));
	CHECK(closed(fd, ID));
	CHECK(worker_down() == 0);
}

/* what a process may send first, and why it is refused */
static bool first_message_refused(const void *bytes, size_t length,
				  enum priv_why why, enum sivp_status status)
{
	int fd = connect_as(ID);

	return fd >= 0 && send(fd, bytes, length, 0) >= 0 && refused(why) &&
	       aborted(fd, status) && closed(fd, ID);
}

static void broken_first_messages(void)
{
	static const uint8_t noise[300] = { [0 ... 299] = 0xa5 };
	struct sivp_auth auth = { .hdr = { SIVP_AUTH, 0, sizeof(auth) - 8 } };
	struct sivp_hello hello = { .hdr = { SIVP_HELLO, 0, sizeof(hello) - 8 } };

	CHECK(worker_up(true));
	CHECK(first_message_refused(noise, sizeof(noise), PRIV_WHY_MALFORMED,
				    SIVP_REFUSED));
	CHECK(first_message_refused(noise, 1, PRIV_WHY_MALFORMED, SIVP_REFUSED));
	CHECK(first_message_refused(&auth, sizeof(auth), PRIV_WHY_ORDER, SIVP_REFUSED));
	CHECK(first_message_refused(&hello, sizeof(hello), PRIV_WHY_MALFORMED,
				    SIVP_REFUSED));
	hello.version_min = hello.version_max = 9;
	hello.suites = 1;
	CHECK(first_message_refused(&hello, sizeof(hello), PRIV_WHY_VERSION,
				    SIVP_BAD_VERSION));
	CHECK(worker_down() == 0);
}

static void message_too_long(void)
{
	static const uint8_t noise[SIVP_MSG_MAX + 1] = { 1 };
	int fd;

	CHECK(worker_up(true));
	CHECK((fd = connect_as(ID)) >= 0);
	CHECK(send(fd, noise, sizeof(noise), 0) > 0);
	CHECK(refused(PRIV_WHY_MALFORMED) && closed(fd, ID));
	CHECK(worker_down() == 0);
}

static void forged_auth_and_request(void)
{
	struct sivp_auth auth;
	size_t n;
	int fd;

	CHECK(worker_up(true));
	CHECK((fd = connect_as(ID)) >= 0 && half_way(fd, &auth));
	auth.sealed[9] ^= 1;
	CHECK(send(fd, &auth, sizeof(auth), 0) > 0);
	CHECK(refused(PRIV_WHY_SEAL) && aborted(fd, SIVP_REFUSED) && closed(fd, ID));

	CHECK((fd = connect_as(ID)) >= 0 && shaken(fd));
	n = sivshmem_record_seal(&keys, SIVP_REQUEST, &open_cam, sizeof(open_cam),
				 message);
	message[20] ^= 1;
	CHECK(send(fd, message, n, 0) > 0);
	CHECK(refused(PRIV_WHY_SEAL) && aborted(fd, SIVP_REFUSED) && closed(fd, ID));
	CHECK(worker_down() == 0);
}

static bool answered(int fd, const struct sivp_request *r, uint32_t error)
{
	struct sivp_result got;

	request(fd, r);
	return result(fd, &got) && got.error == error;
}

/* the monitor hears of none of these */
static void requests_that_make_no_sense(void)
{
	struct sivp_request r = open_cam;
	int fd;

	CHECK(worker_up(true));
	CHECK((fd = connect_as(ID)) >= 0 && shaken(fd));
	r.op = 99;
	CHECK(answered(fd, &r, EOPNOTSUPP));
	r = open_cam;
	r.oflag = 8;
	CHECK(answered(fd, &r, EINVAL));
	r = open_cam;
	r.rights = SIVSHMEM_RIGHT_WRITE;
	CHECK(answered(fd, &r, EINVAL));
	r = open_cam;
	r.mode = 010000;
	CHECK(answered(fd, &r, EINVAL));
	r = open_cam;
	strcpy(r.channel, "/camera");
	CHECK(answered(fd, &r, EINVAL));
	r = open_cam;
	memset(r.object, 0, sizeof(r.object));
	CHECK(answered(fd, &r, EINVAL));
	r = open_cam;
	r.object[60] = 'x';		/* not padded: no client of ours */
	request(fd, &r);
	CHECK(refused(PRIV_WHY_MALFORMED) && aborted(fd, SIVP_REFUSED) && closed(fd, ID));
	CHECK(worker_down() == 0);
}

/* a user's half handshakes are never more than are left for the others */
static void half_open_sessions_are_bounded(void)
{
	enum { SHARE = WSESSION_HALF_OPEN_MAX / 2 };
	int fds[SHARE + 1], other;
	struct sivp_hello hello;

	CHECK(worker_up(true));
	for (int i = 0; i < SHARE; i++) {
		CHECK((fds[i] = connect_as(100 + (uint64_t)i)) >= 0);
		sivshmem_hs_client_hello(&hs, &hello);
		CHECK(send(fds[i], &hello, sizeof(hello), 0) > 0);
		CHECK(signs() && hear(fds[i]) == sizeof(struct sivp_host));
	}
	CHECK((fds[SHARE] = connect_as(99)) >= 0);
	CHECK(send(fds[SHARE], &hello, sizeof(hello), 0) > 0);
	CHECK(refused(PRIV_WHY_LIMIT));
	CHECK(aborted(fds[SHARE], SIVP_BUSY));
	CHECK(closed(fds[SHARE], 99));
	peer.payer = 4711;
	CHECK((other = connect_as(98)) >= 0 && shaken(other));
	peer.payer = 0;
	/* one goes, one may come */
	close(fds[0]);
	CHECK(asked_ok(PRIV_SESSION_CLOSE));
	CHECK((fds[0] = connect_as(97)) >= 0 && shaken(fds[0]));
	for (int i = 0; i < SHARE; i++)
		close(fds[i]);
	close(other);
	CHECK(worker_down() == 0);
}

/* one says nothing, one stops after HELLO; this takes as long as it takes */
static void slow_handshakes_end(void)
{
	struct sivp_hello hello;
	int silent, slow;

	CHECK(worker_up(true));
	CHECK((silent = connect_as(1)) >= 0 && (slow = connect_as(2)) >= 0);
	sivshmem_hs_client_hello(&hs, &hello);
	CHECK(send(slow, &hello, sizeof(hello), 0) > 0);
	CHECK(signs() && hear(slow) == sizeof(struct sivp_host));
	CHECK(poll(&(struct pollfd){ .fd = peer.rpc, .events = POLLIN }, 1,
		   WSESSION_TIMEOUT - 1000) == 0);
	CHECK(refused(PRIV_WHY_TIMEOUT) && refused(PRIV_WHY_TIMEOUT));
	CHECK(aborted(silent, SIVP_REFUSED) && aborted(slow, SIVP_REFUSED));
	CHECK(asked_ok(PRIV_SESSION_CLOSE) && asked_ok(PRIV_SESSION_CLOSE));
	CHECK(hear(silent) == 0 && hear(slow) == 0);
	CHECK(worker_down() == 0);
}

static void monitor_ends_a_session(void)
{
	struct priv_event event = { .type = PRIV_EVENT_END, .session = ID };
	int fd;

	CHECK(worker_up(true));
	CHECK((fd = connect_as(ID)) >= 0 && shaken(fd));
	CHECK(send(peer.event, &event, sizeof(event), 0) > 0);
	CHECK(aborted(fd, SIVP_REFUSED) && closed(fd, ID));
	CHECK(worker_down() == 0);
}

int main(void)
{
	if (sodium_init() < 0)
		return 3;
	signal(SIGPIPE, SIG_IGN);
	make_parties();
	bundle.secret = service.secret;
	bundle.chain = (struct sivp_chain){ .count = 1, .cert[0] = service.cert };
	bundle.root = root.cert;
	RUN(handshake_and_requests);
	RUN(requests_in_one_flight);
	RUN(refused_service);
	RUN(broken_first_messages);
	RUN(message_too_long);
	RUN(forged_auth_and_request);
	RUN(requests_that_make_no_sense);
	RUN(half_open_sessions_are_bounded);
	RUN(monitor_ends_a_session);
	RUN(slow_handshakes_end);
	return test_failures != 0;
}
