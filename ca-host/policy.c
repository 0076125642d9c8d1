/* SPDX-License-Identifier: MIT */
#include "policy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy_parse.h"

#define FILE_MAX	(1u << 20)	/* bytes of a policy */

int policy_bad(const struct policy_parser *parser, uint32_t line,
	       const char *format, ...)
{
	char what[400];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return sivshmem_error_set(parser->err, -EINVAL, "%s:%u: %s",
				  parser->path, line ? line : 1, what);
}

static int system_error(const struct policy_parser *parser, int code,
			const char *what)
{
	return sivshmem_error_set(parser->err, code, "%s: %s: %s", parser->path,
				  what, strerror(-code));
}

/* Returns the bytes read into the allocated, NUL-terminated *text: all of the file's. */
static ssize_t read_text(int fd, off_t size, char **text)
{
	ssize_t n;

	if (size >= FILE_MAX)
		return -EFBIG;
	*text = malloc((size_t)size + 2);
	if (!*text)
		return -ENOMEM;
	n = sivshmem_read_all(fd, *text, (size_t)size + 1);
	if (n < 0)
		return n;
	(*text)[n] = '\0';
	return n > size ? -EAGAIN : n;	/* it is being written */
}

static int check_file(const struct policy_parser *parser, int fd, off_t *size)
{
	struct stat st;

	if (fstat(fd, &st))
		return system_error(parser, -errno, "cannot stat the policy");
	*size = st.st_size;
	if (!S_ISREG(st.st_mode))
		return sivshmem_error_set(parser->err, -EINVAL,
			"%s: not a regular file", parser->path);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return sivshmem_error_set(parser->err, -EPERM,
			"%s: a policy that group or others can write, got mode %04o; chmod 644 it",
			parser->path, (unsigned int)st.st_mode & 07777);
	if (st.st_uid && st.st_uid != geteuid())
		return sivshmem_error_set(parser->err, -EPERM,
			"%s: a policy that uid %u owns, neither root nor uid %u; chown it",
			parser->path, (unsigned int)st.st_uid, (unsigned int)geteuid());
	return 0;
}

static int parse_text(const struct policy_parser *parser, const char *text)
{
	config_t config;
	int rc;

	config_init(&config);
	if (config_read_string(&config, text) == CONFIG_TRUE) {
		rc = policy_parse(parser, config_root_setting(&config));
	} else {
		uint32_t line = (uint32_t)config_error_line(&config);
		char got[64];

		policy_line_text(text, line, got, sizeof(got));
		rc = policy_bad(parser, line, "%s, got '%s'",
				config_error_text(&config), got);
	}
	config_destroy(&config);
	return rc;
}

static int load_file(const struct policy_parser *parser)
{
	int fd = open(parser->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char *text = NULL;
	off_t size = 0;
	ssize_t n;

	if (fd < 0)
		return system_error(parser, -errno, "cannot open the policy");
	n = check_file(parser, fd, &size);
	if (n)
		goto out;
	n = read_text(fd, size, &text);
	if (n < 0) {
		system_error(parser, (int)n, "cannot read the policy");
		goto out;
	}
	n = policy_check_text(parser, text, (size_t)n);
	if (!n)
		n = parse_text(parser, text);
	if (!n)
		n = policy_make_links(parser);
out:
	free(text);
	close(fd);
	return (int)n;
}

int policy_load(const char *path, struct policy **policy,
		struct sivshmem_error *err)
{
	struct policy_parser parser = { .path = path, .err = err };
	int rc;

	*policy = NULL;
	parser.policy = calloc(1, sizeof(*parser.policy));
	if (!parser.policy)
		return system_error(&parser, -ENOMEM, "cannot load the policy");
	rc = load_file(&parser);
	if (rc)
		policy_free(parser.policy);
	else
		*policy = parser.policy;
	return rc;
}

void policy_free(struct policy *policy)
{
	if (!policy)
		return;
	for (uint32_t i = 0; i < policy->channel_count; i++)
		free(policy->channels[i].members);
	free(policy->vms);
	free(policy->services);
	free(policy->channels);
	free(policy->links);
	free(policy);
}

const struct policy_vm *policy_find_vm(const struct policy *p, const char *name)
{
	for (uint32_t i = 0; i < p->vm_count; i++) {
		if (!strcmp(p->vms[i].name, name))
			return &p->vms[i];
	}
	return NULL;
}

const struct policy_service *policy_find_service(const struct policy *p,
						 const char *name)
{
	for (uint32_t i = 0; i < p->service_count; i++) {
		if (!strcmp(p->services[i].name, name))
			return &p->services[i];
	}
	return NULL;
}

const struct policy_channel *policy_find_channel(const struct policy *p,
						 const char *name)
{
	for (uint32_t i = 0; i < p->channel_count; i++) {
		if (!strcmp(p->channels[i].name, name))
			return &p->channels[i];
	}
	return NULL;
}

uint32_t policy_rights(const struct policy *p, const struct policy_channel *c,
		       const struct policy_service *s)
{
	uint32_t service = (uint32_t)(s - p->services);

	for (uint32_t i = 0; i < c->member_count; i++) {
		if (c->members[i].service == service)
			return c->members[i].rights;
	}
	return 0;
}

void policy_control_path(const struct policy *p, const char *run_dir,
			 uint32_t vm, char *path, size_t size)
{
	snprintf(path, size, "%s/vm/%s/control.sock", run_dir, p->vms[vm].name);
}

void policy_link_path(const struct policy *p, const char *run_dir,
		      uint32_t vm, uint32_t link, char *path, size_t size)
{
	snprintf(path, size, "%s/vm/%s/link%u.sock", run_dir, p->vms[vm].name, link);
}

void policy_memory_path(const struct policy *p, const char *run_dir,
			uint32_t vm, uint32_t link, char *path, size_t size)
{
	snprintf(path, size, "%s/vm/%s/link%u.memory", run_dir, p->vms[vm].name, link);
}
