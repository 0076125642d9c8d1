#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The shim and the map file where no daemon is needed.

load helpers

setup() {
	D=$(mktemp -d)
	printf 'map /m-* main\n' >"$D/map"
}
teardown() {
	rm -rf "$D"
	rm -f ${SUID:+"$SUID"} ${SUID_LIB:+"$SUID_LIB"}
}

# under the shim, with $D/map
shimmed() {
	run_x "${@:1:1}" env LD_PRELOAD="$SHIM" \
		SIVSHMEM_MAP="$D/map" SIVSHMEM_IDENTITY="$D/id" \
		SIVSHMEM_TRANSPORT="unix:$D/local.sock" "${@:2}"
}

# bad_map TEXT MESSAGE: refused with that line, for a name it does not map too
bad_map() {
	printf "%b" "$1" >"$D/map"
	shimmed 0 shmtool fails EACCES open /sivshmem-other rwc
	has "$2"
	has "all shared memory is refused"
	[ ! -e /dev/shm/sivshmem-other ]
	run_x 1 sivshmem check --map "$D/map"
	has "$2"
}

@test "shim: exports what the list says, and nothing else" {
	run_x nm -D --defined-only --format=posix "$BUILD/libsivshmem-shim.so"
	diff <(cut -d' ' -f1 <<<"$output" | grep -v '^GLIBC_' | sed 's/@.*//' | LC_ALL=C sort -u) \
		"$TOP/tests/shim/exports.txt"
	# the two layouts of condition variables, each for the programs that have it
	[ "$(grep -c '^pthread_cond_[a-z]*@@GLIBC_2.3.2 ' <<<"$output")" -eq 6 ]
	[ "$(grep -c '^pthread_cond_[a-z]*@GLIBC_2.2.5 ' <<<"$output")" -eq 6 ]
	run_x nm -D --defined-only --format=posix "$BUILD/libsivshmem.so.0"
	diff <(cut -d' ' -f1 <<<"$output" | grep -v '^SIVSHMEM_0$' | sed 's/@.*//' | sort) \
		"$TOP/tests/shim/exports-lib.txt"
}

@test "shim: its core calls no function that it takes over" {
	local f bad=0
	# the library's own paths are never objects, and pass while it is at work
	local own='open|access|unlink'
	# nor is memory of its own in a channel, or, as a semaphore's, it should be known
	local memory='mmap|munmap|syscall|sem_init|pthread_mutex_(init|lock|unlock)'
	while read -r f; do
		[[ $f == */cli/* ]] && continue
		if nm -u "$f" | awk '{print $2}' | grep -vxE "$memory|$([[ $f == */lib/* ]] && echo "$own")" |
			grep -Fxf "$TOP/tests/shim/exports.txt"; then
			echo "^ called by $f"
			bad=1
		fi
	done < <(find "$BUILD/obj/shim" -name '*.o')
	[ "$(find "$BUILD/obj/shim" -name '*.o' | wc -l)" -gt 10 ]
	[ $bad -eq 0 ]
	# the function names are also not reached by a stray 64-bit alias
	! grep -nE '_FILE_OFFSET_BITS' -r "$TOP/shim"
}

@test "shim: no map at all: everything is local, and one line says so" {
	[ ! -e /etc/sivshmem/shim.conf ] || skip "this system has a map"
	run_x env LD_PRELOAD="$SHIM" shmtool \
		open /sivshmem-t$$ rwcx , truncate 100 , stat , unlink /sivshmem-t$$
	has "size 100 regular"
	[ "$(grep -c '^sivshmem: ' <<<"$output")" -eq 1 ]
	has "shared memory stays local"
}

@test "shim: names that no pattern matches behave as without it" {
	local script=(fails EINVAL open / rw ',' fails EINVAL open /a/b rw ',' fails EINVAL open '' rw
		',' fails ENOENT unlink /m-x/y
		',' fails EINVAL open "$(printf "%0300d" 0)" rw ',' fails ENOENT open /sivshmem-none r
		',' open sivshmem-n$$ rwcx 640 ',' truncate 5000 ',' stat ',' fallocate 9000 ',' stat
		',' fails EEXIST open ///sivshmem-n$$ rwcx ',' pwrite 4999 ab ',' pread 4998 4 ',' map rw
		',' write 0 hello ',' read 0 5 ',' open /sivshmem-n$$ rwt ',' stat ',' unlink sivshmem-n$$
		',' fails ENOENT unlink sivshmem-n$$)
	run_x shmtool "${script[@]}"
	local without=$output
	shimmed 0 shmtool "${script[@]}"
	[ "$output" = "$without" ]
}

@test "shim: mapped names that no channel can have" {
	shimmed 0 shmtool fails ENAMETOOLONG open "/m-$(printf '%062d' 0)" rwc
	printf 'map * main\n' >"$D/map"
	shimmed 0 shmtool fails EINVAL open /.. rw , fails EINVAL open . rw
}

@test "shim: daemon not running: EHOSTDOWN, one line, and nothing local" {
	sivshmem-ca --dir "$D/ca" init --host testhost >/dev/null
	sivshmem-ca --dir "$D/ca" issue t/maker --out "$D/id" >/dev/null 2>&1
	shimmed 0 shmtool fails EHOSTDOWN open /m-x rwc , fails EHOSTDOWN open m-x rwc , fails EHOSTDOWN unlink /m-x
	has "sivshmem: shm_open(\"/m-x\"): Host is down: $D/local.sock: the daemon does not run there"
	[ ! -e /dev/shm/m-x ]
	run_x 3 env SIVSHMEM_MAP="$D/map" SIVSHMEM_IDENTITY="$D/id" \
		SIVSHMEM_TRANSPORT="unix:$D/local.sock" sivshmem check --connect
	has "start sivshmem-cad"
}

@test "shim: a program that retries is told once" {
	sivshmem-ca --dir "$D/ca" init --host testhost >/dev/null
	sivshmem-ca --dir "$D/ca" issue t/maker --out "$D/id" >/dev/null 2>&1
	shimmed 0 shmtool fails EHOSTDOWN open /m-x r , fails EHOSTDOWN open /m-x r , fails EHOSTDOWN open /m-x r
	[ "$(grep -c '^sivshmem: ' <<<"$output")" -eq 1 ]
}

@test "shim: module not loaded" {
	[ ! -e /dev/sivshmem ] || skip "it is loaded"
	sivshmem-ca --dir "$D/ca" init --host testhost >/dev/null
	sivshmem-ca --dir "$D/ca" issue t/maker --out "$D/id" >/dev/null 2>&1
	run_x env LD_PRELOAD="$SHIM" SIVSHMEM_MAP="$D/map" \
		SIVSHMEM_IDENTITY="$D/id" SIVSHMEM_TRANSPORT=dev shmtool fails EHOSTDOWN open /m-x r
	has "sivshmem.ko"
}

@test "shim: identity that can't be used: EACCES, and the file is named" {
	shimmed 0 shmtool fails EACCES open /m-x r
	has "$D/id/service.key: cannot open"
	sivshmem-ca --dir "$D/ca" init --host testhost >/dev/null
	sivshmem-ca --dir "$D/ca" issue t/maker --out "$D/id" >/dev/null 2>&1
	chmod 640 "$D/id/service.key"
	shimmed 0 shmtool fails EACCES open /m-x r
	has "chmod 600"
}

# false_host KIND: what listens on the socket is no daemon
false_host() {
	python3 - "$D/local.sock" "$1" 3>&- <<'P' &
import array, os, socket, struct, sys, time
path, kind = sys.argv[1:]
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(path)
s.listen(8)
end = time.time() + 30
def answer(message):
    try: c.send(message)
    except OSError: pass        # who asked has gone
while time.time() < end:
    c, _ = s.accept()
    hello = c.recv(4096)
    if not hello: continue
    assert len(hello) == 48
    if kind == "silent": time.sleep(30)
    elif kind == "hangup": c.close()
    elif kind == "random": answer(os.urandom(792))
    elif kind == "shaped": answer(struct.pack("<HHIHHI", 2, 0, 784, 1, 0, 1) + os.urandom(776))
    elif kind == "zerokey": answer(struct.pack("<HHIHHI", 2, 0, 784, 1, 0, 1) + bytes(24 + 32) + os.urandom(720))
    elif kind == "big": answer(bytes(9000))
    elif kind == "abort": answer(struct.pack("<HHIII", 7, 0, 8, 1, 0))
    elif kind == "version": answer(struct.pack("<HHIII", 7, 0, 8, 3, 0))
    elif kind == "busy": answer(struct.pack("<HHIII", 7, 0, 8, 2, 0)); c.close()
    elif kind == "fds":
        fds = array.array("i", [0] * 3)
        for i in range(40):
            try: c.sendmsg([struct.pack("<HHIQ", 8, 0, 8, i)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
            except OSError: break
        c.close()
P
	FAKE=$!
	wait_for 10 test -S "$D/local.sock"
}

@test "shim: a host that is none: refused or down, in bounded time, nothing local" {
	requires python3
	sivshmem-ca --dir "$D/ca" init --host testhost >/dev/null
	sivshmem-ca --dir "$D/ca" issue t/maker --out "$D/id" >/dev/null 2>&1
	local kind want
	for kind in hangup:EHOSTDOWN random:EACCES shaped:EACCES zerokey:EACCES big:EACCES \
		abort:EACCES version:EACCES fds:EHOSTDOWN busy:EHOSTDOWN silent:EHOSTDOWN; do
		want=${kind#*:}
		echo "kind $kind"
		false_host "${kind%:*}"
		SECONDS=0
		shimmed 0 shmtool fails "$want" open /m-x rwc , fails ENOENT open /sivshmem-none r
		[ $SECONDS -le 12 ]
		has "sivshmem: shm_open"
		[ ! -e /dev/shm/m-x ]
		kill $FAKE
		rm "$D/local.sock"
	done
}

@test "map: errors name file, line and value, and deny everything" {
	bad_map 'map /a one\nmpa /b two\n' "$D/map:2: expected identity, transport, host or map, got 'mpa'"
	bad_map 'map /a\n' "$D/map:1: a value is missing after the last word, got '/a'"
	bad_map 'identity /a two\n' "$D/map:1: one word too many, got 'two'"
	bad_map 'map /a one two\n' "$D/map:1: expected identity=, name=, readonly, unlink=, wait= or peer= here, got 'two'"
	bad_map 'map /a one readonly=1\n' "readonly, unlink=, wait= or peer= here, got 'readonly=1'"
	bad_map 'map /a one wait\n' "unlink=, wait= or peer= here, got 'wait'"
	bad_map 'map /a one wait=1 readonly wait=2\n' "the option was given before; keep one of them, got 'wait=2'"
	bad_map 'map /a one wait=\n' "$D/map:1: wait= is a number of seconds, at most 3600, got ''"
	bad_map 'map /a one wait=-1\n' "at most 3600, got '-1'"
	bad_map 'map /a one wait=3601\n' "at most 3600, got '3601'"
	bad_map 'map /a one wait=99999999999999999999\n' "at most 3600, got '99999999999999999999'"
	bad_map 'map /a one unlink=never\n' "unlink= is yes, no or creator, got 'never'"
	bad_map 'map /a one identity=id\n' "identity= wants an absolute path of a directory, got 'id'"
	bad_map 'map /a* one name=b\n' "name= wants a pattern without wildcards before it, got '/a*'"
	bad_map 'map * one name=b\n' "name= wants a pattern without wildcards before it, got '*'"
	bad_map 'map /a one name=b/c\n' "name= wants an object's name, 1 to 63 bytes without slash, got 'b/c'"
	bad_map 'map /a one name=..\n' "1 to 63 bytes without slash, got '..'"
	bad_map 'map /a one name=\n' "1 to 63 bytes without slash, got ''"
	bad_map 'map /a one 1 2 3 4 5 6 7 8 9 10\n' "too many words, got '10'"
	bad_map 'map a* one\n' "$D/map:1: a pattern starts with '/' or '*', as in /name*, got 'a*'"
	bad_map 'map /a/b one\n' "this pattern matches none, got '/a/b'"
	bad_map 'map /a ../b\n' "$D/map:1: not the name of a channel, got '../b'"
	bad_map 'transport carrier-pigeon\n' "$D/map:1: transport is auto, dev or unix:/PATH, got 'carrier-pigeon'"
	bad_map 'identity id\n' "$D/map:1: identity wants an absolute path of a directory, got 'id'"
	bad_map 'host a\n\nhost b\n' "$D/map:3: the word was given before; keep one of them, got 'b'"
	bad_map 'map /a one\0two\n' "$D/map:1: a zero byte in the line"
	bad_map 'map /a \001\n' "$D/map:1: a control character in the line"
}

@test "map: one that is not there, or that others may write, denies everything" {
	rm "$D/map"
	shimmed 0 shmtool fails EACCES open /m-x rwc , fails EACCES open /sivshmem-other rwc
	has "$D/map: No such file or directory"
	printf 'map /m-* main\n' >"$D/map"
	chmod 666 "$D/map"
	shimmed 0 shmtool fails EACCES open /m-x rwc , fails EACCES unlink /sivshmem-other
	has "others may write it, got mode 0666"
	rm "$D/map"
	mkfifo "$D/map"
	shimmed 0 shmtool fails EACCES open /m-x rwc
	has "not a regular file"
}

@test "map: of another user denies everything" {
	requires root
	chown 12345 "$D/map"
	shimmed 0 shmtool fails EACCES open /m-x rwc
	has "owned by uid 12345"
}

@test "map: the first line that matches wins, comments and blanks do not matter" {
	printf '# a comment\n\n  map   /m-special\tone # mine\nmap /m-* two\nmap * three' >"$D/map"
	sivshmem-ca --dir "$D/ca" init --host testhost >/dev/null
	sivshmem-ca --dir "$D/ca" issue t/maker --out "$D/id" >/dev/null 2>&1
	run_x sivshmem check --map "$D/map" --identity "$D/id" /m-special m-special //m-other /x
	has "name      /m-special -> channel one, object m-special ($D/map:3)"
	has "name      /m-other -> channel two, object m-other ($D/map:4)"
	has "name      /x -> channel three, object x ($D/map:5)"
	has "service t/maker"
	[ "$(grep -c 'channel one, object' <<<"$output")" -eq 2 ]
}

@test "map: the environment is ignored in a program with more rights" {
	requires root
	# a set-user-ID copy, and the shim where the loader takes it from then
	SUID=/usr/local/bin/sivshmem-suid$$
	SUID_LIB=$(ldd "$BUILD/tools/shmtool" | awk '/libc\.so/ { print $3 }')
	SUID_LIB=${SUID_LIB%/*}/libsivshmem-shim-test$$.so
	install -m 4755 "$BUILD/libsivshmem-shim.so" "$SUID_LIB"
	install -m 4755 "$BUILD/tools/shmtool" "$SUID"
	printf 'map * x y z\n' >"$D/map"
	chmod 755 "$D"
	run timeout 10 setpriv --reuid 65534 --regid 65534 --clear-groups env \
		LD_PRELOAD="${SUID_LIB##*/}" SIVSHMEM_MAP="$D/map" SIVSHMEM_DEBUG=all \
		"$SUID" fails ENOENT open /sivshmem-none$$ r
	echo "$status: $output"
	[ "$status" -eq 0 ]
	has "SIVSHMEM_MAP not set"
	hasnt "$D/map"
}

@test "shim: LD_PRELOAD that is there stays, and the shim comes behind" {
	# of a sanitized build the runtime is that, and stays first
	local own=${SHIM%"$BUILD/libsivshmem-shim.so"}/lib/x86_64-linux-gnu/libm.so.6
	run_x env LD_PRELOAD="$own" sivshmem run --map "$D/map" -- env
	has "LD_PRELOAD=$own:$BUILD/libsivshmem-shim.so"
	has "SIVSHMEM_MAP=$D/map"
}

@test "cli: usage errors are 2, a program that is not there is 3" {
	run_x 2 sivshmem
	run_x 2 sivshmem frobnicate
	run_x 2 sivshmem run
	run_x 2 sivshmem status extra
	run_x 3 sivshmem run -- /nonexistent/program
	run_x 3 sivshmem run --map /nonexistent/map -- true
	run_x 3 sivshmem status --run-dir "$D"
	has "start sivshmem-cad"
	run_x 7 sivshmem run -- sh -c 'exit 7'
	run_x sivshmem run --help
	run_x sivshmem --version
}
