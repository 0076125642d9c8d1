#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A hostile kernel in VM c rings all that it can, as fast as it can, while a and b work.

load helpers
load vmhelp

setup_file() {
	"$TOP/tests/kmod.sh" "$SIVSHMEM_KERNEL" "$BUILD/flood-$SIVSHMEM_KERNEL" \
		"$TOP/tests/attack/flood" >&2
	VM_FILES=$BUILD/flood-$SIVSHMEM_KERNEL/flood.ko vm_world a b c
	# a grant of three's in each VM, so that each has bound that link's interrupt
	tool a maker open /t3-all rwc , truncate 4096
	tool b peer open /t3-all rw
	tool c third open /t3-all rw
}
teardown_file() { vm_end; }
teardown() { vm_note; }

w() {
	local name=$1 service=$2
	shift 2
	"$VM" exec "$name" --dir "$W" --timeout 50 --user $U:$U \
		--env SIVSHMEM_IDENTITY="$F/$service" -- "$F/waittool" "$@" 3>&-
}

said() { grep -q "$2" "$W/$1"; }

flood() { in_vm c insmod "$F/flood.ko" "$@"; }

flood_over() { in_vm c sh -c 'rmmod flood; dmesg | grep "flood: .*doorbells"; dmesg -C'; }

# pair CHANNEL: a's wakes reach b's sleepers, one after the other, and b goes on
pair() {
	local i
	run_x w a maker "$1" "flood$1" create 4096
	for i in 1 2 3; do
		{ w b peer "$1" "flood$1" open wait 0 $((i - 1)) 20000 >"$W/w$i" 2>&1 || true; } &
		wait_for 30 said "w$i" mapped
		run_x w a maker "$1" "flood$1" open set 0 "$i" wake 0 1
		wait
		cat "$W/w$i"
		said "w$i" 'wait 0' || said "w$i" 'wait EAGAIN'
	done
}

# rate VM: interrupts of its links each second, by its own clock
rate() {
	# shellcheck disable=SC2016
	in_vm "$1" sh -c 'now() {
			awk "/sivshmem-link/ { for (i = 2; i <= 3; i++) n += \$i } END { print n + 0 }" /proc/interrupts
			cut -d. -f1 /proc/uptime
		}
		set -- $(now); sleep 4; set -- $* $(now); echo $((($3 - $1) / ($4 - $2)))'
}

limit() { in_vm a sh -c "echo $1 >/sys/module/sivshmem/parameters/storm"; }

@test "flood: doorbells of every peer and vector, and an honest pair's wakes and opens go on" {
	run_x flood
	pair main
	pair three
	run_x a open /m-flooded rwc , truncate 4096
	run_x b open /m-flooded rw
	run_x flood_over
	has doorbells
}

# An emulated VM is not rung often enough to meet the limit as it is; so it is lowered.
@test "flood: a VM that is rung without end takes a bounded number of interrupts" {
	run_x flood near=1
	sleep 1
	local free bounded
	free=$(rate a)
	run_x limit 0
	bounded=$(rate a)
	run_x limit 64
	echo "# interrupts of a in 1 s: $free, with the lowest limit $bounded" >&3
	# one in each tick of 4 ms at most, and it was rung more often than that
	[ "$free" -gt 0 ] && [ "$free" -le $((65 * 250)) ]
	[ "$bounded" -gt 0 ] && [ "$bounded" -le 260 ]
	run_x b open /m-after rwc
	run_x flood_over
}

@test "flood: no kernel of the others had anything to complain about" {
	no_splats a
	no_splats b
}
