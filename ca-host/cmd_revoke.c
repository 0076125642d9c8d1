/* SPDX-License-Identifier: MIT */
/* sivshmem-ca revoke, reload: certificates that are not to be believed any more. */
#include "ca.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include <sodium.h>

#include "crl.h"
#include "signer.h"

struct wanted {
	struct crl *crl;
	const char *vm;			/* all that is bound to it; or NULL */
	int added;
};

/* --- the daemon --- */

/* The daemon's pid, by the lock that it holds on its file; 0: none runs; -errno. */
static pid_t daemon_pid(const char *run_dir)
{
	char path[PATH_MAX], text[32] = "";
	pid_t pid = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/sivshmem-cad.pid", run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK &&
	    sivshmem_read_all(fd, text, sizeof(text) - 1) > 0)
		pid = (pid_t)atol(text);
	close(fd);
	return pid > 1 ? pid : 0;
}

int ca_reload(const char *run_dir)
{
	pid_t pid = daemon_pid(run_dir);

	if (pid < 0) {
		warnx("cannot tell whether a daemon runs: %s/sivshmem-cad.pid: %s; run `sivshmem-ca reload` as root or as the daemon's user",
		      run_dir, strerror(-pid));
		return EXIT_SYSTEM;
	}
	if (!pid) {
		printf("no sivshmem-cad serves %s now: it reads the list when it starts\n", run_dir);
		return EXIT_OK;
	}
	if (kill(pid, SIGHUP)) {
		warn("cannot tell the daemon, process %ld; send it a SIGHUP", (long)pid);
		return EXIT_SYSTEM;
	}
	printf("told the daemon, process %ld; its log and `sivshmem-ca status` say what it believes\n",
	       (long)pid);
	return EXIT_OK;
}

/* --- what is meant --- */

static int add(struct wanted *w, const struct sivp_cert *cert)
{
	int r = crl_add(w->crl, cert->serial);

	if (r < 0)
		return r;
	printf("%s %016" PRIx64 " %s\n", r ? "revoked" : "was revoked", cert->serial,
	       cert->subject);
	w->added += r;
	return 0;
}

static bool is_serial(const char *text)
{
	return strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16;
}

static bool meant(const struct wanted *w, const struct sivp_cert *cert, const char *name)
{
	char serial[20];

	if (!name)
		return w->vm && !strcmp(cert->vm, w->vm);
	snprintf(serial, sizeof(serial), "%016" PRIx64, cert->serial);
	return is_serial(name) ? !strcmp(name, serial) : !strcmp(name, cert->subject);
}

/* name NULL: by VM. How many were meant, or -errno. */
static int scan(const struct ca *ca, struct wanted *w, const char *name,
		struct sivshmem_error *err)
{
	char dir[PATH_MAX], path[PATH_MAX + 300];
	struct sivp_chain chain;
	struct dirent *entry;
	int found = 0, rc = 0;
	DIR *d = opendir(ca_path(ca, "issued", dir));

	if (!d)
		return sivshmem_error_set(err, -errno, "%s: %s", dir, strerror(errno));
	while (!rc && (entry = readdir(d))) {
		if (strlen(entry->d_name) != 21 || strcmp(entry->d_name + 16, ".cert"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		rc = sivshmem_chain_read(path, &chain, err);
		if (rc || !meant(w, &chain.cert[0], name))
			continue;
		rc = add(w, &chain.cert[0]);
		if (rc)
			sivshmem_error_set(err, rc, "%s: %s", path, strerror(-rc));
		found++;
	}
	closedir(d);
	return rc ? rc : found;
}

/* A serial that was issued elsewhere can be revoked, too. */
static int one(const struct ca *ca, struct wanted *w, const char *name,
	       struct sivshmem_error *err)
{
	struct sivp_cert unknown = { .subject = "(not issued here)" };
	int found = scan(ca, w, name, err);

	if (found)
		return found < 0 ? found : 0;
	if (!name)
		return sivshmem_error_set(err, -EINVAL, "nothing was issued for VM '%s'", w->vm);
	if (!is_serial(name))
		return sivshmem_error_set(err, -EINVAL,
			"nothing was issued for '%s'; `sivshmem-ca list` shows what was", name);
	unknown.serial = strtoull(name, NULL, 16);
	return add(w, &unknown);
}

/* --- the command --- */

/* Serials of another list, as the root's of a fleet */
static int add_list(struct wanted *w, const char *path, const struct signer *signer,
		    struct sivshmem_error *err)
{
	struct crl other;
	int rc;

	if (access(path, F_OK))
		return sivshmem_error_set(err, -errno, "%s: %s", path, strerror(errno));
	rc = crl_read(path, &signer->root, &signer->cert, &other, err);
	for (size_t i = 0; rc >= 0 && i < other.count; i++) {
		rc = crl_add(w->crl, other.serial[i]);
		w->added += rc > 0;
	}
	crl_free(&other);
	return rc < 0 ? rc : 0;
}

/* Two that revoke at once must not lose what the other added. */
static int lock_list(const struct ca *ca, struct sivshmem_error *err)
{
	int fd = open(ca->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX))
		sivshmem_error_set(err, -errno, "%s: cannot lock: %s", ca->dir, strerror(errno));
	return fd;
}

static int collect(const struct ca *ca, struct wanted *w, const struct signer *signer,
		   const char *from, int count, char **names, struct sivshmem_error *err)
{
	int rc = 0;

	if (w->vm)
		rc = one(ca, w, NULL, err);
	if (!rc && from)
		rc = add_list(w, from, signer, err);
	for (int i = 0; !rc && i < count; i++)
		rc = one(ca, w, names[i], err);
	return rc;
}

static int revoke_all(const struct ca *ca, const char *vm, const char *from, int count,
		      char **names)
{
	struct sivshmem_error err = { 0 };
	struct crl crl = { 0 };
	struct wanted w = { .crl = &crl, .vm = vm };
	struct signer signer;
	char path[PATH_MAX];
	int rc = signer_load(ca, &signer, &err);
	int lock = rc ? -1 : lock_list(ca, &err);

	if (!rc && lock < 0)
		rc = -EACCES;
	if (!rc)
		rc = crl_read(ca_path(ca, CRL_FILE, path), &signer.root, &signer.cert, &crl, &err);
	if (!rc)
		rc = crl_newest(ca->dir, &crl, &err);
	if (!rc)
		rc = collect(ca, &w, &signer, from, count, names, &err);
	if (!rc && w.added) {
		crl.epoch++;
		rc = crl_write(ca_path(ca, CRL_FILE, path), &crl, signer.secret, &err);
	}
	if (!rc)
		printf("%s: epoch %" PRIu64 ", %zu serials\n", ca_path(ca, CRL_FILE, path),
		       crl.epoch, crl.count);
	if (lock >= 0)
		close(lock);
	crl_free(&crl);
	signer_free(&signer);
	return rc ? ca_fail(rc, &err) : EXIT_OK;
}

int ca_revoke(const struct ca *ca, char *serial)
{
	return revoke_all(ca, NULL, NULL, 1, &serial);
}

int cmd_revoke(const struct ca *ca, int argc, char **argv)
{
	static const struct option options[] = {
		{ "vm", required_argument, NULL, 'v' },
		{ "from", required_argument, NULL, 'f' },
		{ "run-dir", required_argument, NULL, 'r' }, { 0 },
	};
	const char *run_dir = CA_RUN_DIR, *vm = NULL, *from = NULL;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "v:r:", options, NULL)) != -1) {
		if (opt == 'v')
			vm = optarg;
		else if (opt == 'f')
			from = optarg;
		else if (opt == 'r')
			run_dir = optarg;
		else
			return ca_usage(ca, "bad option");
	}
	if (optind == argc && !vm && !from)
		return ca_usage(ca, "name serials or services, --vm VM, or --from LIST");
	rc = revoke_all(ca, vm, from, argc - optind, argv + optind);
	return rc ? rc : ca_reload(run_dir);
}

int cmd_reload(const struct ca *ca, int argc, char **argv)
{
	static const struct option options[] = {
		{ "run-dir", required_argument, NULL, 'r' }, { 0 },
	};
	const char *run_dir = CA_RUN_DIR;
	int opt;

	while ((opt = getopt_long(argc, argv, "r:", options, NULL)) != -1) {
		if (opt != 'r')
			return ca_usage(ca, "bad option");
		run_dir = optarg;
	}
	if (optind != argc)
		return ca_usage(ca, "unexpected argument '%s'", argv[optind]);
	return ca_reload(run_dir);
}
