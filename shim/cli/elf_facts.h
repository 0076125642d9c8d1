/* SPDX-License-Identifier: MIT */
/* What an ELF file tells of itself, without running it. */
#ifndef SIVSHMEM_CLI_ELF_FACTS_H
#define SIVSHMEM_CLI_ELF_FACTS_H

#include <limits.h>
#include <stdbool.h>

struct elf_facts {
	bool is_elf;			/* else nothing below is set */
	bool x86_64;			/* 64 bits, little-endian, that machine */
	bool sections;			/* without them imports can't be seen */
	bool go;
	bool shm_path;			/* holds the text "/dev/shm" */
	unsigned int syscalls;		/* bytes that look like the instruction */
	char interpreter[PATH_MAX];	/* empty: no loader, so nothing is preloaded */
	char runpath[PATH_MAX];		/* of DT_RUNPATH or DT_RPATH */
};

struct elf_reader {
	void (*import)(void *owner, const char *symbol);
	void (*needed)(void *owner, const char *library);
	void *owner;
};

/* 0, or -1 with errno: the file can't be read. */
int elf_facts_read(const char *path, struct elf_facts *facts,
		   const struct elf_reader *reader);

#endif
