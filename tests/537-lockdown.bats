#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Signed modules and a locked down kernel: what root in a guest does without them,
# and no longer does with them. VM a boots by UEFI Secure Boot with a key of ours in
# the firmware's db; VM b boots as all others do, and loads what it is told to.

load helpers
load vmhelp

# A firmware for tests, whose key comes with it: its owner is we
OVMF=/usr/share/OVMF
SNAKEOIL=/usr/share/ovmf/PkKek-1-snakeoil

# sign KEY CERT MODULE: as `make kmod-sign` does
sign() { "$TOP/kmod/sign.sh" "$HEADERS" "$1" "$2" "$3"; }

setup_file() {
	local p ko KDIR KMODDIR KVER
	[ -f "$SNAKEOIL.pem" ] || skip "needs ovmf"
	command -v sbsign >/dev/null || skip "needs sbsigntool"
	W=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-vm.XXXXXX")
	KEYS=$W/keys
	eval "$("$TOP/tests/kernels.sh" --env "$SIVSHMEM_KERNEL")"
	HEADERS=$KDIR
	export W KEYS HEADERS
	"$TOP/tests/kmod.sh" "$SIVSHMEM_KERNEL" "$BUILD/bars-$SIVSHMEM_KERNEL" \
		"$TOP/tests/attack/bars" >&2
	mkdir "$KEYS"
	openssl rsa -in "$SNAKEOIL.key" -passin pass:snakeoil -out "$KEYS/db.key" 2>/dev/null
	cp "$SNAKEOIL.pem" "$KEYS/db.pem"
	openssl req -new -x509 -newkey rsa:2048 -nodes -keyout "$KEYS/own.key" -out "$KEYS/own.pem" \
		-days 30 -subj '/CN=A key of our own/' -addext extendedKeyUsage=codeSigning 2>/dev/null
	sbsign --key "$KEYS/db.key" --cert "$KEYS/db.pem" --output "$KEYS/vmlinuz" \
		"${KMODDIR%/lib/modules/*}/boot/vmlinuz-$KVER" >/dev/null 2>&1
	cp "$OVMF/OVMF_VARS_4M.snakeoil.fd" "$KEYS/vars.fd"

	vm_policy | ca_scratch "$W"
	vm_files
	ko=$BUILD/kmod-$SIVSHMEM_KERNEL/sivshmem.ko
	cp "$TOP/tests/attack/root.py" "$BUILD/bars-$SIVSHMEM_KERNEL/bars.ko" "$W/files/"
	cp "$ko" "$W/files/unsigned.ko"
	cp "$ko" "$W/files/own.ko"
	cp "$ko" "$W/files/enrolled.ko"
	sign "$KEYS/own.key" "$KEYS/own.pem" "$W/files/own.ko" >&2
	sign "$KEYS/db.key" "$KEYS/db.pem" "$W/files/enrolled.ko" >&2
	start_cad "$W"
	# the firmware takes the kernel from QEMU, as it would from a disk
	VM_QEMU="-machine q35,smm=on -global driver=cfi.pflash01,property=secure,value=on
		-drive if=pflash,unit=0,format=raw,readonly=on,file=$OVMF/OVMF_CODE_4M.secboot.fd
		-drive if=pflash,unit=1,format=raw,file=$KEYS/vars.fd -kernel $KEYS/vmlinuz" \
		vm_boot a --no-load >"$W/boot-a" 2>&1 &
	p=$!
	vm_boot b --no-load
	wait $p || { cat "$W/boot-a"; return 1; }
}
teardown_file() { vm_end; }
teardown() { vm_note; }

insmod_in() { in_vm "$1" insmod "$F/$2"; }

@test "signing: modinfo names the signer, and a wrong pair, no key and no module are refused" {
	run_x /sbin/modinfo -F signer "$W/files/own.ko"
	[ "$output" = "A key of our own" ]
	run_x /sbin/modinfo -F signer "$W/files/unsigned.ko"
	[ -z "$output" ]
	cp "$W/files/unsigned.ko" "$BATS_TEST_TMPDIR/m.ko"
	run_x 2 sign "$KEYS/own.key" "$KEYS/db.pem" "$BATS_TEST_TMPDIR/m.ko"
	has "is $KEYS/db.pem the certificate of $KEYS/own.key"
	cmp "$W/files/unsigned.ko" "$BATS_TEST_TMPDIR/m.ko"
	run_x 2 sign "$KEYS/none" "$KEYS/own.pem" "$BATS_TEST_TMPDIR/m.ko"
	has "KEY=$KEYS/none: cannot read it"
	run_x 2 sign '' '' "$BATS_TEST_TMPDIR/m.ko"
	has "KEY= and CERT= are needed"
	run_x 2 sign "$KEYS/own.key" "$KEYS/own.pem" "$BATS_TEST_TMPDIR/none.ko"
	has "none.ko: cannot write it"
}

@test "signing: make kmod-sign" {
	run_x env -u MAKEFLAGS make -s -C "$TOP" kmod-sign BUILD="$BATS_TEST_TMPDIR" \
		KERNELS="$SIVSHMEM_KERNEL" KEY="$KEYS/own.key" CERT="$KEYS/own.pem"
	run_x /sbin/modinfo -F signer "$BATS_TEST_TMPDIR/kmod-$SIVSHMEM_KERNEL/sivshmem.ko"
	[ "$output" = "A key of our own" ]
}

@test "without lockdown: root maps the devices' memory once the module is out" {
	run_x insmod_in b unsigned.ko
	run_x b open /m-plain rwc , truncate 4096 , map rw , write 0 CANARY-of-main-7
	run_x in_vm b $F/root.py CANARY-of-main-7
	hasnt canary
	run_x in_vm b rmmod sivshmem
	run_x in_vm b $F/root.py CANARY-of-main-7
	has "canary in resource2"
	has "through resource2"
	has "through mem2"
	has "through config"
}

@test "signing: with sig_enforce no module of an unknown signer loads" {
	run_x insmod_in b unsigned.ko
	run_x in_vm b rmmod sivshmem
	run_x in_vm b sh -c 'echo 1 >/sys/module/module/parameters/sig_enforce'
	run_x 1 insmod_in b unsigned.ko
	has "Key was rejected"
	# its signature is good; the kernel has never heard of the signer
	run_x 1 insmod_in b own.ko
	run_x in_vm b dmesg
	has "Loading of unsigned module is rejected"
	has "Loading of module with unavailable key is rejected"
	# and there is no way back
	run_x 1 in_vm b sh -c 'echo 0 >/sys/module/module/parameters/sig_enforce'
}

@test "lockdown: switched on after the module was loaded" {
	run_x "$VM" reboot b --dir "$W"
	run_x insmod_in b unsigned.ko
	run_x in_vm b sh -c 'mount -t securityfs none /sys/kernel/security
		echo integrity >/sys/kernel/security/lockdown'
	run_x b open /m-late rwc , truncate 4096 , map rw , write 0 CANARY-of-main-9 , read 0 16
	has "read CANARY-of-main-9"
	run_x in_vm b rmmod sivshmem
	run_x in_vm b $F/root.py CANARY-of-main-9
	[ "$(grep '^through' <<<"$output" | sort -u)" = "through enable" ]
	hasnt canary
	run_x 1 insmod_in b unsigned.ko
}

@test "secure boot: the kernel is locked down, and loads what an enrolled key signed" {
	run_x in_vm a sh -c 'mount -t securityfs none /sys/kernel/security; cat /sys/kernel/security/lockdown'
	has "[integrity]"
	run_x 1 insmod_in a unsigned.ko
	has "Key was rejected"
	run_x 1 insmod_in a own.ko
	run_x 1 in_vm a insmod "$F/bars.ko" canary=CANARY-anything
	has "Key was rejected"
	run_x insmod_in a enrolled.ko
	run_x a open /m-locked rwc , truncate 4096 , map rw , write 0 shared
	run_x a open /m-locked r , map r , read 0 6
	has "read shared"
}

@test "secure boot: root reaches no memory of a device, with the module or without" {
	run_x a open /m-locked rw , map rw , write 0 CANARY-of-main-8
	run_x in_vm a $F/root.py CANARY-of-main-8
	hasnt "through"
	run_x in_vm a rmmod sivshmem
	run_x in_vm a $F/root.py CANARY-of-main-8
	# that a device decodes its addresses is all that root can bring about
	[ "$(grep '^through' <<<"$output" | sort -u)" = "through enable" ]
	hasnt canary
	has "refused resource2 Operation not permitted"
	has "refused mem2 Operation not permitted"
	has "refused config Operation not permitted"
}

@test "secure boot: no kernel had anything to complain about" {
	no_splats a
	no_splats b
}
