#!/bin/sh
# t.R1 on 1,000 runs of 100 metrics and on 8 runs of 1,000,000 steps: made, timed from key to frame, and held against bounds that only catch what is
# wrong by far (a machine that does other work is slow); the figures are in the comments. Only with HONE_LONG=1.
. "$top_srcdir/tests/cli/lib.sh"
make=$top_builddir/tests/bench/runs_make time=$top_builddir/tests/bench/runs_time
bound() { # bound FACTOR MS PATTERN NAME: the best of the tries
    ms=$(sed -n "s/^$3[^0-9]* \([0-9.]*\) \.\..*/\1/p" figures | head -1)
    awk -v ms="${ms:-1e9}" -v most="$2" -v f="$1" 'BEGIN { exit !(ms <= most * f) }'
    ok $? "$4 ($ms ms, asked: $2)"
}
if [ -z "$HONE_LONG" ] || [ ! -x "$make" ] || [ ! -x "$time" ]; then skip "t.R1 many and long runs" "make check-long"
else
    "$make" one 1 100 20 && mkdir many && i=1
    while [ $i -le 1000 ]; do cp -r one/made-1 many/made-$i && i=$((i + 1)); done
    "$time" many >figures && sed 's/^/# /' figures
    bound 10 300 'screen Runs: key to frame' "t.R1 list of 1,000 runs of 100 metrics"
    bound 10 30 'screen Runs: worst of 4 keystrokes' "t.R1 keystroke of a filter of words"
    bound 10 30 'screen Runs: keystroke of a condition' "t.R1 keystroke of a condition"
    "$make" long 8 1 1000000 && "$time" long >figures && sed 's/^/# /' figures
    bound 10 200 'screen Compare: 8 runs' "t.R1 comparison of one metric of 8 runs of 1,000,000 steps"
fi
finish
