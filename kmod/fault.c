// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of channel files. All that depends on pfn_t and on how the kernel
 * counts device pages is in this file.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pfn_t.h>
#include "compat.h"
#include "sivshmem.h"

static struct siv_grant *grant_of_vma(const struct vm_area_struct *vma)
{
	return vma->vm_file->f_path.dentry->d_fsdata;
}

/* sem held: is the page at index part of the object and of this grant? */
static bool present(const struct siv_grant *g, unsigned long index, unsigned long count)
{
	const struct siv_object *o = g->object;
	unsigned long end = DIV_ROUND_UP_ULL(i_size_read(&o->inode), PAGE_SIZE);

	return !READ_ONCE(g->revoked) && !o->link->dead && end <= o->count &&
	       index < end && count <= end - index;
}

int siv_object_pin(const struct siv_grant *g, unsigned long index, struct page **page)
{
	struct siv_object *o = g->object;
	int err = 0;

	down_read(&o->sem);
	if (present(g, index, 1)) {
		*page = pfn_to_page(o->pfns[index]);
		get_page(*page);
	} else {
		err = READ_ONCE(g->revoked) ? -EKEYREVOKED : -EFAULT;
	}
	up_read(&o->sem);
	return err;
}

/*
 * sem held. A huge entry that came meanwhile maps the page already; below it
 * is no page table to insert one in. Huge ones are made under sem for writing.
 */
static vm_fault_t insert(struct vm_fault *vmf, const struct siv_object *o)
{
	unsigned long pfn = o->pfns[vmf->pgoff];

	if (pmd_trans_huge(*vmf->pmd) || pmd_devmap(*vmf->pmd))
		return VM_FAULT_NOPAGE;
	if (o->link->huge)
		return vmf_insert_mixed(vmf->vma, vmf->address,
					__pfn_to_pfn_t(pfn, PFN_DEV | PFN_MAP));
	return vmf_insert_page(vmf->vma, vmf->address, pfn_to_page(pfn));
}

static vm_fault_t siv_fault(struct vm_fault *vmf)
{
	struct siv_grant *g = grant_of_vma(vmf->vma);
	struct siv_object *o = g->object;
	vm_fault_t ret = VM_FAULT_SIGBUS;
	int tries;

	/*
	 * userfaultfd(2) has put a mark where no page is yet: nothing can be
	 * inserted over it, and the access would fault without end.
	 */
	if ((vmf->flags & FAULT_FLAG_ORIG_PTE_VALID) && !pte_none(vmf->orig_pte))
		return VM_FAULT_SIGBUS;
	/* beyond the end as known here: perhaps another VM has grown it since */
	for (tries = 0; tries < 2; tries++) {
		down_read(&o->sem);
		if (present(g, vmf->pgoff, 1))
			ret = insert(vmf, o);
		up_read(&o->sem);
		if (ret != VM_FAULT_SIGBUS || READ_ONCE(g->revoked) ||
		    (!tries && siv_grant_stat(g)))
			break;
	}
	return ret;
}

#if SIV_HUGE_ENTRIES
/* Else the kernel tracks writes: to be told of each, page by page. */
static bool is_written_freely(const struct vm_area_struct *vma)
{
	return pmd_write(pfn_pmd(0, vma->vm_page_prot));
}

/* 2 MiB at once, where address, place in the object and memory all align. */
static vm_fault_t huge(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long start = vmf->address & PMD_MASK;
	struct siv_grant *g = grant_of_vma(vma);
	struct siv_object *o = g->object;
	vm_fault_t ret = VM_FAULT_FALLBACK;
	unsigned long index, pfn, i;

	if (!o->link->huge || start < vma->vm_start || start + PMD_SIZE > vma->vm_end)
		return VM_FAULT_FALLBACK;
	if ((vmf->flags & FAULT_FLAG_WRITE) && !is_written_freely(vma))
		return VM_FAULT_FALLBACK;
	index = linear_page_index(vma, start);
	down_write(&o->sem);		/* see insert() */
	if (!pmd_none(*vmf->pmd))
		goto out;		/* small pages, or a huge one, came meanwhile */
	if (!present(g, index, PTRS_PER_PMD))
		goto out;
	pfn = o->pfns[index];
	if (pfn & (PTRS_PER_PMD - 1))
		goto out;
	for (i = 1; i < PTRS_PER_PMD; i++)
		if (o->pfns[index + i] != pfn + i)
			goto out;
	/*
	 * Not as a write, though it may be one: the kernel would warn of a page table
	 * that userfaultfd(2) has put here meanwhile.
	 */
	ret = vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(pfn, PFN_DEV | PFN_MAP), false);
out:
	up_write(&o->sem);
	return ret;
}

static vm_fault_t siv_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	return order == PMD_ORDER ? huge(vmf) : VM_FAULT_FALLBACK;
}
#endif

const struct vm_operations_struct siv_vm_ops = {
	.fault = siv_fault,
#if SIV_HUGE_ENTRIES
	.huge_fault = siv_huge_fault,
#endif
};

/*
 * The one check before any mapping. Private mappings may only be read: a copy
 * on write of device memory is not something that the kernel does well.
 */
int siv_vma_check(struct vm_area_struct *vma, const struct siv_grant *grant)
{
	unsigned long pages = vma_pages(vma);

	if (READ_ONCE(grant->revoked))
		return -EKEYREVOKED;
	if (vma->vm_pgoff + pages < vma->vm_pgoff)
		return -EOVERFLOW;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	siv_vm_flags_clear(vma, VM_MAYEXEC);
	if (!(vma->vm_flags & VM_MAYSHARE)) {
		if (vma->vm_flags & VM_WRITE)
			return -EINVAL;
		siv_vm_flags_clear(vma, VM_MAYWRITE);
	}
	if (!(grant->rights & SIVSHMEM_RIGHT_WRITE)) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		siv_vm_flags_clear(vma, VM_MAYWRITE);
	}
	siv_vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP |
			 (SIV_HUGE_ENTRIES && grant->object->link->huge ?
			  VM_HUGEPAGE : VM_MIXEDMAP));
	vma->vm_ops = &siv_vm_ops;
	return 0;
}
