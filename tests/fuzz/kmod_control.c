/* SPDX-License-Identifier: MIT */
/*
 * The module's own code under a hostile host and hostile processes: the control
 * ring, each frame's handler, sessions, grants, objects, the outbox; with
 * allocations that fail, pages that stay pinned and a link that is taken away.
 */
#include "kmod.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return kmod_start();
}

/* --- the host --- */

static u64 some_session(void)
{
	struct siv_session *s;
	u64 id = 0;
	u8 which = take_uint8(&in) & 3;

	list_for_each_entry(s, &siv_sessions, node) {
		id = s->id;
		if (!which--)
			break;
	}
	return id;
}

static u64 some_grant(void)
{
	return 1 + (take_uint8(&in) & 3);
}

static void host_grant(u8 how)
{
	struct granted g = a_grant(some_grant(), 1 + (how >> 5 & 3));

	g.grant.object.change += how & 3;
	if (how & 4) {
		/* it has grown */
		g.extents[2] = (struct sivring_extent){ g.extents[1].offset + 8192, 4096 };
		g.grant.object.extents_count = 3;
		g.grant.object.size += 4000;
	}
	if (how & 8)
		patch(&in, &g, sizeof(g));
	if (how & 16)
		g.grant.rights = 1;
	host_put(SIVRING_GRANT, some_session(), 0, &g, sizeof(g.grant) +
		 min(g.grant.object.extents_count, 3u) * sizeof(g.extents[0]));
}

static void host_object(u8 how, bool done)
{
	struct granted g = a_grant(0, 1 + (how >> 5 & 3));
	struct {
		struct sivring_done done;
		struct sivring_extent extents[3];
	} d = { .done = { .object = g.grant.object } };
	u32 count;

	memcpy(d.extents, g.extents, sizeof(d.extents));
	d.done.object.change = 1 + (how & 7);
	if (how & 8)
		patch(&in, &d, sizeof(d));
	if (how & 16)
		d.done.object.size = take_uint16(&in);
	count = min(d.done.object.extents_count, 3u);
	if (done)
		host_put(SIVRING_DONE, 0, host.sequence, &d,
			 sizeof(d.done) + count * sizeof(d.extents[0]));
	else
		host_put(SIVRING_OBJECT, 0, 0, &d.done.object,
			 sizeof(d.done.object) + count * sizeof(d.extents[0]));
}

static void host_raw(u8 how)
{
	static u8 payload[SIVRING_PAYLOAD_MAX + 64];
	u32 length = take_uint16(&in) % (how & 1 ? 300u : (u32)sizeof(payload));
	u16 type = how & 2 ? take_uint16(&in) : SIVRING_WELCOME + take_uint8(&in) % 6;

	take(&in, payload, length);
	host_put(type, how & 4 ? some_session() : take_uint64(&in), take_uint8(&in), payload, length);
}

static void host_lies(u8 how)
{
	struct sivring_page *p = control_page();
	u8 bytes[64];
	size_t n;

	if (how & 1)
		p->host_nonce = take_uint8(&in);
	if (how & 2)
		p->host_epoch = take_uint8(&in);
	if (how & 4)
		p->h2g_tail += take_uint32(&in);
	if (how & 8)
		p->g2h_head = take_uint32(&in);
	if (how & 16) {
		n = take(&in, bytes, take_uint8(&in) & 63);
		memcpy(CONTROL->memory + SIVRING_H2G_OFF + host.tail % 4096, bytes, n);
	}
}

static void host_ends(u8 how)
{
	const struct sivring_release release = { .grant = some_grant() };
	const struct sivring_end end = { .reason = how & 64 ? take_uint8(&in) : ECONNRESET };

	if (how & 128)
		host_put(SIVRING_SESSION_END, some_session(), 0, &end, sizeof(end));
	else
		host_put(SIVRING_REVOKE, 0, 0, &release, sizeof(release));
}

static void host_step(u8 how)
{
	switch (take_uint8(&in) % 12) {
	case 0:
		host_begin();
		break;
	case 1:
		host_welcome();
		break;
	case 2:
	case 3:
		host_grant(how);
		break;
	case 4:
		host_object(how, false);
		break;
	case 5:
		host_object(how, true);
		break;
	case 6:
		host_ends(how);
		break;
	case 7:
		host_raw(how);
		break;
	case 8:
		host_lies(how);
		break;
	case 9:
		host_put(SIVRING_RELAY, some_session(), 0, "a message", 1 + (how & 7));
		break;
	default:
		host_hear();
	}
	siv_control_interrupt();
}

/* --- processes --- */

static void process_ioctl(struct process *p, u8 how)
{
	struct sivshmem_grant_fd fd = { .grant = some_grant(), .flags = how >> 4 };
	struct sivshmem_entry entries[3];
	struct sivshmem_list list = { .entries = (uintptr_t)entries, .count = how & 3 };
	struct sivshmem_info info;

	switch (how >> 2 & 3) {
	case 0:
		siv_session_fops.unlocked_ioctl(&p->file, SIVSHMEM_IOC_INFO, (unsigned long)&info);
		break;
	case 1:
		siv_session_fops.unlocked_ioctl(&p->file, SIVSHMEM_IOC_GRANT_FD,
						(unsigned long)&fd);
		break;
	case 2:
		if (!siv_session_fops.unlocked_ioctl(&p->file, SIVSHMEM_IOC_LIST,
						     (unsigned long)&list))
			for (u32 i = 0; i < min(list.count, how & 3u); i++)
				ALWAYS(entries[i].grant && entries[i].object);
		break;
	default:
		siv_session_fops.unlocked_ioctl(&p->file, SIVSHMEM_IOC_END, 0);
	}
}

static void process_step(struct process *p, u8 how)
{
	static char bytes[SIVSHMEM_MSG_MAX + 1];
	poll_table table;
	loff_t pos = 0;

	if (!p->open)
		return;
	p->busy++;
	p->file.f_flags = how & 64 ? O_NONBLOCK : 0;
	switch (how & 3) {
	case 0:
		siv_session_fops.write(&p->file, bytes, take_uint16(&in), &pos);
		break;
	case 1:
		siv_session_fops.read(&p->file, bytes, how & 32 ? 2 : sizeof(bytes), &pos);
		break;
	case 2:
		process_ioctl(p, how);
		break;
	default:
		siv_session_fops.poll(&p->file, &table);
	}
	p->busy--;
}

static int using[KERNEL_FDS];		/* system calls on a channel's fd */

static void file_step(u8 how)
{
	unsigned int fd = how % KERNEL_FDS;
	struct siv_grant *g;

	if (!kernel_files[fd])
		return;
	g = siv_grant_of(kernel_files[fd]->f_path.dentry);
	using[fd]++;
	if (how & 16)
		kernel_files[fd]->mapped = !g->revoked && g->object->count;
	if (how & 32)
		siv_grant_resize(g, take_uint16(&in), how & 64);
	else if (how & 64)
		siv_grant_stat(g);
	using[fd]--;
	if (!(how & 128) || using[fd])
		return;
	fput(kernel_files[fd]);
	kernel_files[fd] = NULL;
}

static void device_step(u8 how)
{
	/* neither while another step of it is under way */
	if (depth)
		return;
	if (LINK->drvdata)
		kernel_unbind(LINK);
	else if (how & 1)
		kernel_bind(LINK, LINK_POSITION, LINK_LENGTH);
}

static void step(void)
{
	u8 what = take_uint8(&in), how = take_uint8(&in);
	struct process *p = &processes[(what >> 4) % SESSIONS];

	become(what >> 4);
	switch (what & 15) {
	case 0 ... 6:
		host_step(how);
		break;
	case 7:
		process_open(p);
		break;
	case 8:
	case 9:
		process_step(p, how);
		break;
	case 10:
		if (how & 1)
			process_close(p);
		break;
	case 11:
		file_step(how);
		break;
	case 12:
		if (how & 1)
			pin_some(how >> 1);
		else
			unpin_all();
		break;
	case 13:
		kernel_fail = how & 7;
		break;
	case 14:
		if (how < 16)
			device_step(how);
		break;
	default:
		jiffies += how;
		if (!kernel_mutexes)
			kernel_run_works();
	}
	check_objects();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	in = (struct input){ data, size };
	kmod_bind();
	if (take_uint8(&in) & 1) {
		/* past the greeting at once */
		host_begin();
		kernel_run_works();
		host_hear();
		host_welcome();
		siv_control_interrupt();
		kernel_run_works();
		process_open(&processes[0]);
	}
	for (int n = 0; n < 64 && in.left; n++) {
		step();
		kernel_run_works();
	}
	kmod_unbind();
	return 0;
}
