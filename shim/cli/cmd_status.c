/* SPDX-License-Identifier: MIT */
/* sivshmem status: what is open, as the guest kernel or the daemon says. */
#include "cli.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <sivshmem/uapi.h>

#define RUN_DIR		"/run/sivshmem"
#define ROOM		256

static const char *rights_text(uint32_t rights, char text[32])
{
	snprintf(text, 32, "%s%s%s", rights & SIVSHMEM_RIGHT_WRITE ? "rw" : "ro",
		 rights & SIVSHMEM_RIGHT_CREATE ? ",create" : "",
		 rights & SIVSHMEM_RIGHT_RESIZE ? ",resize" : "");
	return text;
}

/* The whole list: *count entries, which the caller frees. NULL with errno. */
static struct sivshmem_entry *list(int fd, uint32_t *count)
{
	struct sivshmem_entry *entries = NULL, *more;
	struct sivshmem_list arg = { .count = 0 };
	uint32_t room = ROOM;

	do {
		more = reallocarray(entries, room, sizeof(*entries));
		if (!more)
			break;
		entries = more;
		arg.entries = (uintptr_t)entries;
		arg.count = room;
		if (ioctl(fd, SIVSHMEM_IOC_LIST, &arg))
			break;
		if (arg.count <= room) {
			*count = arg.count;
			return entries;
		}
		room = arg.count + ROOM;
	} while (room < (1u << 20));
	free(entries);
	return NULL;
}

static json_t *entry_json(const struct sivshmem_entry *e)
{
	char rights[32], comm[17] = "", channel[65] = "", name[65] = "";

	memcpy(comm, e->comm, sizeof(e->comm));
	memcpy(channel, e->channel, sizeof(e->channel));
	memcpy(name, e->name, sizeof(e->name));
	return json_pack("{s:s?, s:s?, s:I, s:s, s:i, s:i, s:i, s:s?, s:I, s:I, s:b}",
		"channel", channel, "object", name, "size", (json_int_t)e->size,
		"rights", rights_text(e->rights, rights), "uid", (int)e->uid,
		"gid", (int)e->gid, "pid", (int)e->pid, "comm", comm,
		"session", (json_int_t)e->session, "generation",
		(json_int_t)e->generation, "revoked", (int)e->revoked);
}

static int print_json(const struct sivshmem_info *info,
		      const struct sivshmem_entry *entries, uint32_t count)
{
	json_t *objects = json_array(), *document;
	uint32_t i;

	for (i = 0; i < count; i++)
		json_array_append_new(objects, entry_json(&entries[i]));
	document = json_pack("{s:s, s:b, s:i, s:o}", "vm", info->vm, "up",
			     (int)info->up, "links", (int)info->links, "objects", objects);
	if (!document || json_dumpf(document, stdout, JSON_INDENT(2)))
		errx(EXIT_SYSTEM, "no memory, or no room to print");
	putchar('\n');
	json_decref(document);
	return EXIT_OK;
}

static int print_text(const struct sivshmem_info *info,
		      const struct sivshmem_entry *entries, uint32_t count)
{
	char rights[32];
	uint32_t i;

	printf("VM %s, host %s, %" PRIu32 " link%s\n", info->vm[0] ? info->vm : "(not named yet)",
	       info->up ? "answers" : "does not answer: see that sivshmem-cad runs there",
	       info->links, info->links == 1 ? "" : "s");
	if (!count)
		printf("nothing is open\n");
	else
		printf("%-16s %-24s %12s %-16s %6s %7s %s\n", "CHANNEL", "OBJECT", "SIZE",
		       "RIGHTS", "UID", "PID", "COMMAND");
	for (i = 0; i < count; i++)
		printf("%-16.64s %-24.64s %12" PRIu64 " %-16s %6" PRIu32 " %7" PRIu32 " %.16s%s\n",
		       entries[i].channel, entries[i].name, (uint64_t)entries[i].size,
		       rights_text(entries[i].rights, rights), entries[i].uid,
		       entries[i].pid, entries[i].comm, entries[i].revoked ? " (revoked)" : "");
	return EXIT_OK;
}

int status_guest(int json)
{
	struct sivshmem_entry *entries;
	struct sivshmem_info info = { 0 };
	uint32_t count = 0;
	int fd = open(SIVSHMEM_DEVICE, O_RDWR | O_CLOEXEC), rc;

	if (fd < 0) {
		warn(SIVSHMEM_DEVICE);
		return EXIT_SYSTEM;
	}
	entries = ioctl(fd, SIVSHMEM_IOC_INFO, &info) ? NULL : list(fd, &count);
	if (!entries) {
		warn(SIVSHMEM_DEVICE ": the module does not tell; is it of this version?");
		close(fd);
		return EXIT_SYSTEM;
	}
	info.vm[sizeof(info.vm) - 1] = '\0';
	rc = json ? print_json(&info, entries, count) : print_text(&info, entries, count);
	free(entries);
	close(fd);
	return rc;
}

int cmd_status(int argc, char **argv)
{
	static const struct option options[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'j' },
		{ 0 },
	};
	const char *run_dir = NULL;
	char path[PATH_MAX];
	int opt, json = 0;

	while ((opt = getopt_long(argc, argv, "r:j", options, NULL)) != -1) {
		switch (opt) {
		case 'r': run_dir = optarg; break;
		case 'j': json = 1; break;
		default: return cli_usage("status", NULL);
		}
	}
	if (optind != argc)
		return cli_usage("status", "unexpected argument '%s'", argv[optind]);
	if (!run_dir && !access(SIVSHMEM_DEVICE, F_OK))
		return status_guest(json);
	snprintf(path, sizeof(path), "%s/status.sock", run_dir ? run_dir : RUN_DIR);
	if (run_dir || !access(path, F_OK))
		return status_host(path, json);
	warnx("neither " SIVSHMEM_DEVICE " nor %s is there: in a VM load sivshmem.ko "
	      "(modprobe sivshmem), on the host start sivshmem-cad", path);
	return EXIT_SYSTEM;
}
