#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The paths of 111-names.bats with the creator in one VM and who sees them in another.

load helpers
load vmhelp
load paths

setup_file() {
	vm_world a b
	in_vm b sh -c "echo version >/tmp/plain; chown -R $U:$U /tmp/plain; chmod 1777 /tmp"
}
teardown_file() { vm_end; }
setup() { S=/tmp ELSEWHERE=/dev/shm/nc-t WIDER=0; }
teardown() { vm_note; }

t() { a "$@"; }
p() { as b peer "$F/pathtool" "$@"; }
reader() { as b reader "$F/pathtool" "$@"; }
sh_() { as b peer "$@"; }
bare() { in_vm b "$@"; }

@test "paths: open, stat and unlink see the object, by every function" { paths_seen; }
@test "paths: slashes and dots in between do not matter" { paths_slashes; }
@test "paths: creating, and what is written is read by shm_open" { paths_written; }
@test "paths: directories, path descriptors, nameless files" { paths_kinds; }
@test "paths: access, by the rights of the service" { paths_access; }
@test "paths: truncate, chmod, rename" { paths_changed; }
@test "paths: a shell writes over what it wrote, without a tail" { paths_shell; }
