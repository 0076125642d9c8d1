#!/bin/bash
# SPDX-License-Identifier: MIT
# bare.sh TARGET...: run make targets on a bare Debian 12: a debootstrap chroot
# with nothing but git and make, and a clean clone of what is committed. Root only.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "usage: tests/bare.sh demo|demo-local|check..." >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || { echo "bare.sh: needs root (debootstrap, mount)" >&2; exit 3; }
command -v debootstrap >/dev/null || apt-get -qq -y install debootstrap
base=${SIVSHMEM_BARE:-$PWD/build/bare-base.tar}
root=$(mktemp -d "${TMPDIR:-/var/tmp}/sivshmem-bare.XXXXXX")
finish() {
	local rc=$? m
	trap - EXIT
	for m in dev/pts dev/shm dev sys proc; do
		! mountpoint -q "$root/$m" || umount -l "$root/$m"
	done
	if mount | grep -q " $root/"; then
		echo "bare.sh: something is still mounted under $root; left there" >&2
	else
		rm -rf "$root"
	fi
	exit $rc
}
trap finish EXIT
trap 'exit 130' INT TERM
if [ ! -f "$base" ]; then
	mkdir -p "$(dirname "$base")"
	echo "bare.sh: making a minimal Debian 12"
	debootstrap --variant=minbase --include=git,make,ca-certificates bookworm "$root/d" \
		http://deb.debian.org/debian >"$root/log" 2>&1 || { tail "$root/log"; exit 3; }
	{
		echo 'deb http://deb.debian.org/debian bookworm main'
		echo 'deb http://deb.debian.org/debian bookworm-updates main'
		echo 'deb http://deb.debian.org/debian-security bookworm-security main'
	} >"$root/d/etc/apt/sources.list"
	tar -C "$root/d" -cf "$base.tmp" . && mv "$base.tmp" "$base"
	rm -rf "$root/d"
fi
tar -C "$root" -xf "$base"
# what this machine needs to reach its package mirror
for f in /etc/resolv.conf /etc/hosts /etc/apt/apt.conf.d/*proxy*; do
	[ ! -f "$f" ] || install -D -m 644 "$f" "$root$f"
done
mount -t proc proc "$root/proc"
mount -t sysfs sys "$root/sys"
mount --rbind --make-rslave /dev "$root/dev"
git clone -q --no-hardlinks . "$root/root/sivshmem"
run() {
	env -i HOME=/root TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin ${http_proxy:+http_proxy="$http_proxy"} \
		chroot "$root" /bin/sh -c "cd /root/sivshmem && $1" </dev/null
}
for target in "$@"; do
	echo "== bare: make $target"
	start=$SECONDS
	run "make $target" || { echo "bare.sh: make $target failed" >&2; exit 1; }
	echo "== bare: make $target took $((SECONDS - start)) s"
done
