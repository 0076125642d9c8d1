#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What the hypervisor lets a hostile guest kernel reach: nothing of a channel that its
# VM has no part in, and no write to one that it may only read. VM a writes, b
# reads, c has a channel with a of which b knows nothing.

load helpers
load vmhelp

vm_policy() {
	vm_services
	cat <<'P'
channels = (
  { name = "main"; quota = "4M"; members = (
      { service = "t/maker";  rights = "rw,create"; },
      { service = "t/reader"; rights = "ro"; } ); },
  { name = "three"; quota = "1M"; members = (
      { service = "t/maker";  rights = "rw,create"; },
      { service = "t/third";  rights = "rw,create"; } ); }
);
P
}

# Not ours: ivshmem-plain, as Looking Glass has it, even as a function 1
FOREIGN='-object memory-backend-ram,id=x0,size=2M,share=on
	-object memory-backend-ram,id=x1,size=2M,share=on
	-device ivshmem-plain,memdev=x0,addr=0x1c.0x0,multifunction=on
	-device ivshmem-plain,memdev=x1,addr=0x1c.0x1'

setup_file() {
	"$TOP/tests/kmod.sh" "$SIVSHMEM_KERNEL" "$BUILD/bars-$SIVSHMEM_KERNEL" \
		"$TOP/tests/attack/bars" >&2
	VM_FILES=$BUILD/bars-$SIVSHMEM_KERNEL/bars.ko \
		VM_QEMU=$FOREIGN vm_world a b c
}
teardown_file() { vm_end; }
teardown() { vm_note; }

# scan VM CANARY [OPTION...]: what that VM's kernel finds of it in its devices
scan() {
	local name=$1 canary=$2
	shift 2
	# shellcheck disable=SC2016
	in_vm "$name" sh -c 'dmesg -C; insmod "$@" 2>/dev/null; dmesg' - "$F/bars.ko" \
		canary="$canary" "$@" >"$BATS_TEST_TMPDIR/scan"
	cat "$BATS_TEST_TMPDIR/scan"
	# nothing was left out: all devices that lspci would show
	! grep 'can not be mapped' "$BATS_TEST_TMPDIR/scan" &&
		[ "$(sed -n 's/.* found in \([0-9]*\) BARs.*/\1/p' "$BATS_TEST_TMPDIR/scan")" -gt 12 ]
}

@test "readonly: what a VM writes, one that may only read sees" {
	run_x a open /m-x rwc , truncate 8192 , map rw , write 0 CANARY-of-main-1
	run_x ro open /m-x r , map r , read 0 16
	has "CANARY-of-main-1"
	run_x a open /m-x rw , map rw , write 4096 later-word
	run_x ro open /m-x r , pread 4096 10
	has "later-word"
}

@test "readonly: the kernel of a VM that may only read finds the bytes, and writes in vain" {
	run_x scan b CANARY-of-main-1 overwrite=1
	has "found in BAR 2"
	has "after writing there is 'CANARY-of-main-1'"
	has "bars: 1 found"
	run_x a open /m-x rw , map rw , read 0 16
	has "CANARY-of-main-1"
	run_x ro open /m-x r , map r , read 0 16
	has "CANARY-of-main-1"
}

@test "readonly: the same writes by the kernel of a VM that may write do change them" {
	run_x a open /m-y rwc , truncate 4096 , map rw , write 0 CANARY-of-main-2
	run_x scan a CANARY-of-main-2 overwrite=1
	has "after writing there is '################'"
	run_x ro open /m-y r , map r , read 0 16
	has "################"
}

@test "need to know: a member's kernel finds a channel's bytes, another VM's has them in no BAR" {
	run_x a open /t3-x rwc , truncate 4096 , map rw , write 0 CANARY-of-three-
	run_x scan a CANARY-of-three-
	has "bars: 1 found"
	run_x scan c CANARY-of-three-
	has "bars: 1 found"
	run_x scan b CANARY-of-three-
	has "bars: 0 found"
	run_x scan c CANARY-of-main-1
	has "bars: 0 found"
}

said() { grep -q "$2" "$W/$1"; }

@test "readonly: one that may only read waits for a word, and a writer wakes it at once" {
	run_x w a maker word create 4096
	{ w b reader word openro wait 0 0 20000 >"$W/waiter" 2>&1 3>&- || true; } &
	wait_for 20 said waiter mapped
	sleep 1
	run_x w a maker word open set 0 7 wake 0 1
	has 'wake 1'
	wait
	cat "$W/waiter"
	said waiter 'wait 0'
}

@test "readonly: a plain ivshmem of somebody else is left alone" {
	# shellcheck disable=SC2016
	run_x in_vm b sh -c 'for d in /sys/bus/pci/devices/*; do
		[ "$(cat $d/vendor)$(cat $d/device)" = 0x1af40x1110 ] || continue
		echo "${d##*/} $(basename "$(readlink $d/driver)")"; done'
	has "0000:00:1c.0 "
	hasnt "0000:00:1c.0 sivshmem"
	hasnt "0000:00:1c.1 sivshmem"
	# control, a doorbell and the memory beside it
	[ "$(grep -c ' sivshmem$' <<<"$output")" = 3 ]
}

@test "readonly: no kernel had anything to complain about" {
	no_splats a
	no_splats b
	no_splats c
}
