# SPDX-License-Identifier: MIT
# What demo.sh and demo-local.sh share; both set $top and $dir.
# shellcheck shell=bash disable=SC2154


say() { printf '\n== %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# explain FILE: the audit log's lines, readable and one a line.
explain() {
	python3 - "$1" <<'PY'
import json, sys
for line in open(sys.argv[1]):
    a = json.loads(line)
    who = "/".join(str(a[k]) for k in ("vm", "service") if a.get(k))
    what = " ".join(str(a[k]) for k in ("channel", "object", "rights") if a.get(k))
    ids = " ".join(f"{k}={a[k]}" for k in ("uid", "pid", "session") if k in a)
    print(f"   {a['time'][11:23]} {a['event']:<13} {a.get('result',''):<8} {who:<22}"
          f" {what} {ids}" + (f"  ({a['reason']})" if a.get("reason") else ""))
PY
}

# start_daemon DIR: CA and policy are in DIR/ca; sockets go to DIR/run.
start_daemon() {
	sivshmem-cad --ca-dir "$1/ca" --run-dir "$1/run" \
		--audit "$1/audit.jsonl" >"$1/cad.log" 2>&1 &
	daemon=$!
	for _ in $(seq 100); do
		grep -q 'sivshmem-cad: ready' "$1/cad.log" && return
		kill -0 "$daemon" 2>/dev/null || break
		sleep 0.1
	done
	cat "$1/cad.log" >&2
	die "the daemon did not start"
}

# identity DIR SERVICE NAME OPTION...: issue a bundle in DIR/files/NAME.
identity() {
	local dir=$1 service=$2 name=$3
	shift 3
	sivshmem-ca --dir "$dir/ca" issue "$service" --out "$dir/files/$name" \
		"$@" | sed 's/^/   /'
}

finish() {
	local rc=$?
	trap - EXIT
	[ -z "${vms:-}" ] || "$top/tests/vm/vm" stop-all --dir "$dir" || true
	[ -z "${daemon:-}" ] || kill "$daemon" 2>/dev/null || true
	if [ $rc -eq 0 ]; then
		rm -rf "$dir"
	else
		printf '\ndemo: FAILED; logs are kept in %s\n' "$dir" >&2
	fi
	exit $rc
}
