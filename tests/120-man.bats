#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The examples of the man pages, as they are printed there.

load helpers

# in_world SCRIPT: run it where /etc, /run and /var/log are its own
in_world() {
	requires root
	unshare --mount --propagation private true 2>/dev/null || skip "needs a mount namespace"
	run_x unshare --mount --propagation private bash -c ". $TOP/tests/man-world.bash; $1" 3>&-
}

@test "man: no example is left out" {
	local page n
	for page in "$TOP"/man/*.[1-8]; do
		n=$(awk '/^\.Sh / { on = $2 == "EXAMPLES" } on && /^\.(Bd|Dl)/ { n++ } END { print n + 0 }' "$page")
		[ "$n" -eq 0 ] || echo "${page##*/} $n"
	done >"$BATS_TEST_TMPDIR/found"
	diff "$BATS_TEST_TMPDIR/found" - <<-L
		libsivshmem.3 1
		sivshmem-ca.8 3
		sivshmem-cad.8 3
		sivshmem-policy.5 1
		sivshmem-shim.conf.5 1
		sivshmem.1 3
	L
}

@test "man: sivshmem-ca(8), sivshmem-policy(5): a CA, a policy, a bundle, a VM" {
	requires qemu-system-x86_64
	in_world 'eval "$(example sivshmem-ca.8 1)"
		sivshmem-ca show player
		quit=$(example sivshmem-ca.8 2 | sed "s/ \.\.\. / -nodefaults -display none -accel tcg -S -monitor stdio /")
		eval "${quit%%qemu*}"
		ready
		(sleep 2; echo quit) | eval "timeout -s KILL 30 qemu${quit#*qemu}"
		cat /var/log/sivshmem/audit.jsonl'
	has "/etc/sivshmem/policy.conf: good: VMs 2, services 4"
	has "ivi/player"
	has '"event":"vm-up","vm":"ivi","result":"granted"'
	has '"event":"vm-down","vm":"ivi"'
}

@test "man: sivshmem-ca(8), sivshmem-cad(8): rotate the audit log, and verify it" {
	requires logrotate
	in_world 'serve
		example sivshmem-cad.8 2 >rotate
		sed -i "1a su root root" rotate
		logrotate -s state -f rotate
		sivshmem-ca issue tools/probe --out probe
		sleep 0.3
		eval "$(example sivshmem-ca.8 3)"
		ls /var/log/sivshmem'
	has "told the daemon"
	has "lines 1 to "
	has "whole: no line was altered, removed or added"
	has "audit.jsonl.1"
}

@test "man: sivshmem-cad(8): what was refused, as it happens" {
	in_world 'serve
		set -m
		bash -c "$(example sivshmem-cad.8 1)" >out &
		sleep 0.5
		sivshmem-ca issue tools/stranger --out stranger
		printf "map /x camera\n" >map
		sivshmem check --connect --map map --identity stranger /x || true
		sleep 0.5
		kill -- -$!
		echo "log: $(cat out)"'
	has 'log: {"n":'
	has '"service":"tools/stranger"'
	has '"result":"refused","reason":"unknown service","chain":'
}

@test "man: sivshmem-cad(8): a daemon of one's own" {
	in_world 'HOME=$PWD
		vi() { printf "version = 1;\n" >"$1"; }
		eval "$(example sivshmem-cad.8 3)"
		ready ~/run
		sivshmem-ca status --run-dir ~/run'
}

@test "man: sivshmem-shim.conf(5), sivshmem(1): check, and run a program" {
	in_world 'serve
		example sivshmem-shim.conf.5 1 >/etc/sivshmem/shim.conf
		cp /etc/sivshmem/shim.conf my.conf
		eval "$(example sivshmem.1 1)"
		cat >producer.py <<-P
		from multiprocessing import shared_memory
		m = shared_memory.SharedMemory(create=True, size=5000)
		print("made", len(m.buf))
		m.close()
		m.unlink()
		P
		eval "$(example sivshmem.1 2)"
		eval "$(example sivshmem.1 3)"
		grep psm_ /var/log/sivshmem/audit.jsonl'
	has "map       /etc/sivshmem/shim.conf"
	has "/frames                  -> channel camera name=cam0 readonly wait=5"
	has "made 5000"
	has "ok: dynamic, for x86-64 and glibc"
	has '"event":"create","vm":"host","service":"tools/camera"'
	has '"channel":"telemetry"'
}

@test "man: libsivshmem(3): the program connects, opens and sizes an object" {
	in_world 'serve
		cp -r /etc/sivshmem/camera-id /etc/me
		{ printf "#include <err.h>\n#include <stddef.h>\n#include <fcntl.h>\n#include <sivshmem/sivshmem.h>\nint main(void)\n{\n"
		  example libsivshmem.3 1; printf "return 0;\n}\n"; } >me.c
		cc -Wall -Werror -I"$TOP/include" -o me me.c "$BUILD/libsivshmem.so.0" -Wl,-rpath,"$BUILD"
		./me
		cat /var/log/sivshmem/audit.jsonl'
	has '"event":"create","vm":"host","service":"tools/camera"'
	has '"object":"frame0"'
}
