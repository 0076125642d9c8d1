/* SPDX-License-Identifier: MIT */
#include "mapfile.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cert.h"

#define SIZE_MAX_TEXT	262144
#define WORDS_MAX	12
#define WAIT_MAX	3600

struct parser {
	const char *path;
	unsigned int line;
	struct sivshmem_map *map;
	struct sivshmem_error *err;
};

static int bad(const struct parser *p, const char *what, const char *got)
{
	return sivshmem_error_set(p->err, -EINVAL, "%s:%u: %s, got '%.80s'",
				  p->path, p->line, what, got);
}

static int set_once(struct parser *p, const char **to, const char *value)
{
	if (*to)
		return bad(p, "the word was given before; keep one of them", value);
	*to = value;
	return 0;
}

/* as the wire has it: NUL-padded to len */
static bool valid_name(const char *name, size_t len)
{
	char field[SIVP_NAME_LEN] = "";

	if (strlen(name) >= len)
		return false;
	memcpy(field, name, strlen(name));	/* NOLINT(bugprone-not-null-terminated-result): it is zeroed */
	return sivshmem_name_valid(field, len);
}

static int take_identity(struct parser *p, char **w)
{
	if (w[0][0] != '/')
		return bad(p, "identity wants an absolute path of a directory", w[0]);
	return set_once(p, &p->map->identity, w[0]);
}

static int take_transport(struct parser *p, char **w)
{
	if (strcmp(w[0], "auto") && strcmp(w[0], "dev") && strncmp(w[0], "unix:/", 6))
		return bad(p, "transport is auto, dev or unix:/PATH", w[0]);
	return set_once(p, &p->map->transport, w[0]);
}

static int take_host(struct parser *p, char **w)
{
	if (!valid_name(w[0], SIVP_HOST_LEN))
		return bad(p, "not the name of a host", w[0]);
	return set_once(p, &p->map->host, w[0]);
}

/* --- what may follow on a map line --- */

static int option_identity(struct parser *p, struct sivshmem_map_rule *rule, const char *value)
{
	if (value[0] != '/')
		return bad(p, "identity= wants an absolute path of a directory", value);
	rule->identity = value;
	return 0;
}

static int option_name(struct parser *p, struct sivshmem_map_rule *rule, const char *value)
{
	if (rule->pattern[rule->literal] || rule->pattern[0] != '/')
		return bad(p, "name= wants a pattern without wildcards before it", rule->pattern);
	if (!value[0] || strlen(value) >= SIVP_NAME_LEN || strpbrk(value, "/\177") ||
	    !strcmp(value, ".") || !strcmp(value, ".."))
		return bad(p, "name= wants an object's name, 1 to 63 bytes without slash", value);
	rule->name = value;
	return 0;
}

static int option_readonly(struct parser *p, struct sivshmem_map_rule *rule, const char *value)
{
	(void)p;
	(void)value;
	rule->readonly = true;
	return 0;
}

static int option_unlink(struct parser *p, struct sivshmem_map_rule *rule, const char *value)
{
	if (!strcmp(value, "yes"))
		rule->unlink = SIVSHMEM_UNLINK_YES;
	else if (!strcmp(value, "no"))
		rule->unlink = SIVSHMEM_UNLINK_NO;
	else if (!strcmp(value, "creator"))
		rule->unlink = SIVSHMEM_UNLINK_CREATOR;
	else
		return bad(p, "unlink= is yes, no or creator", value);
	return 0;
}

static int option_wait(struct parser *p, struct sivshmem_map_rule *rule, const char *value)
{
	if (!value[0] || strlen(value) > 4 || value[strspn(value, "0123456789")] ||
	    atoi(value) > WAIT_MAX)
		return bad(p, "wait= is a number of seconds, at most 3600", value);
	rule->wait = (unsigned int)atoi(value);
	return 0;
}

static int option_peer(struct parser *p, struct sivshmem_map_rule *rule, const char *value)
{
	if (strcmp(value, "*") && !valid_name(value, SIVP_NAME_LEN))
		return bad(p, "peer= is the name of a service, or *", value);
	rule->peer = value;
	return 0;
}

static const struct option {
	const char *name;
	bool value;
	int (*take)(struct parser *p, struct sivshmem_map_rule *rule, const char *value);
} options[] = {
	{ "identity", true, option_identity },
	{ "name", true, option_name },
	{ "readonly", false, option_readonly },
	{ "unlink", true, option_unlink },
	{ "wait", true, option_wait },
	{ "peer", true, option_peer },
};
#define OPTIONS	(sizeof(options) / sizeof(*options))

static int take_option(struct parser *p, struct sivshmem_map_rule *rule, const char *word)
{
	size_t length = strcspn(word, "="), i;
	bool value = word[length] == '=';

	for (i = 0; i < OPTIONS; i++) {
		if (strlen(options[i].name) == length && options[i].value == value &&
		    !strncmp(options[i].name, word, length))
			break;
	}
	if (i == OPTIONS)
		return bad(p, "expected identity=, name=, readonly, unlink=, wait= or peer= here", word);
	if (rule->given & 1u << i)
		return bad(p, "the option was given before; keep one of them", word);
	rule->given |= 1u << i;
	return options[i].take(p, rule, word + length + value);
}

static int take_map(struct parser *p, char **w)
{
	struct sivshmem_map_rule *rule;
	int rc = 0;

	if (w[0][0] != '/' && w[0][0] != '*')
		return bad(p, "a pattern starts with '/' or '*', as in /name*", w[0]);
	if (strchr(w[0] + 1, '/'))
		return bad(p, "a name has no slash but the first, this pattern matches none", w[0]);
	if (!valid_name(w[1], SIVP_NAME_LEN))
		return bad(p, "not the name of a channel", w[1]);
	if (p->map->count == SIVSHMEM_MAP_RULES)
		return bad(p, "too many map lines; use patterns", w[0]);
	rule = &p->map->rules[p->map->count++];
	rule->pattern = w[0];
	rule->channel = w[1];
	rule->literal = (unsigned int)strcspn(w[0], "*?[\\");
	rule->line = p->line;
	for (w += 2; *w && !rc; w++)
		rc = take_option(p, rule, *w);
	return rc;
}

static const struct word {
	const char *name;
	int values;
	bool options;			/* may follow the values */
	int (*take)(struct parser *p, char **values);	/* NULL ends them */
} words[] = {
	{ "identity", 1, false, take_identity },
	{ "transport", 1, false, take_transport },
	{ "host", 1, false, take_host },
	{ "map", 2, true, take_map },
};

static int parse_line(struct parser *p, char *line)
{
	char *w[WORDS_MAX + 1], *state = NULL;
	size_t i;
	int n = 0;

	for (char *t = strtok_r(line, " \t", &state); t && *t != '#';
	     t = strtok_r(NULL, " \t", &state)) {
		if (n == WORDS_MAX)
			return bad(p, "too many words", t);
		w[n++] = t;
	}
	if (!n)
		return 0;
	w[n] = NULL;
	for (i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(words[i].name, w[0]))
			continue;
		if (n - 1 < words[i].values)
			return bad(p, "a value is missing after the last word", w[n - 1]);
		if (n - 1 > words[i].values && !words[i].options)
			return bad(p, "one word too many", w[words[i].values + 1]);
		return words[i].take(p, w + 1);
	}
	return bad(p, "expected identity, transport, host or map", w[0]);
}

static int parse(struct parser *p, char *text, size_t length)
{
	char *line = text, *end;
	int rc;

	for (p->line = 1; line < text + length; p->line++, line = end + 1) {
		end = memchr(line, '\n', (size_t)(text + length - line));
		if (!end)
			end = text + length;
		*end = '\0';
		if (strlen(line) != (size_t)(end - line))
			return bad(p, "a zero byte in the line", line);
		for (char *c = line; *c; c++) {
			if ((unsigned char)*c < ' ' && *c != '\t')
				return bad(p, "a control character in the line", "it");
		}
		rc = parse_line(p, line);
		if (rc)
			return rc;
	}
	return 0;
}

/* Who may write the map decides what is shared with whom. */
static int check_file(int fd, const char *path, struct stat *st,
		      struct sivshmem_error *err)
{
	if (fstat(fd, st))
		return sivshmem_error_set(err, -errno, "%s: %s", path,
					  strerrordesc_np(errno));
	if (!S_ISREG(st->st_mode))
		return sivshmem_error_set(err, -EPERM, "%s: not a regular file", path);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return sivshmem_error_set(err, -EPERM,
			"%s: owned by uid %u, but the map is root's or one's own; chown it",
			path, (unsigned int)st->st_uid);
	if (st->st_mode & 022)
		return sivshmem_error_set(err, -EPERM,
			"%s: others may write it, got mode %04o; chmod go-w it", path,
			(unsigned int)st->st_mode & 07777);
	if (st->st_size > SIZE_MAX_TEXT)
		return sivshmem_error_set(err, -EFBIG, "%s: larger than %d bytes", path,
			SIZE_MAX_TEXT);
	return 0;
}

static int load(int fd, const char *path, struct sivshmem_map **map,
		struct sivshmem_error *err)
{
	struct parser p = { .path = path, .err = err };
	struct stat st;
	ssize_t n;
	int rc;

	rc = check_file(fd, path, &st, err);
	if (rc)
		return rc;
	p.map = calloc(1, sizeof(*p.map) + (size_t)st.st_size + 1);
	if (!p.map)
		return sivshmem_error_set(err, -ENOMEM, "%s: no memory", path);
	n = sivshmem_read_all(fd, p.map->text, (size_t)st.st_size);
	rc = n < 0 ? sivshmem_error_set(err, (int)n, "%s: %s", path,
					strerrordesc_np((int)-n)) :
		     parse(&p, p.map->text, (size_t)n);
	if (rc)
		free(p.map);
	else
		*map = p.map;
	return rc;
}

int sivshmem_map_load(struct sivshmem_map **map, const char *path,
		      struct sivshmem_error *err)
{
	/* O_NONBLOCK: a fifo in its place must not hold us up */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;

	*map = NULL;
	if (fd < 0)
		return sivshmem_error_set(err, -errno, "%s: %s", path,
					  strerrordesc_np(errno));
	rc = load(fd, path, map, err);
	close(fd);
	return rc;
}

const struct sivshmem_map_rule *sivshmem_map_find(
	const struct sivshmem_map *map, const char *name)
{
	size_t i;

	for (i = 0; i < map->count; i++) {
		const struct sivshmem_map_rule *rule = &map->rules[i];

		/* most names fail here, which is much cheaper */
		if (strncmp(rule->pattern, name, rule->literal))
			continue;
		if (!fnmatch(rule->pattern, name, 0))
			return rule;
	}
	return NULL;
}
