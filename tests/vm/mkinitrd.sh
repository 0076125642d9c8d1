#!/bin/bash
# SPDX-License-Identifier: MIT
# mkinitrd.sh OUT KVER MODROOT AGENT [KO]: an initramfs that mounts the host's
# root read-only over 9p, lays a tmpfs over it, and starts the agent there.
# MODROOT holds lib/modules/KVER.
set -eu
out=$1 kver=$2 modroot=$3 agent=$4 ko=${5:-}
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
mkdir -p "$w"/{bin,dev,proc,sys,lower,rw,newroot,m}
chmod 755 "$w"
cp "$(command -v busybox)" "$w/bin/busybox"
cp "$agent" "$w/agent"
[ -z "$ko" ] || cp "$ko" "$w/sivshmem.ko"
[ -f "$modroot/lib/modules/$kver/modules.dep.bin" ] || depmod -b "$modroot" "$kver"
# 9p root, overlay, the agent's ports; in the order that insmod needs
n=100
for m in virtio_pci virtio_console 9pnet_virtio 9p overlay; do
	modprobe -D -d "$modroot" -S "$kver" "$m"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r path; do
	n=$((n + 1))
	base=${path##*/}
	case $path in
	*.ko.xz) xz -dc "$path" >"$w/m/$n-${base%.xz}" ;;
	*)	 cp "$path" "$w/m/$n-$base" ;;
	esac
done
cat >"$w/init" <<'I'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
echo "sivshmem-vm: kernel $(uname -r) up after $(cut -d' ' -f1 /proc/uptime) s"
grep -q sivshmem.probe /proc/cmdline && { echo o > /proc/sysrq-trigger; sleep 9; }
for m in /m/*.ko; do insmod "$m" || echo "sivshmem-vm: insmod $m failed"; done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro hostroot /lower ||
	echo "sivshmem-vm: no 9p root"
mount -t tmpfs none /rw; mkdir -p /rw/u /rw/w
mount -t overlay -o lowerdir=/lower,upperdir=/rw/u,workdir=/rw/w overlay /newroot ||
	echo "sivshmem-vm: no overlay"
for d in proc sys dev; do mkdir -p /newroot/$d; mount --move /$d /newroot/$d; done
cd /newroot
mkdir -p dev/shm dev/pts tmp run
mount -t tmpfs -o mode=1777 shm dev/shm; mount -t devpts devpts dev/pts
mount -t tmpfs -o mode=1777 tmp tmp; mount -t tmpfs -o mode=755 run run
name=$(sed -n 's/.*sivshmem.name=\([^ ]*\).*/\1/p' proc/cmdline)
hostname "$name"
[ ! -d /files ] || cp -a /files run/sivshmem-vm
cp /agent run/sivshmem-agent
if [ -f /sivshmem.ko ]; then
	cp /sivshmem.ko .
	grep -q sivshmem.noload proc/cmdline || insmod /sivshmem.ko || echo "sivshmem-vm: insmod sivshmem.ko failed"
fi
ip link set lo up
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
exec switch_root /newroot /bin/sh -c 'while :; do /usr/bin/python3 /run/sivshmem-agent; sleep 1; done'
I
chmod +x "$w/init"
(cd "$w" && find . | cpio -o -H newc --quiet | gzip -1) >"$out.tmp"
mv "$out.tmp" "$out"
