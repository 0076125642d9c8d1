#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What processes of a guest, root among them, hold on to after they let go:
# nothing that the host gives to others meanwhile.

load helpers
load vmhelp

setup_file() {
	vm_world a b
}
teardown_file() { vm_end; }
teardown() { vm_note; }

hold() { as b peer "$F/hold" "$@"; }
said() { grep -q "$1" "$BATS_TEST_TMPDIR/out"; }
created() { a open "$1" rwcx , truncate "$2"; }

# devices NAME control|link: its PCI addresses; their interrupts have names
devices() {
	local test=
	[ "$2" = control ] || test='!'
	in_vm "$1" sh -c "for d in /sys/bus/pci/drivers/sivshmem/0*; do
		$test grep -q \"^ *\$(ls \$d/msi_irqs):.* sivshmem\$\" /proc/interrupts &&
			basename \$d; done; true"
}

@test "hold: a pinned page is not given to another object" {
	a open /m-p rwcx , truncate 5242880 , map rw 4096 , write 0 mine >/dev/null
	hold pin /m-p 8 >"$BATS_TEST_TMPDIR/out" 3>&- &
	wait_for 10 said pinned
	run_x a unlink /m-p
	# its pages are still the channel's
	run_x a open /m-q rwcx , fails ENOSPC truncate 5242880 , unlink /m-q
	wait $!
	cat "$BATS_TEST_TMPDIR/out"
	said 'pipe mine'
	wait_for 5 created /m-q2 5242880
	run_x a unlink /m-q2
}

@test "hold: a watch on an object that is gone takes no other down" {
	b open /m-live rwcx , truncate 4096 , map rw , write 0 live , sleep 8 , read 0 4 \
		>"$BATS_TEST_TMPDIR/live" 3>&- &
	local live=$!
	a open /m-w rwcx , truncate 5242880 >/dev/null
	hold watch /m-w 10 >"$BATS_TEST_TMPDIR/out" 3>&- &
	local watch=$!
	wait_for 10 said watching
	run_x a unlink /m-w
	# the same pages again, in the same VM
	run_x b open /m-w2 rwcx , truncate 5242880 , map rw 4096 , check zero , unlink /m-w2
	wait "$live"
	grep "read live" "$BATS_TEST_TMPDIR/live"
	wait "$watch"
	run_x b unlink /m-live
}

@test "hold: faults that race leave the memory alone" {
	run_x a open /big-r rwcx , truncate 4194304
	run_x hold race /big-r 6
	has "dirty 0 of 4194304"
	run_x a unlink /big-r
}

@test "hold: one user's sessions leave room for the others" {
	"$VM" exec b --dir "$W" --user 4242:4242 -- sh -c "ulimit -n 2000
		exec $F/rogue /dev/sivshmem stall 900 12" >"$BATS_TEST_TMPDIR/out" 3>&- &
	local p=$!
	wait_for 30 said 'stall: '
	cat "$BATS_TEST_TMPDIR/out"
	run_x b open /m-room rwcx , unlink /m-room
	wait "$p"
	local n
	n=$(sed -n 's/^stall: \([0-9]*\).*/\1/p' "$BATS_TEST_TMPDIR/out")
	[ "$n" -gt 100 ] && [ "$n" -le 512 ]
}

# any user may make a user namespace: Debian's default, and Linux's
may_unshare() { in_vm b sh -c 'cd /proc/sys/kernel; [ ! -e unprivileged_userns_clone ] || echo 1 >unprivileged_userns_clone'; }

@test "hold: one user who is many in a namespace of his own has one user's share" {
	may_unshare
	in_vm b "$F/rogue" /dev/sivshmem crowd 4242 900 10 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	local p=$! n
	wait_for 90 grep -q 'crowd: ' "$BATS_TEST_TMPDIR/out"
	cat "$BATS_TEST_TMPDIR/out"
	run_x b open /m-room rwcx , unlink /m-room
	wait "$p"
	n=$(sed -n 's/^crowd: \([0-9]*\).*/\1/p' "$BATS_TEST_TMPDIR/out")
	[ "$n" -gt 100 ] && [ "$n" -le 512 ]
}

@test "hold: a container that root made has a share of its own, and leaves root's" {
	may_unshare
	in_vm b "$F/rogue" /dev/sivshmem crowd 0 900 8 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	local p=$! n
	wait_for 90 grep -q 'crowd: ' "$BATS_TEST_TMPDIR/out"
	cat "$BATS_TEST_TMPDIR/out"
	run_x in_vm b "$F/rogue" /dev/sivshmem stall 4 0
	has "stall: 4 half"
	wait "$p"
	n=$(sed -n 's/^crowd: \([0-9]*\).*/\1/p' "$BATS_TEST_TMPDIR/out")
	[ "$n" -gt 100 ] && [ "$n" -le 512 ]
}

@test "hold: sessions opened and closed without end hold nobody up, and all end" {
	local most=0 n p
	sessions() {
		sivshmem-ca --dir "$W/ca" status --run-dir "$W/run" --json |
			jq '[.vms[] | select(.name == "b") | .sessions] | add // 0'
	}
	"$VM" exec b --dir "$W" --timeout 50 --user 4242:4242 -- "$F/rogue" /dev/sivshmem churn 8 12 \
		>"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	p=$!
	wait_for 30 grep -q 'churn: ' "$BATS_TEST_TMPDIR/out"
	for _ in 1 2 3 4; do
		run_x b open /m-room rwcx , unlink /m-room
		n=$(sessions)
		[ "$n" -le "$most" ] || most=$n
	done
	wait "$p"
	echo "# $most sessions of the VM at most" >&3
	[ "$most" -le 1024 ]
	none() { [ "$(sessions)" -eq 0 ]; }
	wait_for 20 none
}

@test "hold: a host that breaks the ring gets a new beginning, and no busy kernel" {
	requires python3
	a open /m-i rwcx , truncate 4096 >/dev/null
	# the index that says how far the host has read a's frames, beyond what there is
	run_x python3 - "$(cat "$W/cad.mypid")" <<'P'
import mmap, os, struct, sys
fds = f"/proc/{sys.argv[1]}/fd"
found = 0
for name in os.listdir(fds):
    path = os.path.join(fds, name)
    if "sivshmem:control" not in os.readlink(path):
        continue
    with open(path, "r+b") as f, mmap.mmap(f.fileno(), 4096) as page:
        tail, = struct.unpack_from("<I", page, 144)
        struct.pack_into("<I", page, 24, (tail + 8) & 0xffffffff)
        found += 1
print("broke", found)
P
	has "broke 3"
	wait_for 40 a open /m-i rw , unlink /m-i
	wait_for 40 b open /m-i2 rwcx , unlink /m-i2
	run_x in_vm a sh -c 'head -1 /proc/stat; sleep 3; head -1 /proc/stat'
	# user nice kernel idle: most of 3 s on two processors is idle
	awk '{ k = $4 - k; i = $5 - i } END { print "kernel", k, "idle", i; exit k > i }' <<<"$output"
}

@test "hold: root takes the control device away: mappings die before it comes back" {
	local d
	d=$(devices a control)
	[ "$(wc -w <<<"$d")" -eq 1 ]
	a open /m-c rwcx , truncate 4096 , map rw , write 0 here , waitfault 0 30 \
		>"$BATS_TEST_TMPDIR/out" 3>&- &
	run_x b waitopen /m-c rw 20 , map rw , wait 0 here 20
	run_x in_vm a sh -c "echo 1 >/sys/bus/pci/devices/$d/remove"
	wait $! || true
	cat "$BATS_TEST_TMPDIR/out"
	said 'fault SIGBUS'
	run_x in_vm a sh -c 'echo 1 >/sys/bus/pci/rescan'
	run_x a open /m-c rw , map rw , read 0 4 , unlink /m-c
	has "read here"
}

@test "hold: an open that waits for the host keeps no other device from being opened" {
	local d
	d=$(devices b control)
	# shellcheck disable=SC2016
	run_x in_vm b sh -c 'now() { cut -d" " -f1 /proc/uptime | tr -d .; }
		echo 1 >/sys/bus/pci/devices/$0/remove
		for i in 1 2 3; do sh -c "exec 3<>/dev/sivshmem" 2>/dev/null & done
		sleep 1
		began=$(now)
		: <>/dev/sivshmem-wait
		took=$(($(now) - began))
		kill -0 $! && echo "they wait yet"
		echo "took $took"
		echo 1 >/sys/bus/pci/rescan
		wait' "$d"
	has "they wait yet"
	[ "$(sed -n 's/^took //p' <<<"$output")" -lt 200 ]
	run_x in_vm b stat -c '%a %F' /dev/sivshmem
	has '666 character special file'
}

@test "hold: root takes a link device away: it goes when nobody reaches its pages" {
	local d
	b open /big-l rwcx , truncate 4194304 , map rw 4096 , write 0 page , waitfault 0 40 \
		>"$BATS_TEST_TMPDIR/live" 3>&- &
	local live=$!
	run_x a waitopen /big-l rw 20 , map rw , wait 0 page 20
	hold pin /big-l 4 >"$BATS_TEST_TMPDIR/out" 3>&- &
	local pin=$!
	wait_for 10 said pinned
	d=$(devices b link)
	run_x in_vm b sh -c "for d in $(echo $d); do echo 1 >/sys/bus/pci/devices/\$d/remove; done"
	wait "$pin"
	said 'pipe page'
	wait "$live" || true
	grep 'fault SIGBUS' "$BATS_TEST_TMPDIR/live"
	# it may not come back: a session is not held up by that
	run_x in_vm b timeout 3 "$F/rogue" /dev/sivshmem stall 1 0
	has "stall: 1 half"
	run_x in_vm b sh -c 'echo 1 >/sys/bus/pci/rescan'
	run_x b open /big-l rw , map rw 4096 , read 0 4 , unlink /big-l
	has "read page"
}

@test "hold: neither kernel had anything to complain about" {
	no_splats a
	no_splats b
}
