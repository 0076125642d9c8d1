/* SPDX-License-Identifier: MIT */
/* sivshmem-ca qemu-args: what QEMU needs to give a VM its devices. */
#include "ca.h"

#include <err.h>
#include <getopt.h>
#include <string.h>
#include <sys/un.h>
#include <bsd/string.h>

/* Below 1G SeaBIOS puts the memory under 4 GiB, where it is slow or absent. */
#define RESERVE_MIN	(1ull << 30)
/* QEMU's chassis are 1 to 255; other root ports tend to count from 1. */
#define CHASSIS_FIRST	100

_Static_assert(CHASSIS_FIRST + POLICY_MAX_LINKS < 255, "chassis numbers");

/* QEMU's option parser takes ",," for a comma. */
static void double_commas(const char *in, char *out, size_t size)
{
	size_t n = 0;

	for (; *in && n + 2 < size; in++) {
		out[n++] = *in;
		if (*in == ',')
			out[n++] = ',';
	}
	out[n] = '\0';
}

static void add(json_t *args, const char *option, const char *value)
{
	if (json_array_append_new(args, json_string(option)) ||
	    json_array_append_new(args, json_string(value)))
		errx(EXIT_REFUSED, "not UTF-8, so no argument for QEMU: '%s'", value);
}

/* `functions`: it shares its slot and its port's memory with another device. */
static void add_device(json_t *args, const char *name, const char *path,
		       uint64_t memory, unsigned int number, const char *functions)
{
	uint64_t reserve = memory > RESERVE_MIN ? memory : RESERVE_MIN;
	unsigned int slot = CHASSIS_FIRST + number;
	char text[512], quoted[256], size[32];

	double_commas(path, quoted, sizeof(quoted));
	snprintf(text, sizeof(text), "socket,id=sivshmem-%s,path=%s", name, quoted);
	add(args, "-chardev", text);
	snprintf(text, sizeof(text),
		 "pcie-root-port,id=sivshmem-port-%s,bus=pcie.0,chassis=%u,slot=%u,pref64-reserve=%s",
		 name, slot, slot, ca_size_text(reserve, size));
	add(args, "-device", text);
	snprintf(text, sizeof(text),
		 "ivshmem-doorbell,chardev=sivshmem-%s,vectors=1,bus=sivshmem-port-%s%s", name,
		 name, functions);
	add(args, "-device", text);
}

/* The memory beside its doorbell, which no write of a guest reaches if it may not. */
static void add_memory(json_t *args, const char *name, const char *path, uint64_t memory,
		       bool write)
{
	char text[PATH_MAX * 2 + 256], quoted[PATH_MAX * 2], size[32];

	double_commas(path, quoted, sizeof(quoted));
	snprintf(text, sizeof(text),
		 "memory-backend-file,id=sivshmem-memory-%s,mem-path=%s,size=%s,share=on,readonly=%s",
		 name, quoted, ca_size_text(memory, size), write ? "off" : "on");
	add(args, "-object", text);
	snprintf(text, sizeof(text),
		 "ivshmem-plain,memdev=sivshmem-memory-%s,bus=sivshmem-port-%s,addr=0x0.0x1",
		 name, name);
	add(args, "-device", text);
}

static void add_link(json_t *args, const struct policy *p, uint32_t vm, uint32_t l,
		     const char *run_dir, const char *path, unsigned int number)
{
	const struct policy_link *link = &p->links[l];
	char memory[PATH_MAX], name[32];

	snprintf(name, sizeof(name), "link%u", l);
	if (!link->split) {
		add_device(args, name, path, link->memory, number, "");
		return;
	}
	/* memory of both functions, each aligned to its own size */
	add_device(args, name, path, 2 * link->memory, number, ",addr=0x0.0x0,multifunction=on");
	policy_memory_path(p, run_dir, vm, l, memory, sizeof(memory));
	add_memory(args, name, memory, link->memory, link->writers >> vm & 1);
}

/* A socket's path has room for 107 bytes: say so here, not in QEMU. */
static bool path_fits(const char *path)
{
	if (strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path))
		return true;
	warnx("%s: too long for a UNIX socket; give a shorter --run-dir", path);
	return false;
}

static json_t *vm_args(const struct policy *p, uint32_t vm, const char *run_dir)
{
	json_t *args = json_array();
	char path[PATH_MAX];
	unsigned int number = 0;
	bool fits;

	policy_control_path(p, run_dir, vm, path, sizeof(path));
	fits = path_fits(path);
	if (fits)
		add_device(args, "control", path, 0, number++, "");
	for (uint32_t l = 0; fits && l < p->link_count; l++) {
		if (!p->links[l].position[vm])
			continue;
		policy_link_path(p, run_dir, vm, l, path, sizeof(path));
		fits = path_fits(path);
		if (fits)
			add_link(args, p, vm, l, run_dir, path, number++);
	}
	if (!fits) {
		json_decref(args);
		return NULL;
	}
	return args;
}

/* For $(...): the shell splits at blanks and expands patterns, quotes don't help. */
static int print_words(json_t *args)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				   "._/:,=+@%-";
	size_t n = json_array_size(args);

	for (size_t i = 0; i < n; i++) {
		const char *word = json_string_value(json_array_get(args, i));

		if (strspn(word, safe) != strlen(word)) {
			warnx("the run directory has characters that $(...) would not keep, got '%s'; use --json",
			      word);
			return EXIT_REFUSED;
		}
	}
	for (size_t i = 0; i < n; i += 2)
		printf("%s %s\n", json_string_value(json_array_get(args, i)),
		       json_string_value(json_array_get(args, i + 1)));
	return EXIT_OK;
}

static int find_args(const struct policy *p, const char *path, const char *vm_name,
		     const char *run_dir, json_t **args)
{
	const struct policy_vm *vm = policy_find_vm(p, vm_name);

	if (!vm) {
		warnx("%s: no such VM in it, got '%s'; list it in vms", path, vm_name);
		return EXIT_REFUSED;
	}
	*args = vm_args(p, (uint32_t)(vm - p->vms), run_dir);
	return *args ? EXIT_OK : EXIT_REFUSED;
}

int ca_vm_args(const struct ca *ca, int argc, char **argv, bool *json, json_t **args)
{
	static const struct option options[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "policy", required_argument, NULL, 'p' },
		{ "json", no_argument, NULL, 'j' }, { 0 },
	};
	const char *run_dir = CA_RUN_DIR, *file = NULL;
	struct sivshmem_error err = { 0 };
	struct policy *policy;
	char path[PATH_MAX];
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "r:p:j", options, NULL)) != -1) {
		if (opt == 'r')
			run_dir = optarg;
		else if (opt == 'p')
			file = optarg;
		else if (opt == 'j' && json)
			*json = true;
		else
			return ca_usage(ca, "bad option");
	}
	if (argc - optind != 1)
		return ca_usage(ca, "name one VM");
	if (!file)
		file = ca_path(ca, "policy.conf", path);
	rc = policy_load(file, &policy, &err);
	if (rc)
		return ca_fail(rc, &err);
	rc = find_args(policy, file, argv[optind], run_dir, args);
	policy_free(policy);
	return rc;
}

int cmd_qemu_args(const struct ca *ca, int argc, char **argv)
{
	json_t *args = NULL;
	bool json = false;
	int rc;

	rc = ca_vm_args(ca, argc, argv, &json, &args);
	if (rc)
		return rc;
	rc = json ? ca_json_print(json_incref(args)) : print_words(args);
	json_decref(args);
	return rc;
}
