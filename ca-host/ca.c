/* SPDX-License-Identifier: MIT */
/* sivshmem-ca: keys, certificates, policy, QEMU's arguments, status. */
#include "ca.h"

#include <err.h>
#include <getopt.h>
#include <string.h>
#include <sodium.h>

static const struct command {
	const char *name, *usage, *summary;
	int (*run)(const struct ca *ca, int argc, char **argv);
} commands[] = {
	{ "init", "init [--host NAME]",
	  "create the root and host keys and an example policy", cmd_init },
	{ "issue", "issue SERVICE --out BUNDLE [--vm VM] [--uid UID] [--gid GID]\n"
	  "                   [--days N] [--not-before TIME] [--not-after TIME]",
	  "make a service's key and certificate", cmd_issue },
	{ "list", "list [--json]",
	  "what was issued", cmd_list },
	{ "show", "show FILE|BUNDLE|SERIAL [--json]",
	  "one certificate, and whether it holds", cmd_show },
	{ "revoke", "revoke SERIAL|SERVICE... [--vm VM] [--from LIST] [--run-dir DIR]",
	  "believe certificates no more, and end the sessions that stand on them", cmd_revoke },
	{ "renew", "renew BUNDLE [--new-key] [--days N] [--revoke] [--run-dir DIR]",
	  "give a bundle's service a new certificate", cmd_renew },
	{ "rotate-host", "rotate-host [--days N] [--run-dir DIR]",
	  "give the daemon a new key; sessions go on", cmd_rotate_host },
	{ "intermediate", "intermediate HOST --out DIR [--days N]",
	  "make the CA directory of another host, which needs no root key", cmd_intermediate },
	{ "passphrase", "passphrase root|intermediate|host [--new FILE] [--remove]",
	  "seal a key under a passphrase, change it, or remove it", cmd_passphrase },
	{ "reload", "reload [--run-dir DIR]",
	  "let the daemon read its key and the revocation list again, but no policy", cmd_reload },
	{ "check", "check [POLICY] [--json]",
	  "read the policy, show links and who may reach what", cmd_check },
	{ "qemu-args", "qemu-args VM [--run-dir DIR] [--policy FILE] [--json]",
	  "QEMU's arguments for a VM's devices", cmd_qemu_args },
	{ "audit", "audit verify [--audit FILE] [FILE...]",
	  "find altered, removed and added lines in the audit log", cmd_audit },
	{ "libvirt-xml", "libvirt-xml VM [--run-dir DIR] [--policy FILE]",
	  "the same for a libvirt domain", cmd_libvirt_xml },
	{ "status", "status [--run-dir DIR] [--json]",
	  "what the daemon serves now", cmd_status },
};
#define COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static void help(FILE *out)
{
	fprintf(out, "usage: sivshmem-ca [--dir DIR] [--passphrase-file FILE] COMMAND\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n  --dir DIR  the CA's directory, default " CA_DIR "\n"
		"  --passphrase-file FILE  its first line opens sealed keys, else the terminal is asked\n"
		"`sivshmem-ca COMMAND --help` says more; so does sivshmem-ca(8).\n");
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	return NULL;
}

static int run(struct ca *ca, int argc, char **argv)
{
	const struct command *command = find(argv[0]);

	if (!command) {
		warnx("unknown command '%s'", argv[0]);
		help(stderr);
		return EXIT_USAGE;
	}
	if (argc > 1 && !strcmp(argv[1], "--help")) {
		printf("usage: sivshmem-ca [--dir DIR] %s\n%s\n", command->usage,
		       command->summary);
		return EXIT_OK;
	}
	ca->usage = command->usage;
	optind = 0;
	return command->run(ca, argc, argv);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dir", required_argument, NULL, 'd' },
		{ "passphrase-file", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	struct ca ca = { .dir = CA_DIR };
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "+d:hV", options, NULL)) != -1) {
		switch (opt) {
		case 'd':
			ca.dir = optarg;
			break;
		case 'p':
			ca.passphrase_file = optarg;
			break;
		case 'h':
			help(stdout);
			return EXIT_OK;
		case 'V':
			puts("sivshmem-ca " SIVSHMEM_VERSION);
			return EXIT_OK;
		default:
			help(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (sodium_init() < 0)
		errx(EXIT_SYSTEM, "libsodium does not start");
	rc = run(&ca, argc - optind, argv + optind);
	if (fflush(stdout) || ferror(stdout))
		err(EXIT_SYSTEM, "standard output");
	return rc;
}
