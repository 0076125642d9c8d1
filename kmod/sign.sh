#!/bin/sh
# SPDX-License-Identifier: MIT
# sign.sh KDIR KEY CERT MODULE...: sign modules in place for the kernel whose build
# directory is KDIR, by that kernel's own sign-file. KEY is a PEM file or a pkcs11: URI;
# its passphrase or PIN is taken from KBUILD_SIGN_PIN.
set -eu
die() { echo "sign.sh: $*" >&2; exit 2; }
[ $# -ge 4 ] || die 'usage: sign.sh KDIR KEY CERT MODULE...'
kdir=$1 key=$2 cert=$3
shift 3
how='to make a pair: doc/SIGNING.md'
[ -n "$key" ] && [ -n "$cert" ] || die "KEY= and CERT= are needed; $how"
case $key in
pkcs11:*) ;;
*)	[ -r "$key" ] || die "KEY=$key: cannot read it; $how" ;;
esac
[ -r "$cert" ] || die "CERT=$cert: cannot read it; $how"
[ -x "$kdir/scripts/sign-file" ] ||
	die "$kdir/scripts/sign-file is missing; install the kernel's linux-kbuild package"
hash=$(sed -n 's/^CONFIG_MODULE_SIG_HASH="\(.*\)"$/\1/p' "$kdir/.config")
[ -n "$hash" ] || die "$kdir/.config: this kernel checks no signatures (CONFIG_MODULE_SIG_HASH is not set)"
for module; do
	[ -w "$module" ] || die "$module: cannot write it; build it before"
	"$kdir/scripts/sign-file" "$hash" "$key" "$cert" "$module" ||
		die "$module: not signed; is $cert the certificate of $key, and KBUILD_SIGN_PIN its passphrase?"
	echo "  SIGN    $module ($hash)"
done
