#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The table of doc/THREATS.md names tests that exist, and has a row for each attack.

load helpers

ATTACKS=38

rows() { grep -E '^\| [0-9]+ \|' "$TOP/doc/THREATS.md"; }

# named: "FILE<tab>TEST" for each test that the table names
named() {
	rows | grep -oE '`[a-z0-9/_-]+`( "[^"]+",?)+' | while IFS= read -r group; do
		local file=${group#\`}
		file=${file%%\`*}
		grep -oE '"[^"]+"' <<<"$group" | tr -d '"' | sed "s|^|$file	|"
	done
}

# exists FILE TEST: a Bats test of that whole name, or a function that main runs
exists() {
	case $1 in
	unit/*)	grep -qF "RUN($2);" "$TOP/tests/$1.c" ;;
	*)	grep -qF "@test \"$2\" {" "$TOP/tests/$1.bats" ;;
	esac 2>/dev/null
}

@test "threats: a row for each attack, in order" {
	[ "$(rows | cut -d' ' -f2 | tr '\n' ' ')" = "$(seq -s' ' $ATTACKS) " ]
}

@test "threats: each row names who stops it, and a test or a gap" {
	run_x awk -F' [|] ' '{ sub(/^[|] /, ""); if ($3 !~ /^[HKP]( [HKP])*$/ ||
		($4 !~ /`[a-z0-9\/_-]+` "/ && $4 !~ /[*][*]Gap[*][*]/)) print "row " $1 ": " $3 }' \
		<(rows)
	[ -z "$output" ]
}

@test "threats: each test that the table names exists" {
	local file name missing=0 count=0
	while IFS=$'\t' read -r file name; do
		count=$((count + 1))
		exists "$file" "$name" || { echo "tests/$file has no test '$name'"; missing=1; }
	done < <(named)
	echo "$count tests"
	[ "$count" -ge 60 ] && [ $missing -eq 0 ]
}

@test "threats: what looks like a test in the table is one" {
	# each pair of quotes is counted, so that a slip of the pen hides no name
	[ "$(rows | grep -oE '"[^"]+"' | wc -l)" -eq "$(named | wc -l)" ]
	run_x 1 exists unit/ring_host_test no_such_test
	run_x 1 exists 500-semantics "vm: data crosses"
	run_x 2 exists 999-none "vm: data crosses both ways"
}
