#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Who is refused between VMs, and what the refused one and the audit log say.

load helpers
load vmhelp

setup_file() {
	vm_policy() {
		cat <<'P'
version = 1;
vms = ( { name = "a"; }, { name = "b"; } );
services = (
  { name = "t/maker";  vm = "a"; uid = 1000; },
  { name = "t/peer";   vm = "b"; uid = 1000; },
  { name = "t/reader"; vm = "b"; uid = 1000; },
  { name = "t/other";  vm = "b"; uid = 1000; }
);
channels = (
  { name = "main"; quota = "1M"; members = (
      { service = "t/maker";  rights = "rw,create"; },
      { service = "t/peer";   rights = "rw"; },
      { service = "t/reader"; rights = "ro"; } ); },
  { name = "private"; quota = "1M"; members = (
      { service = "t/maker"; rights = "rw,create"; } ); }
);
P
	}
	vm_files() {
		local s
		mkdir -p "$W/files"
		for s in maker peer reader other; do vm_issue "$s" "t/$s"; done
		vm_issue unknown t/unknown --vm b --uid 1000
		vm_issue expired t/peer --vm b --uid 1000 \
			--not-before 2020-01-01T00:00:00Z --not-after 2021-01-01T00:00:00Z
		vm_issue early t/peer --vm b --uid 1000 --not-before 2099-01-01T00:00:00Z \
			--not-after 2100-01-01T00:00:00Z
		vm_issue elsewhere t/peer --vm a --uid 1000
		vm_issue wronguid t/peer --vm b --uid 1001
		# another CA, which says the same of the same service
		sivshmem-ca --dir "$W/ca2" init --host testhost >/dev/null
		sivshmem-ca --dir "$W/ca2" issue t/peer --vm b --uid 1000 \
			--out "$W/files/otherca" >/dev/null
		# its certificate, but our root: so that the client gets as far as the host
		cp -r "$W/files/otherca" "$W/files/forged"
		cp "$W/files/peer/root.cert" "$W/files/forged/root.cert"
		printf 'map /m-* main\nmap /private-* private\nmap /nowhere* nosuch\n' \
			>"$W/files/shim.conf"
		cp "$BUILD/sivshmem" "$BUILD/libsivshmem-shim.so" "$BUILD"/tools/* \
			"$TOP/tests/attack/root.py" "$W/files/"
	}
	vm_world a b
	a open /m-x rwcx , truncate 4096 , map rw , write 0 secret
}
teardown_file() { vm_end; }
teardown() { vm_note; }

# rogue VM VERB...: the rule-breaker, as an ordinary user
rogue() {
	local name=$1
	shift
	"$VM" exec "$name" --dir "$W" --user $U:$U -- $F/rogue /dev/sivshmem "$@" 3>&-
}

# refused BUNDLE REASON: EACCES, a line on stderr, and the reason in the audit log
refused() {
	run_x tool b "$1" fails EACCES open /m-x r
	has "sivshmem: "
	audit "$W" ".result == \"refused\"" | tail -1 | tee /dev/stderr | grep -qi "$2"
}

@test "refusal: the peer gets in, so the others' refusals mean something" {
	run_x b open /m-x rw , map r , read 0 6
	has "read secret"
}

@test "refusal: a service with no part in the channel" {
	refused other 'member'
	hasnt "secret"
}

@test "refusal: a service that the policy does not know" { refused unknown 'unknown service'; }

@test "refusal: an expired certificate, and one not yet valid" {
	refused expired 'expired'
	# the library compares it with the host's signed clock before it goes on
	run_x tool b early fails EACCES open /m-x r
	has "not valid yet"
}

@test "refusal: a guest's clock decides nothing" {
	local now
	for now in 1990-01-01 2020-06-01 2099-06-01; do
		in_vm b date -s "$now 00:00:00" >/dev/null
		run_x b open /m-x rw
		refused expired 'expired'
		run_x tool b early fails EACCES open /m-x r
		has "not valid yet"
	done
	in_vm b date -s "@$(date +%s)" >/dev/null
}

@test "refusal: a certificate bound to another VM" { refused elsewhere 'VM'; }

@test "refusal: a certificate bound to another uid" { refused wronguid 'uid'; }

@test "refusal: a certificate of another CA, by us and by the host" {
	# the library sees it first
	run_x tool b forged fails EACCES open /m-x r
	has "issued by another CA"
	# a client that does not look is refused by the host
	run_x rogue b auth $F/forged
	has "verdict: refused"
	audit "$W" '.event == "auth"' | tail -1 | grep -q 'another CA'
}

@test "hostile: a process that breaks the rules gets nothing, and others still get in" {
	run_x rogue b garbage 40
	run_x rogue b order
	run_x rogue b ioctl 4000
	run_x rogue b inherit
	run_x b open /m-x r , map r , read 0 6
	has "read secret"
	audit "$W" '.result == "refused"' | grep -q malformed
}

@test "hostile: half handshakes do not keep others out" {
	rogue b stall 300 15 >/dev/null 2>&1 3>&- &
	local p=$!
	sleep 3
	run_x a open /m-x r , map r , read 0 6
	has "read secret"
	kill "$p" 2>/dev/null || true
}

@test "refusal: a bundle of another CA does not trust this host" {
	run_x tool b otherca fails EACCES open /m-x r
	has "sivshmem: "
}

@test "refusal: a channel that the policy does not have" {
	run_x b fails EACCES open /nowhere1 rw
	has "sivshmem: "
}

@test "refusal: a read-only member that asks to write" {
	run_x ro fails EACCES open /m-x rw
	run_x ro open /m-x r , map r , read 0 6 , fails EACCES map rw , \
		fails EACCES mprotect , fails EACCES reopen rw , fails EBADF pwrite 0 x , \
		map r , fault w 0
	has "read secret"
	has "fault SIGSEGV"
}

# The same attempts by one who may write show that they are attempts.
@test "hostile: nothing turns a read-only grant into more" {
	run_x as b reader $F/upgrade /m-x r
	has "tried 34"
	hasnt "through"
	run_x as b peer $F/upgrade /m-x rw
	local way
	for way in pwrite mmap mprotect reopen proc-mem vm_writev ptrace sendfile splice io_uring \
		uring-open aio read-into pkey; do
		has "through $way"
	done
	hasnt "through execution"
	run_x a open /m-x r , map r , read 0 6 , stat
	has "read secret"
	has "size 4096 regular"
}

@test "refusal: creating, unlinking and resizing without the right" {
	run_x b fails EACCES open /m-mine rwc , fails EACCES unlink /m-x , \
		open /m-x rw , fails EACCES truncate 8192
	run_x a open /m-x r , stat
	has "size 4096 regular"
}

@test "refusal: root in the guest with no key of its own gets nothing" {
	run_x in_vm b sh -c "echo 'map /m-* main' >/tmp/root.conf
		LD_PRELOAD=$F/libsivshmem-shim.so SIVSHMEM_MAP=/tmp/root.conf \
		SIVSHMEM_IDENTITY=/nonexistent $F/shmtool fails EACCES open /m-x r"
	has "/nonexistent"
}

# What gets through without the module, or is stopped by lockdown: 537-lockdown.bats
@test "refusal: root in the guest does not reach the devices' memory, nor give them away" {
	a open /m-x rw , map rw , write 0 secret , sleep 12 , read 0 6 \
		>"$BATS_TEST_TMPDIR/mapped" 2>&1 3>&- &
	local p=$!
	run_x in_vm a $F/root.py
	# the control device, the links of main and of private
	[ "$(grep -c '^refused resource2 ' <<<"$output")" = 3 ]
	[ "$(grep -c '^refused mem2 ' <<<"$output")" = 3 ]
	# a BAR can be moved by root of a kernel that is not locked down, and is not mapped then
	[ "$(grep '^through' <<<"$output" | sort -u)" = "through config" ]
	run_x 1 in_vm a rmmod sivshmem
	wait "$p"
	grep -q 'read secret' "$BATS_TEST_TMPDIR/mapped"
}

@test "refusal: a VM is no member of another VM's channel, so has no link to it" {
	run_x sivshmem-ca --dir "$W/ca" qemu-args b --run-dir "$W/run" --json
	local b_links
	b_links=$(jq '[.[] | select(startswith("ivshmem-doorbell"))] | length' <<<"$output")
	run_x sivshmem-ca --dir "$W/ca" qemu-args a --run-dir "$W/run" --json
	[ "$(jq '[.[] | select(startswith("ivshmem-doorbell"))] | length' <<<"$output")" -eq $((b_links + 1)) ]
}

@test "audit: one line per decision names VM, service, uid, pid, right and serial" {
	local line
	line=$(audit "$W" '.event == "open" and .result == "granted" and .service == "t/peer"' | tail -1)
	echo "$line"
	jq -e '.vm == "b" and .uid == 1000 and .pid > 0 and .channel == "main"
		and .object == "m-x" and (.rights | test("rw")) and .serial != null' <<<"$line"
	# every line is JSON
	jq -e . "$W/audit.jsonl" >/dev/null
}

@test "refusal: neither kernel had anything to complain about" {
	no_splats a
	no_splats b
}
