#!/bin/bash
# SPDX-License-Identifier: MIT
# kmod.sh KERNEL OUT [SOURCE]: build the module, or another one's directory, for a
# test kernel in a directory of its own (kbuild writes beside its sources, and
# two kernels must not mix).
set -eu
cd "$(dirname "$0")/.."
unset MAKEFLAGS MFLAGS		# a job server of the outer make is none of kbuild's
kernel=$1 out=$2 source=${3:-kmod}
eval "$(tests/kernels.sh --env "$kernel")"
mkdir -p "$out/kmod" "$out/include"
rm -rf "$out/include/sivshmem"
cp -r include/sivshmem "$out/include/"
for f in "$source"/*; do
	cmp -s "$f" "$out/kmod/${f##*/}" || cp "$f" "$out/kmod/"
done
if ! make -s -C "$KDIR" M="$(realpath "$out/kmod")" ${CI:+KCFLAGS=-Werror} \
	${CHECK:+C=2 CHECK="$CHECK"} CONFIG_DEBUG_INFO_BTF_MODULES= modules >"$out/build.log" 2>&1; then
	cat "$out/build.log" >&2
	echo "kmod.sh: the module does not build for $KVER; see $out/build.log" >&2
	exit 1
fi
grep -i 'warning' "$out/build.log" && exit 1
cp "$out"/kmod/*.ko "$out/"
echo "  KMOD    $(echo "$out"/*.ko) ($KVER)"
