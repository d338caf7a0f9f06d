#!/bin/sh
# A model meets other files than it was trained on: they are prepared as its training data was, columns by name, standardisation, categories and classes its
# own.
. "$top_srcdir/tests/cli/lib.sh"
awk 'BEGIN { srand(7); print "width,colour,height,kind"
    for (i = 0; i < 300; i++) { k = i % 3; printf "%.2f,%s,%.2f,%s\n", 10 * k + 2 * rand(), (k == 1 ? "red" : "blue"), 5 - k + rand(), substr("ashoakelm", 3 * k + 1, 3) } }' >trees.csv
cat >train.lua <<'EOF'
local d = hone.data{ "trees.csv", y = "kind" }
local m = nn.model{ input = d, nn.linear{16}, nn.relu{}, nn.linear{3} }
hone.train{ model = m, data = d, epochs = 20, batch = 16, lr = 0.01, seed = 1 }:wait()
m:save("trees.hone")
m:save("trees")
EOF
is 0 'acc 0.99|acc 1.0' "a table is learned" --plain --runs r run train.lua
is 0 '^acc  *(1|0\.9)[0-9.]*  \(95 %' "the file it was trained on" eval trees.hone trees.csv
# One kind alone, its columns in another order and one more: by itself it would have other means, one colour and one class.
{ echo "kind,note,height,colour,width"; awk -F, '$4 == "oak" { print $4 ",x y," $3 "," $2 "," $1 }' trees.csv; } >oak.csv
is 0 '^acc  *(1|0\.9)[0-9.]*  \(95 %' "a file with one of its classes" eval trees.hone oak.csv
"$hone" --json predict trees.hone oak.csv >p.json 2>err
[ "$(grep -c '"label":"oak"' p.json)" -ge 95 ] && [ "$(grep -c '"event":"predict"' p.json)" = 100 ]; ok $? "one answer a row of a file"
is 0 'label oak' "values in the order of its columns" predict trees.hone 11 red 4.2
cut -d, -f1-3 oak.csv >less.csv
is 1 'less.csv has no column "width", which the model takes' "a column that is missing" predict trees.hone less.csv
is 2 'less.csv has no such column' "and in an evaluation" eval trees.hone less.csv
sed '9s/^oak/fir/' oak.csv >fir.csv
is 1 'the label "fir" is none of the 3 classes' "a class it does not know" eval trees.hone fir.csv
sed 's/red/green/' oak.csv >green.csv
is 1 'column "colour": the training part has no value "green"' "a value it does not know" predict trees.hone green.csv
sed 's/"kind": "table"/"kind": "array", "shape": [70000]/' trees/model.json >model.json && mv model.json trees/model.json
cat >wide.lua <<'EOF'
local row = {}
for i = 1, 70000 do row[i] = 1 end
hone.load{ "trees" }:predict(row)
EOF
is 1 "does not fit it: the model's input 1 has 4 values a row, but column \"x\" has 70000" "a model whose preparation gives other rows than it takes" run wide.lua
run=$(ls -d r/trees-* | head -1)
is 0 '^acc  *(1|0\.9)[0-9.]*  \(95 %' "a run by its folder" eval "$run" oak.csv
is 0 'label oak' "a run by its name" --runs r predict "$(basename "$run")" 11 red 4.2
mkdir away
cd away || exit 99
is 0 '"n":300' "a run's own data, found from another folder" --json --runs ../r eval "$(basename "$run")"
is 0 '"won":0' "models side by side, on what the first was trained on" --json --runs ../r compare "$(basename "$run")" "$work/trees.hone"
cd ..
echo "hone.eval{ model = '$run', data = { 'trees.csv', test = 50 } }" >eval.lua
"$hone" --quiet --runs r run eval.lua >out 2>err
is 0 'test_acc' "its evaluation is kept with it" --runs r ls
"$hone" --runs r export "$(basename "$run")" --csv --out curves.csv >out 2>err
grep -q 'test_acc' curves.csv; ok $? "and is a point of its curves"
is 2 'there is no model "mlp": give the path of a saved one' "a model without weights" eval mlp trees.csv
printf 'text,label\ngood fine film,pos\nbad dull film,neg\nfine good,pos\ndull bad,neg\n' >t.csv
cat >text.lua <<'EOF'
local d = hone.data{ "t.csv", vocab = 20 }
local m = nn.model{ input = d, nn.embedding{20, 8}, nn.mean_pool{}, nn.linear{2} }
hone.train{ model = m, data = d, epochs = 60, batch = 4, lr = 0.05, seed = 1 }:wait()
m:save("t.hone")
m:save("t")
EOF
is 0 '' "texts are learned" --plain --runs r run text.lua
printf 'label,text\npos,a fine thing\npos,good\n' >u.csv
is 0 '^acc  *1\.0000' "other texts, by its words and classes" eval t.hone u.csv
"$hone" --json predict t.hone u.csv >p.json 2>err
[ "$(grep -c '"label":"pos"' p.json)" = 2 ]; ok $? "one answer a text of a file"
sed 's/"kind": "text"/"kind": "array"/' t/model.json >model.json && mv model.json t/model.json
is 1 'the data holds texts, but the preparation saved with the model is of the kind "array"' "texts for a model that prepares arrays" eval t t.csv
printf 'dull and bad\n"fine, good"\n' >w.tsv
"$hone" --json predict t.hone w.tsv "a fine film" >p.json 2>err
[ "$(sed 's/.*"predict","label":"\([a-z]*\)".*/\1/' p.json | tr '\n' ' ')" = "neg pos pos " ]; ok $? "of one column without a header, and a text beside it"
is 1 'no file v.csv' "a file of texts that is not there" predict t.hone v.csv
printf 'text\na fine thing\n' >only.csv
is 1 'the data has a target alone' "an evaluation of texts without labels" eval t.hone only.csv
mkdir -p pics/dark pics/light
for i in 1 2 3 4 5 6; do
    printf 'P6 2 2 255\n%s\001\002\001\003\002\001\002\001\003\001\002' $i >pics/dark/$i.ppm
    printf 'P6 2 2 255\n%s\371\372\371\373\372\371\372\371\373\371\372' $i >pics/light/$i.ppm
done
cat >pics.lua <<'EOF'
local d = hone.data{ "pics" }
local m = nn.model{ input = d, nn.flatten{}, nn.linear{2} }
hone.train{ model = m, data = d, epochs = 60, batch = 4, lr = 0.05, seed = 1 }:wait()
m:save("p.hone")
EOF
is 0 '' "pictures are learned" --plain --runs r run pics.lua
"$hone" --json predict p.hone pics/dark/3.ppm pics/light/4.ppm pics/dark/5.ppm >p.json 2>err
[ "$(sed 's/.*"predict","label":"\([a-z]*\)".*/\1/' p.json | tr '\n' ' ')" = "dark light dark " ]; ok $? "one answer a picture"
is 1 'cannot read none.ppm: No such file' "a picture that is not there" predict p.hone none.ppm
finish
