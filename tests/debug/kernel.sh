#!/bin/bash
# SPDX-License-Identifier: MIT
# kernel.sh [--configure]: build the debug kernel from Debian's linux-source-6.1,
# with tests/debug/config on top of tinyconfig, into $DEBUG_KERNELS
# (build/kernels-debug), laid out as tests/kernels.sh lays out Debian's: with
# SIVSHMEM_KERNELS=$DEBUG_KERNELS the guests of all tests run on it. Nothing is
# done where it is there. --configure stops before the compiler is started.
set -eu
cd "$(dirname "$0")/../.."
root=$(realpath -m "${DEBUG_KERNELS:-build/kernels-debug}")
dir=$root/6.1
source=/usr/src/linux-source-6.1
only=${1:-}
# without these it is no debug kernel, whatever Kconfig makes of the rest
wanted='KASAN PROVE_LOCKING DEBUG_ATOMIC_SLEEP DEBUG_KMEMLEAK FAILSLAB FAIL_PAGE_ALLOC FAULT_INJECTION_STACKTRACE_FILTER
	DEBUG_LIST DEBUG_VM ZONE_DEVICE NET_9P_VIRTIO VIRTIO_CONSOLE OVERLAY_FS PCI_MSI'

die() { echo "debug/kernel.sh: $*" >&2; exit 3; }

if [ -f "$dir/complete" ] && [ "$(cat "$dir/complete")" = "$dir" ]; then
	exit 0
fi
[ -f $source.tar.xz ] || die "$source.tar.xz is missing; run tests/deps.sh debug"
mkdir -p "$root"
exec 9>"$root/lock"
flock 9
src=$root/linux-source-6.1
[ -f "$src/Makefile" ] || {
	echo "  UNPACK  $source.tar.xz"
	tar -C "$root" -xf $source.tar.xz
}

configure() {
	# as Linux 6.2 has it: with frame pointers x86-64 can do it too
	sed -i '/^config FAULT_INJECTION_STACKTRACE_FILTER/,/select/{/depends on !X86_64/d}' \
		"$src/lib/Kconfig.debug"
	make -s -C "$src" tinyconfig >/dev/null
	(cd "$src" && scripts/kconfig/merge_config.sh -m .config "$OLDPWD/tests/debug/config") >"$root/merge.log"
	make -s -C "$src" olddefconfig >/dev/null
	local o
	for o in $wanted; do
		grep -qx "CONFIG_$o=y" "$src/.config" || die "CONFIG_$o could not be set; see $src/.config"
	done
}

configure
echo "  CONFIG  $src/.config has $(echo $wanted | wc -w) of the options that it must have"
[ "$only" != --configure ] || exit 0
echo "  BUILD   the debug kernel: 10 minutes or more, once; see $root/build.log"
nice -n 10 make -s -C "$src" -j"$(nproc)" bzImage modules >"$root/build.log" 2>&1 ||
	{ tail -n 20 "$root/build.log" >&2; die "the kernel does not build"; }
version=$(make -s -C "$src" kernelrelease)
rm -rf "$dir"
mkdir -p "$dir/root/boot" "$dir/root/usr/src"
cp "$src/arch/x86/boot/bzImage" "$dir/root/boot/vmlinuz-$version"
make -s -C "$src" INSTALL_MOD_PATH="$dir/root" modules_install >>"$root/build.log" 2>&1
ln -s "$src" "$dir/root/usr/src/linux-headers-$version"
rm -f "$dir/root/lib/modules/$version"/{build,source}
echo "$version" >"$dir/version"
echo "$dir" >"$dir/complete"
echo "  KERNEL  $version with KASAN, lockdep, kmemleak and fault injection"
