#!/bin/sh
# SPDX-License-Identifier: MIT
# deps.sh SET...: install the Debian packages that a make target needs and this
# system has not. Sets: build python kmod vm test lint. Silent when all is there.
set -eu
want=
for set in "$@"; do
	case $set in
	build)	want="$want gcc libc6-dev make pkg-config libsodium-dev libbsd-dev libconfig-dev libjansson-dev libseccomp-dev" ;;
	python)	want="$want python3" ;;
	kmod)	want="$want gcc make libc6-dev libelf1 ca-certificates debian-archive-keyring xz-utils" ;;
	vm)	want="$want qemu-system-x86 busybox-static cpio gzip kmod python3 xz-utils jq iproute2 util-linux" ;;
	test)	want="$want bats jq python3" ;;
	lint)	want="$want cppcheck mandoc shellcheck git" ;;
	*)	echo "deps.sh: no such set: '$set'" >&2; exit 2 ;;
	esac
done
missing=
for p in $want; do
	case " $missing " in *" $p "*) continue ;; esac
	case $(dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null) in
	ii*|hi*) ;;
	*)	missing="$missing $p" ;;
	esac
done
[ -n "$missing" ] || exit 0
echo "sivshmem needs these Debian packages ($*):$missing"
if [ "$(id -u)" -eq 0 ]; then
	sudo=
elif command -v sudo >/dev/null; then
	sudo=sudo
	echo "installing them with sudo, which may ask for your password"
else
	echo "deps.sh: neither root nor sudo; ask an administrator to run:" >&2
	echo "  apt-get install --no-install-recommends$missing" >&2
	exit 3
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086
if ! { $sudo apt-get -qq update && $sudo env DEBIAN_FRONTEND=noninteractive \
	apt-get -qq -y install --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
	tail -20 "$log" >&2
	echo "deps.sh: apt-get failed; its last lines are above" >&2
	exit 3
fi
echo "installed."
