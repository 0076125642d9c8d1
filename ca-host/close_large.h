/* SPDX-License-Identifier: MIT */
#ifndef SIVSHMEM_CA_CLOSE_LARGE_H
#define SIVSHMEM_CA_CLOSE_LARGE_H

/* Close a file whose pages may go with it, without waiting for that: to free gigabytes takes seconds. */
void close_large(int fd);

#endif
