#!/bin/bash
# SPDX-License-Identifier: MIT
# Static checks, one TAP line each: shell scripts, man pages, C, tree rules.
set -u
cd "$(dirname "$0")/.." || exit 3
n=0 bad=0
check() { # check NAME COMMAND...: silence and success are good
	local name=$1 out rc
	shift
	n=$((n + 1))
	out=$("$@" 2>&1)
	rc=$?
	if [ $rc -eq 0 ]; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		printf '%s\n' "$out" | head -60 | sed 's/^/# /'
		bad=$((bad + 1))
	fi
}
mapfile -t shell < <(git ls-files '*.sh' '*.bash' '*.bats' .ci/run tests/vm/vm | sort -u)
mapfile -t user_c < <(git ls-files 'shim/*.c' 'ca-host/*.c')
mapfile -t man < <(git ls-files 'man/*.[1-8]')

headers_alone() {
	local h rc=0
	for h in include/sivshmem/*.h; do
		gcc -std=gnu17 -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c "$h" || rc=1
	done
	return $rc
}
spdx() {
	local f rc=0
	for f in $(git ls-files '*.[ch]' '*.sh' '*.py' '*.bats' Makefile kmod/Kbuild); do
		head -3 "$f" | grep -q SPDX-License-Identifier || { echo "$f"; rc=1; }
	done
	return $rc
}
mandoc_all() { mandoc -T lint -W warning "${man[@]}"; }
no_marks() { ! git grep -nIE '\b(TODO|FIXME|XXX|HACK)\b' -- ':!CHANGELOG.md' ':!tests/lint.sh'; }
# cppcheck reads no system headers of its own accord; without this one a list is noise
cppcheck_all() {
	cppcheck --quiet --std=c11 --enable=warning,portability --error-exitcode=1 \
		--inline-suppr -Iinclude --include="$(queue_h)" \
		--suppress=missingInclude "${user_c[@]}"
}
# two at a time; what is left out, and why, is in .clang-tidy
tidy_all() {
	printf '%s\n' "${user_c[@]}" | timeout $((400 * ${PATIENCE:-1})) xargs -P "$(nproc)" -n 5 sh -c \
		'clang-tidy --quiet "$@" -- -std=gnu17 -D_GNU_SOURCE -Iinclude \
		-DSIVSHMEM_VERSION="\"0\"" -DSIVSHMEM_LIBDIR="\"/\"" 2>/dev/null' clang-tidy
}
# kmod.sh fails on any warning; the sources are checked as they are built
sparse_all() {
	local k out rc=0
	for k in ${KERNELS:-6.1}; do
		tests/kernels.sh "$k" >/dev/null || return 1
		out=$(mktemp -d)
		CHECK=sparse timeout $((300 * ${PATIENCE:-1})) tests/kmod.sh "$k" "$out" || rc=1
		rm -rf "$out"
	done
	return $rc
}
queue_h() { echo '#include <sys/queue.h>' | gcc -E - | sed -n 's/^# [0-9]* "\(.*queue\.h\)".*/\1/p' | head -1; }

check 'headers compile alone' headers_alone
check 'each file has an SPDX line' spdx
check 'no marks of unfinished work' no_marks
check 'shellcheck' shellcheck -x -s bash -S warning -e SC2154,SC2034,SC2030,SC2031,SC2314,SC2315,SC2317 "${shell[@]}"
[ ${#man[@]} -eq 0 ] || check 'mandoc lint' mandoc_all
check 'cppcheck' cppcheck_all
check 'clang-tidy' tidy_all
check 'sparse' sparse_all
echo "1..$n"
[ $bad -eq 0 ]
