#!/bin/sh
# Connectionist temporal classification from end to end: a small recurrent net learns to read characters that last for several frames with gaps between,
# is saved, evaluated and asked; what cannot be learned from is said.
. "$top_srcdir/tests/cli/lib.sh"
# Each label lasts 1 to 3 frames, then come 1 to 2 gaps; sometimes a frame of noise.
frames() {
    awk -v n="$1" -v seed="$2" 'BEGIN { srand(seed); print "text,label"
        for (i = 0; i < n; i++) { x = y = ""
            for (k = 1 + int(5 * rand()); k > 0; k--) { c = substr("abcdef", 1 + int(6 * rand()), 1); y = y c
                for (j = 1 + int(3 * rand()); j > 0; j--) x = x c
                x = x substr("..~", 1 + int(2 * rand()), 2) }
            print x "," y } }'
}
frames 1500 1 >train.csv
frames 300 2 >test.csv
cat >train.lua <<'EOF'
local d = hone.data{ "train.csv", text = "text", y = "label", target = "sequence", tokens = "chars", vocab = 12, val = 200 }
assert(#d.classes == 7 and d.classes[1] == "" and d.classes[7] == "f", "classes are the blank, then the characters in order")
local m = nn.model{ input = d, nn.embedding{12, 16}, nn.gru{32, bidirectional = true}, nn.linear{#d.classes} }
hone.train{ model = m, data = d, epochs = 6, batch = 32, seed = 1, optim = optim.adam{ lr = 5e-3 } }:wait()
m:save("m.hone")
EOF
is 0 'val_ler 0(\.0[0-4][0-9]*)?$' "a GRU learns to read; its label error rate is below 5 %" --plain --runs r run train.lua
is 0 '^ler  *0(\.0[0-4][0-9]*)?$' "rows it has not seen: label error rate" eval m.hone test.csv
is 0 '^acc  *(1|0\.[89])[0-9.]*  ' "and the share of rows without an error" eval m.hone test.csv
is 0 '^acc .*95 %: 0\.[789][0-9]* to' "with its interval" eval m.hone test.csv
run=$(ls -d r/train-* | head -1)
is 0 '^ler  *0(\.0[0-4][0-9]*)?$' "the run's best checkpoint as well" eval "$run" test.csv
"$hone" --json predict m.hone 'aa..b.ccc.~' 'dd.d.' >p.json 2>err
[ "$(sed 's/.*"predict","label":"\([a-z]*\)".*/\1/' p.json | tr '\n' ' ')" = "abc dd " ]; ok $? "repeats are joined, those with a gap between are not"
grep -q '"labels":\["a","b","c"\]' p.json && ! grep -q '"p":' p.json; ok $? "the labels one by one; the best path has no probability"
"$hone" --json predict m.hone 'aa..b.ccc.~' beam=20 >p.json 2>err
grep -Eq '"label":"abc".*"p":(1|0\.[5-9])' p.json; ok $? "a search gives the probability of the sequence"
# Numbers: rows of frames and their class numbers, as IDX files.
rows() { # rows N SEED FILE-PREFIX: N rows of 16 frames of 4 values; a label 1 to 3 lights one value for 2 frames, then comes a dark one; up to 4 labels
    awk -v n="$1" -v seed="$2" -v x="$3-images-idx3-ubyte" -v y="$3-labels-idx1-ubyte" '
    function b(v) { return sprintf("\\%03o", v) }
    BEGIN { srand(seed); printf "%s", b(0) b(0) b(8) b(3) b(0) b(0) b(int(n / 256)) b(n % 256) b(0) b(0) b(0) b(16) b(0) b(0) b(0) b(4) >x
        printf "%s", b(0) b(0) b(8) b(2) b(0) b(0) b(int(n / 256)) b(n % 256) b(0) b(0) b(0) b(4) >y
        for (i = 0; i < n; i++) { many = 1 + int(4 * rand()); t = 0
            for (k = 0; k < 4; k++) { c = k < many ? 1 + int(3 * rand()) : 0; printf "%s", b(c) >y
                for (j = 0; j < 4; j++) for (f = 0; f < 4; f++) printf "%s", b(int(60 * rand()) + (c && j < 2 && f == c ? 180 : 0)) >x } } }'
    for f in "$3-images-idx3-ubyte" "$3-labels-idx1-ubyte"; do printf "$(cat "$f")" >"$f.raw" && mv "$f.raw" "$f"; done
}
mkdir strips
rows 600 1 strips/train
rows 100 2 strips/t10k
cat >strips.lua <<'EOF'
local d = hone.data{ "strips", target = "sequence", val = 100 }
assert(#d.classes == 4 and d.classes[4] == "3", "classes are the blank and the numbers")
local m = nn.model{ input = d, nn.frames{}, nn.gru{16, bidirectional = true}, nn.linear{4} }
hone.train{ model = m, data = d, epochs = 8, batch = 20, seed = 1, optim = optim.adam{ lr = 0.01 } }:wait()
m:save("s.hone")
EOF
is 0 'val_ler 0(\.0[0-4][0-9]*)?$' "frames of numbers are learned" --plain --runs r run strips.lua
is 0 '^ler  *0(\.0[0-4][0-9]*)?$' "and strips it has not seen are read" eval s.hone strips
"$hone" --json predict s.hone strips/t10k-images-idx3-ubyte >p.json 2>err
[ "$(grep -c '"event":"predict","label":"[123 ]*","labels":\[' p.json)" = 100 ]; ok $? "one answer a row of a file"
# What cannot be.
hostile() { # hostile CODE PATTERN NAME LUA: a script over bad.csv, whose columns are text and label
    printf '%s\n' "$4" >bad.lua
    is "$1" "$2" "$3" --plain --runs r run bad.lua
}
data='local function data(f, o) return hone.data{ f, text = "text", y = "label", tokens = "chars", vocab = 12, target = o or "sequence" } end
local function net(d, n, pool) return nn.model{ input = d, nn.embedding{12, 8}, nn.gru{8}, pool or nn.relu{}, nn.linear{n or #d.classes} } end
'
printf 'text,label\nab,ab\nabcd,abab\nabc,aa\naab,aab\n' >bad.csv
hostile 1 'example 4 has a target of 3 labels, which takes 4 frames .*but its input gives 3' "a target longer than its input" \
    "$data local d = data('bad.csv') hone.train{ model = net(d), data = d, epochs = 2, batch = 4 }:wait()"
hostile 0 '1 of 4 targets do not fit into the frames of their inputs and count nothing' "with zero_infinity it is left out and counted" \
    "$data local d = data('bad.csv') hone.train{ model = net(d), data = d, epochs = 2, batch = 4, loss = loss.ctc{ zero_infinity = true } }:wait()"
hostile 1 'the model has 2 outputs, but the data 3 classes with the blank: make the last layer linear.3.' "too few outputs" \
    "$data local d = data('bad.csv') hone.train{ model = net(d, 2), data = d, epochs = 2 }:wait()"
hostile 1 'ctc needs an answer for each frame' "a model that takes the frames together" \
    "$data local d = data('bad.csv') hone.train{ model = net(d, 3, nn.mean_pool{}), data = d, epochs = 2 }:wait()"
hostile 1 'of which loss cross_entropy knows nothing: use loss="ctc"' "a loss for other targets" \
    "$data local d = data('bad.csv') hone.train{ model = net(d), data = d, loss = 'cross_entropy' }:wait()"
hostile 1 'load the data with target="sequence"' "targets for another loss" \
    "$data local d = data('bad.csv', 'class') hone.train{ model = net(d), data = d, loss = 'ctc' }:wait()"
printf 'text,label\nab,\nabcd,\n' >empty.csv
hostile 1 'all sequences in column "label" are empty' "targets without a label" "$data data('empty.csv')"
printf 'text,label\nab,ab\nabc,a\377\n' >latin.csv
hostile 1 'latin.csv line 3 is not UTF-8' "bytes that are no text" "$data data('latin.csv')"
awk 'BEGIN { print "text,label"; printf "ab,"; for (i = 0; i < 10001; i++) printf "a"; print "" }' >long.csv
hostile 1 'long.csv line 2: the sequence in column "label" has 10001 labels, more than 10000' "a target without end" "$data data('long.csv')"
mkdir zeros ones && rows 20 3 zeros/train
cp zeros/train-images-idx3-ubyte ones
printf '\0\0\010\001\0\0\0\024\1\2\3\1\2\3\1\2\3\1\2\3\1\2\3\1\2\3\1\2' >ones/train-labels-idx1-ubyte
printf '\0\0\010\002\0\0\0\024\0\0\0\004' >zeros/train-labels-idx1-ubyte
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do printf '\001\002\0\0' >>zeros/train-labels-idx1-ubyte; done
printf '\001\0\003\0' >>zeros/train-labels-idx1-ubyte
hostile 1 'class 3 stands behind a 0, which is the blank and ends a sequence: number the classes from 1' "a blank among the labels" \
    "hone.data{ 'zeros', target = 'sequence' }"
hostile 1 'holds one label an example: a sequence is a text or a row of several; use target="class"' "one label an example" \
    "hone.data{ 'ones', target = 'sequence' }"
hostile 1 'frames takes rows of frames, each example .T, D.' "frames of texts" \
    "$data local d = data('bad.csv') nn.model{ input = d, nn.embedding{12, 8}, nn.frames{}, nn.linear{3} }"
printf 'text,label\nab,ab\nabc,abz\n' >z.csv
is 1 'z.csv line 3: the character "z" is none of the 6 that were learned' "a character it has not learned" eval m.hone z.csv
hostile 0 '' "a model of whole texts is saved" \
    "$data local d = data('bad.csv', 'class') nn.model{ input = d, nn.embedding{12, 8}, nn.mean_pool{}, nn.linear{3} }:save('claim')"
sed -i 's/"layers"/"sequence":true,"layers"/' claim/model.json
is 1 'says that it reads sequences, but it has no answer for each frame' "and claims to read sequences" predict claim ab
is 2 'beam must be a whole number from 1 to 10000, not 0' "a search without room" predict m.hone ab beam=0
is 0 'label *$' "an empty text reads as nothing" predict m.hone ''
finish
