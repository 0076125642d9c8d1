/* SPDX-License-Identifier: MIT */
/*
 * The service's client library under a hostile daemon that has the session's
 * keys: results with anything inside their seal, memory fds, aborts, garbage;
 * over a real socket that the daemon closes at the end.
 */
#include "fuzz.h"
#include "handshake.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../../ca-host/monitor.h"
#include "../../ca-host/send_fd.h"
#include "../../shim/lib/secret.h"
#include "../../shim/lib/session.h"

static int listener = -1, memory = -1, read_only = -1;
static char path[64];
static struct sivshmem_keys client_keys, host_keys;

static void drop_path(void)
{
	unlink(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct sivp_ready_body body = { .session = 77 }, got;
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct sivshmem_handshake client, host;
	struct sivp_ready ready;
	char name[64];

	(void)argc;
	(void)argv;
	if (hs_setup())
		return 1;
	signal(SIGPIPE, SIG_IGN);
	client = real.client_auth;
	host = real.host_auth;
	ALWAYS(!sivshmem_hs_host_ready(&host, &body, &ready, &host_keys));
	ALWAYS(!sivshmem_hs_client_ready(&client, &ready, sizeof(ready), &got, &client_keys));
	snprintf(path, sizeof(path), "/dev/shm/sivshmem-fuzz-%d.sock", (int)getpid());
	strcpy(at.sun_path, path);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ALWAYS(!bind(listener, (struct sockaddr *)&at, sizeof(at)) && !listen(listener, 8));
	atexit(drop_path);
	memory = memfd_create("object", MFD_CLOEXEC);
	ALWAYS(memory >= 0 && !ftruncate(memory, 4096));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", memory);
	read_only = open(name, O_RDONLY | O_CLOEXEC);
	return read_only < 0;
}

static void say_fd(struct input *in, int to, uint8_t how)
{
	const int fds[] = { memory, read_only, listener, -1 };
	struct sivp_local_fd message = {
		.hdr = { .type = SIVP_LOCAL_FD, .length = 8 }, .grant = how >> 2 & 3,
	};

	if (how & 16)
		patch(in, &message, sizeof(message));
	ALWAYS(!send_fd(to, &message, sizeof(message), fds[how & 3], MSG_DONTWAIT));
}

static void say_result(struct input *in, int to, uint8_t how)
{
	struct sivp_result result = { .op = 1 + (how & 7), .grant = how >> 3 & 3, .object = 5,
		.generation = 5, .size = 4096, .rights = 3, .created = how >> 5 & 1,
		.creator = "app/cam" };
	uint8_t record[sizeof(struct sivp_hdr) + sizeof(result) + SIVP_TAG_LEN];
	uint8_t more = take_uint8(in);

	if (more & 1)
		patch(in, &result, sizeof(result));
	if (more & 2)
		result.error = take_uint8(in);
	sivshmem_record_seal(&host_keys, more & 4 ? SIVP_REQUEST : SIVP_RESULT, &result,
			     sizeof(result), record);
	if (more & 8)
		patch(in, record, sizeof(record));
	ALWAYS(!send_fd(to, record, sizeof(record), more & 16 ? memory : -1, MSG_DONTWAIT));
}

static void say_raw(struct input *in, int to)
{
	uint8_t bytes[512];
	size_t n = take(in, bytes, 1 + take_uint16(in) % sizeof(bytes));

	if (n)
		ALWAYS(!send_fd(to, bytes, n, -1, MSG_DONTWAIT));
}

static void say(struct input *in, int to)
{
	const struct sivp_abort gone = { .hdr = { .type = SIVP_ABORT, .length = 8 },
		.status = take_uint8(in) };
	uint8_t how = take_uint8(in);

	switch (gone.status & 7) {
	case 0:
	case 1:
		say_fd(in, to, how);
		break;
	case 2:
		say_raw(in, to);
		break;
	case 3:
		ALWAYS(!send_fd(to, &gone, sizeof(gone), -1, MSG_DONTWAIT));
		break;
	default:
		say_result(in, to, how);
	}
}

/* What the program asks; an fd that it gets is the kind that it asked for. */
static void ask(struct sivshmem_session *s, uint8_t how)
{
	struct sivp_result result;
	uint64_t grant;
	int fd;

	switch (how & 3) {
	case 0:
		fd = sivshmem_open_result(s, "c", "o", how & 4 ? O_RDONLY : O_RDWR | O_CREAT, 0600,
					  &result);
		ALWAYS(fd < 0 || (fcntl(fd, F_GETFL) & O_ACCMODE) == (how & 4 ? O_RDONLY : O_RDWR));
		if (fd >= 0)
			close(fd);
		break;
	case 1:
		sivshmem_rename(s, "c", "o", "p", how & 4);
		break;
	case 2:
		fd = sivshmem_borrow(s, "c", "o", how & 4, &grant);
		if (fd >= 0)
			sivshmem_give_back(s, fd, grant);
		break;
	default:
		sivshmem_unlink(s, "c", "o");
	}
}

static struct sivshmem_session *session_new(void)
{
	struct sivshmem_session *s = calloc(1, sizeof(*s));
	struct sivshmem_error err;

	ALWAYS(s && (s->secret = secret_pages(sizeof(*s->secret))));
	s->identity = strdup("/nowhere");
	s->where = strdup("unix:/nowhere");
	s->transport.fd = s->transport.pending_fd = -1;
	ALWAYS(!sivshmem_unix_open(&s->transport, path, sivshmem_now_ms() + 1000, &err));
	s->transport.pending_fd = -1;
	s->secret->keys = client_keys;
	s->secret->owner = getpid();
	s->info.local = true;
	s->serial = 1;
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct sivshmem_session *s = session_new();
	int to = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	uint8_t asks = take_uint8(&in);

	ALWAYS(to >= 0);
	host_keys.sent = 1;
	for (int n = 0; n < 8 && in.left; n++)
		say(&in, to);
	shutdown(to, SHUT_WR);
	for (int n = 0; n < 3; n++)
		ask(s, (uint8_t)(asks >> n));
	ALWAYS(memchr(s->err.text, 0, sizeof(s->err.text)));
	sivshmem_close(s);
	close(to);
	return 0;
}
