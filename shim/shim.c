/* SPDX-License-Identifier: MIT */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sivshmem/proto.h>

#include "config.h"

#define QUIET_SECONDS	5

atomic_uint shim_locals;
static _Atomic(dev_t) local_dev;	/* of memfds, all on one */

/* One session per process; a thread that holds the lock is inside the core. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sivshmem_session *session;
static volatile bool inside;
static __thread int depth __attribute__((tls_model("initial-exec")));

struct section {
	int saved_errno, cancel;
};

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

__attribute__((format(printf, 2, 3)))
static void debug(enum shim_debug what, const char *format, ...)
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
static int failed(const char *function, const char *name, int rc,
		  const char *text)
{
	int e = posix_error(rc);

	if (e != ENOENT && e != EEXIST && !said_before(function, name, e))
		shim_say("%s(\"%.80s\"): %s: %s", function, name,
			 e == EACCES ? "refused" : strerrordesc_np(e), text);
	return e;
}

/* --- entering and leaving --- */

/* The session of a forked child is its own; the parent's is not touched. */
static void fork_child(void)
{
	pthread_mutex_init(&lock, NULL);
	/* another thread was at work on it when the memory was copied */
	if (inside)
		session = NULL;
	inside = false;
	depth = 0;
	sivshmem_after_fork(session);
}

static __attribute__((constructor)) void start(void)
{
	pthread_atfork(NULL, NULL, fork_child);
}

/* false: this thread is inside already, by way of a signal handler */
static bool enter(struct section *s)
{
	if (depth)
		return false;
	s->saved_errno = errno;
	/* a thread that is cancelled inside would keep the lock */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &s->cancel);
	pthread_mutex_lock(&lock);
	depth = 1;
	inside = true;
	return true;
}

static void leave(const struct section *s, int error)
{
	inside = false;
	depth = 0;
	pthread_mutex_unlock(&lock);
	pthread_setcancelstate(s->cancel, NULL);
	errno = error ? error : s->saved_errno;
}

/* The session, connected. On failure *text says why. */
static int get_session(char *text, size_t size)
{
	struct sivshmem_options options;
	int rc;

	if (session)
		return 0;
	shim_config_options(&options);
	rc = sivshmem_connect(&session, &options, text, size);
	return rc == -EINVAL ? -EACCES : rc;
}

/* --- names --- */

/* As glibc takes them: any number of slashes first, none after. */
static const char *strip(const char *name)
{
	while (*name == '/')
		name++;
	return *name && !strchr(name, '/') ? name : NULL;
}

static enum shim_route deny(int e)
{
	errno = e;
	return SHIM_DENY;
}

enum shim_route shim_route(const char *given, struct shim_name *name)
{
	const struct sivshmem_map_rule *rule;
	const struct sivshmem_map *map;
	enum shim_config_state state;
	char path[NAME_MAX + 2];
	const char *object;
	int saved = errno;

	if (depth)
		return deny(EDEADLK);
	state = shim_config(&map);
	errno = saved;
	if (state == SHIM_CONFIG_NONE)
		return SHIM_PASS;
	if (state == SHIM_CONFIG_BROKEN)
		return deny(EACCES);
	object = strip(given);
	/* no name for glibc either, which knows the errno */
	if (!object || strlen(object) > NAME_MAX)
		return SHIM_PASS;
	path[0] = '/';
	memcpy(path + 1, object, strlen(object) + 1);
	rule = sivshmem_map_find(map, path);
	errno = saved;
	if (!rule) {
		debug(SHIM_DEBUG_MAP, "%s: not mapped", path);
		errno = saved;
		return SHIM_PASS;
	}
	if (!strcmp(object, ".") || !strcmp(object, ".."))
		return deny(EINVAL);
	if (strlen(object) >= SIVP_NAME_LEN)
		return deny(ENAMETOOLONG);
	debug(SHIM_DEBUG_MAP, "%s: channel %s by %s:%u", path, rule->channel,
	      shim_config_path(), rule->line);
	name->given = given;
	name->object = object;
	name->channel = rule->channel;
	errno = saved;
	return SHIM_CHANNEL;
}

/* umask(2) can't be read without setting it, which other threads would see */
static mode_t current_umask(void)
{
	char text[4096];
	const char *at;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	at = strstr(text, "\nUmask:");
	return at ? (mode_t)strtoul(at + 7, NULL, 8) : 077;
}

static void note_local(int fd)
{
	struct stat st;

	if (!sivshmem_is_local(session, fd) || fstat(fd, &st))
		return;
	atomic_store_explicit(&local_dev, st.st_dev, memory_order_relaxed);
	atomic_store_explicit(&shim_locals, 1, memory_order_release);
}

int shim_open(const struct shim_name *name, int oflag, mode_t mode)
{
	/* what else open(2) knows means nothing for memory */
	const int keep = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC;
	char text[SIVSHMEM_ERROR_MAX] = "";
	struct section s;
	int rc, error = 0;

	if (!enter(&s)) {
		errno = EDEADLK;
		return -1;
	}
	rc = get_session(text, sizeof(text));
	if (!rc) {
		rc = sivshmem_open(session, name->channel, name->object, oflag & keep,
				   oflag & O_CREAT ? mode & ~current_umask() : 0, NULL);
		if (rc < 0)
			snprintf(text, sizeof(text), "%s", sivshmem_error_text(session));
	}
	if (rc < 0)
		error = failed("shm_open", name->given, rc, text);
	else
		note_local(rc);
	debug(SHIM_DEBUG_OPEN, "shm_open(\"%s\", %#x) = %d %s", name->given,
	      (unsigned int)oflag, rc < 0 ? -1 : rc, error ? strerrorname_np(error) : "");
	leave(&s, error);
	return rc < 0 ? -1 : rc;
}

int shim_unlink(const struct shim_name *name)
{
	char text[SIVSHMEM_ERROR_MAX] = "";
	struct section s;
	int rc, error = 0;

	if (!enter(&s)) {
		errno = EDEADLK;
		return -1;
	}
	rc = get_session(text, sizeof(text));
	if (!rc) {
		rc = sivshmem_unlink(session, name->channel, name->object);
		if (rc)
			snprintf(text, sizeof(text), "%s", sivshmem_error_text(session));
	}
	if (rc)
		error = failed("shm_unlink", name->given, rc, text);
	debug(SHIM_DEBUG_UNLINK, "shm_unlink(\"%s\") = %d %s", name->given,
	      rc ? -1 : 0, error ? strerrorname_np(error) : "");
	leave(&s, error);
	return rc ? -1 : 0;
}

bool shim_resize(int fd, uint64_t size, bool grow_only, int *error)
{
	int saved = errno, rc;
	struct section s;
	struct stat st;
	bool ours;

	ours = !depth && !fstat(fd, &st) &&
	       st.st_dev == atomic_load_explicit(&local_dev, memory_order_relaxed);
	errno = saved;
	if (!ours || !enter(&s))
		return false;
	ours = session && sivshmem_is_local(session, fd) &&
	       (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
	*error = 0;
	if (ours) {
		rc = sivshmem_resize(session, fd, size, grow_only);
		if (rc)
			*error = failed("ftruncate", "its fd", rc, sivshmem_error_text(session));
		debug(SHIM_DEBUG_SIZE, "fd %d: size %llu%s: %s", fd,
		      (unsigned long long)size, grow_only ? " at least" : "",
		      *error ? strerrorname_np(*error) : "done");
	}
	leave(&s, 0);
	return ours;
}
