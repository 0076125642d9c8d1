# SPDX-License-Identifier: MIT
# Sourced in a mount namespace of its own (unshare -m): a system whose /etc,
# /run and /var/log are copies, so that a man page's examples run as printed.
set -eu
W=$(mktemp -d /tmp/sivshmem-man.XXXXXX)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; umount "$W/etc" /etc 2>/dev/null || true; rm -rf "$W"' EXIT
mkdir "$W/etc"
cp -a /etc/. "$W/etc"
rm -rf "$W/etc/sivshmem"
mount --bind "$W/etc" /etc
mount -t tmpfs run /run
mount -t tmpfs log /var/log
cd "$W"

# example PAGE N: the Nth example of the page, without prompts and markup
example() {
	awk -v want="$2" '
	/^\.Sh / { on = $2 == "EXAMPLES" }
	!on { next }
	/^\.Ed/ { inside = 0; next }
	/^\.Bd/ { inside = 1; n++; next }
	/^\.Dl / { n++; if (n == want) print substr($0, 5); next }
	inside && n == want { print }' "$TOP/man/$1" | sed 's/\\&//g; s/\\e/\\/g; s/^[#$] //'
}

# the daemon that the last example started, with & as its last word
# shellcheck disable=SC2120
ready() {
	for _ in $(seq 100); do
		[ ! -S "${1:-/run/sivshmem}/status.sock" ] || return 0
		sleep 0.1
	done
	echo "no daemon at ${1:-/run/sivshmem}"
	return 1
}

# vi FILE, as the person at the keyboard: the policy of sivshmem-policy(5)
vi() { example sivshmem-policy.5 1 >"$1"; }

# serve: a host with a daemon, and the local service that shim.conf(5) names
serve() {
	sivshmem-ca init --host testhost
	cat >/etc/sivshmem/policy.conf <<-P
		version = 1;
		services = ( { name = "tools/camera"; vm = "host"; } );
		channels = ( { name = "camera"; quota = "1M"; members = (
		      { service = "tools/camera"; rights = "rw,create"; } ); },
		  { name = "telemetry"; quota = "1M"; members = (
		      { service = "tools/camera"; rights = "rw,create"; } ); } );
	P
	sivshmem-ca issue tools/camera --out /etc/sivshmem/camera-id
	sivshmem-cad &
	ready
}
