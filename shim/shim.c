/* SPDX-License-Identifier: MIT */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "created.h"
#include "inside.h"
#include "lib/clock.h"
#include "peer.h"
#include "real.h"

#define QUIET_SECONDS	5
#define WAIT_POLL_MS	20

atomic_uint shim_locals;
static _Atomic(dev_t) local_dev;	/* of memfds, all on one */

/* A session for each identity. A thread that holds the lock is inside the core. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct held {
	struct held *next;
	const char *identity;		/* the rule's, NULL: the map's */
	struct sivshmem_session *session;
} *sessions;
static volatile bool inside;
__thread int shim_depth __attribute__((tls_model("initial-exec")));

/* --- words to the user --- */

static void say(const char *format, va_list args)
{
	char line[SIVSHMEM_ERROR_MAX + 256] = "sivshmem: ";
	const size_t start = 10, room = sizeof(line) - 1;
	int n = vsnprintf(line + start, room - start, format, args);
	size_t end, i;
	ssize_t done;

	if (n < 0)
		return;
	end = start + (size_t)n < room ? start + (size_t)n : room - 1;
	/* names are the program's: no escape sequences to a terminal */
	for (i = start; i < end; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	}
	line[end++] = '\n';
	done = write(STDERR_FILENO, line, end);
	(void)done;
}

void shim_say(const char *format, ...)
{
	va_list args;
	int saved = errno;

	va_start(args, format);
	say(format, args);
	va_end(args);
	errno = saved;
}

void shim_debug(enum shim_debug what, const char *format, ...)
{
	va_list args;

	if (!(shim_config_debug() & what))
		return;
	va_start(args, format);
	say(format, args);
	va_end(args);
}

/* A program that tries again and again is told once in a while. */
static bool said_before(const char *function, const char *name, int e)
{
	static char last[SIVP_NAME_LEN + 32];
	static time_t when;
	char now[sizeof(last)];
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	snprintf(now, sizeof(now), "%d %s %s", e, function, name);
	if (!strcmp(now, last) && t.tv_sec - when < QUIET_SECONDS)
		return true;
	memcpy(last, now, sizeof(last));
	when = t.tv_sec;
	return false;
}

/* What POSIX knows; the rest of the library's errors are refusals. */
static int posix_error(int rc)
{
	switch (-rc) {
	case EKEYREJECTED:
	case EKEYREVOKED:
	case EKEYEXPIRED:
	case EPROTO:
	case EPROTONOSUPPORT:
	case EBADMSG:
	case EPERM:
		return EACCES;
	case ETIMEDOUT:
	case ECONNRESET:
	case EPIPE:
		return EHOSTDOWN;
	default:
		return -rc;
	}
}

/* errno, and a line unless this is an ordinary outcome */
static int failed(const char *function, const char *given, int rc, const char *text)
{
	int e = posix_error(rc);

	if (e != ENOENT && e != EEXIST && !said_before(function, given, e))
		shim_say("%s(\"%.80s\"): %s: %s", function, given,
			 e == EACCES ? "refused" : strerrordesc_np(e), text);
	return e;
}

/* --- entering and leaving --- */

/* The sessions of a forked child are its own; the parent's are not touched. */
static void fork_child(void)
{
	struct held *h;

	pthread_mutex_init(&lock, NULL);
	/* another thread was at work on them when the memory was copied */
	if (inside)
		sessions = NULL;
	inside = false;
	shim_depth = 0;
	for (h = sessions; h; h = h->next)
		sivshmem_after_fork(h->session);
	peer_after_fork();
}

/* Whose memory this is: fork(2) wipes it, vfork(2) shows the parent's. */
static pid_t *process;

static void make_process(void)
{
	void *page = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return;
	madvise(page, (size_t)sysconf(_SC_PAGESIZE), MADV_WIPEONFORK);
	process = page;
	*process = getpid();
}

static __attribute__((constructor)) void start(void)
{
	make_process();
	pthread_atfork(NULL, NULL, fork_child);
}

/* Its sessions would be left to the parent, which can't use them. */
static bool vfork_child(void)
{
	if (process && !*process)
		*process = getpid();
	return process && *process != getpid();
}

/* false: this thread is inside already, by way of a signal handler */
static bool enter(struct shim_section *s)
{
	if (shim_depth)
		return false;
	s->saved_errno = errno;
	/* a thread that is cancelled inside would keep the lock */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &s->cancel);
	/* before the lock and until after it: else a handler would wait for its own thread */
	shim_depth = 1;
	pthread_mutex_lock(&lock);
	inside = true;
	return true;
}

static void leave(const struct shim_section *s, int error)
{
	inside = false;
	pthread_mutex_unlock(&lock);
	shim_depth = 0;
	pthread_setcancelstate(s->cancel, NULL);
	errno = error ? error : s->saved_errno;
}

bool shim_same_identity(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* The session of that identity, connected. On failure text says why. */
static int get_session(const char *identity, struct sivshmem_session **session,
		       char *text, size_t size)
{
	struct sivshmem_options options;
	struct held *h;
	int rc;

	for (h = sessions; h; h = h->next) {
		if (shim_same_identity(h->identity, identity)) {
			*session = h->session;
			return 0;
		}
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	shim_config_options(&options);
	if (identity)
		options.identity = identity;
	rc = sivshmem_connect(&h->session, &options, text, size);
	if (rc) {
		free(h);
		return rc == -EINVAL ? -EACCES : rc;
	}
	h->identity = identity;
	h->next = sessions;
	sessions = h;
	*session = h->session;
	return 0;
}

int shim_enter(const struct shim_name *name, struct shim_section *s)
{
	char text[SIVSHMEM_ERROR_MAX] = "";
	int rc;

	if (name->denied)
		return name->denied;
	if (!enter(s))
		return EDEADLK;
	rc = vfork_child() ? -EACCES :
	     get_session(name->rule->identity, &s->session, text, sizeof(text));
	if (!rc)
		return 0;
	if (!text[0])
		snprintf(text, sizeof(text), "%s", rc != -EACCES ? "no session with the host" :
			 "a child of vfork may not open shared memory; fork, or exec first");
	rc = failed(name->function, name->given, rc, text);
	leave(s, 0);
	return rc;
}

void shim_leave(const struct shim_name *name, struct shim_section *s, int rc)
{
	leave(s, rc < 0 ? failed(name->function, name->given, rc,
				 sivshmem_error_text(s->session)) : 0);
}

int shim_leave_failed(const struct shim_name *name, struct shim_section *s, int e,
		      const char *text)
{
	if (!said_before(name->function, name->given, e))
		shim_say("%s(\"%.80s\"): %s: %s", name->function, name->given,
			 e == EACCES ? "refused" : strerrordesc_np(e), text);
	leave(s, e);
	return e;
}

bool shim_enter_core(struct shim_section *s)
{
	return enter(s);
}

void shim_leave_core(const struct shim_section *s)
{
	leave(s, 0);
}

void shim_each_session(void (*call)(struct sivshmem_session *session, void *data), void *data)
{
	for (struct held *h = sessions; h; h = h->next)
		call(h->session, data);
}

bool shim_forbidden(const struct shim_name *name)
{
	struct shim_section s;

	if (name->denied || !name->rule->readonly || !enter(&s))
		return false;
	leave(&s, failed(name->function, name->given, -EACCES,
			 "its line of the map file says readonly"));
	return true;
}

/* --- names --- */

/* umask(2) can't be read without setting it, which other threads would see */
static mode_t current_umask(void)
{
	char text[4096];
	const char *at;
	int fd = real_open("/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	at = strstr(text, "\nUmask:");
	return at ? (mode_t)strtoul(at + 7, NULL, 8) : 077;
}

static void note_local(const struct sivshmem_session *session, int fd)
{
	struct stat st;

	if (!sivshmem_is_local(session, fd) || fstat(fd, &st))
		return;
	atomic_store_explicit(&local_dev, st.st_dev, memory_order_relaxed);
	atomic_store_explicit(&shim_locals, 1, memory_order_release);
}

static int open_and_join(const struct shim_name *name, const struct shim_section *s, int oflag,
			 mode_t mode, struct sivp_result *result)
{
	int rc = sivshmem_open_result(s->session, name->rule->channel, name->object, oflag, mode,
				      result);
	int joined = rc >= 0 && name->rule->peer ? peer_join(name, s, result) : 0;

	if (!joined)
		return rc;
	sivshmem_give_back(s->session, rc, result->grant);
	return joined;
}

/* The certificate was renewed since the session began, which can't join by the old one. */
static int open_anew(const struct shim_name *name, const struct shim_section *s, int oflag,
		     struct sivp_result *result)
{
	const struct sivp_result before = *result;
	int rc;

	sivshmem_session_drop(s->session);
	rc = open_and_join(name, s, oflag & O_ACCMODE, 0, result);
	if (rc >= 0 && result->generation == before.generation)
		result->created = before.created;
	return rc;
}

static int open_once(const struct shim_name *name, int oflag, mode_t mode, bool *created)
{
	/* what else open(2) knows means nothing for memory */
	const int keep = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC;
	struct sivp_result result = { 0 };
	struct shim_section s;
	int rc = shim_enter(name, &s);

	if (rc) {
		errno = rc;
		return -1;
	}
	rc = open_and_join(name, &s, oflag & keep, oflag & O_CREAT ? mode & ~current_umask() : 0,
			   &result);
	if (rc == -ESTALE && name->rule->peer)
		rc = open_anew(name, &s, oflag, &result);
	if (rc >= 0) {
		note_local(s.session, rc);
		if (name->rule->unlink == SIVSHMEM_UNLINK_CREATOR)
			created_note(name->rule->channel, name->object, &result);
		if (created)
			*created = result.created;
	}
	shim_debug(SHIM_DEBUG_OPEN, "%s(\"%s\", %#x) = %d %s", name->function, name->given,
		   (unsigned int)oflag, rc < 0 ? -1 : rc, rc < 0 ? strerrorname_np(-rc) : "");
	shim_leave(name, &s, rc);
	if (rc >= 0 && name->rule->peer) {
		int e = peer_await(name, &result, rc);

		if (e) {
			errno = e;
			return -1;
		}
	}
	return rc < 0 ? -1 : rc;
}

/* Somebody else may come to create it; nothing is held meanwhile. */
static bool wait_for(const struct shim_name *name, int oflag, int64_t *deadline)
{
	if (errno != ENOENT || name->denied || (oflag & O_CREAT) || !name->rule->wait)
		return false;
	if (!*deadline)
		*deadline = sivshmem_now_ms() + name->rule->wait * 1000;
	if (sivshmem_now_ms() >= *deadline)
		return false;
	sivshmem_sleep_ms(WAIT_POLL_MS);
	return true;
}

int shim_open(const struct shim_name *name, int oflag, mode_t mode, bool *created)
{
	int saved = errno, fd;
	int64_t deadline = 0;

	if ((oflag & (O_ACCMODE | O_CREAT | O_TRUNC)) && shim_forbidden(name))
		return -1;
	do
		fd = open_once(name, oflag, mode, created);
	while (fd < 0 && wait_for(name, oflag, &deadline));
	if (fd >= 0)
		errno = saved;
	return fd;
}

/* Does it count? Whoever asks in vain is told that it is done. */
static bool may_unlink(const struct shim_name *name)
{
	const struct sivshmem_map_rule *rule = name->rule;

	return rule->unlink == SIVSHMEM_UNLINK_YES ||
	       (rule->unlink == SIVSHMEM_UNLINK_CREATOR &&
		created_here(rule->channel, name->object));
}

int shim_unlink(const struct shim_name *name)
{
	struct shim_section s;
	int rc;

	if (shim_forbidden(name))
		return -1;
	rc = shim_enter(name, &s);
	if (rc) {
		errno = rc;
		return -1;
	}
	if (may_unlink(name)) {
		rc = sivshmem_unlink(s.session, name->rule->channel, name->object);
		created_forget(name->rule->channel, name->object);
		shim_debug(SHIM_DEBUG_UNLINK, "%s(\"%s\") = %d %s", name->function,
			   name->given, rc ? -1 : 0, rc ? strerrorname_np(-rc) : "");
	} else {
		shim_debug(SHIM_DEBUG_UNLINK, "%s(\"%s\"): kept, by its line of the map file",
			   name->function, name->given);
	}
	shim_leave(name, &s, rc);
	return rc ? -1 : 0;
}

/* --- sizes --- */

/* The session that knows fd as a local object it may write. */
static struct sivshmem_session *owner(int fd)
{
	struct held *h;

	for (h = sessions; h; h = h->next) {
		if (sivshmem_is_local(h->session, fd))
			break;
	}
	return h && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR ? h->session : NULL;
}

bool shim_resize(int fd, uint64_t size, bool grow_only, int *error)
{
	struct sivshmem_session *session;
	int saved = errno, rc;
	struct shim_section s;
	struct stat st;
	bool ours;

	ours = !shim_depth && !fstat(fd, &st) &&
	       st.st_dev == atomic_load_explicit(&local_dev, memory_order_relaxed);
	errno = saved;
	if (!ours || !enter(&s))
		return false;
	session = owner(fd);
	*error = 0;
	if (session) {
		rc = sivshmem_resize(session, fd, size, grow_only);
		if (rc)
			*error = failed("ftruncate", "its fd", rc, sivshmem_error_text(session));
		shim_debug(SHIM_DEBUG_SIZE, "fd %d: size %llu%s: %s", fd,
			   (unsigned long long)size, grow_only ? " at least" : "",
			   *error ? strerrorname_np(*error) : "done");
	}
	leave(&s, 0);
	return session != NULL;
}
