/* SPDX-License-Identifier: MIT */
/* Messages, paths and texts that the commands share. */
#include "ca.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sodium.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>

int ca_usage(const struct ca *ca, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vwarnx(format, args);
	va_end(args);
	fprintf(stderr, "usage: sivshmem-ca [--dir DIR] %s\n", ca->usage);
	return EXIT_USAGE;
}

int ca_fail(int code, const struct sivshmem_error *err)
{
	warnx("%s", err->text);
	switch (-code) {
	case EINVAL: case EPERM: case EBADMSG: case EKEYREJECTED: case EEXIST:
	case ESTALE:
		return EXIT_REFUSED;
	default:
		return EXIT_SYSTEM;
	}
}

const char *ca_path(const struct ca *ca, const char *file, char path[PATH_MAX])
{
	if ((size_t)snprintf(path, PATH_MAX, "%s/%s", ca->dir, file) >= PATH_MAX)
		errx(EXIT_SYSTEM, "%s: the path is too long", ca->dir);
	return path;
}

int ca_root(const struct ca *ca, struct sivp_cert *root, struct sivshmem_error *err)
{
	struct sivp_chain chain;
	char path[PATH_MAX];
	int rc;

	rc = sivshmem_chain_read(ca_path(ca, "root.cert", path), &chain, err);
	if (rc == -ENOENT)
		return sivshmem_error_set(err, rc,
			"%s: no CA here; create one with `sivshmem-ca --dir %s init` or name another --dir",
			path, ca->dir);
	if (!rc && (chain.count != 1 || chain.cert[0].kind != SIVP_CERT_ROOT))
		return sivshmem_error_set(err, -EBADMSG,
			"%s:2: not a root certificate", path);
	if (!rc)
		*root = chain.cert[0];
	return rc;
}

enum sivshmem_cert_error ca_verify(const struct sivp_chain *chain,
				   const struct sivp_cert *root, int64_t now)
{
	struct sivshmem_cert_context ctx = { .now = now };

	return sivshmem_chain_verify(chain, chain->cert[0].kind, root, &ctx);
}

uint64_t ca_new_serial(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000) << 16 |
	       randombytes_uniform(65536);
}

const char *ca_time_text(int64_t t, char text[32])
{
	time_t when = t;
	struct tm tm;

	if (t == 0)
		strlcpy(text, "no end", 32);
	else if (!gmtime_r(&when, &tm) || !strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(text, 32, "%" PRId64, t);
	return text;
}

/* text begins like shape, in which d is a digit */
static bool shaped(const char *text, const char *shape)
{
	for (; *shape; shape++, text++) {
		if (*shape == 'd' ? *text < '0' || *text > '9' : *text != *shape)
			return false;
	}
	return true;
}

static int two_digits(const char *text)
{
	return (text[0] - '0') * 10 + text[1] - '0';
}

/* "+02:00" or "Z" to seconds east of Greenwich */
static bool zone_parse(const char *text, int *seconds)
{
	int hours, minutes;

	*seconds = 0;
	if (!strcmp(text, "Z") || !strcmp(text, "z"))
		return true;
	if ((!shaped(text, "+dd:dd") && !shaped(text, "-dd:dd")) || text[6])
		return false;
	hours = two_digits(text + 1);
	minutes = two_digits(text + 4);
	*seconds = (hours * 3600 + minutes * 60) * (text[0] == '-' ? -1 : 1);
	return hours < 24 && minutes < 60;
}

static bool rfc3339_parse(const char *text, int64_t *t)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd";
	struct tm tm = { 0 }, given;
	int zone;

	if (!shaped(text, shape) || !strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) ||
	    !zone_parse(text + strlen(shape), &zone))
		return false;
	given = tm;
	*t = timegm(&tm) - zone;
	/* timegm turns February 30 into March 2: no such day */
	return tm.tm_mday == given.tm_mday && tm.tm_sec == given.tm_sec && *t >= 0;
}

bool ca_time_parse(const char *text, int64_t *t)
{
	const char *error;

	if (strspn(text, "0123456789") != strlen(text))
		return rfc3339_parse(text, t);
	*t = strtonum(text, 0, LLONG_MAX / 2, &error);
	return !error;
}

const char *ca_id_text(uint32_t id, char text[16])
{
	if (id == SIVP_ANY_ID)
		return "any";
	snprintf(text, 16, "%u", id);
	return text;
}

const char *ca_size_text(uint64_t bytes, char text[32])
{
	static const char units[] = "\0KMG";
	size_t unit = 0;

	while (bytes && bytes % 1024 == 0 && unit < 3) {
		bytes /= 1024;
		unit++;
	}
	snprintf(text, 32, "%" PRIu64 "%.1s", bytes, units + unit);
	return text;
}

const char *ca_rights_text(uint32_t rights, char text[32])
{
	snprintf(text, 32, "%s%s%s", rights & SIVSHMEM_RIGHT_WRITE ? "rw" : "ro",
		 rights & SIVSHMEM_RIGHT_CREATE ? ",create" : "",
		 rights & SIVSHMEM_RIGHT_RESIZE ? ",resize" : "");
	return text;
}

const char *ca_kind_text(uint8_t kind)
{
	switch (kind) {
	case SIVP_CERT_ROOT: return "root";
	case SIVP_CERT_INTERMEDIATE: return "intermediate";
	case SIVP_CERT_HOST: return "host";
	case SIVP_CERT_SERVICE: return "service";
	default: return "unknown";
	}
}

const char *ca_state_text(enum sivshmem_cert_error error)
{
	return error == SIVSHMEM_CERT_NOT_YET_VALID ? "not yet" :
	       sivshmem_cert_reason(error);
}
