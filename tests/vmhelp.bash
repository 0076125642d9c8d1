# SPDX-License-Identifier: MIT
# Two-VM scenarios: one daemon, guests on it, programs in the guests.
# A Bats file calls `vm_world` in setup_file and `vm_end` in teardown_file;
# $W is its scratch directory, kept when a test of the file failed.

: "${SIVSHMEM_KERNEL:=6.1}"
VM=$TOP/tests/vm/vm
F=/run/sivshmem-vm		# where a guest finds the files
U=1000				# the uid that programs run as there

# vm_services: the head of each file's policy
vm_services() {
	cat <<'P'
version = 1;
vms = ( { name = "a"; }, { name = "b"; }, { name = "c"; } );
services = (
  { name = "t/maker";  vm = "a"; uid = 1000; },
  { name = "t/peer";   vm = "b"; uid = 1000; },
  { name = "t/reader"; vm = "b"; uid = 1000; },
  { name = "t/other";  vm = "b"; uid = 1000; },
  { name = "t/third";  vm = "c"; uid = 1000; }
);
P
}

vm_policy() {
	vm_services
	cat <<'P'
channels = (
  { name = "main"; quota = "8M"; objects = 200; members = (
      { service = "t/maker";  rights = "rw,create"; },
      { service = "t/peer";   rights = "rw,create"; },
      { service = "t/reader"; rights = "ro"; } ); },
  { name = "nocreate"; quota = "1M"; members = (
      { service = "t/maker";  rights = "rw,create"; },
      { service = "t/peer";   rights = "rw"; } ); },
  { name = "big"; quota = "64M"; members = (
      { service = "t/maker";  rights = "rw,create"; },
      { service = "t/peer";   rights = "rw,create"; } ); },
  { name = "private"; quota = "1M"; members = (
      { service = "t/maker";  rights = "rw,create"; } ); },
  { name = "three"; quota = "1M"; members = (
      { service = "t/maker";  rights = "rw,create"; },
      { service = "t/peer";   rights = "rw,create"; },
      { service = "t/third";  rights = "rw,create"; } ); }
);
P
}

# vm_issue NAME SERVICE OPTION...: a bundle in $W/files/NAME
vm_issue() {
	local name=$1
	shift
	sivshmem-ca --dir "$W/ca" issue "$@" --out "$W/files/$name" >/dev/null
}

# vm_files: what every guest gets, and $VM_FILES
vm_files() {
	mkdir -p "$W/files/examples"
	cp -r "$TOP/examples/python" "$TOP/examples/node" "$W/files/examples/"
	local s
	for s in maker peer reader other third; do vm_issue "$s" "t/$s"; done
	! declare -F vm_more >/dev/null || vm_more	# bundles that a Bats file wants
	cat >"$W/files/shim.conf" <<'C'
map /m-*       main
map /ro-*      main readonly
map /nc-*      nocreate
map /big-*     big
map /private-* private
map /psm_*     main
map /t3-*      three
map /nowhere*  nosuchchannel
C
	cp "$BUILD/sivshmem" "$BUILD/libsivshmem-shim.so" "$BUILD"/tools/* \
		"$TOP"/examples/python/*.py "$TOP"/tests/shim/*.py ${VM_FILES:+"$VM_FILES"} "$W/files/"
}

# vm_boot NAME [OPTION...]: boot a guest on the daemon; $VM_QEMU has devices of others
vm_boot() {
	local name=$1
	shift
	local -a qemu
	mapfile -t qemu < <(sivshmem-ca --dir "$W/ca" qemu-args "$name" \
		--run-dir "$W/run" --json | jq -r '.[]')
	# shellcheck disable=SC2206
	qemu+=(${VM_QEMU:-})
	chown -R $U:$U "$W/files"
	timeout $((${SIVSHMEM_BOOT:-90} + 30)) "$VM" start "$name" --dir "$W" --kernel "$SIVSHMEM_KERNEL" \
		--files "$W/files" --module "$BUILD/kmod-$SIVSHMEM_KERNEL/sivshmem.ko" \
		"$@" -- "${qemu[@]}" 3>&-
}

# vm_world VM...: CA, policy, daemon, and these guests, booted side by side
vm_world() {
	W=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-vm.XXXXXX")
	export W
	vm_policy | ca_scratch "$W"
	vm_files
	start_cad "$W"
	local name
	local -a jobs=()
	for name in "$@"; do
		vm_boot "$name" >"$W/boot-$name" 2>&1 &
		jobs+=($!)
	done
	for name in "${jobs[@]}"; do
		wait "$name" || { cat "$W"/boot-*; return 1; }
	done
}

# called from teardown(): a failed test keeps the world's files
vm_note() { [ -n "${BATS_TEST_COMPLETED:-}" ] || touch "$W/failed"; }

vm_end() {
	[ -n "${W:-}" ] || return 0
	"$VM" stop-all --dir "$W" 3>&- || true
	stop_cad "$W"
	if [ -e "$W/failed" ]; then
		echo "# logs are kept in $W" >&3
	else
		rm -rf "$W"
	fi
}

# in VM COMMAND...: as root there, no shim
in_vm() {
	local name=$1
	shift
	"$VM" exec "$name" --dir "$W" --timeout $((50 * PATIENCE)) -- "$@" 3>&-
}

# kill_in VM PROGRAM: each process there that runs it
kill_in() { in_vm "$1" sh -c "kill -KILL \$(pidof $2)"; }

# as VM SERVICE COMMAND...: under the shim, as uid $U
as() {
	local name=$1 service=$2
	shift 2
	"$VM" exec "$name" --dir "$W" --timeout $((50 * PATIENCE)) --user $U:$U \
		--env SIVSHMEM_IDENTITY="$F/$service" --env SIVSHMEM_MAP="$F/shim.conf" \
		--env LD_PRELOAD="$F/libsivshmem-shim.so" -- "$@" 3>&-
}

# tool VM SERVICE WORDS...: shmtool there
tool() {
	local name=$1 service=$2
	shift 2
	as "$name" "$service" "$F/shmtool" "$@"
}

# w VM SERVICE WORDS...: waittool there, on objects of main
w() {
	local name=$1 service=$2
	shift 2
	"$VM" exec "$name" --dir "$W" --timeout "${W_TIMEOUT:-$((50 * PATIENCE))}" --user $U:$U \
		--env SIVSHMEM_IDENTITY="$F/$service" -- "$F/waittool" main "$@" 3>&-
}

# bg OUT COMMAND...: in the background; what it says is in $BATS_TEST_TMPDIR/OUT
bg() {
	local out=$BATS_TEST_TMPDIR/$1
	shift
	: >"$out"
	"$@" >"$out" 2>&1 3>&- &
}

# the daemon, asked
ca() { sivshmem-ca --dir "$W/ca" "$@"; }
status() { ca status --run-dir "$W/run" --json; }
no_sessions() { [ "$(status | jq '.sessions | length')" -eq 0 ]; }
no_objects() { [ "$(status | jq '[.objects[] | select(.name | startswith("m-"))] | length')" -eq 0 ]; }

# a in A as the creator, b in B as its peer
a() { tool a maker "$@"; }
b() { tool b peer "$@"; }
ro() { tool b reader "$@"; }

no_splats() { # VM: the kernel had nothing to complain about
	in_vm "$1" dmesg >"$W/dmesg-$1"
	! grep -E -A30 'BUG|WARNING|Oops|Call Trace|general protection|KASAN|refcount_t|[Bb]ad (pmd|pte|page)|rss-counter' "$W/dmesg-$1"
}
