#!/bin/sh
# SPDX-License-Identifier: MIT
# deps.sh SET...: install the Debian packages that a make target needs and this
# system has not. Sets: build python kmod vm programs test fuzz lint
# debug. Silent when all is there.
set -eu
missing='' reasons=''

# need WHY PACKAGE...: note those that are not installed
need() {
	why=$1 lack=''
	shift
	for p in "$@"; do
		case " $missing " in *" $p "*) continue ;; esac
		case $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) in
		installed) ;;
		*)	missing="$missing $p" lack="$lack $p" ;;
		esac
	done
	[ -z "$lack" ] || reasons="$reasons
  $why:$lack"
}

command -v dpkg-query >/dev/null || {
	echo "deps.sh: this is not Debian; install what tests/deps.sh lists yourself" >&2
	exit 3
}
for set in "$@"; do
	case $set in
	build)	need 'to build' gcc libc6-dev make pkg-config libsodium-dev libbsd-dev \
			libconfig-dev libelf-dev libjansson-dev libseccomp-dev ;;
	python)	need 'to run Python programs' python3 ;;
	kmod)	need "to build the guest's kernel module" gcc make libc6-dev libelf1 kmod \
			xz-utils ca-certificates debian-archive-keyring ;;
	vm)	need 'to run virtual machines' qemu-system-x86 busybox-static cpio kmod xz-utils \
			gcc libc6-dev python3 jq iproute2 ;;
	programs) need 'to build and run unmodified programs' g++ libc6-dev libboost-dev \
			python3 strace ;;
	test)	need 'to run the tests' bats jq python3 logrotate libxml2-utils openssl ovmf sbsigntool ;;
	prove)	need 'to check the models of the protocol' spin gcc libc6-dev ;;
	fuzz)	need 'to fuzz' clang libclang-rt-dev llvm ;;
	lint)	need 'for the static checks' cppcheck mandoc shellcheck git gcc clang-tidy sparse ;;
	debug)	need 'to build a debug kernel' linux-source-6.1 gcc make flex bison bc libelf-dev \
			libssl-dev xz-utils kmod rsync cpio ;;
	*)	echo "deps.sh: no such set: '$set' (build python kmod vm programs test prove fuzz lint debug)" >&2
		exit 2 ;;
	esac
done
[ -n "$missing" ] || exit 0
echo "sivshmem needs Debian packages that are not installed here:$reasons"
sudo=
if [ "$(id -u)" -ne 0 ]; then
	sudo=sudo
	command -v sudo >/dev/null || {
		echo "deps.sh: neither root nor sudo here; run this as root, then try again:" >&2
		echo "  apt-get install --no-install-recommends$missing" >&2
		exit 3
	}
	echo "Installing them with sudo, which may ask for your password..."
else
	echo "Installing them; this can take a minute or two..."
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
apt() { $sudo env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" </dev/null; }
# somebody else's broken source must not stop us; if ours is broken, install says so
apt -qq update >"$log" 2>&1 || true
# shellcheck disable=SC2086
if ! apt -qq -y install --no-install-recommends $missing >>"$log" 2>&1; then
	tail -20 "$log" >&2
	echo "deps.sh: apt-get failed, its last lines are above; the command was:" >&2
	echo "  apt-get install --no-install-recommends$missing" >&2
	exit 3
fi
echo "Installed."
