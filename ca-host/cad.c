/* SPDX-License-Identifier: MIT */
/* sivshmem-cad: options, keys, start and end. See sivshmem-cad(8). */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <bsd/err.h>
#include <bsd/string.h>
#include <sodium.h>

#include "handover.h"
#include "hold.h"
#include "keep.h"
#include "limits.h"
#include "monitor.h"
#include "signer_process.h"
#include "wipe.h"
#include "worker.h"

#define DEFAULT_CA	"/etc/sivshmem"
#define DEFAULT_RUN	"/run/sivshmem"
#define DEFAULT_AUDIT	"/var/log/sivshmem/audit.jsonl"
#define FDS_WANTED	16384
#define FDS_RESERVED	256	/* for workers and VMs that come back */

static struct {
	const char *ca_dir, *policy, *audit, *user, *signer_user;
} options = { .ca_dir = DEFAULT_CA, .user = "sivshmem", .signer_user = "sivshmem-signer" };

static bool stop, for_good;
static struct watch signals;

static _Noreturn void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: sivshmem-cad [--hold] [--ca-dir DIR] [--run-dir DIR] [--policy FILE]\n"
		"                    [--audit FILE] [--user NAME] [--signer-user NAME]\n"
		"                    [--passphrase-file FILE]\n"
		"sivshmem-cad(8) explains.\n");
	exit(code);
}

static void parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "ca-dir", required_argument, NULL, 'd' },
		{ "run-dir", required_argument, NULL, 'r' },
		{ "policy", required_argument, NULL, 'p' },
		{ "audit", required_argument, NULL, 'a' },
		{ "user", required_argument, NULL, 'u' },
		{ "signer-user", required_argument, NULL, 's' },
		{ "passphrase-file", required_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 }
	};
	int c;

	monitor.run_dir = DEFAULT_RUN;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'd': options.ca_dir = optarg; break;
		case 'r': monitor.run_dir = optarg; break;
		case 'p': options.policy = optarg; break;
		case 'a': options.audit = optarg; break;
		case 'u': options.user = optarg; break;
		case 's': options.signer_user = optarg; break;
		case 'P':
			if (strlcpy(monitor.passphrase_file, optarg, PATH_MAX) >= PATH_MAX)
				errx(2, "--passphrase-file: the path is too long");
			break;
		case 'V': puts("sivshmem-cad " SIVSHMEM_VERSION); exit(0);
		case 'h': usage(0);
		default: usage(2);
		}
	}
	if (optind != argc)
		usage(2);
}

static char *join(const char *dir, const char *file)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, file) < 0)
		err(3, "asprintf");
	return path;
}

static void load_policy(void)
{
	struct sivshmem_error e;
	char *path = options.policy ? strdup(options.policy) :
				      join(options.ca_dir, "policy.conf");

	if (policy_load(path, &monitor.policy, &e))
		errx(3, "%s", e.text);
	if (monitor.policy->host[0] && strcmp(monitor.policy->host, monitor.host))
		errx(3, "%s: the policy is for host '%s', but host.cert names '%s'",
		     path, monitor.policy->host, monitor.host);
	free(path);
}

/* A monitor that was killed leaves its lock to a child that has not become a worker yet. */
static bool lock_run_dir(int fd)
{
	int tries = handover_on() ? 100 : 1;

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (!--tries)
			return false;
		usleep(10000);
	}
	return true;
}

/* One daemon per run directory: its lock lives as long as the process. */
static void take_run_dir(void)
{
	char *path = join(monitor.run_dir, "sivshmem-cad.pid"), text[32];
	int fd, n;

	if (mkdir(monitor.run_dir, 0755) && errno != EEXIST)
		err(3, "%s", monitor.run_dir);
	/* who may open it may hold its lock, and keep the next one from it */
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fchmod(fd, 0600))
		err(3, "%s", path);
	if (!lock_run_dir(fd))
		errx(3, "%s: another sivshmem-cad serves %s; stop it, or give another --run-dir",
		     path, monitor.run_dir);
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || write(fd, text, (size_t)n) != n)
		err(3, "%s", path);
	free(path);
}

/* Another user than the workers', where there is one for it. */
static void choose_signer_ids(void)
{
	const struct passwd *pw;

	strlcpy(monitor.signer_uid, monitor.uid, sizeof(monitor.signer_uid));
	strlcpy(monitor.signer_gid, monitor.gid, sizeof(monitor.signer_gid));
	if (geteuid())
		return;
	pw = getpwnam(options.signer_user);
	if (!pw || !pw->pw_uid)
		return;
	snprintf(monitor.signer_uid, sizeof(monitor.signer_uid), "%u", pw->pw_uid);
	snprintf(monitor.signer_gid, sizeof(monitor.signer_gid), "%u", pw->pw_gid);
}

/* Workers run as nobody in particular, in an empty directory. */
static void choose_worker_ids(void)
{
	const struct passwd *pw;

	strlcpy(monitor.uid, "-", sizeof(monitor.uid));
	strlcpy(monitor.gid, "-", sizeof(monitor.gid));
	strlcpy(monitor.empty, "-", sizeof(monitor.empty));
	if (geteuid())
		return;
	pw = getpwnam(options.user);
	if (!pw) {
		pw = getpwnam("nobody");
		warnx("no user '%s': workers run as nobody; create it, or give --user",
		      options.user);
	}
	if (!pw || !pw->pw_uid)
		errx(3, "no unprivileged user for the workers; give --user");
	snprintf(monitor.uid, sizeof(monitor.uid), "%u", pw->pw_uid);
	snprintf(monitor.gid, sizeof(monitor.gid), "%u", pw->pw_gid);
	if ((size_t)snprintf(monitor.empty, sizeof(monitor.empty), "%s/empty",
			     monitor.run_dir) >= sizeof(monitor.empty))
		errx(2, "%s: too long", monitor.run_dir);
	if (mkdir(monitor.empty, 0555) && errno != EEXIST)
		err(3, "%s", monitor.empty);
}

static void start_signer(void)
{
	struct sivshmem_error e;

	if (identity_start_signer(&e))
		errx(3, "%s", e.text);
}

static void start_audit(void)
{
	char *path;
	int r;

	if (options.audit)
		path = strdup(options.audit);
	else if (geteuid() == 0)
		path = strdup(DEFAULT_AUDIT);
	else
		path = join(monitor.run_dir, "audit.jsonl");
	if (!options.audit && geteuid() == 0)
		mkdir("/var/log/sivshmem", 0750);
	r = audit_start(path);
	if (r)
		errc(3, -r, "%s: cannot write the audit log", path);
	free(path);
}

static void reload(void)
{
	audit_reopen();
	identity_reload();
	revoke_reload();
}

static void signals_ready(struct watch *watch, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		domains_reap();
	else if (info.ssi_signo == SIGHUP)
		reload();
	else
		stop = true;
	for_good |= info.ssi_signo == SIGINT;
}

static void start_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	signals.ready = signals_ready;
	if (signals.fd < 0 || loop_add(&signals, EPOLLIN))
		err(3, "signalfd");
}

/*
 * No core dump of what guests have. An undumpable process can't open its own
 * /proc/self/fd unless it is root, and local mode needs that.
 */
static void set_limits(void)
{
	struct rlimit r = { 0 };

	setrlimit(RLIMIT_CORE, &r);
	if (geteuid() == 0)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (getrlimit(RLIMIT_NOFILE, &r))
		err(3, "getrlimit");
	r.rlim_cur = r.rlim_max < FDS_WANTED ? r.rlim_max : FDS_WANTED;
	if (setrlimit(RLIMIT_NOFILE, &r))
		err(3, "setrlimit");
	if (r.rlim_cur < 2 * FDS_RESERVED)
		errx(3, "a limit of %llu open files is too low; raise it to %u (ulimit -n)",
		     (unsigned long long)r.rlim_cur, FDS_WANTED);
	monitor.fd_end = (int)r.rlim_cur - FDS_RESERVED;
}

static void tell_ready(void)
{
	fprintf(stderr, "sivshmem-cad: ready\n");
	handover_notify("READY=1");
}

static int first_of(int a, int b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int deadline(void)
{
	return first_of(first_of(first_of(wipe_deadline(), limits_deadline()), hub_deadline()),
			first_of(domains_deadline(), audit_deadline()));
}

static void tick(void)
{
	domains_tick();
	limits_tick();
	audit_tick();
	wipe_tick();
	hub_tick();
}

static void check(int r, const char *what)
{
	if (r)
		errc(3, -r, "%s: cannot start %s", monitor.run_dir, what);
}

int main(int argc, char **argv)
{
	struct sivshmem_error e;

	if (argc > 1 && !strcmp(argv[1], WORKER_ARG))
		return worker_main(argc, argv);
	if (argc > 1 && !strcmp(argv[1], SIGNER_ARG))
		return signer_main(argc, argv);
	if (argc > 1 && !strcmp(argv[1], HOLD_ARG)) {
		argv[1] = argv[0];
		return hold_main(argv + 1);
	}
	handover_init(argv);
	parse(argc, argv);
	if (sodium_init() < 0)
		errx(3, "libsodium does not start");
	umask(022);
	set_limits();
	if (identity_load(options.ca_dir, &e))
		errx(3, "%s (sivshmem-ca init makes a CA)", e.text);
	load_policy();
	take_run_dir();
	choose_worker_ids();
	choose_signer_ids();
	start_signer();
	start_audit();
	revoke_start(options.ca_dir);
	randombytes_buf(monitor.boot_epoch, sizeof(monitor.boot_epoch));
	randombytes_buf(&monitor.next_session, 5);	/* differs between starts */
	check(loop_init(), "the event loop");
	start_signals();
	check(store_start(), "the store");
	check(domains_start(), "the domains");
	check(limits_start(), "the limits");
	keep_read();
	check(hub_start(), "the devices");
	check(local_start(), "the local socket");
	check(status_start(), "the status socket");
	keep_load();
	domains_tick();
	tell_ready();
	loop_run(&stop, deadline, tick);
	domains_stop();
	if (!handover_on() || for_good) {	/* else the next one listens on them */
		hub_stop();
		local_stop();
		status_stop();
	}
	limits_stop();
	audit_stop();
	return 0;
}
