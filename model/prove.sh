#!/bin/bash
# SPDX-License-Identifier: MIT
# prove.sh: check the protocol's models with spin, and that each check in them is
# needed: a model without it must fail. Prints a line for each; 0 if all is so.
set -u
cd "$(dirname "$0")" || exit 3
dir=$(mktemp -d) || exit 3
trap 'rm -rf "$dir"' EXIT
bad=0 total=0

# check MODEL DEFINITION: prints holds, fails or broken
check() {
	local out=$dir/$1${2:+-$2}
	mkdir "$out"
	(
		cd "$out" || exit
		spin ${2:+-D"$2"} -a "$OLDPWD/$1.pml" &&
		${CC:-cc} -O2 -w -DSAFETY -DVECTORSZ=2048 -o pan pan.c &&
		./pan -E -m100000 -w24
	) >"$out/log" 2>&1
	if grep -q 'max search depth too small\|out of memory\|Search not completed' "$out/log" &&
		! grep -q 'errors: [1-9]' "$out/log"; then
		echo broken
	elif grep -q 'assertion violated' "$out/log"; then
		echo fails
	elif grep -q 'errors: 0' "$out/log"; then
		echo holds
	else
		cat "$out/log" >&2
		echo broken
	fi
}

# expect VERDICT MODEL [DEFINITION]
expect() {
	local got states
	total=$((total + 1))
	got=$(check "$2" "${3:-}")
	states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' "$dir/$2${3:+-$3}/log")
	if [ "$got" = "$1" ]; then
		printf 'ok %d - %s %s: %s, as it must (%s states)\n' "$total" "$2" "${3:-as it is}" \
			"$got" "${states:-?}"
	else
		printf 'not ok %d - %s %s: %s, and must be: %s\n' "$total" "$2" "${3:-as it is}" \
			"$got" "$1"
		bad=1
	fi
}

for model in handshake member; do
	expect holds $model
	for mutant in REACH $(grep -o 'NO_[A-Z0-9_]*' <(sed '/\*\//q' <(sed 1d $model.pml))); do
		expect fails $model "$mutant"
	done
done
[ $bad = 0 ] && echo "all $total as expected"
exit $bad
