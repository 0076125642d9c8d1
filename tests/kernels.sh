#!/bin/bash
# SPDX-License-Identifier: MIT
# kernels.sh 6.1|6.12          fetch a Debian kernel and its headers for the guests
# kernels.sh --env 6.1|6.12    print KVER= KIMAGE= KMODDIR= KDIR= for it
#
# Packages are unpacked into $SIVSHMEM_KERNELS (build/kernels), never installed;
# 6.12 comes from bookworm-backports through an apt configuration of its own.
set -eu
cd "$(dirname "$0")/.."
root=${SIVSHMEM_KERNELS:-$PWD/build/kernels}
env=
[ "${1:-}" != --env ] || { env=1; shift; }
kernel=${1:?usage: kernels.sh [--env] 6.1|6.12}
case $kernel in
6.1)	suites='bookworm bookworm-updates' security=1 ;;
6.12)	suites='bookworm-backports' security= ;;
*)	echo "kernels.sh: no such kernel: '$kernel' (6.1, 6.12)" >&2; exit 2 ;;
esac
dir=$root/$kernel

if [ -n "$env" ]; then
	[ -f "$dir/env" ] || { echo "kernels.sh: run tests/kernels.sh $kernel first" >&2; exit 1; }
	. "$dir/env"
	printf 'KVER=%q KIMAGE=%q KMODDIR=%q KDIR=%q\n' "$KVER" \
		"$dir/root/boot/vmlinuz-$KVER" "$dir/root/lib/modules/$KVER" \
		"$dir/root/usr/src/linux-headers-$KVER"
	exit
fi
# a moved cache has stale absolute links: make it anew
if [ -f "$dir/env" ] && [ "$(cat "$dir/where")" = "$dir" ]; then
	exit 0
fi

mkdir -p "$root"
tmp=$(mktemp -d "$root/.tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/apt/lists/partial" "$tmp/apt/cache/archives/partial" "$tmp/apt/etc/preferences.d" "$tmp/debs"
key=/usr/share/keyrings/debian-archive-keyring.gpg
for s in $suites; do
	echo "deb [signed-by=$key] http://deb.debian.org/debian $s main"
done >"$tmp/apt/sources"
[ -z "$security" ] ||
	echo "deb [signed-by=$key] http://deb.debian.org/debian-security bookworm-security main" >>"$tmp/apt/sources"
apt=(-o "Dir::Etc::sourcelist=$tmp/apt/sources" -o Dir::Etc::sourceparts=/dev/null
	-o "Dir::Etc::preferencesparts=$tmp/apt/etc/preferences.d"
	-o Dir::Etc::preferences=/dev/null
	-o "Dir::State::lists=$tmp/apt/lists" -o "Dir::Cache=$tmp/apt/cache"
	-o APT::Sandbox::User=root -o Acquire::Languages=none -qq)
echo "  FETCH   Debian kernel $kernel for the guests (about 180 MB, once)"
apt-get "${apt[@]}" update
# the metapackage names the newest version
meta=$(apt-cache "${apt[@]}" show linux-image-amd64 | sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | sort -V | tail -1)
[ -n "$meta" ] || { echo "kernels.sh: no linux-image-amd64 for $kernel" >&2; exit 3; }
ver=${meta#linux-image-}
common=$(apt-cache "${apt[@]}" show "linux-headers-$ver" | sed -n 's/^Depends:.*\(linux-headers-[^ ,]*-common\).*/\1/p' | head -1)
kbuild=$(apt-cache "${apt[@]}" show "linux-headers-$ver" | sed -n 's/^Depends:.*\(linux-kbuild-[^ ,]*\).*/\1/p' | head -1)
(cd "$tmp/debs" && apt-get "${apt[@]}" download "$meta" "linux-headers-$ver" "$common" "$kbuild")
for d in "$tmp"/debs/*.deb; do dpkg -x "$d" "$tmp/root"; done
rm -rf "$tmp/debs" "$tmp/apt" "$tmp/root/usr/share"
# the packages expect to live in /
src=$tmp/root/usr/src
for f in "$src/linux-headers-$ver/Makefile" "$src/linux-headers-$ver/.kernelvariables" "$src/$common/Makefile"; do
	[ ! -f "$f" ] || sed -i "s|/usr/src/linux-headers|$dir/root/usr/src/linux-headers|g; s|/usr/lib/linux-kbuild|$dir/root/usr/lib/linux-kbuild|g" "$f"
done
for d in "$src/linux-headers-$ver" "$src/$common"; do
	for l in scripts tools; do
		[ ! -L "$d/$l" ] || ln -sfn "$dir/root$(readlink -m "$d/$l" | sed "s|^$tmp/root||; s|^.*\(/usr/lib/linux-kbuild\)|\1|")" "$d/$l"
	done
done
echo "KVER=$ver" >"$tmp/env"
echo "$dir" >"$tmp/where"
rm -rf "$dir"
chmod 755 "$tmp"
mv "$tmp" "$dir"
trap - EXIT
echo "  KERNEL  $ver"
