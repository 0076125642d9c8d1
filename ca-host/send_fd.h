/* SPDX-License-Identifier: MIT */
/* A message that carries a file descriptor. */
#ifndef SIVSHMEM_SEND_FD_H
#define SIVSHMEM_SEND_FD_H

#include <stddef.h>

/* All of data and, unless -1, an fd: 0 or -errno. flags: 0 waits, MSG_DONTWAIT does not. */
int send_fd(int socket, const void *data, size_t length, int fd, int flags);

#endif
