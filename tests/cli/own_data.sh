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
finish
