#!/bin/bash
# SPDX-License-Identifier: MIT
# kernels.sh 6.1|6.12          fetch a Debian kernel and its headers for the guests
# kernels.sh --env 6.1|6.12    print KVER= KIMAGE= KMODDIR= KDIR= for it
#
# Packages are unpacked into $SIVSHMEM_KERNELS (build/kernels), never installed;
# apt runs with sources, lists and a package state of its own.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
root=$(realpath -m "${SIVSHMEM_KERNELS:-build/kernels}")
env=
[ "${1:-}" != --env ] || { env=1; shift; }
case ${1:-} in
6.1)	suites='bookworm bookworm-updates' security=1 ;;
6.12)	suites='bookworm-backports' security= ;;
*)	echo "usage: kernels.sh [--env] 6.1|6.12; got '${1:-}'" >&2; exit 2 ;;
esac
kernel=$1
dir=$root/$kernel

die() { echo "kernels.sh: $*" >&2; exit 3; }

# a cache that was moved has stale absolute paths in its headers
ready() { [ -f "$dir/complete" ] && [ "$(cat "$dir/complete")" = "$dir" ]; }

print_env() {
	ready || { echo "kernels.sh: run tests/kernels.sh $kernel first" >&2; exit 1; }
	local ver image
	ver=$(cat "$dir/version")
	image=$dir/vmlinux
	[ -f "$image" ] || image=$dir/root/boot/vmlinuz-$ver
	printf 'KVER=%q KIMAGE=%q KMODDIR=%q KDIR=%q\n' "$ver" "$image" \
		"$dir/root/lib/modules/$ver" "$dir/root/usr/src/linux-headers-$ver"
}

private_apt() { # private_apt DIR: set apt=() to options that leave /etc/apt and /var alone
	local key=/usr/share/keyrings/debian-archive-keyring.gpg s
	[ -f "$key" ] || die "$key is missing; run tests/deps.sh kmod"
	mkdir -p "$1"/{lists/partial,cache/archives/partial}
	: >"$1/status"
	for s in $suites; do
		echo "deb [arch=amd64 signed-by=$key] http://deb.debian.org/debian $s main"
	done >"$1/sources"
	[ -z "$security" ] || echo "deb [arch=amd64 signed-by=$key]" \
		"http://deb.debian.org/debian-security bookworm-security main" >>"$1/sources"
	apt=(-o "Dir::Etc::sourcelist=$1/sources" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
		-o "Dir::State::status=$1/status" -o "Dir::State::lists=$1/lists"
		-o "Dir::Cache=$1/cache" -o APT::Sandbox::User=root
		-o Acquire::Languages=none -o Acquire::Retries=3
		-o APT::Update::Error-Mode=any -qq)
}

# depends PACKAGE PATTERN: the dependency of PACKAGE's newest version that matches
depends() {
	apt-cache "${apt[@]}" --no-all-versions show "$1" | sed -n 's/^Depends: //p' |
		tr ',' '\n' | sed 's/^ *//; s/ .*//' | grep -x -m 1 "$2" ||
		die "the archive has no $2 that $1 depends on"
}

fetch() { # fetch DIR: unpack image, headers and kbuild into DIR/root
	local image ver headers
	apt-get "${apt[@]}" update || die "cannot read the package lists of deb.debian.org"
	image=$(depends linux-image-amd64 'linux-image-[0-9].*')
	ver=${image#linux-image-}
	headers=linux-headers-$ver
	echo "  FETCH   Debian kernel $ver and its headers for the guests (about 80 MB, once)"
	mkdir "$1/debs"
	(cd "$1/debs" && apt-get "${apt[@]}" download "$image" "$headers" \
		"$(depends "$headers" 'linux-headers-.*-common')" \
		"$(depends "$headers" 'linux-kbuild-.*')") || die "cannot fetch $image"
	local deb
	for deb in "$1"/debs/*.deb; do dpkg -x "$deb" "$1/root"; done
	rm -rf "$1/debs" "$1/root/usr/share"
	echo "$ver" >"$1/version"
}

# The packages expect to live in /; make the headers usable where they will be.
relocate() { # relocate DIR
	local f d l to
	while read -r f; do
		sed -i -E "s#(^|[^[:alnum:]_./-])/usr/(src/linux-headers|lib/linux-kbuild)#\1$dir/root/usr/\2#g" "$f"
	done < <(find "$1"/root/usr/src -maxdepth 2 \( -name Makefile -o -name .kernelvariables \) -type f)
	for d in "$1"/root/usr/src/*; do
		for l in scripts tools; do
			[ -L "$d/$l" ] || continue
			to=$(readlink "$d/$l")
			ln -sfn "$dir/root/usr/lib/${to##*/lib/}" "$d/$l"
		done
	done
}

# Decompressing the kernel takes an emulated guest 3 s; QEMU boots the bare ELF.
unpack_image() { # unpack_image DIR
	local bz offset length setup
	bz=$(echo "$1"/root/boot/vmlinuz-*)
	setup=$(od -An -tu1 -j $((0x1f1)) -N 1 "$bz")
	read -r offset length < <(od -An -tu4 -j $((0x248)) -N 8 "$bz")
	tail -c +$(((setup + 1) * 512 + offset + 1)) "$bz" >"$1/payload"
	# the payload ends in its size
	truncate -s $((length - 4)) "$1/payload"
	xz -dc "$1/payload" >"$1/vmlinux" 2>/dev/null ||
		zstd -qdc "$1/payload" >"$1/vmlinux" 2>/dev/null || rm -f "$1/vmlinux"
	rm -f "$1/payload"
}

[ -z "$env" ] || { print_env; exit; }
! ready || exit 0
mkdir -p "$root"
exec 9>"$root/lock"
flock 9
! ready || exit 0
rm -rf "$root"/.tmp.*
tmp=$(mktemp -d "$root/.tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$tmp"
private_apt "$tmp/apt"
fetch "$tmp"
relocate "$tmp"
unpack_image "$tmp"
depmod -b "$tmp/root" "$(cat "$tmp/version")"
rm -rf "$tmp/apt" "$dir"
echo "$dir" >"$tmp/complete"
mv "$tmp" "$dir"
echo "  KERNEL  $(cat "$dir/version")"
