/* SPDX-License-Identifier: MIT */
/*
 * sivshmem-ca libvirt-xml: the same for a domain of libvirt. Its <shmem> can say neither
 * the root port's reserve nor that memory is read-only, so QEMU is told itself.
 */
#include "ca.h"

static void print_escaped(const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&': fputs("&amp;", stdout); break;
		case '<': fputs("&lt;", stdout); break;
		case '\'': fputs("&apos;", stdout); break;
		default: putchar(*text);
		}
	}
}

int cmd_libvirt_xml(const struct ca *ca, int argc, char **argv)
{
	json_t *args = NULL, *arg;
	size_t i;
	int rc = ca_vm_args(ca, argc, argv, NULL, &args);

	if (rc)
		return rc;
	puts("<!-- into <domain>, which must declare the namespace too -->");
	puts("<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>");
	json_array_foreach(args, i, arg) {
		fputs("  <qemu:arg value='", stdout);
		print_escaped(json_string_value(arg));
		puts("'/>");
	}
	puts("</qemu:commandline>");
	json_decref(args);
	return EXIT_OK;
}
