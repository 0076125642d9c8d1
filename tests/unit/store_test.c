/* SPDX-License-Identifier: MIT */
/* The metadata server: rights, names, quotas, and whose bytes are in the memory. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../ca-host/alloc.h"
#include "../../ca-host/journal.h"
#include "../../ca-host/keep.h"
#include "../../ca-host/keep_records.h"
#include "../../ca-host/limits.h"
#include "../../ca-host/monitor.h"
#include "../../ca-host/wipe.h"

#define RO	SIVSHMEM_RIGHT_READ
#define RW	(SIVSHMEM_RIGHT_READ | SIVSHMEM_RIGHT_WRITE)
#define P	ALLOC_PAGE

static const char text[] =
	"version = 1;\nvms = ( { name = \"a\"; }, { name = \"b\"; } );\n"
	"services = ( { name = \"maker\"; vm = \"a\"; }, { name = \"reader\"; vm = \"b\"; },\n"
	"  { name = \"writer\"; vm = \"b\"; }, { name = \"sizer\"; vm = \"b\"; },\n"
	"  { name = \"other\"; vm = \"b\"; }, { name = \"here\"; vm = \"host\"; } );\n"
	"channels = ( { name = \"c\"; quota = \"64K\"; objects = 3; members = (\n"
	"    { service = \"maker\"; rights = \"rw,create\"; },\n"
	"    { service = \"reader\"; rights = \"ro\"; },\n"
	"    { service = \"writer\"; rights = \"rw\"; },\n"
	"    { service = \"sizer\"; rights = \"rw,resize\"; } ); },\n"
	"  { name = \"big\"; quota = \"31M\"; members = (\n"
	"    { service = \"maker\"; rights = \"rw,create\"; },\n"
	"    { service = \"sizer\"; rights = \"rw,resize\"; } ); },\n"
	"  { name = \"l\"; quota = \"64K\"; members = (\n"
	"    { service = \"here\"; rights = \"rw,create\"; } ); } );\n";

static struct policy_channel *channel, *big, *local;
static unsigned char *memory;		/* of the link, as a VM sees it */
static const char *reason;
static bool created;
static struct journal *journal;	/* from locks_are_kept_by_grant() on */

static struct session *session(const char *service)
{
	const struct policy_service *s = policy_find_service(monitor.policy, service);
	struct sivring_session who = { .uid = 5, .gid = 6, .pid = 7 };
	struct domain *d = s->vm == POLICY_ON_HOST ? monitor_host_domain() :
						     &monitor.domains[s->vm];
	static uint64_t id;
	struct session *made = session_create(d, ++id, &who, -1);

	made->service = s;
	return made;
}

static int open_in(struct policy_channel *c, struct session *s, const char *name,
		   uint32_t oflag, uint32_t rights, struct grant **g)
{
	reason = NULL;
	*g = NULL;
	created = false;
	return store_open(s, c, name, oflag, rights, 0600, g, &created, &reason);
}

static int open_as(struct session *s, const char *name, uint32_t oflag, uint32_t rights,
		   struct grant **g)
{
	return open_in(channel, s, name, oflag, rights, g);
}

static int resize(struct grant *g, uint64_t size)
{
	reason = NULL;
	return store_resize(g, size, false, &reason);
}

/* The object's byte, through its extents. */
static unsigned char *byte(const struct object *o, uint64_t at)
{
	uint32_t i;

	for (i = 0; i < o->extent_count; i++) {
		if (at < o->extents[i].length)
			return memory + o->extents[i].offset + at;
		at -= o->extents[i].length;
	}
	return NULL;
}

static bool is_zero(const struct object *o, uint64_t from, uint64_t to)
{
	for (; from < to; from++)
		if (!byte(o, from) || *byte(o, from))
			return false;
	return true;
}

static void fill(const struct object *o, uint64_t to)
{
	uint64_t at;

	for (at = 0; at < to; at++)
		*byte(o, at) = 0xa5;
}

static void names_come_and_go(void)
{
	struct session *s = session("maker"), *r = session("reader");
	struct grant *first, *again, *second;
	uint64_t id;

	CHECK(open_as(s, "n", 0, RW, &first) == ENOENT && !reason);
	CHECK(!open_as(s, "n", SIVP_O_CREAT | SIVP_O_EXCL, RW, &first) && created);
	CHECK(first->object->size == 0 && first->object->uid == 5 && first->object->mode == 0600);
	CHECK(open_as(s, "n", SIVP_O_CREAT | SIVP_O_EXCL, RW, &again) == EEXIST);
	CHECK(!open_as(r, "n", 0, RO, &again) && !created && again->object == first->object);
	id = first->object->id;
	/* unlinked, it lives for those who have it, and its name is free */
	CHECK(!store_unlink(s, channel, "n", &reason));
	CHECK(store_unlink(s, channel, "n", &reason) == ENOENT);
	CHECK(open_as(r, "n", 0, RO, &second) == ENOENT);
	CHECK(!resize(first, P) && again->object->size == P);
	CHECK(!open_as(s, "n", SIVP_O_CREAT, RW, &second) && created);
	CHECK(second->object->id != id && second->object->generation != first->object->generation);
	CHECK(!store_unlink(s, channel, "n", &reason));
	session_destroy(s);
	CHECK(store_first(channel) == again->object && store_used(channel) == P);
	session_destroy(r);
	CHECK(!store_first(channel) && !store_used(channel));
}

static void rights_are_the_policys(void)
{
	struct session *m = session("maker"), *r = session("reader"), *w = session("writer"),
		       *z = session("sizer"), *o = session("other");
	struct grant *g;

	CHECK(!open_as(m, "x", SIVP_O_CREAT, RW, &g));
	CHECK(g->rights == (RW | SIVSHMEM_RIGHT_CREATE | SIVSHMEM_RIGHT_RESIZE));
	CHECK(open_as(r, "x", 0, RW, &g) == EACCES && reason);
	CHECK(!open_as(r, "x", 0, RO, &g) && g->rights == RO);
	CHECK(resize(g, P) == EACCES && reason);
	CHECK(open_as(r, "x", SIVP_O_TRUNC, RO, &g) == EACCES && reason);
	CHECK(open_as(r, "y", SIVP_O_CREAT, RO, &g) == EACCES && reason);
	CHECK(!open_as(w, "x", 0, RW, &g) && g->rights == RW && resize(g, P) == EACCES);
	CHECK(open_as(w, "y", SIVP_O_CREAT, RW, &g) == EACCES && reason);
	CHECK(!open_as(z, "x", 0, RW, &g) && !resize(g, P));
	CHECK(!open_as(z, "x", 0, RO, &g) && g->rights == RO && resize(g, 0) == EACCES);
	CHECK(open_as(o, "x", 0, RO, &g) == EACCES && reason);
	CHECK(store_unlink(r, channel, "x", &reason) == EACCES);
	CHECK(store_unlink(w, channel, "x", &reason) == EACCES);
	CHECK(store_unlink(o, channel, "x", &reason) == EACCES);
	CHECK(!store_unlink(m, channel, "x", &reason));
	session_destroy(m);
	session_destroy(r);
	session_destroy(w);
	session_destroy(z);
	session_destroy(o);
	CHECK(!store_first(channel));
}

static void quotas(void)
{
	struct session *s = session("maker");
	struct grant *g[4];

	CHECK(!open_as(s, "1", SIVP_O_CREAT, RW, &g[0]));
	CHECK(!open_as(s, "2", SIVP_O_CREAT, RW, &g[1]));
	CHECK(!open_as(s, "3", SIVP_O_CREAT, RW, &g[2]));
	CHECK(open_as(s, "4", SIVP_O_CREAT, RW, &g[3]) == ENOSPC && reason);
	CHECK(resize(g[0], 16 * P + 1) == ENOSPC && reason && !g[0]->object->size);
	CHECK(!resize(g[0], 15 * P + 1) && resize(g[1], 1) == ENOSPC);
	CHECK(resize(g[0], UINT64_MAX) == EFBIG && resize(g[0], 1ull << 62) == ENOSPC);
	CHECK(g[0]->object->size == 15 * P + 1 && store_used(channel) == 16 * P);
	/* what it keeps for those who may have it mapped still counts */
	CHECK(!resize(g[0], 1) && resize(g[1], 1) == ENOSPC);
	CHECK(!store_unlink(s, channel, "1", &reason));
	CHECK(resize(g[1], 1) == ENOSPC);
	store_release(g[0]);
	CHECK(!resize(g[1], 16 * P));
	CHECK(!store_unlink(s, channel, "2", &reason) && !store_unlink(s, channel, "3", &reason));
	session_destroy(s);
	CHECK(!store_first(channel) && pages_free(monitor.links[0].pages) ==
	      monitor.policy->links[0].memory);
}

static void memory_is_zero(void)
{
	struct session *s = session("maker");
	struct grant *g, *h;
	struct object *o;

	CHECK(!open_as(s, "z", SIVP_O_CREAT, RW, &g) && !resize(g, 3 * P));
	o = g->object;
	CHECK(is_zero(o, 0, 3 * P));
	fill(o, 3 * P);
	/* shrunk and grown within a page, and over pages */
	CHECK(!resize(g, 100) && !resize(g, 3 * P));
	CHECK(*byte(o, 99) == 0xa5 && is_zero(o, 100, 3 * P));
	/* a peer writes behind the end while it is short */
	CHECK(!resize(g, 100));
	*byte(o, 200) = *byte(o, 2 * P) = 1;
	CHECK(!resize(g, 3 * P) && is_zero(o, 100, 3 * P));
	fill(o, 3 * P);
	CHECK(!open_as(s, "z", SIVP_O_TRUNC, RW, &h) && !o->size);
	CHECK(!resize(g, 3 * P) && is_zero(o, 0, 3 * P));
	fill(o, 3 * P);
	CHECK(!store_unlink(s, channel, "z", &reason));
	session_destroy(s);
	/* nobody has it: its bytes are gone from the link */
	for (uint64_t at = 0; at < 64 * P; at++)
		CHECK(!memory[at]);
}

static void objects_never_share_pages(void)
{
	struct session *s = session("maker");
	struct grant *g, *h;
	uint64_t at;
	int step;

	CHECK(!open_as(s, "g", SIVP_O_CREAT, RW, &g));
	CHECK(!open_as(s, "h", SIVP_O_CREAT, RW, &h));
	for (step = 1; step <= 8; step++)
		CHECK(!resize(g, (uint64_t)step * P) && !resize(h, (uint64_t)step * P));
	CHECK(g->object->extent_count > 1);
	fill(g->object, 8 * P);
	CHECK(is_zero(h->object, 0, 8 * P));
	for (at = 0; at < 8 * P; at++)
		CHECK(*byte(g->object, at) == 0xa5);
	CHECK(!store_unlink(s, channel, "g", &reason) && !store_unlink(s, channel, "h", &reason));
	session_destroy(s);
}

static void sessions_have_a_limit(void)
{
	struct session *s = session("maker");
	struct grant *g;
	int i;

	for (i = 0; i < MONITOR_GRANTS_MAX; i++)
		CHECK(!open_as(s, "m", SIVP_O_CREAT, RW, &g));
	CHECK(store_grant(g->id) == g);
	CHECK(open_as(s, "m", 0, RW, &g) == EMFILE && reason && !g);
	CHECK(!store_unlink(s, channel, "m", &reason));
	session_destroy(s);
	CHECK(!store_first(channel));
}

static void local_objects_are_memfds(void)
{
	struct session *s = session("here");
	struct grant *g;
	struct stat st;

	CHECK(!open_in(local, s, "m", SIVP_O_CREAT, RW, &g) && g->object->memfd >= 0);
	/* who asks sizes it himself: a writer may hold the file for as long as he likes */
	CHECK(!resize(g, 5000) && !fstat(g->object->memfd, &st) && st.st_size == 0);
	CHECK((st.st_mode & 07777) == 0600 && g->object->size == 5000);
	CHECK(store_used(local) == 2 * P && !ftruncate(g->object->memfd, 5000));
	CHECK(resize(g, 17 * P) == ENOSPC && g->object->size == 5000);
	/* a member that seals it would deny it to the others */
	CHECK(fcntl(g->object->memfd, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EPERM);
	CHECK(!store_unlink(s, local, "m", &reason));
	session_destroy(s);
	CHECK(!store_first(local));
}

/* Programs size their memfds as they like; the sum is still one, and the quota holds. */
static void absurd_sizes_do_not_wrap(void)
{
	struct session *s = session("here");
	const uint64_t most = INT64_MAX / P * P, sizes[] = { most, 2 * P, most };
	static const char *const names[] = { "1", "2", "3" };
	struct grant *g[3];
	int i;

	for (i = 0; i < 3; i++) {
		CHECK(!open_in(local, s, names[i], SIVP_O_CREAT, RW, &g[i]));
		CHECK(!ftruncate(g[i]->object->memfd, (off_t)sizes[i]));
		CHECK(!store_resize(g[i], 1, true, &reason));
	}
	CHECK(store_used(local) > local->quota);
	CHECK(store_resize(g[2], INT64_MAX, false, &reason) == ENOSPC && reason);
	CHECK(store_resize(g[1], 3 * P, false, &reason) == ENOSPC);
	for (i = 0; i < 3; i++)
		CHECK(!store_unlink(s, local, names[i], &reason));
	session_destroy(s);
	CHECK(!store_first(local));
}

/* How often it is asked, until it is done. */
static int resize_on(struct grant *g, uint64_t size)
{
	int times = 1;

	for (; resize(g, size) == STORE_LATER; times++)
		wipe_tick();
	return times;
}

static void large_ones_go_in_slices(void)
{
	struct session *m = session("maker"), *w = session("sizer");
	uint64_t all = 15 * WIPE_SLICE;
	struct grant *g, *h;

	/* a VM wrote to what was free */
	memset(memory, 0xa5, 2 * all);
	CHECK(!open_in(big, m, "s", SIVP_O_CREAT, RW, &g) && !open_in(big, w, "s", 0, RW, &h));
	CHECK(resize(g, all) == STORE_LATER && !g->object->size && !reason);
	/* nobody else's before it is over, by its end or by its being given up */
	CHECK(resize(h, P) == STORE_LATER && !g->object->size);
	CHECK(resize_on(g, all) == 14 && g->object->size == all && is_zero(g->object, 0, all));
	fill(g->object, all);
	CHECK(resize(g, WIPE_SLICE) == STORE_LATER && resize(h, 2 * all) == STORE_LATER);
	store_forget_resize(m->domain);
	CHECK(resize_on(h, 2 * all) == 15 && is_zero(g->object, all, 2 * all));
	/* another size than the one that it was at */
	fill(g->object, 2 * all);
	CHECK(resize(g, 2 * WIPE_SLICE) == STORE_LATER && resize_on(g, WIPE_SLICE) == 29);
	CHECK(g->object->size == WIPE_SLICE && *byte(g->object, WIPE_SLICE - 1) == 0xa5);
	CHECK(resize_on(g, 2 * all) == 29 && is_zero(g->object, WIPE_SLICE, 2 * all));
	fill(g->object, 2 * all);
	session_destroy(w);
	/* its memory is free when it is zero, and who needs that waits */
	CHECK(!store_unlink(m, big, "s", &reason));
	CHECK(!open_in(big, m, "t", SIVP_O_CREAT, RW, &h));
	store_release(g);
	CHECK(wipe_pending(0) && !wipe_deadline() && resize_on(h, 2 * all) > 30);
	CHECK(!wipe_pending(0) && wipe_deadline() < 0 && is_zero(h->object, 0, 2 * all));
	/* O_TRUNC, too */
	fill(h->object, 2 * all);
	CHECK(open_in(big, m, "t", SIVP_O_TRUNC, RW, &g) == STORE_LATER && !g && h->object->size);
	while (open_in(big, m, "t", SIVP_O_TRUNC, RW, &g) == STORE_LATER)
		;
	CHECK(g && !h->object->size && *byte(h->object, 0) == 0);
	CHECK(!store_unlink(m, big, "t", &reason));
	session_destroy(m);
	CHECK(!monitor.domains[0].resizing && !monitor.domains[1].resizing);
	while (!wipe_deadline())
		wipe_tick();
	CHECK(pages_free(monitor.links[0].pages) == monitor.policy->links[0].memory);
}

/* A guest may lock much, and then go at once: what is kept of that stays small. */
static void locks_are_kept_by_grant(void)
{
	enum { OBJECTS = 8, SESSIONS = 256 };
	struct sivring_lock lock = { .end = 9, .type = SIVRING_LOCK_READ }, in_way;
	char name[] = "a";
	struct grant *g;
	struct stat st;

	journal = journal_create();
	CHECK(journal);
	keep_begin(journal);
	for (int i = 0; i < SESSIONS; i++) {
		struct session *s = session("maker");

		for (name[0] = 'a'; name[0] < 'a' + OBJECTS; name[0]++) {
			CHECK(!open_in(big, s, name, SIVP_O_CREAT, RW, &g));
			lock.grant = g->id;
			lock.owner = (uint64_t)i;
			CHECK(!lock_set(g, &lock, &in_way));
		}
	}
	domain_reset(&monitor.domains[0]);
	CHECK(!fstat(journal_fd(journal), &st) && st.st_blocks * 512 < 4 << 20);
	keep_commit();
}

static int take_change(const struct journal_record *r, const void *fixed, const void *tail,
		       void *change)
{
	const struct keep_object *o = fixed;

	(void)tail;
	if (r->kind == KEEP_OBJECT)
		*(uint64_t *)change = o->change;
	return 0;
}

/* Else a monitor that ends now leaves pages to a VM that the next one gives to another. */
static void others_hear_of_what_is_committed(void)
{
	struct session *m = session("maker"), *w = session("sizer");
	uint64_t change = 0;
	struct grant *g, *h;
	const char *why;

	CHECK(!open_as(m, "m", SIVP_O_CREAT, RW, &g) && !open_as(w, "m", 0, RW, &h));
	keep_commit();
	CHECK(!resize(g, P) && g->object->change > 0);
	CHECK(!journal_read(journal_fd(journal), &why, take_change, &change));
	CHECK(change == g->object->change);
	CHECK(!store_unlink(m, channel, "m", &reason));
	session_destroy(m);
	session_destroy(w);
}

static int start(void)
{
	char file[] = "/tmp/sivshmem-store-test.XXXXXX";
	struct sivshmem_error error;
	int fd = mkstemp(file), r;

	r = fd < 0 || write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1 ||
	    policy_load(file, &monitor.policy, &error);
	unlink(file);
	if (r || store_start() || domains_start() || limits_start() || monitor.policy->link_count != 1)
		return -1;
	monitor.links = calloc(1, sizeof(*monitor.links));
	monitor.links[0].memory = memfd_create("link", MFD_CLOEXEC);
	monitor.links[0].pages = pages_create(monitor.policy->links[0].memory);
	if (ftruncate(monitor.links[0].memory, (off_t)monitor.policy->links[0].memory))
		return -1;
	memory = mmap(NULL, monitor.policy->links[0].memory, PROT_READ | PROT_WRITE, MAP_SHARED,
		      monitor.links[0].memory, 0);
	monitor.fd_end = 1024;
	channel = &monitor.policy->channels[0];
	big = &monitor.policy->channels[1];
	local = &monitor.policy->channels[2];
	return memory == MAP_FAILED ? -1 : 0;
}

int main(void)
{
	if (start()) {
		printf("not ok store: cannot start\n");
		return 1;
	}
	RUN(names_come_and_go);
	RUN(rights_are_the_policys);
	RUN(quotas);
	RUN(memory_is_zero);
	RUN(objects_never_share_pages);
	RUN(sessions_have_a_limit);
	RUN(local_objects_are_memfds);
	RUN(absurd_sizes_do_not_wrap);
	RUN(large_ones_go_in_slices);
	RUN(locks_are_kept_by_grant);
	RUN(others_hear_of_what_is_committed);
	return test_failures != 0;
}
