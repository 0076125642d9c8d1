/* SPDX-License-Identifier: MIT */
/*
 * Advisory locks on objects, between VMs: per object a list of ranges, none of
 * one owner and kind overlapping. An owner is a VM's, and a VM's kernel says
 * which; it asks again when the object is announced.
 */
#include "keep.h"

#include <errno.h>
#include <stdlib.h>

#define LOCKS_MAX	1024	/* of a VM on one object */

struct lock {
	LIST_ENTRY(lock) node, of_grant;
	struct grant *grant;
	struct sivring_lock is;
};

const struct lock *lock_next(const struct lock *l)
{
	return LIST_NEXT(l, of_grant);
}

const struct sivring_lock *lock_is(const struct lock *l)
{
	return &l->is;
}

static bool overlap(const struct sivring_lock *a, const struct sivring_lock *b)
{
	return a->start <= b->end && b->start <= a->end &&
	       (a->flags & SIVRING_LOCK_RECORD) == (b->flags & SIVRING_LOCK_RECORD);
}

static bool same_owner(const struct lock *l, const struct grant *grant,
		       const struct sivring_lock *wanted)
{
	return l->grant->session->domain == grant->session->domain &&
	       l->is.owner == wanted->owner;
}

/* Of the one who asks, and touched by it */
static bool is_meant(const struct lock *l, const struct grant *grant,
		     const struct sivring_lock *wanted)
{
	return overlap(&l->is, wanted) && same_owner(l, grant, wanted);
}

static bool sticks_out(const struct lock *l, const struct sivring_lock *range)
{
	return l->is.start < range->start && l->is.end > range->end;
}

static const struct lock *find_in_way(const struct grant *grant,
				      const struct sivring_lock *wanted)
{
	const struct lock *l, *first = NULL;

	LIST_FOREACH(l, &grant->object->locks, node)
		if (overlap(&l->is, wanted) && !same_owner(l, grant, wanted) &&
		    (l->is.type == SIVRING_LOCK_WRITE || wanted->type == SIVRING_LOCK_WRITE) &&
		    (!first || l->is.start < first->is.start))
			first = l;
	return first;
}

static uint32_t count(const struct grant *grant)
{
	const struct lock *l;
	uint32_t n = 0;

	LIST_FOREACH(l, &grant->object->locks, node)
		n += l->grant->session->domain == grant->session->domain;
	return n;
}

static bool splits(const struct grant *grant, const struct sivring_lock *wanted)
{
	const struct lock *l;

	LIST_FOREACH(l, &grant->object->locks, node)
		if (is_meant(l, grant, wanted) && sticks_out(l, wanted))
			return true;
	return false;
}

static struct grant_list touched = LIST_HEAD_INITIALIZER(touched);

/* Its grant has another set of locks from here on. */
static void changed(struct lock *l)
{
	if (!l->grant->relock)
		LIST_INSERT_HEAD(&touched, l->grant, of_changed);
	l->grant->relock = true;
}

/* Only those of grants that are touched, and of each once. */
static void keep_changed(void)
{
	struct grant *g;

	while ((g = LIST_FIRST(&touched))) {
		LIST_REMOVE(g, of_changed);
		g->relock = false;
		keep_locks(g);
	}
}

static void add_lock(struct lock *l, struct grant *grant, const struct sivring_lock *is)
{
	l->grant = grant;
	l->is = *is;
	LIST_INSERT_HEAD(&grant->object->locks, l, node);
	LIST_INSERT_HEAD(&grant->locks, l, of_grant);
}

static void remove_lock(struct lock *l)
{
	LIST_REMOVE(l, node);
	LIST_REMOVE(l, of_grant);
	free(l);
}

/* Take the range out of l; `spare` becomes what is left after it, if both ends are. */
static struct lock *cut(struct lock *l, const struct sivring_lock *range, struct lock *spare)
{
	bool before = l->is.start < range->start, after = l->is.end > range->end;

	if (sticks_out(l, range)) {
		add_lock(spare, l->grant, &l->is);
		spare->is.start = range->end + 1;
		spare = NULL;
	}
	if (before)
		l->is.end = range->start - 1;
	else if (after)
		l->is.start = range->end + 1;
	else
		remove_lock(l);
	return spare;
}

/* True when somebody else may get more than before. */
static bool replace(struct grant *grant, const struct sivring_lock *wanted,
		    struct lock *fresh, struct lock *spare)
{
	struct lock *l, *next;
	bool less = false;

	for (l = LIST_FIRST(&grant->object->locks); l; l = next) {
		next = LIST_NEXT(l, node);
		if (!is_meant(l, grant, wanted))
			continue;
		less |= wanted->type < l->is.type;
		changed(l);
		/* of one owner's ranges only one can stand out on both sides */
		spare = cut(l, wanted, spare);
	}
	free(spare);
	if (wanted->type == SIVRING_LOCK_NONE) {
		free(fresh);
	} else {
		add_lock(fresh, grant, wanted);
		changed(fresh);
	}
	keep_changed();
	return less;
}

static void tell(struct object *o)
{
	if (!o->lock_wanted)
		return;
	o->lock_wanted = false;
	keep_object(o);
	store_announce(o, NULL);
}

/* flock(2) gives up what the owner has before it waits for another kind of it. */
static void lose(struct grant *grant, const struct sivring_lock *wanted)
{
	struct sivring_lock none = *wanted;

	none.type = SIVRING_LOCK_NONE;
	none.start = 0;
	none.end = UINT64_MAX;		/* so that nothing is cut in two */
	if (replace(grant, &none, NULL, NULL))
		tell(grant->object);
}

int lock_set(struct grant *grant, const struct sivring_lock *wanted,
	     struct sivring_lock *in_way)
{
	const struct lock *other = NULL;
	struct lock *fresh, *spare;
	uint32_t more;

	if (wanted->type != SIVRING_LOCK_NONE)
		other = find_in_way(grant, wanted);
	if (other) {
		*in_way = other->is;
		if (!(wanted->flags & (SIVRING_LOCK_RECORD | SIVRING_LOCK_TEST)))
			lose(grant, wanted);
		if (!(wanted->flags & SIVRING_LOCK_TEST) && !grant->object->lock_wanted) {
			grant->object->lock_wanted = true;
			keep_object(grant->object);
		}
		return EAGAIN;
	}
	if (wanted->flags & SIVRING_LOCK_TEST)
		return 0;
	/* a record lock to write needs a file open for that, says fcntl(2) */
	if (wanted->type == SIVRING_LOCK_WRITE && (wanted->flags & SIVRING_LOCK_RECORD) &&
	    !(grant->rights & SIVSHMEM_RIGHT_WRITE))
		return EBADF;
	/* in the middle of a range it makes two of it */
	more = (wanted->type != SIVRING_LOCK_NONE) + splits(grant, wanted);
	if (more && count(grant) + more > LOCKS_MAX)
		return ENOLCK;
	fresh = calloc(1, sizeof(*fresh));
	spare = calloc(1, sizeof(*spare));
	if (!fresh || !spare) {
		free(fresh);
		free(spare);
		return ENOLCK;
	}
	if (replace(grant, wanted, fresh, spare))
		tell(grant->object);
	return 0;
}

void lock_drop(const struct grant *grant)
{
	struct lock *l, *next;

	if (LIST_EMPTY(&grant->locks))
		return;
	for (l = LIST_FIRST(&grant->locks); l; l = next) {
		next = LIST_NEXT(l, of_grant);
		remove_lock(l);
	}
	keep_locks(grant);
	tell(grant->object);
}
