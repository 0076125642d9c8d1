#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# The guest's first process: the host's root under a tmpfs, then the agent.
/bin/busybox --install -s /bin
say() { echo "sivshmem-vm: $*"; }
fail() { say "$*"; echo b >/proc/sysrq-trigger; sleep 9; }
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
say "kernel $(uname -r) up after $(cut -d' ' -f1 /proc/uptime) s"
grep -q sivshmem.probe /proc/cmdline && { echo o >/proc/sysrq-trigger; sleep 9; }
for m in /m/*.ko; do insmod "$m" || say "insmod $m failed"; done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro hostroot /lower ||
	fail "no 9p root"
mount -t tmpfs -o mode=755 rw /rw
mkdir -p /rw/u /rw/w
mount -t overlay -o lowerdir=/lower,upperdir=/rw/u,workdir=/rw/w overlay /newroot ||
	fail "no overlay"
cd /newroot || fail "no new root"
for d in proc sys dev; do
	mkdir -p $d
	mount --move /$d $d
done
mkdir -p dev/shm dev/pts tmp run
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmp tmp
mount -t tmpfs -o mode=755 run run
hostname "$(sed 's/.*sivshmem.name=\([^ ]*\).*/\1/' proc/cmdline)"
ip link set lo up
[ ! -d /files ] || cp -a /files run/sivshmem-vm
cp /agent run/sivshmem-vm-agent
if [ -f /sivshmem.ko ]; then
	cp /sivshmem.ko .
	grep -q sivshmem.noload proc/cmdline || insmod /sivshmem.ko ||
		say "insmod sivshmem.ko failed"
fi
port=
tries=0
until [ -n "$port" ] || [ $tries -gt 200 ]; do
	port=$(grep -lx sivshmem.agent sys/class/virtio-ports/*/name 2>/dev/null)
	[ -n "$port" ] || usleep 20000
	tries=$((tries + 1))
done
[ -n "$port" ] || fail "no virtio port for the agent"
port=${port%/name}
exec switch_root /newroot /run/sivshmem-vm-agent "/dev/${port##*/}"
