/* SPDX-License-Identifier: MIT */
#include "elf_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <gelf.h>

static void read_interpreter(Elf *elf, struct elf_facts *facts)
{
	size_t count = 0, size, i;
	const char *file = elf_rawfile(elf, &size);
	GElf_Phdr p;

	if (!file || elf_getphdrnum(elf, &count))
		return;
	for (i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, (int)i, &p) || p.p_type != PT_INTERP)
			continue;
		if (p.p_offset < size && p.p_filesz <= size - p.p_offset &&
		    p.p_filesz < sizeof(facts->interpreter))
			memcpy(facts->interpreter, file + p.p_offset, p.p_filesz);
	}
}

static void read_symbols(Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh,
			 const struct elf_reader *reader)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	const char *name;
	GElf_Sym sym;
	int i;

	for (i = 1; data && gelf_getsym(data, i, &sym); i++) {
		name = sym.st_shndx ? NULL : elf_strptr(elf, sh->sh_link, sym.st_name);
		if (name && *name)
			reader->import(reader->owner, name);
	}
}

static void read_dynamic(Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh,
			 struct elf_facts *facts, const struct elf_reader *reader)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	const char *text;
	GElf_Dyn dyn;
	int i;

	for (i = 0; data && gelf_getdyn(data, i, &dyn) && dyn.d_tag; i++) {
		if (dyn.d_tag != DT_NEEDED && dyn.d_tag != DT_RUNPATH && dyn.d_tag != DT_RPATH)
			continue;
		text = elf_strptr(elf, sh->sh_link, dyn.d_un.d_val);
		if (text && dyn.d_tag == DT_NEEDED)
			reader->needed(reader->owner, text);
		else if (text && strlen(text) < sizeof(facts->runpath))
			strcpy(facts->runpath, text);
	}
}

/* The bytes 0f 05 may be part of another instruction: "may", for people. */
static void read_bytes(Elf_Scn *scn, const GElf_Shdr *sh, struct elf_facts *facts)
{
	static const char shm[] = "/dev/shm";
	const Elf_Data *data = elf_rawdata(scn, NULL);
	const unsigned char *at = data ? data->d_buf : NULL;
	const unsigned char *end = at ? at + data->d_size : NULL;

	if (!at)
		return;
	if (!(sh->sh_flags & SHF_EXECINSTR)) {
		facts->shm_path |= memmem(at, (size_t)(end - at), shm, strlen(shm)) != NULL;
		return;
	}
	while ((at = memmem(at, (size_t)(end - at), "\x0f\x05", 2))) {
		facts->syscalls++;
		at += 2;
	}
}

static void read_sections(Elf *elf, struct elf_facts *facts,
			  const struct elf_reader *reader)
{
	size_t names = 0;
	Elf_Scn *scn = NULL;
	const char *name;
	GElf_Shdr sh;

	if (elf_getshdrstrndx(elf, &names))
		return;
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh))
			continue;
		facts->sections = true;
		name = elf_strptr(elf, names, sh.sh_name);
		if (name && (!strcmp(name, ".note.go.buildid") || !strcmp(name, ".go.buildinfo")))
			facts->go = true;
		if (sh.sh_type == SHT_DYNSYM)
			read_symbols(elf, scn, &sh, reader);
		else if (sh.sh_type == SHT_DYNAMIC)
			read_dynamic(elf, scn, &sh, facts, reader);
		else if (sh.sh_type == SHT_PROGBITS && (sh.sh_flags & SHF_ALLOC))
			read_bytes(scn, &sh, facts);
	}
}

int elf_facts_read(const char *path, struct elf_facts *facts,
		   const struct elf_reader *reader)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	GElf_Ehdr header;
	Elf *elf;

	memset(facts, 0, sizeof(*facts));
	if (fd < 0)
		return -1;
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &header)) {
		facts->is_elf = true;
		facts->x86_64 = header.e_machine == EM_X86_64 &&
				header.e_ident[EI_CLASS] == ELFCLASS64 &&
				header.e_ident[EI_DATA] == ELFDATA2LSB;
		read_interpreter(elf, facts);
		read_sections(elf, facts, reader);
	}
	elf_end(elf);
	close(fd);
	return 0;
}
