/* SPDX-License-Identifier: MIT */
#include "wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "alloc.h"
#include "keep.h"

struct job {
	STAILQ_ENTRY(job) node;
	uint32_t link;
	struct sivring_extent extent;
	uint64_t done;			/* bytes of it */
};

static STAILQ_HEAD(job_list, job) jobs = STAILQ_HEAD_INITIALIZER(jobs);
static uint64_t at_once = WIPE_SLICE;	/* bytes that may be, until the next turn */

int wipe_now(int memory, uint64_t offset, uint64_t length)
{
	return fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)offset, (off_t)length) ? errno : 0;
}

static void wiped(uint32_t link, const struct sivring_extent *extent, int error)
{
	if (error)
		keep_lost(link, extent);
	else
		pages_give(monitor.links[link].pages, extent);
}

void wipe_later(uint32_t link, const struct sivring_extent *extent)
{
	struct job *job = extent->length > at_once ? malloc(sizeof(*job)) : NULL;

	if (!job) {
		at_once -= extent->length < at_once ? extent->length : at_once;
		wiped(link, extent, wipe_now(monitor.links[link].memory, extent->offset,
					     extent->length));
		return;
	}
	*job = (struct job){ .link = link, .extent = *extent };
	STAILQ_INSERT_TAIL(&jobs, job, node);
	monitor.links[link].wiping++;
}

bool wipe_pending(uint32_t link)
{
	return monitor.links[link].wiping > 0;
}

int wipe_deadline(void)
{
	return STAILQ_EMPTY(&jobs) ? -1 : 0;
}

/* In turn, so that a small one does not wait for a large one. */
void wipe_tick(void)
{
	struct job *job = STAILQ_FIRST(&jobs);
	uint64_t left, now;
	int r;

	at_once = WIPE_SLICE;
	if (!job)
		return;
	STAILQ_REMOVE_HEAD(&jobs, node);
	left = job->extent.length - job->done;
	now = left < WIPE_SLICE ? left : WIPE_SLICE;
	r = wipe_now(monitor.links[job->link].memory, job->extent.offset + job->done, now);
	job->done += now;
	if (!r && job->done < job->extent.length) {
		STAILQ_INSERT_TAIL(&jobs, job, node);
		return;
	}
	monitor.links[job->link].wiping--;
	wiped(job->link, &job->extent, r);
	free(job);
}
