#!/bin/sh
# Options, names and exit codes of the command line: what is wrong is named, with the nearest right one.
. "$top_srcdir/tests/cli/lib.sh"
is 0 'hone [0-9]' "--version" --version
is 0 'NAME=VALUE' "--help" --help
is 0 'GNU GPL' "--license" --license
is 0 'Options:' "--help wins over what follows" --help --json
is 2 'no option --jsn; did you mean --json' "unknown option names the nearest" --jsn
is 2 'no option --zzzzzz' "unknown option without a near one" --zzzzzz
is 2 'no command "trian"; did you mean train' "unknown command names the nearest" trian
is 2 'no command' "unknown command without a near one" qqqqqqq
is 2 'needs a value' "an option without its value" --threads
is 2 'takes no value' "a flag with a value" --json=3
is 2 'threads must be' "a property that is no number" --threads x doctor
is 2 'foo' "an unknown property" --set foo=1 ls
is 2 'NAME=VALUE' "--set without =" --set foo ls
is 2 'budget' "a budget that is none" --budget much ls
is 2 'did you mean --epochs' "unknown option of a command" train --ephocs 3
is 2 'train has no argument "epohcs"; did you mean epochs' "unknown argument of a command" train epohcs=3
is 2 'lr must be .*-1' "lr=-1 is refused with the range" train lr=-1
is 2 'lr' "the same through -c" -c 'train lr=-1'
is 2 'set: lr must be a number from 0 to 1e.06, not -1' "a property of a run has its range without a run" -c 'set lr=-1'
is 2 'set: lr must be .*-1' "the same as a word" set lr=-1
is 2 'lr must be .*-1' "and as an option" --set lr=-1 ls
is 1 'lr is a property of a run, and nothing is running' "a value in range needs a run" -c 'set lr=0.1'
is 2 "unknown property 'lrr', did you mean 'lr'" "an unknown property names the nearest" -c 'set lrr=1'
is 2 'both' "-c and a word" -c help ls
is 1 'cuda.*--device cpu' "a device that is not there" --device cuda doctor
is 2 'device must be' "a device that is no device" --device tpu doctor
is 1 'nofile.lua' "a script that is not there" run nofile.lua
is 2 'needs a script' "run without a script" run
is 1 'no session is running' "stop without a session" stop
is 1 'no session is running' "watch without a session" watch
is 1 'terminal' "attach without a terminal" attach
is 1 'terminal' "reset without a terminal" reset
is 0 '' "options after the command" ls --json
is 0 '' "and before it" --json ls
is 0 'demo - runs a built-in example' "help of a word" demo --help
is 0 'epochs' "help of a command" help train
is 0 '^on the command line: hone eval \[MODEL\] \[DATA\] \[NAME=VALUE \.\.\]$' "how it is typed" help eval
is 0 '^on the command line: hone data fetch NAME ' "a command of two words" help data fetch
is 0 '^data_fetch - ' "and its --help" data fetch --help
is 0 '^eval - ' "a word that is no part of the name" eval some-1 --help
"$hone" --help >out 2>err
! grep -qE '.{80}' out
ok $? "--help fits 80 columns"
for t in '' train data eval properties keys nn optim lr prune.magnitude; do "$hone" help $t; done >out 2>err
! grep -v '^example:' out | grep -qE '.{80}'
ok $? "help fits 80 columns"
"$hone" help >out
! grep -E '^  [a-z_]+ +[A-Z][a-z]+ ' out | grep -vE ' (Eval|Compress|Log|Model) screen:' | grep -q .
ok $? "the texts of commands begin alike"
is 0 'epochs' "and the other way" train --help
left=$("$hone" --help | sed -n '/^Options:/,/^Commands:/s/^  \(-[^ ]*\).*/\1/p' | while read -r o; do
    sed 's/\\//g' "$top_builddir/man/hone.1" | grep -qE -e "^\.B $o( |\$)" || echo "$o"
done)
[ -z "$left" ]
ok $? "the manual has every option $left"
left=$("$hone" --help | sed -n '/^Commands:/,/^Exit:/s/^  \([a-z_]*\) .*/\1/p' | while read -r c; do
    sed 's/\\//g' "$top_builddir/man/hone.1" | grep -q "^\.SS hone $c\$" || echo "$c"
done)
[ -z "$left" ]
ok $? "and every command $left"
is 0 'metric.auroc' "help lists the metrics" help metric
is 0 'metric.ece .*calibration' "apropos finds metrics by their help" apropos calibration
is 0 'loss.cross_entropy\{class_weights=\}' "and arguments" apropos class_weights
is 0 'refresh' "props is a word of the command line" props
is 2 'no example "fashoin"' "an example that is not there" demo fashoin
"$hone" help train >/dev/full 2>err </dev/null
[ $? = 1 ] && grep -q 'standard output\|No space' err
ok $? "r.D7: a full disk is a failure"
"$hone" help | head -n1 >/dev/null 2>err
ok $? "r.D7: a closed pipe is quiet"
"$hone" --version 0<&- 1>out 2>&-
ok $? "r.D7: closed input and error"
"$hone" --version 1>&- 2>err
[ $? = 1 ] && grep -q 'standard output' err
ok $? "r.D7: a closed output is said on what remains"
"$hone" --version 0<&- 1>&- 2>&-
[ $? = 1 ]
ok $? "r.D7: all three closed"
cat >lines.lua <<'E'
local data = hone.data{ 'german-credit' }
local run = hone.train{ model = nn.model{ input = data, nn.linear{2} }, data = data, epochs = 20, batch = 32 }
run:wait()
for i = 1, 20000 do print(i) end
E
{ "$hone" run --plain lines.lua 2>err; echo $? >code; } | head -n 1 >/dev/null
[ "$(cat code)" = 1 ] && "$hone" ls | grep -q ' done '
ok $? "r.D7: a run whose reader goes away is done, its exit code says what failed ($(cat code))"
"$hone" run --plain lines.lua 0<&- 1>&- 2>&-
[ $? = 1 ] && [ "$("$hone" ls | grep -c ' done ')" = 2 ]
ok $? "r.D7: a run without any descriptor is done"
env -u TERM "$hone" ls </dev/null >/dev/null 2>&1
ok $? "without TERM"
finish
