/* SPDX-License-Identifier: MIT */
/* One request of io_uring(7), without its library. */
#ifndef SIVSHMEM_TEST_URING_H
#define SIVSHMEM_TEST_URING_H

#include <errno.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Its result, or -1 with errno; `fixed` is registered first, if it is not NULL. */
static inline int uring_run(const struct io_uring_sqe *request, const struct iovec *fixed)
{
	struct io_uring_params p = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &p), result = -1;
	struct io_uring_sqe *sqe;
	uint8_t *ring;

	if (fd < 0)
		return -1;
	if (fixed && syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, fixed, 1))
		goto out;
	ring = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
		    IORING_OFF_SQ_RING);
	sqe = mmap(NULL, sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
		   IORING_OFF_SQES);
	if (ring == MAP_FAILED || sqe == MAP_FAILED)
		goto out;
	*sqe = *request;
	*(uint32_t *)(void *)(ring + p.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(void *)(ring + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1)
		result = ((struct io_uring_cqe *)(void *)(ring + p.cq_off.cqes))->res;
	if (result < 0) {
		errno = -result;
		result = -1;
	}
out:
	close(fd);
	return result;
}

#endif
