#!/bin/sh
# What eval and compare show on the command line is what Lua prints of the same report; --json has the numbers.
. "$top_srcdir/tests/cli/lib.sh"
awk 'BEGIN { srand(5); print "a,b,k"; for (i = 0; i < 300; i++) { a = rand(); b = rand(); printf "%.4f,%.4f,%s\n", a, b, (a + 0.3 * b + 0.4 * rand() > 0.9 ? "yes" : "no") } }' >two.csv
awk 'BEGIN { srand(6); print "a,b,k"; for (i = 0; i < 900; i++) { a = rand(); b = rand(); printf "%.4f,%.4f,c%d\n", a, b, int(25 * a) } }' >many.csv
is 0 '' "two classes are learned" --plain train data='{"two.csv", val=60, test=60}' model=mlp epochs=4
grep -c '^val_acc ' out | grep -qx 1
ok $? "and each number is said once"
is 0 '' "25 classes" --plain train data='{"many.csv", test=200}' model=mlp epochs=2
cat >two.lua <<'LUA'
local rep = hone.eval{ model = "two-1", data = { "two.csv", val = 60, test = 60 } }
print(rep) print() print(rep:table()) print() print(rep:confusion())
LUA
"$hone" --plain run two.lua >want 2>&1
"$hone" eval two-1 data='{"two.csv", val=60, test=60}' >out 2>err </dev/null
diff want out >&2 && grep -q '^acc  *0\.[0-9]*  (95 %: 0\.[0-9]* to 0\.[0-9]*)$' out && grep -qE '^yes  +0\.' out && grep -qE '^0 no +[0-9]+ +[0-9]+$' out
ok $? "eval shows metrics, classes and confusion, as Lua does"
is 0 '^\{"event":"eval","loss":.*"confusion":\[\[[0-9]+,[0-9]+\],\[[0-9]+,[0-9]+\]\]' "the raw numbers as JSON" --json eval two-1 data='{"two.csv", val=60, test=60}'
is 0 '^the 10 of 25 classes with the least f1:' "of many classes the worst" eval many-1 data='{"many.csv", test=200}'
is 0 '^most frequent mistakes:' "and what they are taken for" eval many-1 data='{"many.csv", test=200}'
is 0 '^two-1  0\.[0-9]+ +0\.[0-9]+\.\.0\.[0-9]+ +0\.' "compare is a table that names what was given" compare two-1 two-1 data='{"two.csv", val=60, test=60}'
is 0 '"model":"two-1".*"p_mcnemar":1' "and JSON has its numbers" --json compare two-1 two-1 data='{"two.csv", val=60, test=60}'
data='{"two.csv", val=60, test=60}'
is 0 '^yes from a probability of 0\.[0-9]+ on, picked on val for recall 0\.95$' "a threshold picked on the validation part" eval two-1 data="$data" 'threshold={recall=0.95}'
"$hone" --json eval two-1 data="$data" split=val 'threshold={recall=0.95}' >out 2>err </dev/null
recall=$(sed 's/.*"class":"yes","support":[0-9]*,"precision":[0-9.]*,"recall":\([0-9.]*\).*/\1/' out)
awk -v r="$recall" 'BEGIN { exit !(r >= 0.95) }' && grep -q 'which flatters it' err
ok $? "on the rows it was picked on its recall is reached ($recall), and that this flatters is said"
at=$(sed 's/.*"threshold":\([0-9.]*\).*/\1/' out)
head -n 80 two.csv >new.csv
is 0 'picked on val of .*two\.csv for precision 0\.9$' "for a file without one on that of the run" eval two-1 new.csv 'threshold={precision=0.9}'
cat >at.lua <<'LUA'
local data = hone.data{ "two.csv", val = 60, test = 60 }
local m = hone.load("runs/two-1")
local rep = hone.eval{ model = m, data = data, threshold = { recall = 0.95 } }
assert(rep.threshold == tonumber(arg[1]) and rep.positive == "yes" and rep.threshold_from == "val" and rep.cost == nil)
local all, said = hone.eval{ model = m, data = "two.csv", split = "train", threshold = rep.threshold }, 0
for _, answer in ipairs(m:predict{ "two.csv", threshold = rep.threshold }) do said = said + (answer.label == "yes" and 1 or 0) end
assert(said == all.matrix[1][2] + all.matrix[2][2] and said > 0 and said < 300, said)
local c, half = hone.eval{ model = m, data = data.val, threshold = { fp = 1, fn = 8 } }, hone.eval{ model = m, data = data.val }.matrix
assert(c.cost == (c.matrix[1][2] + 8 * c.matrix[2][1]) / c.n and c.cost <= (half[1][2] + 8 * half[2][1]) / c.n)
LUA
is 0 '' "Lua picks the same, and predict answers by it" --plain run at.lua "$at"
is 0 '^as given ' "compress shows its table" compress two-1 data="$data" recipe=quant.half seconds=0.02
is 2 'positive="maybe" is no class; there are "no" and "yes"' "a class that is none" eval two-1 data="$data" 'threshold={0.5, positive="maybe"}'
is 2 'goes with two classes, but the model has 25' "more classes" eval many-1 data='{"many.csv", test=200}' threshold=0.5
is 2 'hone eval picks it' "predict picks none" predict two-1 two.csv 'threshold={recall=0.9}'
finish
