#!/bin/bash
# SPDX-License-Identifier: MIT
# bare.sh demo|demo-local|check...   run make targets on a bare Debian 12, as a
# bare.sh -c COMMAND...              newcomer would: a debootstrap chroot with
# nothing but git and make, and a clean clone of what is committed. Root only.
# $SIVSHMEM_BARE: where the base system is kept (default build/bare-base.tar).
set -eu
cd "$(dirname "$0")/.."
mirror=http://deb.debian.org
base=${SIVSHMEM_BARE:-$PWD/build/bare-base.tar}

# All mounts and processes live in namespaces of their own, which end with us:
# nothing can stay mounted when the directory is removed.
outside() {
	[ "$(id -u)" -eq 0 ] || { echo "bare.sh: needs root (debootstrap, chroot)" >&2; exit 3; }
	command -v debootstrap >/dev/null || {
		echo "bare.sh: installing debootstrap"
		DEBIAN_FRONTEND=noninteractive apt-get -qq -y install --no-install-recommends debootstrap </dev/null
	}
	root=$(mktemp -d "${TMPDIR:-/var/tmp}/sivshmem-bare.XXXXXX")
	child=
	trap finish EXIT
	trap 'exit 130' INT TERM HUP
	unshare --mount --propagation private --pid --fork --kill-child=KILL \
		"$PWD/tests/bare.sh" --inside "$root" "$@" </dev/null &
	child=$!
	wait "$child"
}

finish() {
	local rc=$?
	trap - EXIT
	trap '' INT TERM HUP
	# killing unshare ends its child, and so all of the namespace
	[ -z "$child" ] || { kill -KILL "$child"; wait "$child"; } 2>/dev/null || true
	for _ in $(seq 50); do
		rm -rf --one-file-system "$root" 2>/dev/null && break
		sleep 0.1
	done
	[ ! -e "$root" ] || echo "bare.sh: could not remove $root" >&2
	exit $rc
}

make_base() {
	echo "== bare: making a minimal Debian 12"
	mkdir -p "$(dirname "$base")" "$root/new"
	debootstrap --variant=minbase --include=git,make bookworm "$root/new" \
		"$mirror/debian" >"$root/log" 2>&1 || { tail "$root/log"; exit 3; }
	cat >"$root/new/etc/apt/sources.list" <<-S
		deb $mirror/debian bookworm main
		deb $mirror/debian bookworm-updates main
		deb $mirror/debian-security bookworm-security main
	S
	rm -rf "$root"/new/var/cache/apt/archives/*.deb "$root"/new/var/lib/apt/lists/*
	tar -C "$root/new" -cf "$base.$$" . && mv "$base.$$" "$base"
	rm -rf "$root/new"
}

bare() { # bare COMMAND: in the chroot, in the clone
	echo "== bare: $1"
	local start=$SECONDS rc=0
	env -i HOME=/root TERM=dumb PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		${http_proxy:+http_proxy="$http_proxy"} \
		chroot "$root/fs" /bin/sh -c "cd /root/sivshmem && $1" || rc=$?
	echo "== bare: $1: ended with $rc after $((SECONDS - start)) s"
	return $rc
}

inside() {
	root=$1
	shift
	[ -f "$base" ] || make_base
	mkdir "$root/fs"
	tar -C "$root/fs" -xf "$base"
	# what this machine needs to reach the mirror
	local f
	for f in /etc/resolv.conf /etc/hosts /etc/apt/apt.conf.d/*proxy*; do
		[ ! -f "$f" ] || install -D -m 644 "$f" "$root/fs$f"
	done
	mount --bind "$root/fs" "$root/fs"	# a root is a mount point
	mount -t proc proc "$root/fs/proc"
	mount -t sysfs sysfs "$root/fs/sys"
	mount --rbind /dev "$root/fs/dev"
	mount -t tmpfs -o mode=1777 shm "$root/fs/dev/shm"
	git -c safe.directory='*' clone -q --no-hardlinks . "$root/fs/root/sivshmem"
	if [ "$1" = -c ]; then
		shift
		bare "$*"
		return
	fi
	local target
	for target in "$@"; do bare "make $target"; done
}

case ${1:-} in
--inside) shift; inside "$@" ;;
''|-h|--help) sed -n '3,6s/^# //p' "$0" >&2; exit 2 ;;
*)	outside "$@" ;;
esac
