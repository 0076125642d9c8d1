#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The models of the protocol hold, and every check in them is needed.

load helpers

@test "prove: agreement, no unknown key share and no replay, and none without each check" {
	requires spin
	RUN_TIMEOUT=300 run_x "$TOP/model/prove.sh"
	[ "$(grep -c '^ok .* as it is: holds' <<<"$output")" -eq 2 ]
	[ "$(grep -c '^ok .* fails, as it must' <<<"$output")" -ge 17 ]
	has "as expected"
}
