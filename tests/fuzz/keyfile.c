/* SPDX-License-Identifier: MIT */
/* The text of key and certificate files. */
#include "fuzz.h"

#include <sodium.h>
#include "../../shim/lib/keyfile.h"
#include "../../shim/lib/cert.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	atexit(drop_file);
	return sodium_init() < 0;
}

/* What was read is written as it was read: each content has one text. */
static void read_again(const struct sivp_chain *chain, const uint8_t *data, size_t size)
{
	static char path[64];
	struct sivshmem_error err;
	char text[2048];
	int fd;

	snprintf(path, sizeof(path), "/dev/shm/sivshmem-fuzz-again-%d", (int)getpid());
	ALWAYS(!sivshmem_chain_write(path, chain, &err));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ALWAYS(fd >= 0 && sivshmem_read_all(fd, text, sizeof(text)) == (ssize_t)size &&
	       !memcmp(text, data, size));
	close(fd);
	unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = file_with(data, size);
	struct sivshmem_error err;
	struct sivp_chain chain;
	uint8_t secret[64];

	if (!sivshmem_chain_read(path, &chain, &err)) {
		ALWAYS(chain.count == 1 || chain.count == 2);
		for (uint32_t i = 0; i < chain.count; i++)
			ALWAYS(sivshmem_cert_well_formed(&chain.cert[i]));
		read_again(&chain, data, size);
	} else {
		ALWAYS(memchr(err.text, 0, sizeof(err.text)) && err.text[0]);
	}
	sivshmem_chain_look(path, &chain, &err);
	if (sivshmem_key_read(path, secret, &err))
		ALWAYS(sodium_is_zero(secret, sizeof(secret)));
	return 0;
}
