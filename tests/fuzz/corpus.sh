#!/bin/bash
# SPDX-License-Identifier: MIT
# corpus.sh [TARGET...]: make the seed corpora anew, from what this system really
# writes (certificates, keys, policies, maps) and from what $SECONDS_EACH (30) of
# fuzzing and $BUILD/fuzz/corpus add to it; minimised, at most $CORPUS_FILES (150)
# files and $CORPUS_BYTES (65536) bytes for each target.
set -eu
cd "$(dirname "$0")/../.."
: "${BUILD:=$PWD/build}" "${SECONDS_EACH:=30}" "${CORPUS_FILES:=150}" "${CORPUS_BYTES:=65536}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ASAN_OPTIONS=quarantine_size_mb=16

ca() { "$BUILD/sivshmem-ca" --dir "$work/ca" "$@" >/dev/null; }

real_texts() { # a CA, a service's bundle, the policies and maps of the tests
	local f n=0
	mkdir -p "$work"/{keyfile,policy,mapfile,route}
	ca init --host testhost
	sed -n '/^vm_policy()/,/^}/{/^version/,/^);/p}' tests/vmhelp.bash >"$work/ca/policy.conf"
	echo 'version = 1;' >"$work/policy/empty"
	cp "$work/ca/policy.conf" "$work/policy/tests"
	ca issue t/maker --out "$work/bundle"
	for f in "$work"/ca/*.cert "$work"/ca/*.key "$work"/bundle/*; do
		n=$((n + 1))
		cp "$f" "$work/keyfile/$n"
	done
	{ echo m-1; sed -n '/shim.conf" <<.C.$/,/^C$/{/<<\|^C$/!p}' tests/vmhelp.bash; } >"$work/mapfile/1"
	printf '%s\n' one 'identity /etc/sivshmem/identity' 'host a-host' 'transport unix:/run/x' \
		'map /one main name=two readonly unlink=creator wait=10 peer=a/b identity=/x' >"$work/mapfile/2"
	printf '\0m-1' >"$work/route/1"
	printf '\2/dev/shm/sem.sem-1' >"$work/route/2"
	printf '\3one' >"$work/route/3"
}

# keep FROM TO: the smallest files first, within the bounds
keep() {
	local f size n=0 sum=0
	rm -rf "$2"
	mkdir -p "$2"
	while read -r size f; do
		n=$((n + 1)) sum=$((sum + size))
		[ $n -le "$CORPUS_FILES" ] && [ $sum -le "$CORPUS_BYTES" ] || break
		cp "$f" "$2/$(printf %03d $n)"
	done < <(find "$1" -type f -printf '%s %p\n' | sort -n)
}

real_texts
[ $# -gt 0 ] || { for t in tests/fuzz/*.c; do set -- "$@" "$(basename "$t" .c)"; done; }
for t; do
	mkdir -p "$work/$t" "$work/min/$t" "$BUILD/fuzz/corpus/$t" "tests/fuzz/corpus/$t"
	[ "$SECONDS_EACH" -eq 0 ] || "$BUILD/fuzz/$t" -max_total_time="$SECONDS_EACH" -max_len=1024 \
		"$work/$t" "tests/fuzz/corpus/$t" >"$work/log" 2>&1 || { tail -30 "$work/log"; exit 1; }
	"$BUILD/fuzz/$t" -merge=1 -max_len=2048 "$work/min/$t" "$work/$t" "tests/fuzz/corpus/$t" \
		"$BUILD/fuzz/corpus/$t" >"$work/log" 2>&1 || { tail -30 "$work/log"; exit 1; }
	keep "$work/min/$t" "tests/fuzz/corpus/$t"
	echo "$t: $(find "tests/fuzz/corpus/$t" -type f | wc -l) files"
done
