#!/bin/bash
# SPDX-License-Identifier: MIT
# The demo: an unmodified Python program, one end in each of two VMs.
# `make demo` installs and builds what this needs, then calls it.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
: "${BUILD:=$top/build}" "${KERNEL:=6.1}"
PATH=$BUILD:$PATH
. "$top/examples/demo-lib.bash"
vm() { "$top/tests/vm/vm" "$@"; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-demo.XXXXXX")
uid=$(id -u)
[ "$uid" -ne 0 ] || uid=1000
vms=
trap finish EXIT
trap 'exit 130' INT TERM
mkdir -p "$dir/files" "$dir/run"

say "A CA, a policy, and an identity for each service, in $dir"
sivshmem-ca --dir "$dir/ca" init --host demo | sed 's/^/   /'
cat >"$dir/ca/policy.conf" <<P
version = 1;
vms = ( { name = "cluster"; }, { name = "ivi"; } );
services = (
  { name = "car/cluster";      vm = "cluster"; uid = $uid; },
  { name = "car/infotainment"; vm = "ivi";     uid = $uid; },
  { name = "car/radio";        vm = "ivi";     uid = $uid; }
);
channels = (
  { name = "telemetry"; quota = "1M"; members = (
      { service = "car/cluster";      rights = "rw,create"; },
      { service = "car/infotainment"; rights = "rw"; } ); }
);
P
sivshmem-ca --dir "$dir/ca" check | sed 's/^/   /'
for s in cluster infotainment radio; do identity "$dir" "car/$s" $s; done
echo 'map /telemetry telemetry' >"$dir/files/shim.conf"
cp "$BUILD/sivshmem" "$BUILD/libsivshmem-shim.so" "$top"/examples/python/*.py "$dir/files/"
[ "$(id -u)" -ne 0 ] || chown -R "$uid:$uid" "$dir/files"
start_daemon "$dir"

say "Two VMs, Linux $KERNEL, under QEMU ($(vm accel | sed 's/tcg/emulated: TCG/;s/kvm/KVM/'))"
vms=1
for name in cluster ivi; do
	mapfile -t qemu < <(sivshmem-ca --dir "$dir/ca" qemu-args "$name" \
		--run-dir "$dir/run" --json | python3 -c \
		'import json, sys; print("\n".join(json.load(sys.stdin)))')
	printf '   booting %s ... ' "$name"
	start=$SECONDS
	vm start "$name" --dir "$dir" --kernel "$KERNEL" --files "$dir/files" \
		--module "$BUILD/kmod-$KERNEL/sivshmem.ko" -- "${qemu[@]}" >/dev/null
	printf 'up after %d s\n' $((SECONDS - start))
done

as() { # as VM SERVICE SCRIPT: the plain program in that VM, under that identity
	local f=/run/sivshmem-vm
	vm exec "$1" --dir "$dir" --user "$uid:$uid" --timeout 90 -- \
		"$f/sivshmem" run --map "$f/shim.conf" --identity "$f/$2" -- \
		/usr/bin/python3 "$f/$3"
}

say "An unmodified Python program, one end in each VM"
as cluster cluster cluster.py &
first=$!
as ivi infotainment infotainment.py
wait $first

say "A third service has a good certificate, but the policy gives it no part"
if as ivi radio infotainment.py >"$dir/radio.log" 2>&1; then
	die "the refused service got in"
fi
grep -v '^ ' "$dir/radio.log" | sed 's/^/   /'
grep -q 'PermissionError' "$dir/radio.log" || die "expected a PermissionError"

say "What the host's audit log says"
explain "$dir/audit.jsonl"

printf '\nIt worked: one program, two VMs, one authenticated channel; and a third service was refused.\n'
