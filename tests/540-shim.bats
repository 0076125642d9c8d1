#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The shim in a VM: what programs do to descriptors, threads and children.
#
#   VM a: t/maker: fdtool + shim --- control --- sivshmem-cad

load helpers
load vmhelp

setup_file() { vm_world a; }
teardown_file() { vm_end; }
teardown() { vm_note; }
fdt() { as a maker $F/fdtool "$@"; }

@test "vm shim: descriptors are the lowest, and survive what programs do to them" {
	run_x fdt lowest /m-fd
	run_x fdt closeall /m-fd 5
	run_x fdt cover /m-fd
	run_x fdt emfile /m-fd
}

@test "vm shim: threads, cancelled threads, signals" {
	run_x fdt threads /m-fd 8
	run_x fdt cancel /m-fd 10
	run_x fdt signals /m-fd 10
}

@test "vm shim: fork, fork amid threads, vfork" {
	run_x fdt fork /m-fd 5
	run_x fdt forkthreads /m-fd 10
	run_x fdt vfork /m-fd
}

@test "vm shim: hundreds of objects, one after the other and at a time" {
	run_x fdt loop /m-fd 600
	run_x fdt many /m-fd 150
}

@test "vm shim: check and status say how things are" {
	run_x as a maker $F/sivshmem check --connect /m-x /other
	has "/m-x -> channel main"
	has "/other -> not mapped"
	has "host      answers, from a VM"
	has "service t/maker, VM a, uid $U"
	run_x in_vm a $F/sivshmem status
	has "VM a, host answers"
	has "nothing is open"
}

@test "vm shim: no map, a broken map, another user's map" {
	run_x as a maker env SIVSHMEM_MAP=/nonexistent $F/shmtool fails EACCES open /m-x rwc , fails EACCES open /other rwc
	has "/nonexistent: No such file"
	run_x in_vm a sh -c "! ls /dev/shm | grep -e m-x -e other"
	# root does not go by a map that user $U can change
	run_x in_vm a env LD_PRELOAD=$F/libsivshmem-shim.so SIVSHMEM_MAP=$F/shim.conf \
		$F/shmtool fails EACCES open /m-x rwc
	has "owned by uid $U"
}

@test "vm shim: the kernel had nothing to complain about" { no_splats a; }
