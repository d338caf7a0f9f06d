#!/bin/sh
# Runs on disk from the command line: diff, export, rerun, fork, wait, log -f, rm, commit of the folder.
. "$top_srcdir/tests/cli/lib.sh"
cat >t.lua <<'L'
local data = hone.data{ "german-credit" }
local net = nn.model{ input = data, nn.linear{8}, nn.relu{}, nn.linear{2} }
local run = hone.train{ model = net, data = data, epochs = tonumber(arg[1]) or 2, batch = 64, optim = optim.adam{ lr = 1e-2 }, name = "c" }
run:wait()
L
"$hone" run --plain --quiet --seed 5 t.lua 2 >out 2>err </dev/null
ok $? "a run"
"$hone" run --plain --quiet --seed 5 t.lua 3 >out 2>err </dev/null
ok $? "and one of more epochs"
is 0 'epochs +2 +3' "diff names what differs" diff c-1 c-2
[ "$(grep -c '^config' out)" = 1 ]
ok $? "and nothing else"
is 0 '^c-2$' "ls --where" ls --names --where 'epochs == 3'
is 2 'no condition' "a mistake in it is one sentence" ls --where 'epochs =='
is 0 '^c-2$' "ls --sort" ls --names --sort -epochs
[ "$(head -1 out)" = c-2 ]
ok $? "the other way round"
is 0 '^run,step,t,epoch,metric,value$' "export --csv" export --csv c-1
is 0 '^p.csv: [0-9]+ points$' "into a file: how many" export --csv --out p.csv c-1
is 0 '^c-1  loss    [0-9]+  1 ' "curves shows a point a line" curves c-1 metric=loss
is 0 'hone_metric\{run="c-1",metric="loss"\}' "export --prometheus" export --prometheus c-1
is 0 '' "rerun" --quiet rerun c-1
"$hone" export c-1 | cut -d, -f2,5,6 | grep -v -e _s, -e _ms, >a.csv
"$hone" export c-3 | cut -d, -f2,5,6 | grep -v -e _s, -e _ms, >b.csv
[ -s a.csv ] && cmp -s a.csv b.csv
ok $? "gives every number again"
cat >e.lua <<'L'
local data = hone.data{ "german-credit" }
local net = nn.model{ input = data, nn.linear{8}, nn.relu{}, nn.linear{2} }
local run = hone.train{ model = net, data = data, epochs = 30, batch = 64, optim = optim.adam{ lr = 1e-2 }, name = "e" }
run:on("epoch", function(e) run:set("lr", run:get("lr") * 0.9) if e.epoch == 7 then run:set("weight_decay", 0.01) end end)
run:wait()
L
mkdir edits
"$hone" run --plain --quiet --runs edits --seed 5 e.lua >out 2>err </dev/null
ok $? "a run with edits"
[ "$(grep -c '^run:set.* -- step' edits/e-1/journal.lua)" -ge 2 ]
ok $? "which are in its journal"
is 0 '' "rerun --edits" --quiet --runs edits rerun e-1 --edits
"$hone" --runs edits export e-1 | cut -d, -f2,5,6 | grep -v -e _s, -e _ms, >a.csv
"$hone" --runs edits export e-2 | cut -d, -f2,5,6 | grep -v -e _s, -e _ms, >b.csv
[ -s a.csv ] && cmp -s a.csv b.csv
ok $? "t.E2: gives every number again, edits included"
is 0 '' "fork" --quiet fork c-1 --epochs 3
grep -q '"parent": "c-1"' runs/c-4/run.json
ok $? "which names the run it came from"
is 1 'has that of step' "a step without a checkpoint" fork c-1 --at 3
is 0 'state done' "wait for a run that is over" wait c-1
is 1 'no run named' "and for none" wait c-77
"$hone" run --plain --quiet t.lua 100000 >/dev/null 2>&1 </dev/null &
pid=$!
k=0
while [ ! -f runs/c-5/metrics.bin ] && [ $k -lt 200 ]; do
    k=$((k + 1))
    sleep 0.1
done
"$hone" wait c-5 >w.out 2>&1 </dev/null &
waiter=$!
"$hone" log -f c-5 >l.out 2>&1 </dev/null &
logger=$!
is 1 'held by a process' "rm refuses a live run" rm --yes c-5
is 0 '^c-5$' "a run in another process is live" ls --live --names
kill -KILL $pid
wait $waiter
code=$?
[ $code = 1 ] && grep -q crashed w.out
ok $? "wait ends with 1 when the process is killed: $code"
wait $logger
ok $? "and log -f with it"
is 0 '^c-5$' "t.R4 the killed run is listed as crashed at once" ls --names --where 'state == "crashed"'
is 2 'add yes=true' "rm asks" rm c-5
is 0 '^deleted c-5 \([0-9.]+ ' "rm --yes" rm --yes c-5
[ ! -d runs/c-5 ]
ok $? "deletes"
is 0 'report.html' "report" report c-1
if command -v xmllint >/dev/null 2>&1; then
    sed 1d runs/c-1/report.html >r.xml
    xmllint --noout r.xml >out 2>&1
    ok $? "whose page is well-formed"
else skip "whose page is well-formed" "xmllint is not installed"; fi
if command -v git >/dev/null 2>&1; then
    git init -q . && git add t.lua && git -c user.email=a@example.org -c user.name=a commit -qm one && echo '-- changed' >>t.lua
    "$hone" run --plain --quiet t.lua 1 >out 2>err </dev/null
    grep -q "\"commit\": \"$(git rev-parse HEAD)\"" runs/c-5/run.json && grep -q 'changed.*-- changed' runs/c-5/run.json ||
        grep -q '+-- changed' runs/c-5/run.json
    ok $? "run.json has the commit and the changes since"
else skip "run.json has the commit and the changes since" "git is not installed"; fi
finish
