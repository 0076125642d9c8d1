/* SPDX-License-Identifier: MIT */
#include "handover.h"
#include "keep.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <bsd/err.h>

#define BATCH	64

static int epoll_fd = -1;
static struct epoll_event events[BATCH];
static int event_count;

int loop_init(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -errno : 0;
}

int loop_add(struct watch *watch, uint32_t wanted)
{
	struct epoll_event e = { .events = wanted, .data.ptr = watch };

	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, watch->fd, &e) ? -errno : 0;
}

int loop_change(struct watch *watch, uint32_t wanted)
{
	struct epoll_event e = { .events = wanted, .data.ptr = watch };

	return epoll_ctl(epoll_fd, EPOLL_CTL_MOD, watch->fd, &e) ? -errno : 0;
}

void loop_drop(struct watch *watch)
{
	int i;

	if (watch->fd < 0)
		return;
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	handover_forget(watch->fd);
	close(watch->fd);
	watch->fd = -1;
	for (i = 0; i < event_count; i++)
		if (events[i].data.ptr == watch)
			events[i].data.ptr = NULL;
}

void loop_run(const bool *stop, int (*deadline)(void), void (*tick)(void))
{
	int i, n;

	while (!*stop) {
		n = epoll_wait(epoll_fd, events, BATCH, deadline());
		if (n < 0 && errno != EINTR)
			err(3, "epoll_wait");
		event_count = n > 0 ? n : 0;
		for (i = 0; i < event_count; i++) {
			struct watch *w = events[i].data.ptr;

			if (w)
				w->ready(w, events[i].events);
		}
		event_count = 0;
		tick();
		keep_commit();
	}
}
