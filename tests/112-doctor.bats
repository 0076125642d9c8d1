#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sivshmem doctor: what it says of real binaries.

load helpers

setup() { D=$(mktemp -d); }
teardown() { rm -rf "$D"; }

# build NAME OPTION... <SOURCE: a program of this test
build() {
	cc -x c - -x none -o "$D/$1" "${@:2}"
}

# each line is a finding
findings() {
	! grep -vE '^(ok|note|problem): .+' <<<"$output"
}

@test "doctor: programs that are served" {
	run_x sivshmem doctor "$BUILD/tools/shmtool"
	has "ok: dynamic, for x86-64 and glibc"
	has "ok: shared memory by name: shm_open, in the program"
	hasnt problem
	findings
	run_x sivshmem doctor "$BUILD/tools/semtool"
	has "ok: named semaphores: sem_open"
	run_x sivshmem doctor ls
	has "note: "
	hasnt problem
	findings
}

@test "doctor: an interpreter, and a script of it" {
	requires python3
	local python
	python=$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')
	run_x sivshmem doctor "$python"
	hasnt problem
	findings
	printf '#!%s -u\n' "$python" >"$D/script"
	run_x sivshmem doctor "$D/script"
	has "note: a script; what follows is of its interpreter, $python"
	printf '#!/usr/bin/env -S sh\n' >"$D/script"
	run_x sivshmem doctor "$D/script"
	has "/sh"
	printf '#!/nonexistent/sh\n' >"$D/script"
	run_x 2 sivshmem doctor "$D/script"
	printf '#!\n' >"$D/script"
	run_x 2 sivshmem doctor "$D/script"
}

@test "doctor: static binaries, and those with more rights" {
	build static -static <<<'int main(void) { return 0; }'
	run_x 1 sivshmem doctor "$D/static"
	has "problem: it is a static binary"
	build pie -static-pie <<<'int main(void) { return 0; }'
	run_x 1 sivshmem doctor "$D/pie"
	has "problem: it is a static binary"
	cp "$BUILD/tools/shmtool" "$D/suid"
	chmod 4755 "$D/suid"
	run_x 1 sivshmem doctor "$D/suid"
	has "problem: it is set-user-ID"
	chmod 2755 "$D/suid"
	run_x 1 sivshmem doctor "$D/suid"
	has "problem: it is set-group-ID"
	chmod 755 "$D/suid"
	setcap cap_net_raw+ep "$D/suid" 2>/dev/null || return 0
	run_x 1 sivshmem doctor "$D/suid"
	has "problem: it has file capabilities"
}

@test "doctor: other machines, other C libraries, Go" {
	build other <<<'int main(void) { return 0; }'
	printf '\xb7' | dd of="$D/other" bs=1 seek=18 conv=notrunc status=none
	run_x 1 sivshmem doctor "$D/other"
	has "problem: it is not for x86-64"
	build musl -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1 <<<'int main(void) { return 0; }'
	run_x 1 sivshmem doctor "$D/musl"
	has "problem: its loader is /lib/ld-musl-x86_64.so.1, not glibc's"
	build go <<<'__attribute__((section(".note.go.buildid"))) int id = 1; int main(void) { return id; }'
	run_x 1 sivshmem doctor "$D/go"
	has "problem: it is a Go program"
}

@test "doctor: what escapes the shim is named" {
	build raw <<-'C'
		#include <dlfcn.h>
		#include <pthread.h>
		#include <sys/mman.h>
		#include <sys/socket.h>
		int main(int argc, char **argv)
		{
			pthread_mutexattr_t a;
			pthread_mutexattr_init(&a);
			pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
			pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
			__asm__ volatile ("syscall" : : "a"(39) : "rcx", "r11");
			if (argc > 9)
				dlopen(argv[1], RTLD_NOW | connect(0, (void *)argv, 0));
			return shm_open("/x", 0, 0) + shm_unlink("/dev/shm/x");
		}
	C
	run_x sivshmem doctor "$D/raw"
	has "note: 1 places in it may make raw system calls"
	has "note: dlopen, in the program"
	has "note: pthread_mutexattr_setprotocol, in the program"
	has "note: connect, in the program"
	has "ok: synchronisation between processes: pthread_mutexattr_setpshared"
	findings
}

@test "doctor: libraries are looked at, and those that meet over sockets" {
	build libpart.so.1 -shared -fPIC -Wl,-soname,libpart.so.1 <<<'#include <semaphore.h>
		void part(void) { sem_open("/x", 0); }'
	build user "$D/libpart.so.1" "-Wl,-rpath,\$ORIGIN" <<<'void part(void); int main(void) { part(); return 0; }'
	run_x sivshmem doctor "$D/user"
	has "ok: named semaphores: sem_open, in libpart.so.1"
	rm "$D/libpart.so.1"
	run_x sivshmem doctor "$D/user"
	has "note: libpart.so.1: not found"
	build libjack.so.0 -shared -fPIC -Wl,-soname,libjack.so.0 <<<'int jack(void) { return 0; }'
	build player "$D/libjack.so.0" "-Wl,-rpath,$D" <<<'int jack(void); int main(void) { return jack(); }'
	run_x 1 sivshmem doctor "$D/player"
	has "problem: libjack.so.0: its programs meet over sockets"
	build nothing <<<'int main(void) { return 0; }'
	run_x 1 sivshmem doctor "$D/nothing"
	has "problem: it calls nothing that opens shared memory"
}

@test "doctor: usage, and files that are no programs" {
	run_x 2 sivshmem doctor
	run_x 2 sivshmem doctor a b
	run_x 2 sivshmem doctor --frobnicate a
	run_x 2 sivshmem doctor /nonexistent
	run_x 2 sivshmem doctor no-such-program-anywhere
	run_x 2 sivshmem doctor /
	: >"$D/empty"
	run_x 2 sivshmem doctor "$D/empty"
	mkfifo "$D/fifo"
	run_x 2 sivshmem doctor "$D/fifo"
}

@test "doctor: a broken binary hurts nothing" {
	requires python3
	run_x python3 - "$BUILD/tools/shmtool" "$D/broken" <<'P'
import random, subprocess, sys
random.seed(5)
good = open(sys.argv[1], "rb").read()
for i in range(150):
    data = bytearray(good[:random.choice([len(good), random.randrange(len(good)), 4096, 64, 200])])
    for _ in range(random.choice([1, 4, 40])):
        at = random.randrange(min(len(data), random.choice([64, 900, len(data)])))
        data[at] = random.choice([0, 0xff, 0x7f, random.randrange(256)])
    tail = random.randrange(64 * 31)
    if i % 2:
        for at in range(max(0, len(data) - tail), len(data)):
            if random.random() < 0.05: data[at] = random.randrange(256)
    open(sys.argv[2], "wb").write(data)
    r = subprocess.run(["sivshmem", "doctor", sys.argv[2]], capture_output=True, timeout=20)
    assert r.returncode in (0, 1, 2), (i, r)
print("survived")
P
	has survived
}
