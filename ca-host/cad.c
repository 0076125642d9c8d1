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

#include "../shim/lib/cert.h"
#include "../shim/lib/keyfile.h"
#include "monitor.h"
#include "worker.h"

#define DEFAULT_CA	"/etc/sivshmem"
#define DEFAULT_RUN	"/run/sivshmem"
#define DEFAULT_AUDIT	"/var/log/sivshmem/audit.jsonl"
#define FDS_WANTED	16384
#define FDS_RESERVED	256	/* for workers and VMs that come back */

static struct {
	const char *ca_dir, *policy, *audit, *user;
} options = { .ca_dir = DEFAULT_CA, .user = "sivshmem" };

static bool stop;
static struct watch signals;

static _Noreturn void usage(int code)
{
	fprintf(code ? stderr : stdout,
		"usage: sivshmem-cad [--ca-dir DIR] [--run-dir DIR] [--policy FILE]\n"
		"                    [--audit FILE] [--user NAME]\n"
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

static void load_keys(void)
{
	struct sivshmem_error e;
	struct sivp_chain root;
	struct sivshmem_cert_context ctx = { .now = time(NULL) };
	enum sivshmem_cert_error bad;
	uint8_t public_key[SIVP_KEY_LEN];
	char *path = join(options.ca_dir, "root.cert");

	if (sivshmem_chain_read(path, &root, &e))
		errx(3, "%s (sivshmem-ca init makes a CA)", e.text);
	monitor.root = root.cert[0];
	free(path);
	path = join(options.ca_dir, "host.cert");
	if (sivshmem_chain_read(path, &monitor.chain, &e))
		errx(3, "%s", e.text);
	bad = sivshmem_chain_verify(&monitor.chain, SIVP_CERT_HOST, &monitor.root, &ctx);
	if (bad)
		errx(3, "%s: %s", path, sivshmem_cert_reason(bad));
	free(path);
	monitor.secret = sodium_malloc(64);
	if (!monitor.secret)
		errx(3, "no locked memory for the host key; raise ulimit -l");
	path = join(options.ca_dir, "host.key");
	if (sivshmem_key_read(path, monitor.secret, &e))
		errx(3, "%s", e.text);
	crypto_sign_ed25519_sk_to_pk(public_key, monitor.secret);
	if (memcmp(public_key, monitor.chain.cert[0].public_key, sizeof(public_key)))
		errx(3, "%s: does not belong to host.cert", path);
	free(path);
	sodium_mprotect_readonly(monitor.secret);
	strlcpy(monitor.host, monitor.chain.cert[0].host[0] ? monitor.chain.cert[0].host :
		monitor.chain.cert[0].subject, sizeof(monitor.host));
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

/* One daemon per run directory: its lock lives as long as the process. */
static void take_run_dir(void)
{
	char *path = join(monitor.run_dir, "sivshmem-cad.pid"), text[32];
	int fd, n;

	if (mkdir(monitor.run_dir, 0755) && errno != EEXIST)
		err(3, "%s", monitor.run_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		err(3, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB))
		errx(3, "%s: another sivshmem-cad serves %s; stop it, or give another --run-dir",
		     path, monitor.run_dir);
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || write(fd, text, (size_t)n) != n)
		err(3, "%s", path);
	free(path);
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

static void signals_ready(struct watch *watch, uint32_t events)
{
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD)
		domains_reap();
	else
		stop = true;
}

static void start_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	signals.ready = signals_ready;
	if (signals.fd < 0 || loop_add(&signals, EPOLLIN))
		err(3, "signalfd");
}

/*
 * No core dump may hold the key. An undumpable process can't open its own
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

/* systemd's protocol: one datagram to the socket that it names */
static void tell_ready(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd;

	fprintf(stderr, "sivshmem-cad: ready\n");
	if (!path || strlcpy(to.sun_path, path, sizeof(to.sun_path)) >= sizeof(to.sun_path))
		return;
	if (to.sun_path[0] == '@')
		to.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&to,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		warn("%s", path);
	close(fd);
}

static void check(int r, const char *what)
{
	if (r)
		errc(3, -r, "%s: cannot start %s", monitor.run_dir, what);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], WORKER_ARG))
		return worker_main(argc, argv);
	parse(argc, argv);
	if (sodium_init() < 0)
		errx(3, "libsodium does not start");
	umask(022);
	set_limits();
	load_keys();
	load_policy();
	take_run_dir();
	choose_worker_ids();
	start_audit();
	randombytes_buf(monitor.boot_epoch, sizeof(monitor.boot_epoch));
	randombytes_buf(&monitor.next_session, 5);	/* differs between starts */
	check(loop_init(), "the event loop");
	start_signals();
	check(store_start(), "the store");
	check(domains_start(), "the domains");
	check(hub_start(), "the devices");
	check(local_start(), "the local socket");
	check(status_start(), "the status socket");
	domains_tick();
	tell_ready();
	loop_run(&stop, domains_deadline, domains_tick);
	domains_stop();
	hub_stop();
	local_stop();
	status_stop();
	return 0;
}
