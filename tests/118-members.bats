#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Members of an object prove themselves to each other, in local mode.

load helpers

setup_file() {
	D=$(mktemp -d)
	export D
	ca_scratch "$D" <<'P'
version = 1;
services = (
  { name = "t/maker";  vm = "host"; },
  { name = "t/peer";   vm = "host"; },
  { name = "t/reader"; vm = "host"; },
  { name = "t/other";  vm = "host"; }
);
channels = (
  { name = "main"; quota = "8M"; objects = 600; members = (
      { service = "t/maker";  rights = "rw,create"; },
      { service = "t/peer";   rights = "rw,create"; },
      { service = "t/other";  rights = "rw,create"; },
      { service = "t/reader"; rights = "ro"; } ); }
);
P
	local s
	mkdir "$D/id"
	for s in maker peer reader other; do
		sivshmem-ca --dir "$D/ca" issue t/$s --out "$D/id/$s" >/dev/null 2>&1
	done
	start_cad "$D"
}
teardown_file() {
	stop_cad "$D"
	rm -rf "$D"
}
teardown() { [ -n "${BATS_TEST_COMPLETED:-}" ] || tail -n 5 "$D/audit.jsonl" "$D/cad.log" "$D"/out-*; }

# m SERVICE OBJECT WORDS...: membertool
m() {
	local service=$1
	shift
	SIVSHMEM_IDENTITY=$D/id/$service SIVSHMEM_TRANSPORT=unix:$D/run/local.sock \
		timeout 30 membertool main "$@" 3>&-
}

# start OUT SERVICE OBJECT WORDS...: in the background; its pid is $PID
start() {
	local out=$D/out-$1
	shift
	: >"$out"		# what the last of that name said does not count
	SIVSHMEM_IDENTITY=$D/id/$1 SIVSHMEM_TRANSPORT=unix:$D/run/local.sock \
		timeout 30 membertool main "${@:2}" >>"$out" 2>&1 3>&- &
	PID=$!
}
said() { grep -q "$2" "$D/out-$1"; }

@test "members: two confirm each other and share a key that a third does not have" {
	start a maker pair create await t/peer 10000 key t/peer serve 9000
	wait_for 5 said a joined
	start b peer pair join await t/maker 10000 key t/maker serve 9000
	wait_for 5 said a '^key t/peer [0-9a-f]\{64\}$'
	wait_for 5 said b '^key t/maker [0-9a-f]\{64\}$'
	[ "$(sed -n 's/^key [^ ]* //p' "$D/out-a")" = "$(sed -n 's/^key [^ ]* //p' "$D/out-b")" ]
	said a 'await t/peer confirmed vm=host uid='$UID' role=writer'
	said b 'await t/maker confirmed vm=host uid='$UID' role=creator'
	run_x m reader pair read await t/maker 5000 key t/maker await t/peer 5000 members \
		sleep 1000
	has 'members 2'
	has 'await t/maker confirmed'
	hasnt "$(sed -n 's/^key [^ ]* //p' "$D/out-a")"
	wait_for 5 said a 'event t/reader confirmed .*role=reader'
	wait_for 5 said a 'event t/reader died'
}

@test "members: one that only opens is no member, one that does not answer is not confirmed" {
	run_x m maker alone create await t/peer 300
	has 'await ETIMEDOUT: nobody has joined'
	start mute maker mute create hold
	wait_for 5 said mute joined
	run_x m peer mute join await t/maker 500 key t/maker members
	has "await ETIMEDOUT: t/maker"
	has "certified, but did not confirm itself"
	has 'key t/maker ENOENT'
	has 'member t/maker verified'
	kill $PID
}

@test "members: joining, leaving and dying are told, with who it was" {
	start watch maker events create serve 20000
	wait_for 5 said watch joined
	run_x m peer events join await t/maker 5000 sleep 1000 leave
	wait_for 5 said watch 'event t/peer confirmed'
	wait_for 5 said watch 'event t/peer left'
	start victim other events join await t/maker 5000 hold
	wait_for 5 said watch 'event t/other confirmed'
	# shellcheck disable=SC2046
	kill -9 $(children $PID)
	wait_for 5 said watch 'event t/other died'
	# the one who comes now sees nobody but the living
	run_x m reader events read await t/maker 5000 members
	has 'members 1'
}

@test "members: a forked child is none" {
	start a maker child create serve 4000
	wait_for 5 said a joined
	run_x m peer child join await t/maker 5000 fork members
	has 'child key EPERM'
	has 'child members ESTALE'
	has 'member t/maker confirmed'
}

@test "members: the audit log knows who joined" {
	audit "$D" '.event == "join" and .object == "pair"' | grep -c '"service":"t/' | grep -qx 3
}

@test "members: one service leaves room for the others" {
	local i n all=()
	start holder maker crowd create serve 20000
	all+=("$PID")
	wait_for 5 said holder joined
	for i in $(seq 40); do
		start "crowd$i" reader crowd read sleep 9000
		all+=("$PID")
	done
	tried() { [ "$(grep -lE 'joined|ENOSPC' "$D"/out-crowd* | wc -l)" -eq 40 ]; }
	wait_for 20 tried
	n=$(grep -lx joined "$D"/out-crowd* | wc -l)
	[ "$n" -eq 32 ]
	run_x m peer crowd join await t/maker 5000
	has joined
	kill "${all[@]}"
	wait "${all[@]}" || true
}
