#!/bin/bash
# SPDX-License-Identifier: MIT
# mkinitrd.sh OUT KERNEL [--module KO] [--files DIR]: an initramfs that mounts
# the host's root read-only over 9p, lays a tmpfs over it, copies DIR to
# /run/sivshmem-vm there, loads the module, and becomes the agent.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
out=$1 kernel=$2 module='' files=''
shift 2
while [ $# -gt 0 ]; do
	case $1 in
	--module) module=$2 ;;
	--files) files=$2 ;;
	*)	echo "mkinitrd.sh: unknown option '$1'" >&2; exit 2 ;;
	esac
	shift 2
done
vars=$("$here/../kernels.sh" --env "$kernel")
eval "$vars"
modroot=${KMODDIR%/lib/modules/*}
w=$(mktemp -d)
trap 'rm -rf "$w"' EXIT
pack() { (cd "$1" && find . | cpio -o -H newc --quiet); }

# load order is modprobe's; the guest has insmod only
copy_modules() {
	local n=100 path base
	modprobe -D -d "$modroot" -S "$KVER" -a virtio_pci virtio_console \
		9pnet_virtio 9p overlay | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
	while read -r path; do
		n=$((n + 1))
		base=${path##*/}
		case $path in
		*.xz)	xz -dc "$path" >"$1/$n-${base%.xz}" ;;
		*)	cp "$path" "$1/$n-$base" ;;
		esac
	done
}

make_base() {
	local b=$w/base
	mkdir -p "$b"/{bin,dev,proc,sys,lower,rw,newroot,m}
	chmod 755 "$b"
	cp "$(command -v busybox)" "$b/bin/busybox"
	cp "$here/init.sh" "$b/init"
	chmod 755 "$b/init"
	"${CC:-cc}" -std=gnu17 -O2 -static -o "$b/agent" "$here/agent.c"
	copy_modules "$b/m"
	pack "$b" >"$1.$$"
	mv "$1.$$" "$1"
}

sum=$(cat "$here"/{mkinitrd.sh,init.sh,agent.c} | sha256sum)
base=${modroot%/root}/initrd-${sum:0:12}
[ -f "$base" ] || make_base "$base"
# the kernel unpacks archives that follow each other; owners and modes are kept
mkdir "$w/own"
[ -z "$module" ] || cp "$module" "$w/own/sivshmem.ko"
[ -z "$files" ] || cp -a "$files" "$w/own/files"
{ cat "$base"; pack "$w/own"; } >"$out.tmp"
mv "$out.tmp" "$out"
