#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Members of an object in three VMs prove themselves to each other.

load helpers
load vmhelp

setup_file() { vm_world a b c; }
teardown_file() { vm_end; }
teardown() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 20 "$W"/out-*
	vm_note
}

# m VM SERVICE OBJECT WORDS...: membertool there, in the channel of all three
m() {
	local name=$1 service=$2
	shift 2
	"$VM" exec "$name" --dir "$W" --timeout 100 --user $U:$U \
		--env SIVSHMEM_IDENTITY="$F/$service" -- "$F/membertool" three "$@" 3>&-
}

# start OUT VM SERVICE OBJECT WORDS...: the same in the background
start() {
	local out=$W/out-$1
	shift
	: >"$out"
	{ m "$@" || true; echo ended; } >"$out" 2>&1 3>&- &
}
said() { grep -q "$2" "$W/out-$1"; }
key() { sed -n "s,^key t/$2 ,,p" "$W/out-$1"; }

@test "members: three in three VMs confirm each other and share a key in pairs" {
	start a a maker all create await t/peer 60000 await t/third 60000 key t/peer key t/third serve 20000
	wait_for 30 said a joined
	start b b peer all join await t/maker 60000 await t/third 60000 key t/maker key t/third serve 20000
	start c c third all join await t/maker 60000 await t/peer 60000 key t/maker key t/peer serve 20000
	local n
	for n in a b c; do wait_for 60 said $n '^key .*[0-9a-f]\{64\}$'; done
	for n in a b c; do wait_for 10 test "$(grep -c '^key' "$W/out-$n")" = 2; done
	[ "$(key a peer)" = "$(key b maker)" ]
	[ "$(key a third)" = "$(key c maker)" ]
	[ "$(key b third)" = "$(key c peer)" ]
	[ "$(cat "$W"/out-[abc] | sed -n 's/^key [^ ]* //p' | sort -u | wc -l)" = 3 ]
	said a 'await t/peer confirmed vm=b uid=1000 role=writer'
	said b 'await t/maker confirmed vm=a uid=1000 role=creator'
	said c 'await t/peer confirmed vm=b'
}

@test "members: who is not the expected one is not taken for it" {
	start wrong b peer pinned create serve 20000
	wait_for 30 said wrong joined
	run_x m a maker pinned join await t/third 3000 members
	has 'await ETIMEDOUT: nobody has joined '"'pinned'"' as t/third'
	has 'member t/peer confirmed'
	run_x 1 m b other pinned join
	has EACCES
}

@test "members: a late one, and the deaths of a process and of a VM, are told" {
	start watch a maker late create serve 90000
	wait_for 30 said watch joined
	start early b peer late join await t/maker 60000 serve 60000
	wait_for 60 said watch 'event t/peer confirmed vm=b'
	start late c third late join await t/maker 60000 await t/peer 60000 hold
	wait_for 60 said late 'await t/peer confirmed'
	wait_for 60 said watch 'event t/third confirmed vm=c'
	wait_for 60 said early 'event t/third confirmed vm=c'
	run_x kill_in b membertool
	wait_for 20 said watch 'event t/peer died vm=b'
	kill -9 "$(cat "$W/c.pid")"
	wait_for 20 said watch 'event t/third died vm=c'
}

@test "members: no kernel had anything to complain about" {
	no_splats a
	no_splats b
}
