#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What the daemon gives a QEMU, and to which: each test plays a QEMU at its sockets.

load helpers

setup() {
	W=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-hub.XXXXXX")
	chmod 755 "$W"
	# other users run it too, who may not reach this checkout
	install -m 755 "$TOP/tests/attack/qemu.py" "$W/qemu"
}
teardown() {
	stop_cad "$W"
	rm -rf "$W"
}

# world [UID-OF-A UID-OF-B]: a writes "main", b and c read it; a and b write "pair"
world() {
	ca_scratch "$W" <<P
version = 1;
vms = ( { name = "a"; ${1:+uid = $1;} }, { name = "b"; ${2:+uid = $2;} }, { name = "c"; } );
services = ( { name = "s/a"; vm = "a"; }, { name = "s/b"; vm = "b"; }, { name = "s/c"; vm = "c"; } );
channels = (
  { name = "main"; quota = "1M"; members = ( { service = "s/a"; rights = "rw,create"; },
      { service = "s/b"; rights = "ro"; }, { service = "s/c"; rights = "ro"; } ); },
  { name = "pair"; quota = "1M"; members = ( { service = "s/a"; rights = "rw,create"; },
      { service = "s/b"; rights = "rw"; } ); } );
P
	start_cad "$W"
}

qemu() { "$W/qemu" "$@"; }
socket() { echo "$W/run/vm/$1/$2.sock"; }

# greet VM DEVICE [OPTION...]: its greeting, kept in $W/VM-DEVICE
greet() {
	run_x qemu greet "$(socket "$1" "$2")" "${@:3}"
	echo "$output" >"$W/$1-$2"
}

# bells VM DEVICE: the eventfds in that greeting, sorted; own: its own one, the last
bells() { awk '$2 == "event" { print $3 }' "$W/$1-$2" | sort; }
own() { awk '$2 == "event" { n = $3 } END { print n }' "$W/$1-$2"; }

@test "hub: a VM gets the doorbells of those whom it may wake, and no other" {
	world
	local vm
	for vm in a b c; do greet $vm link0; done
	# the one writer: both readers and itself
	[ "$(bells a link0)" = "$(for vm in a b c; do own $vm link0; done | sort)" ]
	# a reader: the writer and itself, nothing of the other reader
	for vm in b c; do
		[ "$(bells $vm link0)" = "$({ own a link0; own $vm link0; } | sort)" ]
	done
	greet a control
	greet b control
	# the daemon's bell and one's own, of no other VM
	[ "$(bells a control | wc -l)" = 2 ]
	[ -z "$(comm -12 <(bells a control) <(bells b control))" ]
	# pair has doorbells of its own
	greet a link1
	[ "$(bells a link1 | wc -l)" = 2 ]
	[ -z "$(comm -12 <(bells a link1) <(bells a link0))" ]
}

@test "hub: what is mapped for writing where some may only read is the wake table alone" {
	world
	local vm
	for vm in a b c; do greet $vm link0; done
	# one memfd of 2 MiB for all, sealed: no shrink, no growth, no other seals
	[ "$(awk '$2 == "memory"' "$W"/?-link0 | sort -u | wc -l)" = 1 ]
	[ "$(awk '$2 == "memory" { print $1, $4, $5 }' "$W/b-link0")" = "-1 2097152 7" ]
	# each has the memory itself by a name that leads to one file
	[ "$(stat -Lc %i "$W"/run/vm/?/link0.memory | sort -u | wc -l)" = 1 ]
	[ "$(stat -Lc %i "$W/run/vm/b/link0.memory")" != "$(awk '$2 == "memory" { print $3 }' "$W/b-link0")" ]
	[ ! -e "$W/run/vm/a/link1.memory" ]
	run_x sivshmem-ca --dir "$W/ca" qemu-args a --run-dir "$W/run"
	has "mem-path=$W/run/vm/a/link0.memory,size=2M,share=on,readonly=off"
	run_x sivshmem-ca --dir "$W/ca" qemu-args b --run-dir "$W/run"
	has "mem-path=$W/run/vm/b/link0.memory,size=2M,share=on,readonly=on"
}

@test "hub: the memory's file goes with the daemon, and what a killed one left with the next" {
	world
	local file
	file=$(readlink "$W/run/vm/b/link0.memory")
	kill -KILL "$(cat "$W/cad.mypid")"
	wait_for 5 not_running "$(cat "$W/cad.mypid")"
	[ -e "$file" ]
	start_cad "$W"
	[ ! -e "$file" ]
	file=$(readlink "$W/run/vm/b/link0.memory")
	[ -e "$file" ]
	stop_cad "$W"
	[ ! -e "$file" ]
	[ ! -L "$W/run/vm/b/link0.memory" ]
}

@test "hub: the memory opens for a QEMU as its VM may use it, and for no other" {
	requires root
	world 1001 1002
	local file
	file=$(realpath "$W/run/vm/b/link0.memory")
	as_uid() { setpriv --reuid "$1" --regid "$1" --clear-groups "$W/qemu" open "$file" "$2"; }
	run_x as_uid 1001 rw
	has "opened 2097152"
	run_x as_uid 1002 ro
	has "opened 2097152"
	run_x as_uid 1002 rw
	has EACCES
	run_x as_uid 1003 ro
	has EACCES
}

@test "hub: a VM is who its socket says: another uid is refused, what a QEMU says counts nothing" {
	requires root
	world 1001 1002
	chmod 777 "$(socket a control)"
	run_x setpriv --reuid 1002 --regid 1002 --clear-groups "$W/qemu" \
		greet "$(socket a control)"
	[ "$output" = end ]
	audit "$W" '.event == "vm-up" and .vm == "a" and .result == "refused"' | grep -q uid
	# id 0x8001 is b's
	greet a control --say 0180000000000000
	[ "$(sed -n 2p "$W/a-control")" = "32768 none" ]
}

@test "hub: a QEMU that comes and goes without end is let in so often, and others as ever" {
	world
	local began=$SECONDS p
	qemu churn "$(socket a control)" 6 >"$W/churn" 3>&- &
	p=$!
	sleep 1
	greet b control
	greet b link0
	wait "$p"
	cat "$W/churn"
	# 20 at once, and one in each second
	[ "$(audit "$W" '.event == "vm-up" and .vm == "a"' | wc -l)" -le $((22 + SECONDS - began)) ]
	[ "$(audit "$W" '.event == "vm-up" and .vm == "a"' | wc -l)" -ge 20 ]
	wait_for 10 test -S "$(socket a control)"
	greet a control
}

@test "hub: a device that is taken has no socket, and the next QEMU the same id and no old word" {
	world
	greet a control
	local before=$output
	run_x qemu mark "$(socket a control)" left-by-the-first-guest
	wait_for 5 test -S "$(socket a control)"
	run_x qemu find "$(socket a control)" left-by-the-first-guest
	[ "$output" = nothing ]
	wait_for 5 test -S "$(socket a control)"
	greet a control
	[ "$output" = "$before" ]
	"$TOP/tests/attack/qemu.py" greet "$(socket b control)" --hold 20 >"$W/held" 3>&- &
	local holder=$!
	wait_for 5 grep -q held "$W/held"
	[ ! -e "$(socket b control)" ]
	kill $holder
	wait_for 5 test -S "$(socket b control)"
}

@test "hub: a doorbell that its QEMU has filled holds nobody up" {
	world
	qemu jam "$(socket a link1)" >"$W/jam" 3>&- &
	local p=$!
	wait_for 10 grep -q held "$W/jam"
	# its end is told to the others of the link
	run_x qemu greet "$(socket b link1)"
	RUN_TIMEOUT=10 run_x sivshmem-ca status --run-dir "$W/run"
	greet b control
	kill $p
}

@test "hub: nobody else can hold the lock that the next daemon wants" {
	requires root
	world
	run_x 1 setpriv --reuid 65534 --regid 65534 --clear-groups cat "$W/run/sivshmem-cad.pid"
	has "Permission denied"
}
