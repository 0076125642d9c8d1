/* SPDX-License-Identifier: MIT */
/* What the next monitor reads back: nothing of it is believed unseen. */
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../ca-host/alloc.h"
#include "../../ca-host/keep_check.h"

static struct keep_object object = {
	.channel = "main", .name = "camera 1", .creator = "adas/camera",
	.generation = 3, .size = 5000, .pages = 2, .mode = 0600, .unlinked = 1,
};
static struct keep_session session = {
	.id = 7, .domain = 1, .authenticated = 1, .service = "adas/camera", .serial = 99,
	.chain = { .count = 1, .cert[0] = { .serial = 99, .subject = "adas/camera" } },
};
static struct keep_domain domain = { .name = "adas", .up = 1 };
static struct keep_grant grant = { .session = 1, .object = 2, .rights = 3 };
static struct keep_device device = { .sent = 5 };
static struct sivring_lock locks[2] = {
	{ .grant = 1, .start = 0, .end = 9, .type = SIVRING_LOCK_READ },
	{ .grant = 1, .start = 20, .end = 20, .type = SIVRING_LOCK_WRITE },
};

static const struct kind {
	uint32_t kind;
	void *bytes;
	size_t length;
	uint32_t count;			/* of the tail, which it is then */
} kinds[] = {
	{ KEEP_OBJECT, &object, sizeof(object), 0 },
	{ KEEP_SESSION, &session, sizeof(session), 0 },
	{ KEEP_DOMAIN, &domain, sizeof(domain), 0 },
	{ KEEP_GRANT, &grant, sizeof(grant), 0 },
	{ KEEP_DEVICE, &device, sizeof(device), 0 },
	{ KEEP_LOCKS, locks, sizeof(locks), 2 },
};

static const char *check(const struct kind *k, const void *bytes)
{
	return keep_check(k->kind, 1, k->count ? NULL : bytes, k->count ? bytes : NULL,
			  k->count);
}

static bool text(const char *s, size_t n)
{
	return s[0] && memchr(s, 0, n);
}

/* What the rest of the monitor relies on, said once more and by other words. */
static bool usable(const struct kind *k, const void *bytes)
{
	const struct keep_object *o = bytes;
	const struct keep_session *s = bytes;
	const struct keep_grant *g = bytes;
	const struct sivring_lock *l = bytes;

	switch (k->kind) {
	case KEEP_OBJECT:
		return text(o->channel, 64) && text(o->name, 64) && text(o->creator, 64) &&
		       o->mode < 01000 && o->unlinked < 2 && o->lock_wanted < 2 &&
		       !(o->size >> 63) && o->pages * ALLOC_PAGE / ALLOC_PAGE == o->pages;
	case KEEP_SESSION:
		return s->domain < 64 && s->authenticated < 2 && s->revoked < 2 &&
		       (!s->authenticated || (text(s->service, 64) && s->chain.count &&
			s->chain.count < 3 && s->serial == s->chain.cert[0].serial &&
			!strcmp(s->service, s->chain.cert[0].subject)));
	case KEEP_DOMAIN:
		return text(((const struct keep_domain *)bytes)->name, SIVP_VM_LEN) &&
		       ((const struct keep_domain *)bytes)->up < 2;
	case KEEP_GRANT:
		return (g->rights & 1) && g->rights < 16;
	case KEEP_DEVICE:
		return ((const struct keep_device *)bytes)->sent <= 4 + POLICY_MAX_VMS;
	}
	for (int i = 0; i < 2; i++)
		if (l[i].start > l[i].end || !l[i].type || l[i].type > 2 || l[i].grant != 1)
			return false;
	return true;
}

static void any_altered_byte(void)
{
	unsigned int refused = 0;

	for (size_t n = 0; n < sizeof(kinds) / sizeof(*kinds); n++) {
		const struct kind *k = &kinds[n];
		uint8_t *bytes = malloc(k->length);

		memcpy(bytes, k->bytes, k->length);
		CHECK(!check(k, bytes) && usable(k, bytes));
		for (size_t i = 0; i < k->length; i++)
			for (unsigned int value = 0; value < 256; value++) {
				uint8_t was = bytes[i];
				bool bad;

				bytes[i] = (uint8_t)value;
				bad = check(k, bytes);
				refused += bad;
				CHECK(bad || usable(k, bytes));
				bytes[i] = was;
			}
		free(bytes);
	}
	CHECK(refused > 1000);
}

static void any_run_of_bytes(void)
{
	for (size_t n = 0; n < sizeof(kinds) / sizeof(*kinds); n++) {
		const struct kind *k = &kinds[n];
		uint8_t *bytes = malloc(k->length);

		for (size_t from = 0; from < k->length; from++)
			for (size_t to = from + 1; to <= k->length; to++) {
				memcpy(bytes, k->bytes, k->length);
				memset(bytes + from, to % 2 ? 0xff : 'a', to - from);
				CHECK(check(k, bytes) || usable(k, bytes));
			}
		free(bytes);
	}
}

static void keys(void)
{
	const struct keep_lost lost = { .extent = { 4096, 8192 } };
	const struct keep_lost odd = { .extent = { 4096, 100 } };
	const struct keep_meta meta = { 0 };

	CHECK(!keep_check(KEEP_META, 0, &meta, NULL, 0) && keep_check(KEEP_META, 1, &meta, NULL, 0));
	CHECK(keep_check(KEEP_OBJECT, 0, &object, NULL, 0));
	CHECK(keep_check(KEEP_SESSION, 0, &session, NULL, 0));
	CHECK(keep_check(KEEP_GRANT, 0, &grant, NULL, 0));
	CHECK(!keep_check(KEEP_DOMAIN, 63, &domain, NULL, 0));
	CHECK(keep_check(KEEP_DOMAIN, 64, &domain, NULL, 0));
	CHECK(!keep_check(KEEP_LOST, UINT64_C(63) << 48 | 1, &lost, NULL, 0));
	CHECK(keep_check(KEEP_LOST, UINT64_C(64) << 48 | 1, &lost, NULL, 0));
	CHECK(keep_check(KEEP_LOST, 1, &odd, NULL, 0));
}

static void files_are_what_they_should_be(void)
{
	int memory = memfd_create("m", MFD_CLOEXEC), bell = eventfd(0, EFD_CLOEXEC);
	const struct sockaddr any = { .sa_family = AF_UNIX };
	int pair[2], listens = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	CHECK(!ftruncate(memory, 4096) && !bind(listens, &any, sizeof(any.sa_family)) &&
	      !listen(listens, 1));
	CHECK(keep_is_memory(memory, 4096) && !keep_is_memory(memory, 8192));
	CHECK(!keep_is_memory(bell, 0) && !keep_is_memory(pair[0], 0) && !keep_is_memory(-1, 0));
	CHECK(keep_is_bell(bell) && !keep_is_bell(memory) && !keep_is_bell(-1));
	CHECK(keep_is_socket(pair[0], false) && !keep_is_socket(pair[0], true));
	CHECK(keep_is_socket(listens, true) && !keep_is_socket(listens, false));
	CHECK(!keep_is_socket(memory, false) && !keep_is_socket(-1, false));
}

int main(void)
{
	RUN(any_altered_byte);
	RUN(any_run_of_bytes);
	RUN(keys);
	RUN(files_are_what_they_should_be);
	return test_failures != 0;
}
