/* SPDX-License-Identifier: MIT */
/* The policy file: what it means, the links that follow, and each error's line. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sivshmem/ring.h>
#include <sivshmem/wake.h>

#include "../../ca-host/policy.h"

/* libconfig 1.5 forgets the buffer of a string that does not end. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig";
}

static char file[] = "/tmp/sivshmem-policy-test.XXXXXX";
static struct sivshmem_error error;
static struct policy *policy;

static int load_bytes(const char *text, size_t length)
{
	int fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0 || write(fd, text, length) != (ssize_t)length)
		return -EIO;
	close(fd);
	policy_free(policy);
	error.text[0] = '\0';
	return policy_load(file, &policy, &error);
}

static int load(const char *text)
{
	return load_bytes(text, strlen(text));
}

/* The whole message is "FILE:" and what is expected. */
static bool refused(const char *text, const char *expected)
{
	size_t n = strlen(file);

	if (load(text) != -EINVAL || policy || strncmp(error.text, file, n) ||
	    error.text[n] != ':' || strcmp(error.text + n + 1, expected)) {
		printf("# wanted %s\n# got    %s\n", expected, error.text);
		return false;
	}
	return true;
}

#define VMS	"version = 1;\nvms = ( { name = \"a\"; }, { name = \"b\"; uid = 7; } );\n"
#define SERVICES VMS \
	"services = ( { name = \"s/a\"; vm = \"a\"; }, { name = \"s/b\"; vm = \"b\"; uid = 9; },\n" \
	"  { name = \"h\"; vm = \"host\"; }, { name = \"h2\"; vm = \"host\"; } );\n"

static void empty_policies(void)
{
	CHECK(!load("version = 1;\n"));
	CHECK(!policy->vm_count && !policy->service_count && !policy->channel_count &&
	      !policy->link_count && !policy->host[0]);
	CHECK(!load("version = 1;\nhost = \"ecu1\";\nvms = ();\nservices = ();\nchannels = ( );"));
	CHECK(!strcmp(policy->host, "ecu1"));
}

static void everything_is_read(void)
{
	const struct policy_channel *c;
	const struct policy_service *a, *b;

	CHECK(!load(SERVICES
		"channels = (\n"
		"  { name = \"camera\"; quota = \"16M\"; objects = 32;\n"
		"    members = ( { service = \"s/a\"; rights = \"rw,create\"; },\n"
		"                { service = \"s/b\"; rights = \"ro\"; } ); } );\n"));
	CHECK(policy->vm_count == 2 && policy->service_count == 4);
	CHECK(policy->vms[0].any_uid && !policy->vms[1].any_uid && policy->vms[1].uid == 7);
	CHECK(policy_find_vm(policy, "b") == &policy->vms[1] && policy->vms[1].index == 1);
	CHECK(policy->vms[1].line == 2 && !policy_find_vm(policy, "c"));
	a = policy_find_service(policy, "s/a");
	b = policy_find_service(policy, "s/b");
	CHECK(a && a->vm == 0 && a->any_uid && a->line == 3);
	CHECK(b && b->vm == 1 && !b->any_uid && b->uid == 9);
	CHECK(policy_find_service(policy, "h")->vm == POLICY_ON_HOST);
	CHECK(policy_find_service(policy, "h")->line == 4);
	c = policy_find_channel(policy, "camera");
	CHECK(c && c->quota == 16 << 20 && c->objects == 32 && c->line == 6 && c->link == 0);
	CHECK(policy_rights(policy, c, a) == (SIVSHMEM_RIGHT_READ | SIVSHMEM_RIGHT_WRITE |
					      SIVSHMEM_RIGHT_CREATE));
	CHECK(policy_rights(policy, c, b) == SIVSHMEM_RIGHT_READ);
	CHECK(!policy_rights(policy, c, policy_find_service(policy, "h")));
	CHECK(!policy_find_service(policy, "s") && !policy_find_channel(policy, "cam"));
}

static bool rights_are(const char *rights, uint32_t expected)
{
	char text[1024];

	snprintf(text, sizeof(text), SERVICES "channels = ( { name = \"c\"; quota = 1; members = ("
		 "{ service = \"h\"; rights = \"%s\"; } ); } );\n", rights);
	return !load(text) && policy->channels[0].members[0].rights == expected;
}

static void rights_and_defaults(void)
{
	const uint32_t rw = SIVSHMEM_RIGHT_READ | SIVSHMEM_RIGHT_WRITE;

	CHECK(rights_are("ro", SIVSHMEM_RIGHT_READ));
	CHECK(rights_are("rw", rw));
	CHECK(rights_are("create,rw", rw | SIVSHMEM_RIGHT_CREATE));
	CHECK(rights_are("rw, resize", rw | SIVSHMEM_RIGHT_RESIZE));
	CHECK(rights_are("rw , create ,resize", SIVSHMEM_RIGHTS_ALL));
	CHECK(policy->channels[0].objects == 64);
	CHECK(policy->channels[0].link == POLICY_ON_HOST && policy->link_count == 0);
}

static uint64_t quota_of(const char *quota)
{
	char text[1024];

	snprintf(text, sizeof(text), SERVICES "channels = ( { name = \"c\"; quota = %s; members = ("
		 "{ service = \"h\"; rights = \"ro\"; } ); } );\n", quota);
	return load(text) ? 0 : policy->channels[0].quota;
}

static void quotas(void)
{
	static const char *const bad[] = {
		"\"\"", "\"M\"", "\"0\"", "\"0G\"", "0", "-1", "\"-1\"", "\"+1\"", "\" 1\"",
		"\"1 M\"", "\"1MB\"", "\"1m\"", "\"1T\"", "\"0x10\"", "\"65G\"", "\"64G1\"",
		"\"99999999999999999999999999\"", "\"18014398509481985K\"",
	};

	CHECK(quota_of("\"1\"") == 4096 && quota_of("1") == 4096);
	CHECK(quota_of("\"4096\"") == 4096 && quota_of("4097") == 8192);
	CHECK(quota_of("\"5K\"") == 8192 && quota_of("\"3M\"") == 3 << 20);
	CHECK(quota_of("\"64G\"") == 64ull << 30 && quota_of("68719476736L") == 64ull << 30);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!quota_of(bad[i]));
}

/* a writes to b; a and b write; b alone; a writes to b again; host */
static void links_by_writers_and_readers(void)
{
	CHECK(!load(SERVICES "channels = (\n"
		"{ name = \"1\"; quota = \"3M\"; members = ( { service = \"s/a\"; rights = \"rw\"; },"
		" { service = \"s/b\"; rights = \"ro\"; } ); },\n"
		"{ name = \"2\"; quota = 1; members = ( { service = \"s/b\"; rights = \"rw\"; },"
		" { service = \"s/a\"; rights = \"rw,create\"; } ); },\n"
		"{ name = \"3\"; quota = \"4M\"; members = ( { service = \"s/b\"; rights = \"ro\"; } ); },\n"
		"{ name = \"4\"; quota = \"2M\"; members = ( { service = \"s/b\"; rights = \"ro\"; },"
		" { service = \"s/a\"; rights = \"rw\"; } ); },\n"
		"{ name = \"5\"; quota = 1; members = ( { service = \"h\"; rights = \"rw\"; },"
		" { service = \"h2\"; rights = \"ro\"; } ); } );"));
	CHECK(policy->link_count == 3);
	CHECK(policy->channels[0].link == 0 && policy->channels[3].link == 0);
	CHECK(policy->channels[1].link == 1 && policy->channels[2].link == 2);
	CHECK(policy->channels[4].link == POLICY_ON_HOST);
	CHECK(policy->links[0].writers == 1 && policy->links[0].readers == 3);
	CHECK(policy->links[1].writers == 3 && policy->links[1].readers == 3);
	CHECK(policy->links[2].writers == 0 && policy->links[2].readers == 2);
	/* 3M + 2M; the least; a power of two, to which nothing comes: nobody writes */
	CHECK(policy->links[0].memory == 8 << 20);
	CHECK(policy->links[1].memory == 2 << 20);
	CHECK(policy->links[1].usable == (2 << 20) - 2 * sizeof(struct sivwake_slot) -
	      2 * sizeof(struct sivwake_holders));
	/* where somebody may only read, the slots are in a memory of their own */
	CHECK(policy->links[0].split && !policy->links[1].split && policy->links[2].split);
	CHECK(policy->links[2].memory == 4 << 20);
	CHECK(policy->links[2].usable == 4 << 20);
	CHECK(policy->links[0].usable == (8 << 20) - sizeof(struct sivwake_holders));
	CHECK(policy->links[0].position[0] == (SIVRING_ID_BELL | 1));
	CHECK(policy->links[0].position[1] == (SIVRING_ID_BELL | 2));
	CHECK(policy->links[1].position[0] == (SIVRING_ID_LINK | 3));
	CHECK(policy->links[1].position[1] == (SIVRING_ID_LINK | 4));
	CHECK(policy->links[2].position[0] == 0);
	CHECK(policy->links[2].position[1] == (SIVRING_ID_BELL | 5));
}

static void paths(void)
{
	char path[64], cut[8];

	CHECK(!load(VMS));
	policy_control_path(policy, "/run/x", 1, path, sizeof(path));
	CHECK(!strcmp(path, "/run/x/vm/b/control.sock"));
	policy_link_path(policy, "/run/x", 0, 12, path, sizeof(path));
	CHECK(!strcmp(path, "/run/x/vm/a/link12.sock"));
	policy_link_path(policy, "/run/x", 0, 12, cut, sizeof(cut));
	CHECK(!strcmp(cut, "/run/x/"));
}

static void errors_of_the_file(void)
{
	CHECK(refused("", "1: the policy lacks 'version', got only what is there; add version = ...;"));
	CHECK(refused("\n\nversion = 2;", "3: version must be 1, got '2'"));
	CHECK(refused("version = \"1\";", "1: version must be an integer, got '1'"));
	CHECK(refused("version = 1;\nversion = 1;",
		"2: duplicate setting name, got 'version = 1;'"));
	CHECK(refused("version = 1;\n\tvms = ( ;\n", "2: syntax error, got 'vms = ( ;'"));
	CHECK(refused("version = 1;\n\nvm = ();\n",
		"3: unknown key in the policy, got 'vm'; known are version, host, limits, vms, services, channels"));
	CHECK(refused("version = 1;\nvms = [ ];\n", "2: vms must be a list ( ... ), got '[ ... ]'"));
	CHECK(refused("version = 1;\nhost = \"a b\";\n",
		"2: host must be 1 to 31 of [A-Za-z0-9._/:-], no '..', no leading '/', got 'a b'"));
	CHECK(refused("version = 1;\nhost = true;\n", "2: host must be a string \"...\", got 'true'"));
	CHECK(refused("version = 1;\n  @include \"/etc/passwd\"\n",
		"2: a policy is one file, got '@include \"/etc/passwd\"'; put the text here instead"));
	CHECK(load_bytes("version = 1;\nho\0st", 18) == -EINVAL);
	CHECK(strstr(error.text, ":2: not text, got a byte of value '0'; remove it"));
}

static void errors_of_numbers(void)
{
	CHECK(refused("version = 4294967297;",
		"1: number too large, got '4294967297'; one above 2147483647 needs an L behind it"));
	CHECK(refused("version = 1; # 9999999999 \"\n/* \" 9999999999 */\nvms = ( { name = \"9999999999\";\n"
		"uid = 4294968296; } );",
		"4: number too large, got '4294968296'; one above 2147483647 needs an L behind it"));
	CHECK(refused("version = 1;\nvms = ( { name = \"a\"; uid = 4294967295L; } );",
		"2: uid must be 0 to 4294967294, got '4294967295'"));
	CHECK(refused("version = 1;\nvms = ( { name = \"a\"; uid = -1; } );",
		"2: uid must be 0 to 4294967294, got '-1'"));
	CHECK(refused("version = 1;\nvms = ( { name = \"a\"; uid = 99999999999999999999L; } );",
		"2: number too large, got '99999999999999999999L'; one above 2147483647 needs an L behind it"));
	CHECK(!load("version = 1; vms = ( { name = \"a\"; uid = 4294967294L; } );"));
	CHECK(policy->vms[0].uid == 4294967294u);
}

static void errors_of_vms(void)
{
	CHECK(refused("version = 1;\nvms = (\n  \"a\" );", "3: a VM is a group { ... } of name, uid, limits, got 'a'"));
	CHECK(refused("version = 1;\nvms = (\n  { uid = 1; } );",
		"3: a VM lacks 'name', got only what is there; add name = ...;"));
	CHECK(refused("version = 1;\nvms = ( { name = \"a\";\n nme = 1; } );",
		"3: unknown key in a VM, got 'nme'; known are name, uid, limits"));
	CHECK(refused("version = 1;\nvms = ( { name = \"a\";\n uid = \"root\"; } );",
		"3: uid must be an integer, got 'root'"));
	CHECK(refused("version = 1;\nvms = (\n { name = \"a/b\"; } );",
		"3: a VM's name must be of [A-Za-z0-9._-] and begin with no '.', got 'a/b'"));
	CHECK(refused("version = 1;\nvms = (\n { name = \".\"; } );",
		"3: a VM's name must be of [A-Za-z0-9._-] and begin with no '.', got '.'"));
	CHECK(refused("version = 1;\nvms = (\n { name = \"\"; } );",
		"3: name must be 1 to 31 of [A-Za-z0-9._/:-], no '..', no leading '/', got ''"));
	CHECK(refused("version = 1;\nvms = (\n { name = \"host\"; } );",
		"3: the name stands for the host's own processes, got 'host'; name the VM otherwise"));
	CHECK(refused("version = 1;\nvms = ( { name = \"a\"; },\n { name = \"a\"; } );",
		"3: two VMs of one name, got 'a'; it is in line 2 too"));
}

static void errors_of_services(void)
{
	CHECK(refused(VMS "services = (\n  { name = \"x\"; } );",
		"4: a service lacks 'vm', got only what is there; add vm = ...;"));
	CHECK(refused(VMS "services = (\n  { name = \"x\"; vm = \"c\"; } );",
		"4: no such VM, got 'c'; list it in vms or say \"host\""));
	CHECK(refused(VMS "services = (\n  { name = \"/x\"; vm = \"a\"; } );",
		"4: name must be 1 to 63 of [A-Za-z0-9._/:-], no '..', no leading '/', got '/x'"));
	CHECK(refused(VMS "services = ( { name = \"x\"; vm = \"a\"; },\n  { name = \"x\"; vm = \"b\"; } );",
		"4: two services of one name, got 'x'; it is in line 3 too"));
	CHECK(refused(VMS "services = ( { name = \"x\"; vm = \"a\"; gid = 1; } );",
		"3: unknown key in a service, got 'gid'; known are name, vm, uid, limits"));
	CHECK(refused(VMS "services = ( { name = \"x\"; vm = \"a\"; uid = 1.5; } );",
		"3: uid must be an integer, got '1.5'"));
}

#define CHANNEL(keys)	SERVICES "channels = (\n{ name = \"c\";\n" keys " } );"
#define MEMBERS(list)	CHANNEL("quota = 1; members = (\n" list " );")

static void errors_of_channels(void)
{
	CHECK(refused(CHANNEL("quota = 1;"),
		"6: a channel lacks 'members', got only what is there; add members = ...;"));
	CHECK(refused(CHANNEL("members = ();"),
		"6: a channel lacks 'quota', got only what is there; add quota = ...;"));
	CHECK(refused(CHANNEL("quota = 1; members = ();"),
		"7: channel 'c' has no members, got '()'; add one or remove it"));
	CHECK(refused(CHANNEL("quota = \"1Q\"; members = ();"),
		"7: quota must be 1 to 64G bytes, with K, M or G if you like, got '1Q'"));
	CHECK(refused(CHANNEL("quota = (); members = ();"),
		"7: quota must be a string or an integer, got '( ... )'"));
	CHECK(refused(CHANNEL("quota = 1; members = ();\nobjects = 0;"),
		"8: objects must be 1 to 4096, got '0'"));
	CHECK(refused(CHANNEL("quota = 1; members = ();\nobjects = 4097;"),
		"8: objects must be 1 to 4096, got '4097'"));
	CHECK(refused(CHANNEL("quota = 1; quotas = 2;"),
		"7: unknown key in a channel, got 'quotas'; known are name, quota, objects, members"));
	CHECK(refused(SERVICES "channels = (\n"
		"{ name = \"c\"; quota = 1; members = ( { service = \"h\"; rights = \"ro\"; } ); },\n"
		"{ name = \"c\"; quota = 1; members = ( { service = \"h\"; rights = \"ro\"; } ); } );",
		"7: two channels of one name, got 'c'; it is in line 6 too"));
}

static void errors_of_members(void)
{
	CHECK(refused(MEMBERS("\"h\""), "8: a member is a group { ... } of service, rights, got 'h'"));
	CHECK(refused(MEMBERS("{ service = \"h\"; }"),
		"8: a member lacks 'rights', got only what is there; add rights = ...;"));
	CHECK(refused(MEMBERS("{ service = \"h\"; rights = \"ro\"; right = 1; }"),
		"8: unknown key in a member, got 'right'; known are service, rights"));
	CHECK(refused(MEMBERS("{ service = \"nobody\"; rights = \"ro\"; }"),
		"8: no such service, got 'nobody'; list it in services"));
	CHECK(refused(MEMBERS("{ service = \"h\"; rights = \"ro\"; },\n{ service = \"h\"; rights = \"rw\"; }"),
		"9: member twice in channel 'c', got 'h'"));
	CHECK(refused(MEMBERS("{ service = \"s/a\"; rights = \"ro\"; },\n{ service = \"h\"; rights = \"ro\"; }"),
		"9: channel 'c' mixes services on the host and in VMs, which is not supported yet, got 'h'; use two channels"));
	CHECK(refused(MEMBERS("{ service = \"h\"; rights = \"ro\"; },\n{ service = \"s/a\"; rights = \"ro\"; }"),
		"9: channel 'c' mixes services on the host and in VMs, which is not supported yet, got 's/a'; use two channels"));
}

static void errors_of_rights(void)
{
	static const char *const unknown[] = {
		"", "r", "rwx", "RO", "ro,rw", "rw,rw", "rw,create,create", "rw,", ",rw", " rw",
		"rw,,create", "rw;create,",
	};
	char text[1024], expected[256];

	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		snprintf(text, sizeof(text), MEMBERS("{ service = \"h\"; rights = \"%s\"; }"), unknown[i]);
		snprintf(expected, sizeof(expected),
			 "8: rights are ro or rw, then create, resize, each once, got '%s'", unknown[i]);
		CHECK(refused(text, expected));
	}
	CHECK(refused(MEMBERS("{ service = \"h\"; rights = \"rw create\"; }"),
		"8: rights are separated by ',', got 'rw create'"));
	CHECK(refused(MEMBERS("{ service = \"h\"; rights = \"create\"; }"),
		"8: rights lack ro or rw, got 'create'"));
	CHECK(refused(MEMBERS("{ service = \"h\"; rights = \"ro,create\"; }"),
		"8: create and resize need rw, got 'ro,create'"));
	CHECK(refused(MEMBERS("{ service = \"h\"; rights = \"ro,resize\"; }"),
		"8: create and resize need rw, got 'ro,resize'"));
}

static void memory_limits(void)
{
	CHECK(refused(SERVICES "channels = (\n"
		"{ name = \"1\"; quota = \"40G\"; members = ( { service = \"s/a\"; rights = \"rw\"; } ); },\n"
		"{ name = \"2\"; quota = \"40G\"; members = ( { service = \"s/a\"; rights = \"rw\"; } ); } );",
		"7: quotas of one link exceed 64G, got '2'; lower a quota"));
	CHECK(refused(SERVICES "channels = (\n"
		"{ name = \"1\"; quota = \"33G\"; members = ( { service = \"s/a\"; rights = \"rw\"; } ); },\n"
		"{ name = \"2\"; quota = 1; members = ( { service = \"s/a\"; rights = \"ro\"; } ); } );",
		"7: links need more than 64G in all, got '65538M' with this one; lower quotas"));
	/* local memory is no link's */
	CHECK(!load(SERVICES "channels = (\n"
		"{ name = \"1\"; quota = \"63G\"; members = ( { service = \"s/a\"; rights = \"rw\"; } ); },\n"
		"{ name = \"2\"; quota = \"64G\"; members = ( { service = \"h\"; rights = \"rw\"; } ); } );"));
	CHECK(policy->link_count == 1 && policy->links[0].memory == 64ull << 30);
}

static void limits(void)
{
	const struct policy_limits *l;

	CHECK(!load("version = 1;\nlimits = { sessions = 9; };\n"
		"vms = ( { name = \"a\"; limits = { log = 5; bytes = 4097; objects = 2; }; },\n"
		"{ name = \"b\"; limits = { handshakes = 100000; sessions = 1024; }; } );\n"
		"services = ( { name = \"s\"; vm = \"a\"; limits = { bytes = \"64G\"; }; },\n"
		"{ name = \"t\"; vm = \"a\"; } );"));
	l = &policy->vms[0].limits;
	CHECK(l->sessions == 9 && l->handshakes == 200 && l->log == 5 && l->bytes == 8192 &&
	      l->objects == 2);
	l = &policy->vms[1].limits;
	CHECK(l->sessions == 1024 && l->handshakes == 100000 && l->log == 1000 && !l->bytes &&
	      !l->objects);
	l = &policy->services[0].limits;
	CHECK(l->bytes == 64ull << 30 && !l->objects && !l->sessions && !l->handshakes && !l->log);
	/* it has those of its VM only */
	l = &policy->services[1].limits;
	CHECK(!l->bytes && !l->objects && !l->sessions && !l->handshakes && !l->log);
	l = &policy->limits;
	CHECK(l->sessions == 9 && l->handshakes == 200 && l->log == 1000);
}

static void errors_of_limits(void)
{
	static const struct {
		const char *key, *value, *error;
	} wrong[] = {
		{ "sessions", "0", "sessions must be 1 to 1024, got '0'" },
		{ "sessions", "1025", "sessions must be 1 to 1024, got '1025'" },
		{ "handshakes", "-1", "handshakes must be 1 to 100000, got '-1'" },
		{ "log", "100001", "log must be 1 to 100000, got '100001'" },
		{ "objects", "0", "objects must be 1 to 1000000, got '0'" },
		{ "bytes", "\"1T\"", "bytes must be 1 to 64G, with K, M or G if you like, got '1T'" },
		{ "bytes", "0", "bytes must be 1 to 64G, with K, M or G if you like, got '0'" },
		{ "session", "1", "unknown key in limits, got 'session'; known are bytes, objects, "
				  "sessions, handshakes, log" },
	};
	static const struct {
		const char *before, *behind;
	} places[] = {
		{ "limits = {", "" }, { "vms = ( { name = \"a\"; limits = {", "} );" },
		{ "services = ( { name = \"s\"; vm = \"host\"; limits = {", "} );" },
	};
	char text[256], expected[256];

	for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++)
		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
			snprintf(text, sizeof(text), "version = 1;\n%s\n%s = %s; };%s", places[p].before,
				 wrong[i].key, wrong[i].value, places[p].behind);
			snprintf(expected, sizeof(expected), "3: %s", wrong[i].error);
			CHECK(refused(text, expected));
		}
}

/* n VMs v0..., a service s0... in each, and m channels of one member and a reader. */
static char *big(unsigned int vms, unsigned int channels)
{
	static char text[65536];
	const size_t size = sizeof(text);
	size_t n = 0;

	n += (size_t)snprintf(text + n, size - n, "version = 1;\nvms = (\n");
	for (unsigned int i = 0; i < vms; i++)
		n += (size_t)snprintf(text + n, size - n, "%s{ name = \"v%u\"; }", i ? ",\n" : "", i);
	n += (size_t)snprintf(text + n, size - n, " );\nservices = (\n");
	for (unsigned int i = 0; i < vms; i++)
		n += (size_t)snprintf(text + n, size - n, "%s{ name = \"s%u\"; vm = \"v%u\"; }", i ? "," : "", i, i);
	n += (size_t)snprintf(text + n, size - n, " );\nchannels = (\n");
	for (unsigned int i = 0; i < channels; i++)
		n += (size_t)snprintf(text + n, size - n, "%s{ name = \"c%u\"; quota = 1; members = ("
			" { service = \"s%u\"; rights = \"rw\"; }, { service = \"s%u\"; rights = \"ro\"; } ); }",
			i ? ",\n" : "", i, i % vms, (i + 1 + i / vms) % vms);
	snprintf(text + n, size - n, " );\n");
	return text;
}

static void counts(void)
{
	CHECK(!load(big(64, 64)));
	CHECK(policy->vm_count == 64 && policy->link_count == 64);
	CHECK(policy->links[63].writers == 1ull << 63 && policy->links[63].position[63]);
	CHECK(policy->links[63].position[0] == (SIVRING_ID_BELL | 127));
	CHECK(refused(big(65, 1), "67: more than 64 VMs, got '65'"));
	CHECK(refused(big(64, 65),
		"134: more than 64 links, got 'c64' for another set of VMs; let channels share sets of writers and readers"));
}

static void files_that_are_none(void)
{
	CHECK(policy_load("/nonexistent/policy.conf", &policy, &error) == -ENOENT);
	CHECK(!policy && strstr(error.text, "/nonexistent/policy.conf: cannot open"));
	CHECK(policy_load("/tmp", &policy, &error) == -EINVAL);
	CHECK(strstr(error.text, "/tmp: not a regular file"));
	CHECK(!load(VMS) && !chmod(file, 0646));
	CHECK(load(VMS) == -EPERM && strstr(error.text, "got mode 0646; chmod 644 it"));
	CHECK(!chmod(file, 0664) && load(VMS) == -EPERM);
	CHECK(!chmod(file, 0600) && !load(VMS));
	if (!geteuid()) {
		CHECK(!chown(file, 4711, (gid_t)-1));
		CHECK(load(VMS) == -EPERM && strstr(error.text, "uid 4711 owns"));
		CHECK(!chown(file, 0, (gid_t)-1));
	}
}

/* Every prefix and every changed byte: an answer, never a crash. */
static void damaged_files(void)
{
	static const char good[] = CHANNEL("quota = \"2M\"; objects = 3;\nmembers = ("
		" { service = \"s/a\"; rights = \"rw,create\"; }, { service = \"s/b\"; rights = \"ro\"; } );");
	char text[sizeof(good)];

	CHECK(!load(good));
	for (size_t n = 0; n < sizeof(good); n++) {
		int rc = load_bytes(good, n);

		CHECK(rc ? rc == -EINVAL && !policy && strchr(error.text, ':') : policy != NULL);
	}
	for (size_t i = 0; i + 1 < sizeof(good); i++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			memcpy(text, good, sizeof(good));
			text[i] ^= (char)(1u << bit);
			int rc = load_bytes(text, sizeof(good) - 1);

			CHECK(rc ? rc == -EINVAL && !policy : policy != NULL);
		}
	}
}

int main(void)
{
	int fd = mkstemp(file);

	if (fd < 0)
		return 1;
	close(fd);
	RUN(empty_policies);
	RUN(everything_is_read);
	RUN(rights_and_defaults);
	RUN(quotas);
	RUN(links_by_writers_and_readers);
	RUN(paths);
	RUN(errors_of_the_file);
	RUN(errors_of_numbers);
	RUN(errors_of_vms);
	RUN(errors_of_services);
	RUN(errors_of_channels);
	RUN(errors_of_members);
	RUN(errors_of_rights);
	RUN(memory_limits);
	RUN(limits);
	RUN(errors_of_limits);
	RUN(counts);
	RUN(files_that_are_none);
	RUN(damaged_files);
	policy_free(policy);
	unlink(file);
	return test_failures != 0;
}
