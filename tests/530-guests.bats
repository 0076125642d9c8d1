#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016
# The harness itself: two plain guests on one memory, no part of ours in them.
#
#   a --- ivshmem-plain --- shm (a file) --- ivshmem-plain --- b

load helpers
load vmhelp

setup_file() {
	W=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-vm.XXXXXX")
	export W
	mkdir "$W/files"
	echo secret >"$W/files/key"
	chmod 600 "$W/files/key"
	ln -s key "$W/files/link"
	truncate -s 2M "$W/shm"
	cat >"$W/files/bar.py" <<'P'
import glob, mmap, os, sys
dev, = [d for d in glob.glob("/sys/bus/pci/devices/*")
        if open(d + "/device").read().strip() == "0x1110"]
bar = mmap.mmap(os.open(dev + "/resource2", os.O_RDWR), 2 << 20)
for word in sys.argv[1:]:
    bar[4096:4096 + len(word)] = word.encode()
print(bar[4096:4128].rstrip(b"\0").decode())
P
	boot a "$BATS_ROOT_PID" >"$W/boot-a" 2>&1 &
	local first=$!
	boot b "$BATS_ROOT_PID" || return 1
	wait $first || { cat "$W/boot-a"; return 1; }
}
teardown_file() { vm_end; }
teardown() { vm_note; }

boot() { # boot NAME OWNER
	"$VM" start "$1" --dir "$W" --kernel "$SIVSHMEM_KERNEL" --files "$W/files" --owner "$2" -- \
		-object "memory-backend-file,id=m,mem-path=$W/shm,size=2M,share=on" \
		-device pcie-root-port,id=rp,chassis=1,pref64-reserve=1G \
		-device ivshmem-plain,memdev=m,bus=rp 3>&-
}

@test "guests: memory is shared, both ways" {
	run_x in_vm a python3 "$F/bar.py" from-a
	run_x in_vm b python3 "$F/bar.py"
	has from-a
	run_x in_vm b python3 "$F/bar.py" into-a
	run_x in_vm a python3 "$F/bar.py"
	has into-a
}

@test "guests: output, status, user, environment and files arrive as they are" {
	run_x 7 in_vm a sh -c 'echo out; echo err >&2; exit 7'
	has out
	has err
	run_x "$VM" exec a --dir "$W" --user 1234:4321 --env 'K=a b' -- \
		sh -c 'echo "$(id -u) $(id -g) $(id -G) $K $(hostname)"'
	[ "$output" = '1234 4321 4321 a b a' ]
	run_x in_vm a stat -c '%a %F %u' "$F/key" "$F/link"
	has "600 regular file $(id -u)"
	has 'symbolic link'
	run_x 143 in_vm a sh -c 'kill $$'
	run_x 126 in_vm a /etc
	# no byte is lost or changed, whatever the size
	in_vm a head -c 3000000 /usr/bin/qemu-system-x86_64 |
		cmp - <(head -c 3000000 /usr/bin/qemu-system-x86_64)
	# the guest writes to its own copy only
	run_x in_vm a mkdir "/var/${W##*/}"
	run_x in_vm a stat "/var/${W##*/}"
	[ ! -e "/var/${W##*/}" ]
}

@test "guests: sixteen commands at once, each with its own answer" {
	local i
	for i in $(seq 16); do
		in_vm a sh -c "sleep 1; echo answer-$i" >"$BATS_TEST_TMPDIR/$i" &
	done
	wait
	for i in $(seq 16); do
		[ "$(cat "$BATS_TEST_TMPDIR/$i")" = "answer-$i" ]
	done
}

@test "guests: a late command is killed, and one whose caller is gone" {
	run_x 124 "$VM" exec a --dir "$W" --timeout 1 -- sh -c 'sleep 71 & sleep 72'
	run_x 137 timeout -s KILL 1 "$VM" exec a --dir "$W" -- sleep 73
	sleep 0.3
	run_x 1 in_vm a sh -c 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\0" " " | grep -o "sleep 7[123]"'
}

@test "guests: a reader that stops does not stop the others" {
	mkfifo "$BATS_TEST_TMPDIR/pipe"
	in_vm a yes >"$BATS_TEST_TMPDIR/pipe" &
	exec 8<"$BATS_TEST_TMPDIR/pipe"
	sleep 1
	RUN_TIMEOUT=5 run_x timeout 5 "$VM" exec a --dir "$W" -- echo still here
	has 'still here'
	exec 8<&-
	wait
}

@test "guests: a reset and a crash are told from a command that failed" {
	run_x 125 in_vm b sh -c 'echo c >/proc/sysrq-trigger; sleep 20'
	has 'the guest was reset'
	grep -q 'sysrq triggered crash' "$W/b.log"
	run_x "$VM" wait b --dir "$W"
	run_x "$VM" reboot b --dir "$W"
	run_x in_vm b python3 "$F/bar.py"
	has into-a
}

@test "guests: QEMU ends with its owner, with its keeper and at its bound" {
	sleep 600 3>&- &
	local owner=$! pid
	run_x boot c "$owner"
	pid=$(cat "$W/c.pid")
	kill -9 "$owner"
	wait_for 5 gone "$pid"
	run_x boot c none
	pid=$(cat "$W/c.pid")
	kill -9 "$(cat "$W/c.keeper")"
	wait_for 5 gone "$pid"
	run_x 3 "$VM" start d --dir "$W" --kernel "$SIVSHMEM_KERNEL" --bound 1
	has 'd: QEMU ended'
	run_x 3 "$VM" start e --dir "$W" --kernel "$SIVSHMEM_KERNEL" -- -device nonesuch
	has nonesuch
}

# a zombie has no memory any more, and may stay until init reaps it
gone() { ! grep -q '^VmRSS' "/proc/$1/status" 2>/dev/null; }
