// SPDX-License-Identifier: GPL-2.0
/* /dev/sivshmem-wait: futex(2) for addresses in a channel; see uapi.h. */
#include <linux/file.h>
#include <linux/hrtimer.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>
#include "sivshmem.h"

/* A word of the caller's memory, whose page stays where it is until put_word(). */
struct word {
	struct file *file;
	struct page *page;
	struct siv_grant *grant;
	struct siv_sleeper who;
};

static struct file *find_file(u64 address, u64 *offset)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	struct file *file = NULL;

	if (address >= TASK_SIZE_MAX || mmap_read_lock_killable(mm))
		return NULL;
	vma = vma_lookup(mm, address);
	if (vma && vma->vm_ops == &siv_vm_ops) {
		file = get_file(vma->vm_file);
		*offset = ((u64)vma->vm_pgoff << PAGE_SHIFT) + (address - vma->vm_start);
	}
	mmap_read_unlock(mm);
	return file;
}

static int get_word(struct word *w, u64 address, u32 bitset)
{
	u64 offset;
	int err;

	if (address & 3 || !bitset)
		return -EINVAL;
	w->file = find_file(address, &offset);
	if (!w->file)
		return fatal_signal_pending(current) ? -EINTR : -ENODEV;
	w->grant = siv_grant_of(w->file->f_path.dentry);
	err = siv_object_pin(w->grant, offset >> PAGE_SHIFT, &w->page);
	if (err) {
		fput(w->file);
		return err;
	}
	w->who = (struct siv_sleeper){
		.object = w->grant->object, .offset = offset, .bitset = bitset,
		.grant = w->grant, .word = page_address(w->page) + offset_in_page(offset),
	};
	return 0;
}

static struct siv_wake *wake_of(const struct word *w)
{
	return w->grant->object->link->wake;
}

static void put_word(struct word *w)
{
	put_page(w->page);
	fput(w->file);
}

static int start_timer(struct hrtimer_sleeper *timer, const struct sivshmem_wait *arg)
{
	struct timespec64 at = { .tv_sec = arg->seconds, .tv_nsec = arg->nanoseconds };

	if (!timespec64_valid(&at) ||
	    (arg->clock != CLOCK_REALTIME && arg->clock != CLOCK_MONOTONIC))
		return -EINVAL;
	hrtimer_init_sleeper_on_stack(timer, arg->clock, HRTIMER_MODE_ABS);
	hrtimer_set_expires_range_ns(&timer->timer, timespec64_to_ktime(at),
				     current->timer_slack_ns);
	hrtimer_sleeper_start_expires(timer, HRTIMER_MODE_ABS);
	return 0;
}

static void stop_timer(struct hrtimer_sleeper *timer)
{
	hrtimer_cancel(&timer->timer);
	destroy_hrtimer_on_stack(&timer->timer);
}

static long do_wait(const struct sivshmem_wait __user *user)
{
	struct hrtimer_sleeper timer;
	struct sivshmem_wait arg;
	bool timed;
	struct word w;
	int err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~(SIVSHMEM_WAIT_DEADLINE | SIVSHMEM_WAIT_OWNED))
		return -EINVAL;
	err = get_word(&w, arg.address, arg.bitset);
	if (err)
		return err;
	w.who.expected = arg.expected;
	w.who.owned = arg.flags & SIVSHMEM_WAIT_OWNED;
	timed = arg.flags & SIVSHMEM_WAIT_DEADLINE;
	err = timed ? start_timer(&timer, &arg) : 0;
	if (!err) {
		err = siv_wake_sleep(wake_of(&w), &w.who, timed ? &timer : NULL);
		if (timed)
			stop_timer(&timer);
		/* as of futex(2): SA_RESTART is for those who wait for ever */
		if (timed && err == -ERESTARTSYS)
			err = -ERESTARTNOHAND;
	}
	put_word(&w);
	return err;
}

static long do_wake(const struct sivshmem_wake __user *user)
{
	struct sivshmem_wake arg;
	struct word w;
	long woken;
	int err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags & ~SIVSHMEM_WAKE_STALE || arg.pad)
		return -EINVAL;
	err = get_word(&w, arg.address, arg.bitset);
	if (err)
		return err;
	woken = siv_wake_up(wake_of(&w), &w.who, min_t(u32, arg.count, INT_MAX),
			    arg.flags & SIVSHMEM_WAKE_STALE);
	put_word(&w);
	return woken;
}

static long do_owner(struct sivshmem_owner __user *user)
{
	struct sivshmem_owner arg;
	struct word w;
	int err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	err = get_word(&w, arg.address & ~3ull, U32_MAX);
	if (err)
		return err;
	err = w.grant->rights & SIVSHMEM_RIGHT_WRITE ?
		siv_owner_get(siv_wake_vm(wake_of(&w)), &arg.id) : -EACCES;
	put_word(&w);
	if (err)
		return err;
	return copy_to_user(user, &arg, sizeof(arg)) ? -EFAULT : 0;
}

static long wait_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case SIVSHMEM_IOC_WAIT:
		return do_wait((void __user *)arg);
	case SIVSHMEM_IOC_WAKE:
		return do_wake((void __user *)arg);
	case SIVSHMEM_IOC_OWNER:
		return do_owner((void __user *)arg);
	}
	return -ENOTTY;
}

static const struct file_operations wait_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = wait_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice wait_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "sivshmem-wait",
	.fops = &wait_fops,
	.mode = 0666,
};

int siv_wait_init(void)
{
	return misc_register(&wait_misc);
}

void siv_wait_exit(void)
{
	misc_deregister(&wait_misc);
}
