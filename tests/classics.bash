# SPDX-License-Identifier: MIT
# The classics of examples/classics, wherever their ends run. A Bats file has
# $W, a directory, and says how an end runs: one, two and three PROG WORD...;
# kill_one ends what one runs, at once. $PRE is what names start with.

ITEMS=2000 ROUNDS=200

# What each end prints, on one host and between VMs
PRODUCED="produced 2000"
CONSUMED="consumed 2000, sum 2001000"
HELD="held"
REPAIRED="waiting
EOWNERDEAD
consistent
unlocked
locked again"
MET="3 participants, 200 rounds"
WROTE="wrote 2000, sum 4000"
READ="read 2000, sum 4000"

# start OUT END PROG WORD...: in the background
start() {
	local out=$W/$1
	shift
	rm -f "$out.rc"
	: >"$out"
	{
		local rc=0
		"$@" || rc=$?
		echo "$rc" >"$out.rc"
	} >"$out" 2>"$out.err" 3>&- &
}
ended() { [ -s "$W/$1.rc" ]; }
said() { grep -qx "$2" "$W/$1"; }

# printed OUT TEXT: it ended well, and printed just that
printed() {
	wait_for 60 ended "$1" || true
	head "$W/$1.err"
	diff "$W/$1" <(echo "$2")
	[ "$(cat "$W/$1.rc")" = 0 ]
}

# PROG: one makes, two takes
classic_producer() {
	start p one "$1" "$PRE$1" produce $ITEMS
	start c two "$1" "$PRE$1" consume $ITEMS
	printed c "$CONSUMED"
	printed p "$PRODUCED"
}

classic_barrier() {
	local end
	for end in one two three; do
		start $end $end barrier "${PRE_THREE:-$PRE}barrier" 3 $ROUNDS
	done
	for end in one two three; do
		printed $end "$MET"
	done
}

classic_rwlock() {
	start w1 one rwlock "${PRE}rwlock" write $ITEMS 4
	start w2 two rwlock "${PRE}rwlock" write $ITEMS 4
	start r1 one rwlock "${PRE}rwlock" read $ITEMS 4
	start r2 two rwlock "${PRE}rwlock" read $ITEMS 4
	printed w1 "$WROTE"
	printed w2 "$WROTE"
	printed r1 "$READ"
	printed r2 "$READ"
}

classic_robust() {
	start h one robust "${PRE}robust" hold
	wait_for 20 said h held
	start l two robust "${PRE}robust" lock
	wait_for 20 said l waiting
	sleep 1
	if ended l; then return 1; fi
	kill_one
	printed l "$REPAIRED"
	diff "$W/h" <(echo "$HELD")
}
