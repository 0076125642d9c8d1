#!/bin/bash
# SPDX-License-Identifier: MIT
# The demo without a VM: two unmodified programs of this host share memory
# over an authenticated channel, a third is refused. `make demo-local` calls it.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
: "${BUILD:=$top/build}"
PATH=$BUILD:$PATH
. "$top/examples/demo-lib.bash"
dir=$(mktemp -d "${TMPDIR:-/tmp}/sivshmem-demo.XXXXXX")
trap finish EXIT
trap 'exit 130' INT TERM
mkdir -p "$dir/files" "$dir/run"

say "A CA, a policy, and an identity for each service"
sivshmem-ca --dir "$dir/ca" init --host demo | sed 's/^/   /'
cat >"$dir/ca/policy.conf" <<'P'
version = 1;
services = (
  { name = "car/cluster";      vm = "host"; },
  { name = "car/infotainment"; vm = "host"; },
  { name = "car/radio";        vm = "host"; }
);
channels = (
  { name = "telemetry"; quota = "1M"; members = (
      { service = "car/cluster";      rights = "rw,create"; },
      { service = "car/infotainment"; rights = "rw"; } ); }
);
P
sivshmem-ca --dir "$dir/ca" check | sed 's/^/   /'
for s in cluster infotainment radio; do identity "$dir" "car/$s" $s; done
cat >"$dir/files/shim.conf" <<C
transport unix:$dir/run/local.sock
map /telemetry telemetry
C
start_daemon "$dir"

as() { # as SERVICE SCRIPT: the plain program, under that identity
	sivshmem run --map "$dir/files/shim.conf" --identity "$dir/files/$1" -- \
		/usr/bin/python3 "$top/examples/python/$2"
}

say "Two unmodified Python programs, each with an identity of its own"
as cluster cluster.py &
first=$!
PYTHONWARNINGS=ignore as infotainment infotainment.py 2>"$dir/infotainment.log" || {
	cat "$dir/infotainment.log" >&2
	die "the second program failed"
}
wait $first

say "Python's resource tracker unlinks what it only attached to; the policy does not let it"
for _ in $(seq 50); do
	grep -q shm_unlink "$dir/infotainment.log" && break
	sleep 0.1
done
sed -n '/shm_unlink/s/^/   /p' "$dir/infotainment.log"

say "A third service has a good certificate, but the policy gives it no part"
if as radio infotainment.py >"$dir/radio.log" 2>&1; then
	die "the refused service got in"
fi
grep -v '^ ' "$dir/radio.log" | sed 's/^/   /'
grep -q 'PermissionError' "$dir/radio.log" || die "expected a PermissionError"

say "What the host's audit log says"
explain "$dir/audit.jsonl"

printf '\nIt worked: two programs shared memory over an authenticated channel, and a third was refused.\n'
