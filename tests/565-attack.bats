#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016
# Attacks of processes and of root in a VM, and of a hostile member of a channel.
# Each fails where its defence is; doc/THREATS.md says which one that is.

load helpers
load vmhelp

setup_file() { vm_world a b; }
teardown_file() { vm_end; }
teardown() { vm_note; }


# mighty VM SERVICE COMMAND...: as `as`, but with all capabilities of root
mighty() {
	local name=$1 service=$2
	shift 2
	in_vm "$name" env SIVSHMEM_IDENTITY="$F/$service" SIVSHMEM_MAP="$F/shim.conf" \
		LD_PRELOAD="$F/libsivshmem-shim.so" setpriv --reuid $U --regid $U --clear-groups \
		--inh-caps +all --ambient-caps +all "$@"
}

# native VM TOOL SERVICE WORDS...: a program that has the library, as uid $U
native() {
	local name=$1 tool=$2 service=$3
	shift 3
	"$VM" exec "$name" --dir "$W" --timeout 50 --user $U:$U -- "$F/$tool" "$@" 3>&-
}

@test "attack: no page behind an object's end is reached, one by one or by a long mapping" {
	# neighbours, whose pages are the link's next ones
	run_x a open /m-n1 rwcx , truncate 65536 , map rw , write 0 secret , write 8192 secret
	run_x a open /m-own rwcx , truncate 4096 , map rw , write 0 mine
	run_x a open /m-n2 rwcx , truncate 1048576 , map rw , write 0 secret , write 65536 secret
	run_x as b reader "$F/reach" /m-own 0x1000000
	has "reached 0, secrets 0"
	run_x mighty b reader "$F/reach" /m-own 0x400000
	has "reached 0, secrets 0"
	# one of entries of 2 MiB, and a neighbour behind it
	run_x a open /big-own rwcx , truncate 2101248 , map rw , write 0 mine
	run_x a open /big-n rwcx , truncate 4194304 , map rw , write 0 secret , write 2097152 secret
	run_x as b peer "$F/reach" /big-own 0x800000
	has "reached 0, secrets 0"
	run_x a unlink /m-n1 , unlink /m-n2 , unlink /m-own , unlink /big-own , unlink /big-n
}

@test "attack: descriptors that were taken do what their grant says, and die with it" {
	run_x in_vm b "$F/steal" "$F/peer" main $U
	hasnt "through"
	hasnt "CANNOT"
	[ "$(grep -c '^held ' <<<"$output")" -eq 37 ]
	[ "$(grep -c '^may ' <<<"$output")" -eq 4 ]
	run_x a unlink /m-stolen
	wait_for 10 no_sessions
}

@test "attack: threads that claim one grant get one file" {
	run_x native b racer peer "$F/peer" main claim 200
	has "200 rounds, 0 with two files, 0 with none"
	wait_for 10 no_sessions
}

@test "attack: a session that ends leaves no mapping, whoever was faulting, mapping or reading" {
	run_x native b racer peer "$F/peer" main end 30
	has "30 rounds, 0 late"
	wait_for 10 no_sessions
}

@test "attack: a child of fork and of clone has no keys, and a session of its own" {
	run_x native b keys peer dev "$F/peer" fork main
	has "fork: keys wiped, session another"
	has "clone: keys wiped, session another"
	has "parent: session goes on"
}

@test "attack: a core has neither keys nor what is in a channel" {
	in_vm b sh -c 'echo /tmp/core.test >/proc/sys/kernel/core_pattern'
	run_x 134 "$VM" exec b --dir "$W" --user $U:$U -- sh -c "ulimit -c unlimited
		# all that can be asked for, and not only what is usual
		echo 0x1ff >/proc/self/coredump_filter
		exec $F/keys dev $F/peer dump main"
	in_vm b cat /tmp/core.test >"$BATS_TEST_TMPDIR/core"
	run_x python3 - "$BATS_TEST_TMPDIR/core" "$W/files/peer/service.key" <<P
import base64, sys
core = open(sys.argv[1], "rb").read()
text = "".join(open(sys.argv[2]).read().split("\n")[1:])
print(len(core), "bytes, the heap", "seen" if bytes.fromhex("$(sed -n 's/^in-core heap //p' <<<"$output")") in core else "NOT SEEN")
for name, secret in {"channel": bytes.fromhex("$(sed -n 's/^secret channel //p' <<<"$output")"),
        "send": bytes.fromhex("$(sed -n 's/^secret send //p' <<<"$output")"),
        "receive": bytes.fromhex("$(sed -n 's/^secret receive //p' <<<"$output")"),
        "seed": base64.b64decode(text)[:32], "text of the key": text[:40].encode()}.items():
    assert len(secret) >= 32
    print(name, "FOUND" if secret in core else "not there")
P
	has "the heap seen"
	hasnt FOUND
	[ "$(grep -c 'not there' <<<"$output")" -eq 5 ]
}

@test "attack: garbage in locks makes calls fail or sleep, but neither crash nor spin" {
	run_x a open /m-garble rwc , truncate 24576
	run_x as b peer "$F/garble" check /m-garble 1 3
	[ "$(grep -c ' 0 crashed, 0 spun, 0 stayed' <<<"$output")" -eq 6 ]
}

@test "attack: locks that a peer writes over all the time cost calls their time, and no more" {
	a open /m-garble rwc , truncate 24576 >/dev/null
	as b peer "$F/garble" scribble /m-garble 12 >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	run_x as a maker "$F/garble" use /m-garble 8
	has "in time"
	wait $!
	cat "$BATS_TEST_TMPDIR/out"
	grep 'scribbled [1-9]' "$BATS_TEST_TMPDIR/out"
	run_x a unlink /m-garble
}

@test "attack: garbage in the place of a named semaphore costs its opener a time, and no more" {
	run_x as a maker python3 -c '
ready = b"SEME"
for i, text in enumerate((b"", b"x", b"\xff" * 31, b"\xff" * 32, bytes(28) + b"\1\0\0\x80",
                          b"\xff" * 28 + ready, bytes(4) + b"\xff" * 24 + ready)):
    with open("/dev/shm/sem.m-g%d" % i, "wb") as f:
        f.write(text)'
	# all at once; each may fail, but is neither killed nor late
	run_x as b peer sh -c "for i in 0 1 2 3 4 5 6; do
		(timeout 20 $F/semtool open /m-g\$i - , value , trywait , post , wait 1 >/tmp/g\$i 2>&1
			echo \"semaphore \$i ends with \$?\") &
		done; wait; tail -n 1 /tmp/g?"
	[ "$(grep -c 'ends with [01]$' <<<"$output")" -eq 7 ]
	run_x as b peer sh -c "$F/semtool open /m-good c 1 , trywait , post , value , unlink /m-good
		for i in 0 1 2 3 4 5 6; do $F/semtool unlink /m-g\$i; done"
	has "value 1"
}

@test "attack: what one VM left in memory, the next owner in another does not see" {
	# all of the channel's memory, then all of it again from the other side
	run_x a open /big-r rwcx , truncate 67108864 , map rw , fill 165
	run_x a unlink /big-r
	run_x b open /big-r rwcx , truncate 67108864 , map rw , check zero , unlink /big-r
}

@test "attack: root's capabilities do not make a read-only grant into more" {
	run_x a open /m-cap rwcx , truncate 4096 , map rw , write 0 secret
	run_x mighty b reader "$F/upgrade" /m-cap r
	has "tried 34"
	hasnt "through"
	run_x a open /m-cap r , map r , read 0 6 , stat , unlink /m-cap
	has "read secret"
	has "size 4096"
	# root has the files, and is another uid than they are bound to
	run_x 3 in_vm b sh -c "cp -r $F/peer /tmp/mine && chown -R 0:0 /tmp/mine &&
		$F/keys dev /tmp/mine flags main"
	has "bound to uid $U and this process has uid 0"
}

@test "attack: whatever the kernel is asked to do with a mapping, bytes and kernel stay whole" {
	run_x a open /m-knead rwcx , truncate 65536 , open /big-knead rwcx , truncate 8388608
	run_x as b peer "$F/knead" /m-knead 3
	has " 0 bytes changed"
	run_x mighty b peer "$F/knead" /m-knead 3
	has " 0 bytes changed"
	run_x mighty b peer "$F/knead" /big-knead 2
	has " 0 bytes changed"
	no_splats b
	run_x a unlink /m-knead , unlink /big-knead
}

@test "attack: a call on pages that its process has marked for userfaultfd ends" {
	run_x a open /big-marks rwcx , truncate 16777216
	run_x as b peer "$F/marks" /big-marks 6
	local said=$output
	run_x a unlink /big-marks
	no_splats b
	[ "$said" != refused ] || skip "this kernel marks no such pages"
	grep 'marked: EFAULT' <<<"$said"
	grep 'raced [1-9]' <<<"$said"
}

# blockers VM: why QEMU will not save its state
blockers() {
	python3 - "$W/$1.qmp" <<'P'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile("rw")
f.readline()
for command in "qmp_capabilities", "query-migrate":
    print(json.dumps({"execute": command}), file=f, flush=True)
    answer = json.loads(f.readline())
    while "event" in answer:
        answer = json.loads(f.readline())
for reason in answer["return"].get("blocked-reasons", []):
    print(reason)
P
}

@test "attack: a guest on our devices can not be saved, to be restored or cloned later" {
	requires python3
	run_x blockers a
	has "'peer mode' in device 'ivshmem'"
}

@test "attack: neither kernel had anything to complain about, and the module goes" {
	wait_for 10 no_sessions
	no_splats a
	no_splats b
	run_x in_vm b rmmod sivshmem
}
