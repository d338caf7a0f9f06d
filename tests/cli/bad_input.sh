#!/bin/sh
# What a person mistypes or feeds it: one sentence that says what, where, which value and what to do; the exit code of interface section 1.
. "$top_srcdir/tests/cli/lib.sh"
unset HONE_DATA
printf 'a,b,k\n1,2,x\n2,3,y\n3,4,x\n4,5,y\n' >good.csv
printf 'a,b,k\n1,2,x\n2,3\n3,4,x\n' >short.csv
printf 'a\tk\n1\tx\n2\ty\textra\n' >three.tsv
printf 'a,b,k\n1,nan,x\n2,3,y\n3,4,x\n' >nan.csv
printf 't\tk\n"one\ttwo"\tx\n"thr""ee"\ty\none\tx\ntwo\ty\n' >quoted.tsv
gzip -c good.csv | head -c 40 >cut.csv.gz
mkdir label
printf 'text,label\na b,x\nc d,y\ne f,x\ng h,y\n' >label/train.csv
printf 'text,label\na b,x\nc d,zzz\n' >label/test.csv
is 1 'no file or folder missing.csv' "a file that is not there" data missing.csv
is 1 'no data set nosuchset; .*hone data ls' "a name that is no data set" data nosuchset
is 1 'cut.csv.gz is damaged: its gzip data ends too early' "a truncated file" data cut.csv.gz y=k
is 1 'short.csv line 3: 2 columns instead of 3' "a row with too few columns" data short.csv y=k
is 1 'three.tsv line 3: 3 columns instead of 2' "3 columns instead of 2" data three.tsv y=k
is 1 'nan.csv line 2, column "b": the value is missing, in 1 of 3 rows; give missing=' "a NaN in a table is a missing cell" data nan.csv y=k
is 1 'label/test.csv line 3: the label "zzz" is none of the 2 classes' "a wrong label" data label text=text y=label
is 2 'y="kk": good.csv has no such column; it has a, b, k' "a column that is not there" data good.csv y=kk
is 1 'quoted.tsv line 2: 3 columns instead of 2' "quotes in a tab-separated file are text" data quoted.tsv y=k text=t
is 0 '' "unless asked for" data quoted.tsv y=k text=t quote=true
is 2 'quote= is true or false' "which takes true or false" data quoted.tsv quote=maybe
script 1 'add at add1: .*\(R, 8\).*\(R, 6\)' "shapes that do not fit: both are named" <<'LUA'
nn.model{ input = {4}, nn.linear{8, name = "a"}, nn.linear{6, from = "input", name = "b"}, nn.add{ from = {"a", "b"} } }
LUA
script 1 'input 1 has 7 values a row, but column "x" has 2' "a model for other data" <<'LUA'
local m = nn.model{ input = {7}, nn.linear{2} }
hone.train{ model = m, data = hone.data{ "good.csv", y = "k" } }:wait()
LUA
script 1 's.lua:1: unexpected symbol' "a syntax error" <<'LUA'
local x = = 1
LUA
script 1 's.lua:1: train: lr must be a number from 0 to .*, not -1' "lr = -1" <<'LUA'
hone.train{ lr = -1 }
LUA
script 1 "unknown argument 'lrr', did you mean 'lr'" "an unknown argument" <<'LUA'
hone.train{ lrr = 1 }
LUA
script 1 'nn has no liner: did you mean nn.linear' "an unknown layer" <<'LUA'
nn.liner{2}
LUA
script 1 "unknown property 'refesh', did you mean 'refresh'" "an unknown property" <<'LUA'
print(hone.prop.refesh)
LUA
script 4 'the loss is not finite.*nobody here can resume' "a loss that is not finite where nobody can resume" <<'LUA'
local d = hone.data{ "good.csv", y = "k" }
local m = nn.model{ input = d, nn.linear{8}, nn.exp{}, nn.linear{8}, nn.exp{}, nn.linear{2} }
hone.train{ model = m, data = d, epochs = 50, batch = 1, optim = optim.sgd{ lr = 1e5 } }:wait()
LUA
script 0 'mended' "a hook on alerts may mend and resume" <<'LUA'
local d = hone.data{ "good.csv", y = "k" }
local m = nn.model{ input = d, nn.linear{8}, nn.exp{}, nn.linear{8}, nn.exp{}, nn.linear{2} }
local run = hone.train{ model = m, data = d, epochs = 20, batch = 1, optim = optim.sgd{ lr = 1e5 } }
run:on("alert", function() run:resume() end)
print("mended", run:wait().state)
LUA
rm -rf runs
script 0 '^done  *good-1 ' "print of an outcome shows it" <<'LUA'
local d = hone.data{ "good.csv", y = "k" }
print(hone.train{ model = nn.model{ input = d, nn.linear{2} }, data = d, epochs = 1 }:wait())
LUA
is 2 'bag wants texts; good.csv has . numbers? a row: model=mlp, model=linear' "a named model for other data" train data=good.csv model=bag
printf 'text,label\n' >long.csv
printf '{"a":1,"k":"x"}\n{"a":2,"k":"y"}\n' >rows.jsonl
for i in 1 2 3 4 5 6 7 8; do printf 'w%s a b c d e f g h i j k,x\nshort %s,y\n' $i $i; done >>long.csv
script 0 '8 of 16 train texts are longer than the 6 tokens that the model has positions for and were cut' "texts longer than the positions: cut, counted" <<'LUA'
local d = hone.data{ "long.csv", text = "text", y = "label", vocab = 40 }
local m = nn.model{ input = { ids = 40, len = 6 }, nn.text_embedding{ dim = 4, positions = 6 }, nn.mean_pool{}, nn.linear{2} }
hone.train{ model = m, data = d, steps = 2 }:wait()
LUA
script 0 '8 of 16 train texts are longer than the 6 tokens' "in an evaluation too" <<'LUA'
local d = hone.data{ "long.csv", text = "text", y = "label", vocab = 40 }
hone.eval{ model = nn.model{ input = { ids = 40, len = 6 }, nn.text_embedding{ dim = 4, positions = 6 }, nn.mean_pool{}, nn.linear{2} }, data = d.train }
LUA
script 1 'column "text" of data long.csv has 30 ids, the model.s input takes 10: load the data with vocab=10' "a vocabulary larger than the model's table" <<'LUA'
local d = hone.data{ "long.csv", text = "text", y = "label", vocab = 40 }
hone.train{ model = nn.model{ input = { ids = 10 }, nn.embedding_bag{ dim = 4 }, nn.linear{2} }, data = d, steps = 2 }:wait()
LUA
script 1 'its input holds the ids of tokens: embedding\{\} or embedding_bag\{\} makes vectors' "numbers are asked of token ids" <<'LUA'
nn.model{ input = hone.data{ "long.csv", text = "text", y = "label", vocab = 40 }, nn.linear{2} }
LUA
script 0 'its texts are encoded anew as the model takes them' "texts in other words than a trained model's: encoded anew, training and evaluation agree" <<'LUA'
local a, b = hone.data{ "long.csv", text = "text", y = "label", vocab = 40 }, hone.data{ "long.csv", text = "text", y = "label", vocab = 12 }
local m = nn.model{ input = a, nn.embedding_bag{ dim = 8 }, nn.linear{2} }
hone.train{ model = m, data = b, epochs = 60, batch = 4, optim = optim.adam{ lr = 0.05 } }:wait()
assert(hone.eval{ model = m, data = a.train }.acc == 1)
assert(hone.eval{ model = m, data = b.train }.acc == 1)
LUA
cp runs/good-1/journal.lua j.lua
is 0 '' "a journal runs again" run --plain j.lua
for i in 1 2 3 4 5 6 7 8 9 10; do echo "$i,$((i * i % 7)),$([ $((i % 2)) = 1 ] && echo odd || echo even)"; done | sed '1i a,b,k' >ten.csv
with() { # with CODE PATTERN NAME ARGS: a run of one epoch on ten rows, two of them for validation, with these arguments of hone.train
    printf 'local d = hone.data{ "ten.csv", y = "k", val = 2 }\nlocal m = nn.model{ input = d, nn.linear{2} }\n%s\n' \
        "hone.train{ model = m, data = d, epochs = 1, batch = 4, $4 }:wait()" >s.lua
    is "$1" "$2" "$3" run --plain s.lua
}
with 0 'val_auroc (0|0.5|1)' "a metric of probabilities is a number while training" 'metric = "auroc", patience = 1'
with 1 'metric="mae" is of numbers, but the targets here are classes: use acc' "a metric of other targets" 'metric = "mae"'
with 1 'no metric "f1macro"; did you mean "f1_macro"' "an unknown metric names the nearest" 'metric = "f1macro"'
with 0 'sched.cosine ends after 1 steps of the run.s 2' "a schedule that ends before the run" 'sched = sched.cosine{ total = 1 }'
with 0 'sched.warmup rises for 9 steps, but the run ends after 2' "a rise that does not end" 'sched = sched.warmup{ 9 }'
with 0 'schedule 2 of sched.chain begins after 50 steps, but the run ends after 2' "a part of a chain that never comes" \
    'sched = sched.chain{ sched.warmup{ 1 }, sched.cosine{}, at = { 50 } }'
with 0 'swa=5 begins after epoch 5, but the run ends after 1' "an average that never begins" 'swa = 5'
with 0 'swa=1 begins after epoch 1, but the run ends after 1' "nor one that begins at the end" 'swa = 1'
with 1 'at\[2\] of sched.multi_step must be a number' "a schedule of words" 'sched = sched.multi_step{ { 1, "x" } }'
with 1 'class_weights\[2\] must be a number of at least 0' "a class weight below 0" 'loss = loss.cross_entropy{ class_weights = { 1, -1 } }'
with 1 'class_weights has 3 numbers, the model 2 classes' "a class weight too many" 'loss = loss.cross_entropy{ class_weights = { 1, 1, 1 } }'
is 2 'loss cross_entropy needs a target with classes; this data set has none: use loss="mse"' "a loss of classes for numbers" \
    train 'data={ten.csv, y=a, target=number}' model=mlp loss=cross_entropy
with 1 'not a table of a sched' "a schedule in the place of an optimiser" 'optim = sched.cosine{}'
with 1 'contains a function.*braces' "braces that are missing" 'optim = optim.adam'
is 2 'metric="f1_macro" is taken on a validation part, and ten.csv has none: load it with val=N' "a metric without a validation part" \
    train data=ten.csv model=mlp metric=f1_macro
is 2 'no optimiser "foo"' "an unknown optimiser" train data=ten.csv model=mlp optim=foo name=bad
[ "$(cat out err | grep -c 'no optimiser')" = 1 ]
ok $? "is said once"
[ ! -e runs/bad-1 ]
ok $? "and leaves no folder of a run"
is 2 'no schedule "foo"' "nor does an unknown schedule" train data=ten.csv model=mlp sched=foo name=bad
is 2 'cutout changes pictures' "nor what the data cannot do" train data=ten.csv model=mlp cutout=9 name=bad
is 2 'ema and swa are two ways' "nor arguments that exclude each other" train data=ten.csv model=mlp ema=0.9 swa=1 name=bad
[ ! -e runs/bad-1 ]
ok $? "none of them left one"
mkdir runs/bad-1
echo '{"run":"bad-1","state":"failed","exit":1}' >runs/bad-1/run.json
touch runs/bad-1/lock
is 2 'run bad-1 has no checkpoint' "a run that failed holds no model" eval bad-1 ten.csv
touch file
is 1 'cannot make the folder file: Not a directory: .*not begun; --runs DIR' "a file in the place of the folder of runs: no run" \
    --runs file train data=ten.csv model=mlp
is 1 'cannot make the folder file: Not a directory' "nor a range of rates" --runs file -c 'data ten.csv y=k' -c 'lr_range model=mlp'
HONE_FAULT=run.lock:1:ENOSPC is 1 'write into the run folder full/ten-1: No space left.*not begun' "a full disk: none" --runs full train data=ten.csv model=mlp
[ ! -e full/ten-1 ]
ok $? "and no folder"
HONE_FAULT=ckpt.commit:2:ENOSPC is 1 'step 4 could not be saved: .*No space left on device; the newest on disk is that of step 2$' \
    "a run whose last state found no room fails as a command" train data='{"ten.csv", val=2}' model=mlp epochs=2 batch=4 name=last
grep -q '^unsaved yes$' out
ok $? "its result says so"
HONE_FAULT=ckpt.commit:1:ENOSPC is 0 '' "one between is made good by the next" train data='{"ten.csv", val=2}' model=mlp epochs=2 batch=4 name=last
is 2 'no model "nosuch": .*hone ls' "a model that is not there" eval nosuch ten.csv
is 2 "data sets have: write data='\{ \"NAME\", y = ... \}'" "an argument of the data given to train" train data=ten.csv model=mlp y=a
is 2 "data sets have: write data='" "and as an option" train data=ten.csv model=mlp --val 3
is 2 "data sets have: write data='" "and to eval" eval nosuch ten.csv y=a
is 2 'option --device' "an option given as an argument" train data=ten.csv model=mlp device=cuda
is 0 'ten.csv: 8 training, 2 validation, 0 test rows' "a data set that was only loaded is told" data ten.csv val=2
is 2 'name of the data set is empty' "an empty name" data ''
is 2 'len=12 goes with texts, a stream, but ten.csv was read as a table of numbers and categories \(text=COLUMN' "an argument of texts with a table" \
    data ten.csv len=12
is 2 'mel=80 goes with imagedir, tar, sound|mel=80 goes with .*, but ten.csv was read as csv: leave it out' "one of sounds" data ten.csv mel=80
is 2 'missing="mean" goes with tables' "one of tables with texts" data long.csv missing=mean
is 2 'sep=";" goes with csv, but rows.jsonl was read as jsonl' "one of CSV with JSON lines" data rows.jsonl 'sep=;'
is 2 'normalize=true goes with pictures and other arrays' "one of pictures" data ten.csv normalize=true
is 0 '' "one at its default says nothing" data ten.csv lower=true missing=error
is 2 'ten.csv is there and is no bundle' "a bundle does not replace another file" bundle good-1 ten.csv
head -n 1 ten.csv | grep -q a,b,k
ok $? "which is as it was"
is 1 'no file nosuch.tar.gz' "a bundle that is not there" import nosuch.tar.gz
is 2 'either --csv or --jsonl, not both' "two formats at once" export good-1 --csv --jsonl
printf 'local d = hone.data{ "ten.csv", y = "k", val = 2 }\nlocal m = nn.model{ input = d, nn.linear{2} }\nhone.compress{ model = m, data = d, save = "ten.csv" }\n' >s.lua
is 1 'cannot save to ten.csv' "compress looks at the place of its result first" run --plain s.lua
! grep -q 'as given' out err
ok $? "and not after its work"
finish
