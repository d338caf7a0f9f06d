#!/bin/sh
# Files as people have them: prices, columns that number the rows, files without a header. What hone guesses it says, and what it says is right.
. "$top_srcdir/tests/cli/lib.sh"
awk 'BEGIN { srand(3); print "rooms,garden,price"
    for (i = 0; i < 400; i++) { r = int(1 + 6 * rand()); g = rand() < 0.5
        printf "%d,%s,%d\n", r, (g ? "yes" : "no"), 90000 + 41000 * r + 25000 * g + int(4000 * rand()) } }' >houses.csv
is 0 'loss 0\.0' "prices are learned, standardised" --plain --runs r train data='{"houses.csv", val=80}' model=mlp epochs=40 lr=0.01 name=houses
"$hone" --runs r eval houses-1 houses.csv >out 2>err
r2=$(sed -n 's/^r2  *//p' out) mae=$(sed -n 's/^mae  *//p' out)
awk -v r2="$r2" -v mae="$mae" 'BEGIN { exit !(r2 > 0.97 && r2 < 1 && mae > 500 && mae < 10000) }'; ok $? "metrics are of the prices themselves (r2 $r2, mae $mae)"
printf 'rooms,garden\n2,no\n5,yes\n' >new.csv
"$hone" --runs r predict houses-1 new.csv >out 2>err
awk 'NR == 2 { a = $1 } NR == 3 { b = $1 } END { exit !(a > 160000 && a < 190000 && b > 300000 && b < 345000) }' out; ok $? "and answers are prices: $(tr '\n' ' ' <out)"
# Tables whose columns are no plain numbers
awk 'BEGIN { srand(5); print ",PassengerId,Survived,Name,Sex,Age,Fare,Ticket"
    for (i = 0; i < 60; i++) printf "%d,%d,%d,\"Smith%d, Mr. \"\"Bob\"\" the Elder\",%s,%s,%.2f,A/5 %d\n",
        i, 800 + i, i % 2, i, (i % 2 ? "female" : "male"), (i % 7 ? 20 + i % 40 : ""), 5 + i, 3001 * i }' >titanic.csv
is 1 'column "Age": the value is missing, in 9 of 60 rows; give missing="mean".*drop="Age"' "gaps are told, with what can be done" data show titanic.csv
is 0 '^columns target Survived  inputs Sex Age Fare  left_out 1 PassengerId Name Ticket$' "names, codes and numbers of rows are left out" \
    data show titanic.csv missing=mean
is 0 'left out: 1 \(numbers the rows\), PassengerId \(numbers the rows\), Name \(another value in most rows\), Ticket' "and that is said" \
    data show titanic.csv missing=mean
is 0 'inputs Sex Age  left_out .*Fare' "a column that is named by drop" data show titanic.csv missing=mean drop=Fare
is 0 'inputs Fare Name$|inputs Fare Name ' "x= takes what it names" data show titanic.csv x='{"Fare", "Name"}'
is 0 'rows train 51 ' "missing=drop" data show titanic.csv missing=drop
awk 'BEGIN { print "income,rooms,where,value"; for (i = 0; i < 50; i++) print i + 0.5 "," i % 5 "," (i % 3 ? "NEAR BAY" : "<1H OCEAN") "," 1000 * i }' >california.csv
is 0 'california.csv: the target is value, a number' "the last column is the target, which is said" data show california.csv
is 0 'inputs income rooms where' "a category of two words is no text" data show california.csv
awk 'BEGIN { print "colour,size,kind"; for (i = 0; i < 30; i++) print (i % 2 ? "red" : "blue") "," (i % 3 ? "big" : "small") "," (i % 2 ? "yes" : "no") }' >words.csv
is 0 'rows train 30 .*|target kind  inputs colour size' "a header over words alone" data show words.csv
sed 1d words.csv >bare.csv
is 0 'target 3  inputs 1 2' "and none" data show bare.csv
awk 'BEGIN { print "0,1,2,3"; for (i = 0; i < 30; i++) print i / 7 "," i % 4 + 0.25 "," i / 3 "," i % 2 ".0" }' >frame.csv
is 0 '^classes 0 1$' "columns that pandas numbered, classes it wrote as 0.0 and 1.0" data show frame.csv
is 0 'rows train 30 ' "whose header is no row" data show frame.csv
awk 'BEGIN { print "length width  kind"; for (i = 0; i < 30; i++) print "  " i / 7 "   " i % 4 "\t" (i % 2 ? "oak" : "elm") " " }' >blanks.txt
is 0 'target kind  inputs length width' "columns between blanks" data show blanks.txt
awk 'BEGIN { print "a, b, species"; for (i = 0; i < 30; i++) print i / 7 ", " i % 4 ", Iris-" (i % 2 ? "setosa" : "virginica") }' >spaced.csv
is 0 'target species  inputs a b$' "blanks behind commas" data show spaced.csv
{ cat words.csv; echo "red,big,"; } >gap.csv
is 1 'the label in column "kind" is empty.*missing="drop"' "a row without a label" data show gap.csv
is 0 'gap.csv: 1 of 31 rows have no target and are left out' "is left out on demand" data show gap.csv missing=drop
cat >rare.lua <<'EOF'
local d = hone.data{ "california.csv", missing = "mean" }
local m = nn.model{ input = d, nn.linear{1} }
hone.train{ model = m, data = d, epochs = 1 }:wait()
print(m:predict{ 3.5, 2, "ISLAND" }.value)
print(hone.eval{ model = m, data = { "california.csv", target = "number" } }.n)
EOF
is 0 'column "where": a value that the training part never had' "with missing=mean a new value counts as missing" run --plain rare.lua
"$hone" --runs r train data='{"titanic.csv", missing="mean"}' model=mlp epochs=30 lr=0.01 name=ship >out 2>&1
{ echo "Fare,Sex,Survived,Id,Age"; awk -F, 'NR > 1 { print 10 "," $(NF-3) "," $3 "," $2 "," 30 }' titanic.csv; } >other.csv
is 0 '^acc +1' "another file of the same, by the name of its target" --runs r eval ship-1 other.csv
# JSON as pandas and others write it
printf '[\n  {\n    "text": "a good film",\n    "label": "pos"\n  },\n  {"text": "a dull film", "label": "neg", "lang": "en"}\n]\n' >list.json
is 0 'rows train 2 .*|classes neg pos' "a list of objects" data show list.json
is 0 'list.json: 1 of 2 objects lack "lang", which counts as missing' "a key that some lack" data show list.json
printf '{"text":"good [film]","meta":{"a":1},"tags":["x","y"],"label":1}\n{"text":"bad","meta":{},"tags":["z"],"label":0}\n' >nested.jsonl
is 0 'the values of "meta" are objects or nested lists, which cannot be a column; it is left out' "objects are left out" data show nested.jsonl
is 0 'target label  inputs tags' "lists of words are texts" data show nested.jsonl x=tags
# Files of other programs
magic() { printf "$1" >"$2" && is 1 "$2 is $3" "$4" data show "$2"; }
magic 'PAR1\025\004\025\000' a.parquet 'a Parquet file; write it as CSV, in Python: pandas.read_parquet' "Parquet"
magic 'PK\003\004\024\000\000\000\010\000\000\000\041\000\000\000\000\000\000\000\000\000\000\000\000\000\023\000\000\000[Content_Types].xml' a.xlsx \
    'an Excel file' "xlsx"
magic 'PK\003\004\024\000\000\000\010\000\000\000\041\000\000\000\000\000\000\000\000\000\000\000\000\000\005\000\000\000t.csvxxxx' a.zip 'a zip archive' "zip"
magic 'BZh91AY&SY\000\000' a.csv.bz2 'packed with bzip2' "bzip2"
magic '1 3:0.5 7:2\n-1 2:1 9:4\n' a.svm 'a LIBSVM file' "LIBSVM"
magic 'SQLite format 3\000' a.db 'an SQLite database' "SQLite"
# Texts without blanks between words, and emoji
awk 'BEGIN { srand(2); split("这 个 商 品 质 量 物 流 快 递 包 装", w, " "); split("好 棒 喜", g, " "); split("差 坏 怒", b, " "); print "review,label"
    for (i = 0; i < 120; i++) { s = ""; for (k = 0; k < 9; k++) s = s w[1 + int(12 * rand())]
        print s (i % 2 ? g[1 + int(3 * rand())] : b[1 + int(3 * rand())]) w[1 + int(12 * rand())] (i % 5 ? "" : "😀") "," (i % 2 ? "yes" : "no") } }' >zh.csv
is 0 'ids (1[0-9]|2[0-2])( |$)' "ideographs and emoji are words" data show zh.csv
"$hone" --runs r train data='{"zh.csv", val=40}' model=bag epochs=30 lr=0.05 name=zh >out 2>&1
is 0 '^acc +1' "and tell the classes of new texts" --runs r eval zh-1 data='{"zh.csv", val=40}' split=val
is 0 'label yes' "one alone" --runs r predict zh-1 商品很好
# Folders of pictures
mkdir -p pets/cat pets/dog deep/cat/more
for i in 1 2 3; do printf 'P5 2 2 255\n\001\002\003\004' | tee pets/cat/$i.pgm >pets/dog/$i.pgm; done
printf 'P5 2 2 255\n\001' >pets/dog/2.pgm
: >pets/cat/3.pgm
is 1 'pets/cat/3.pgm is empty; mend or remove it, or load the data with missing="drop"' "a broken picture is told" data show pets
is 0 'rows train 4 .*|pets/dog/2.pgm .* it is left out' "and left out on demand" data show pets missing=drop
cp pets/cat/1.pgm deep/cat/more/
is 1 'deep/cat holds no files; .*folders in it are not looked into' "folders in the folder of a class" data show deep
mkdir -p gifs/cat; printf 'GIF89a\001\000\001\000' >gifs/cat/1.gif
is 1 'gifs/cat/1.gif is a GIF picture: PNG, JPEG, PPM and PGM are read' "pictures of another format" data show gifs
# Predictions for files
awk 'NR == 1 { print "stars,body"; next } { split($0, f, ","); print (f[2] == "yes" ? 5 : 1) "," f[1] }' zh.csv >"my reviews.csv"
is 0 '^no +[01]' "the texts of a file with a blank in its name" --runs r predict zh-1 "my reviews.csv"
[ "$(grep -c '^\(yes\|no\) ' out)" = 120 ]; ok $? "an answer a row"
sed 1d california.csv >nameless.csv
"$hone" --runs r train data=california.csv model=linear epochs=1 name=west >out 2>&1
is 1 'has no column "income", which the model takes: its first row holds no names of columns' "a table without names" --runs r predict west-1 nameless.csv
# Arrays: columns first, labels that are texts, classes as rows with one 1
npy() { # FILE DESCR FORTRAN SHAPE DATA
    { printf '\223NUMPY\001\000\166\000%-117s\n' "{'descr': '$2', 'fortran_order': $3, 'shape': ($4), }"; printf "$5"; } >"$1"
}
mkdir -p arrays hots
npy arrays/X_train.npy '|u1' True '3, 2' '\001\002\003\011\012\013'
npy arrays/y_train.npy '<U3' False '3,' 'c\0\0\0a\0\0\0t\0\0\0d\0\0\0\366\0\0\0\0\0\0\0c\0\0\0a\0\0\0t\0\0\0'
cat >arrays.lua <<'EOF'
local d = hone.data{ "arrays" }
print(math.floor(255 * d.train[2].x[1] + 0.5), math.floor(255 * d.train[2].x[2] + 0.5), d.train[2].class, #d.classes)
EOF
is 0 '^2[[:blank:]]+10[[:blank:]]+dö[[:blank:]]+2$' "an array of columns, labels of letters" run --plain arrays.lua
npy hots/X.npy '|u1' False '3, 2' '\001\002\003\011\012\013'
npy hots/y.npy '<f4' False '3, 2' '\0\0\200\077\0\0\0\0\0\0\0\0\0\0\200\077\0\0\200\077\0\0\0\0'
is 0 'each row of y has one 1 among 2 values: they are taken as classes' "rows with one 1 are classes" data show hots
is 0 '^class_rows 2 1$' "the right ones" data show hots
finish
