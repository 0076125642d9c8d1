/* SPDX-License-Identifier: MIT */
/* What a VM and a service may use: not more, and nobody else has less for it. */
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../ca-host/alloc.h"
#include "../../ca-host/bucket.h"
#include "../../ca-host/limits.h"

#define RW	(SIVSHMEM_RIGHT_READ | SIVSHMEM_RIGHT_WRITE)
#define P	ALLOC_PAGE

static const char text[] =
	"version = 1;\nlimits = { log = 6; };\n"
	"vms = ( { name = \"a\"; limits = { objects = 4; bytes = \"20K\"; handshakes = 4; log = 4; }; },\n"
	"  { name = \"b\"; } );\n"
	"services = (\n"
	"  { name = \"one\"; vm = \"a\"; limits = { objects = 2; bytes = \"12K\"; sessions = 2; handshakes = 5; }; },\n"
	"  { name = \"two\"; vm = \"a\"; uid = 63; }, { name = \"far\"; vm = \"b\"; limits = { log = 2; }; } );\n"
	"channels = ( { name = \"c\"; quota = \"1M\"; members = (\n"
	"    { service = \"one\"; rights = \"rw,create\"; },\n"
	"    { service = \"two\"; rights = \"rw,create\"; },\n"
	"    { service = \"far\"; rights = \"rw,create\"; } ); } );\n";

static char log_path[] = "/tmp/sivshmem-limits-test.XXXXXX";

static const struct policy_service *service(const char *name)
{
	return policy_find_service(monitor.policy, name);
}

static struct session *session(const char *name)
{
	const struct sivring_session who = { .uid = 5, .gid = 6, .pid = 7, .payer = 5 };
	static uint64_t id;
	struct session *s = session_create(&monitor.domains[service(name)->vm], ++id, &who, -1);

	s->service = service(name);
	return s;
}

static const char *create(struct session *s, const char *name, struct grant **g)
{
	const char *why = NULL;
	bool created = false;

	*g = NULL;
	store_open(s, &monitor.policy->channels[0], name, SIVP_O_CREAT, RW, 0600, g, &created, &why);
	return why;
}

static const char *resize(struct grant *g, uint64_t size)
{
	const char *why = NULL;

	store_resize(g, size, false, &why);
	return why;
}

static void drop(struct session *s)
{
	struct object *o, *next;
	const char *why;

	for (o = store_first(&monitor.policy->channels[0]); o; o = next) {
		next = LIST_NEXT(o, node);
		if (o->maker == s->service && !o->unlinked)
			store_unlink(s, o->channel, o->name, &why);
	}
	session_destroy(s);
}

static bool is(const char *why, const char *expected)
{
	return why && !strcmp(why, expected);
}

static void buckets(void)
{
	struct bucket none = { 0 }, three = { .rate = 3, .burst = 3 };
	int i;

	for (i = 0; i < 1000; i++)
		CHECK(bucket_take(&none));
	for (i = 0; i < 3; i++)
		CHECK(bucket_has(&three) && bucket_take(&three));
	CHECK(!bucket_has(&three) && !bucket_take(&three));
	usleep(400000);
	CHECK(bucket_take(&three) && !bucket_take(&three));
	/* what is owed is paid first */
	bucket_owe(&three);
	usleep(400000);
	CHECK(!bucket_has(&three));
}

static void objects_by_number(void)
{
	struct session *one = session("one"), *two = session("two"), *far = session("far");
	struct grant *g;
	char name[] = "x0";

	CHECK(!create(one, "a1", &g) && !create(one, "a2", &g));
	CHECK(is(create(one, "a3", &g), "over the service's limit of objects") && !g);
	/* what is there may be opened, whoever made it */
	CHECK(!create(one, "a1", &g) && g);
	CHECK(!create(two, "b1", &g) && !create(two, "b2", &g));
	CHECK(is(create(two, "b3", &g), "over the VM's limit of objects"));
	for (; name[1] < '9'; name[1]++)
		CHECK(!create(far, name, &g) && g);
	/* one that is gone counts no more; a name that is gone, with its memory in use, does */
	CHECK(!store_unlink(two, g->object->channel, "b1", &(const char *){ NULL }));
	CHECK(is(create(two, "b3", &g), "over the VM's limit of objects"));
	drop(two);
	two = session("two");
	CHECK(!create(two, "b3", &g));
	drop(one);
	drop(two);
	drop(far);
}

static void objects_by_size(void)
{
	struct session *one = session("one"), *two = session("two"), *far = session("far");
	struct grant *g, *h, *of_two;

	CHECK(!create(one, "a", &g) && !resize(g, 3 * P));
	CHECK(is(resize(g, 3 * P + 1), "over the limit of bytes of the service that created it"));
	CHECK(g->object->size == 3 * P);
	/* whoever asks: they are its creator's */
	CHECK(!create(far, "a", &h) && h->object == g->object);
	CHECK(is(resize(h, 4 * P), "over the limit of bytes of the service that created it"));
	CHECK(!resize(h, P) && !resize(h, 3 * P));
	CHECK(!create(two, "b", &of_two) && !resize(of_two, 2 * P));
	CHECK(is(resize(of_two, 3 * P), "over the limit of bytes of the VM that created it"));
	CHECK(!create(far, "f", &h) && !resize(h, 100 * P));
	drop(one);
	CHECK(!resize(of_two, 2 * P));
	drop(two);
	drop(far);
}

static void sessions_of_a_service(void)
{
	struct session *one = session("one"), *more = session("one"), *last = session("two");

	last->service = NULL;
	CHECK(!limits_session(one, service("one")));
	CHECK(limits_session(last, service("one")) == EDQUOT);
	more->service = NULL;
	CHECK(!limits_session(last, service("one")));
	/* it waits for another proof, and its grants are still the service's */
	more->holder = service("one");
	CHECK(limits_session(last, service("one")) == EDQUOT);
	session_destroy(more);
	/* the fifth in this second, and no more */
	CHECK(!limits_session(last, service("one")) && limits_session(last, service("one")) == EAGAIN);
	CHECK(!limits_session(last, service("two")));
	session_destroy(one);
	session_destroy(last);
}

static void handshakes_of_a_vm(void)
{
	struct session *one = session("one"), *two = session("two"), *far = session("far");
	int i, begun = 0;

	/* whoever they are in a user namespace, one pays */
	for (i = 0; i < 50; i++, one->who.uid++)
		begun += limits_handshake(one);
	CHECK(begun >= 2 && begun <= 3);
	/* who comes without end takes half of them, and leaves the other */
	two->who.payer = limits_payer(two->domain, 63);
	for (i = 0; i < 50; i++)
		begun += limits_handshake(two);
	CHECK(begun >= 4 && begun <= 6);
	for (i = 0; i < 100; i++)
		CHECK(limits_handshake(far));
	session_destroy(one);
	session_destroy(two);
	session_destroy(far);
}

/* A user may be as many as he has subordinate uids; whom the policy names he is not. */
static void who_is_not_named_is_one(void)
{
	struct session *two = session("two"), *far = session("far");

	CHECK(limits_payer(two->domain, 63) == 63);
	CHECK(limits_payer(two->domain, 8) == SIVP_ANY_ID && limits_payer(far->domain, 63) == SIVP_ANY_ID);
	CHECK(two->who.payer == SIVP_ANY_ID);
	session_destroy(two);
	session_destroy(far);
}

static int lines(const char *with)
{
	char line[4096];
	FILE *f = fopen(log_path, "re");
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, with) != NULL;
	if (f)
		fclose(f);
	return n;
}

static void refusals_are_counted(void)
{
	struct session *two = session("two"), *far = session("far");
	struct audit refused = { .event = "open", .session = two, .refused = true, .reason = "no" };
	int i;

	usleep(1100000);
	for (i = 0; i < 100; i++)
		limits_log(&refused);
	CHECK(lines("\"reason\":\"no\"") >= 2 && lines("\"reason\":\"no\"") <= 3);
	/* the other half is for what is granted, and another VM has its own */
	CHECK(limits_may_log(two) && limits_may_log(far));
	refused.session = far;
	refused.reason = "far";
	limits_log(&refused);
	CHECK(lines("\"reason\":\"far\"") == 1);
	CHECK(limits_deadline() > 0);
	usleep(1100000);
	limits_tick();
	/* the handshakes of the test before, too */
	CHECK(lines("\"event\":\"limit\",\"vm\":\"a\",\"result\":\"refused\","
		    "\"reason\":\"over the policy's limits of a second\",\"handshakes\":9") == 1);
	CHECK(lines("\"lines\":98") == 1 || lines("\"lines\":97") == 1);
	CHECK(limits_deadline() < 0);
	session_destroy(two);
	session_destroy(far);
}

static void nothing_is_granted_unsaid(void)
{
	struct session *two = session("two"), *far = session("far");
	struct audit granted = { .event = "open", .session = two, .reason = "yes" };
	int i;

	for (i = 0; i < 4; i++) {
		CHECK(limits_may_log(two));
		limits_log(&granted);
	}
	CHECK(!limits_may_log(two) && limits_may_log(far));
	/* what was begun before the last of them is written all the same */
	limits_log(&granted);
	CHECK(lines("\"reason\":\"yes\"") == 5);
	granted.session = far;
	limits_log(&granted);
	limits_log(&granted);
	CHECK(!limits_may_log(far));
	session_destroy(two);
	session_destroy(far);
}

static int start(void)
{
	char file[] = "/tmp/sivshmem-limits-test.XXXXXX";
	struct sivshmem_error error;
	int fd = mkstemp(file), r;

	r = fd < 0 || write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1 ||
	    policy_load(file, &monitor.policy, &error);
	unlink(file);
	fd = mkstemp(log_path);
	if (r || fd < 0 || store_start() || domains_start() || limits_start())
		return -1;
	close(fd);
	monitor.links = calloc(1, sizeof(*monitor.links));
	monitor.links[0].memory = memfd_create("link", MFD_CLOEXEC);
	monitor.links[0].pages = pages_create(monitor.policy->links[0].memory);
	monitor.fd_end = 1024;
	return audit_start(log_path);
}

int main(void)
{
	char head[sizeof(log_path) + 8];

	if (start()) {
		printf("not ok limits: cannot start\n");
		return 1;
	}
	RUN(buckets);
	RUN(objects_by_number);
	RUN(objects_by_size);
	RUN(sessions_of_a_service);
	RUN(handshakes_of_a_vm);
	RUN(who_is_not_named_is_one);
	RUN(refusals_are_counted);
	RUN(nothing_is_granted_unsaid);
	unlink(log_path);
	snprintf(head, sizeof(head), "%s.head", log_path);
	unlink(head);
	return test_failures != 0;
}
