#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# make install: everything is there, works from there, and goes away again.

load helpers

setup_file() {
	T=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-install.XXXXXX")
	export T
	make -s -C "$TOP" install DESTDIR="$T" PREFIX=/usr LIBDIR=/usr/lib >"$T/log" 2>&1
}
teardown_file() { rm -rf "$T"; }

@test "install: programs, libraries, headers, man pages" {
	local page
	run_x "$T/usr/sbin/sivshmem-ca" --version
	run_x "$T/usr/sbin/sivshmem-cad" --version
	run_x "$T/usr/bin/sivshmem" --version
	for page in "$TOP"/man/*.[1-8]; do
		[ -f "$T/usr/share/man/man${page##*.}/${page##*/}" ]
	done
	run_x grep -x 'ExecStart=/usr/sbin/sivshmem-cad' \
		"$T/usr/lib/systemd/system/sivshmem-cad.service"
	printf '#include <sivshmem/sivshmem.h>\nint main(void) { return !sivshmem_connect; }\n' >"$T/t.c"
	run_x cc -I"$T/usr/include" -o "$T/t" "$T/t.c" -L"$T/usr/lib" -lsivshmem
	run_x env LD_LIBRARY_PATH="$T/usr/lib" "$T/t"
	run_x env LD_PRELOAD="$T/usr/lib/libsivshmem-shim.so" true
}

@test "install: the module builds from the installed source, as DKMS does it" {
	local kdir src=$T/usr/src/sivshmem-0.1.0
	kdir=$(cd "$TOP" && eval "$(tests/kernels.sh --env 6.1 2>/dev/null)" && echo "${KDIR:-}")
	[ -n "$kdir" ] || skip "needs tests/kernels.sh 6.1"
	grep -q 'PACKAGE_VERSION="0.1.0"' "$src/dkms.conf"
	run grep '@' "$src/dkms.conf"
	[ "$status" -eq 1 ]
	# what dkms.conf says, with dkms's variables
	kernel_source_dir=$kdir dkms_tree=$T/dkms
	mkdir -p "$T/dkms/sivshmem/0.1.0"
	cp -r "$src" "$T/dkms/sivshmem/0.1.0/build"
	. "$src/dkms.conf"
	run_x bash -c "unset MAKEFLAGS; ${MAKE[0]}"
	[ -f "$T/dkms/sivshmem/0.1.0/build/${BUILT_MODULE_LOCATION[0]}/sivshmem.ko" ]
}

@test "install: uninstall leaves nothing behind" {
	run_x make -s -C "$TOP" uninstall DESTDIR="$T" PREFIX=/usr LIBDIR=/usr/lib
	run find "$T/usr" ! -type d
	[ -z "$output" ]
}
