#!/bin/sh
# Data parallel training: the same bits with any number of ranks, with edits on the way, when a rank is killed or stopped, and when a run is resumed with
# another number.
. "$top_srcdir/tests/cli/lib.sh"
cat >train.lua <<'EOF'
local d = hone.data{ "german-credit" }
local net = nn.model{ input = d, nn.linear{48}, nn.relu{}, nn.dropout{ p = 0.2 }, nn.linear{2} }
local run = hone.train{ model = net, data = d, epochs = tonumber(arg[4] or 6), batch = tonumber(arg[2]), accum = tonumber(arg[3]), seed = 5,
    optim = optim.adamw{ lr = 3e-3 }, clip_norm = 1, edits = { {9, "lr", 1e-3}, {12, "dropout", 0.4}, {15, "freeze", "linear1"}, {18, "freeze", {}} } }
run:wait()
net:save(arg[1])
EOF
cat >text.lua <<'EOF'
local d = hone.data{ "banking77", train = 600, vocab = 500, len = 16 }
local net = nn.model{ input = d, nn.embedding{500, 16}, nn.mean_pool{}, nn.linear{77} }
hone.train{ model = net, data = d, epochs = 2, batch = tonumber(arg[2]), accum = tonumber(arg[3]), optim = optim.adam{ lazy = arg[4] == "lazy" } }:wait()
net:save(arg[1])
EOF
bits() { sha256sum "$1" 2>/dev/null | cut -c1-16; }
same() { # NAME FILE FILE..
    name=$1; shift; first=$(bits "$1"); all=0
    for f in "$@"; do [ -n "$first" ] && [ "$(bits "$f")" = "$first" ] || { all=1; echo "# $f differs from $1"; }; done
    ok $all "$name"
}
go() { r=$1; shift; "$hone" --quiet --deterministic --ranks "$r" run "$@" >>out 2>>err || { echo "# exit $? of ranks $r: $*"; tail -2 err | sed 's/^/# /'; }; }
go 1 train.lua one.hone 8 4
for r in 2 3 4; do go $r train.lua r$r.hone 8 4; done
go 4 train.lua cut.hone 32 1
same "1, 2, 3 and 4 ranks give the same bits, edits and all; so does a batch cut into 4" one.hone r2.hone r3.hone r4.hone cut.hone
go 1 text.lua t1.hone 8 4; go 2 text.lua t2.hone 8 4; go 4 text.lua t4.hone 8 4
same "row-sparse gradients too" t1.hone t2.hone t4.hone
go 1 text.lua l1.hone 8 4 lazy; go 2 text.lua l2.hone 8 4 lazy
same "and lazy updates" l1.hone l2.hone
if bits t1.hone | grep -q "^$(bits l1.hone)$"; then ok 1 "the lazy run is another one"; else ok 0 "the lazy run is another one"; fi
is 1 'a batch of 33 cannot be cut into 2 equal parts: use 32 or 34' "a batch that cannot be cut" --ranks 2 run train.lua x.hone 33 1
is 2 'ranks must be a whole number from 1 to 64, not 65' "too many ranks" --ranks 65 run train.lua x.hone 8 4
is 2 '.--rank is for processes that hone starts itself|--rank is for processes' "a rank without a run" --rank 1

# What a rank has of the data beside its rows: weights of tokens, the scale of a target, where windows of a stream may begin.
awk 'BEGIN { print "a,b,y"; for (i = 0; i < 160; i++) print i % 7 "," i % 11 "," 500 + 30 * (i % 7) - 8 * (i % 11) }' >prices.csv
awk 'BEGIN { for (i = 0; i < 300; i++) printf "line %d of %d words, ", i * i % 97, i % 13 }' >stream.txt
cat >other.lua <<'EOF'
local kind = arg[4]
local d = kind == "weights" and hone.data{ "banking77", train = 128, ngrams = 2, hash_buckets = 512, tfidf = true }
    or kind == "scale" and hone.data{ "prices.csv" }
    or kind == "slide" and hone.data{ "stream.txt", stream = true, len = 16 }
    or hone.data{ "german-credit" }
local layers = kind == "weights" and { nn.embedding{ dim = 8 }, nn.mean_pool{}, nn.linear{ #d.classes } } or kind == "scale" and { nn.linear{1} }
    or kind == "slide" and { nn.embedding{ dim = 8 }, nn.linear{ #d.classes } } or { nn.linear{64}, nn.gelu{}, nn.linear{64}, nn.gelu{}, nn.linear{2} }
layers.input = d
local net = nn.model(layers)
hone.train{ model = net, data = d, epochs = 2, batch = tonumber(arg[2]), accum = tonumber(arg[3]), precision = kind == "half" and "fp16" or "fp32",
    force_precision = kind == "half", loss_scale = kind == "half" and 2^24 or nil, optim = kind == "search" and optim.lbfgs{ line_search = "strong_wolfe" } or optim.adam{},
    batch_tokens = tonumber(arg[5] or 0) }:wait()
net:save(arg[1])
EOF
for kind in weights scale slide half; do
    go 1 other.lua ${kind}1.hone 8 2 $kind; go 2 other.lua ${kind}2.hone 8 2 $kind
    same "all of the data comes along: $kind" ${kind}1.hone ${kind}2.hone
done
go 1 other.lua few1.hone 8 2 weights 51; go 2 other.lua few2.hone 16 1 weights 101; go 1 other.lua few3.hone 8 2 weights 50
same "half of 101 tokens a batch are 51" few1.hone few2.hone
is 1 'a line search computes its batch again, which ranks cannot share' "a line search" --ranks 2 run other.lua x.hone 8 2 search
if bits few1.hone | grep -q "^$(bits few3.hone)$"; then ok 1 "with 50 it is another run"; else ok 0 "with 50 it is another run"; fi

# Faults: each is said in one line, and the run ends with the bits of one that was left alone.
go 1 train.lua long.hone 8 4 60
fault() { # SIGNAL FILE
    "$hone" --plain --deterministic --runs "f$2" --ranks 3 run train.lua "$2" 8 4 60 >"$2.out" 2>&1 &
    run=$! times=0 hits=0
    while [ $times -lt 300 ] && kill -0 $run 2>/dev/null; do
        sleep 0.1
        times=$((times + 1))
        grep -q epoch "$2.out" || continue # they train
        for p in $(pgrep -P $run 2>/dev/null); do kill -s "$1" "$p" 2>/dev/null && hits=$((hits + 1)) && break; done
        [ $hits = 3 ] && break
        [ "$1" = STOP ] && [ $hits = 1 ] && break
    done
    wait $run
}
if command -v pgrep >/dev/null; then
    fault KILL k.hone
    grep -q 'was ended by signal 9; step [0-9]* is done again with new ranks' k.hone.out
    said=$?
    same "r.F7: killed ranks are replaced and nothing is lost" long.hone k.hone
    ok $said "and it is said"
    fault STOP s.hone
    same "r.F7: a stopped rank too" long.hone s.hone
    grep -q 'has not answered for 4 s' s.hone.out; said=$?
    [ $said = 0 ] || sed 's/^/# /' s.hone.out
    ok $said "after 4 seconds"
    "$hone" --plain --runs fm --ranks 2 run train.lua m.hone 8 4 5000 >m.out 2>&1 &
    run=$! times=0
    while [ $times -lt 300 ] && kill -0 $run 2>/dev/null; do
        sleep 0.1
        times=$((times + 1))
        grep -q epoch m.out && for p in $(pgrep -P $run 2>/dev/null); do kill -9 "$p" 2>/dev/null; done
    done
    [ $times -lt 300 ] && ! wait $run && grep -q 'the ranks were started anew 5 times in this run, which is enough' m.out
    said=$?
    [ $said = 0 ] || { kill -9 $run 2>/dev/null; tail -3 m.out | sed 's/^/# /'; }
    ok $said "a run whose ranks end again and again ends too"
    "$hone" --quiet --runs f0 --ranks 3 run train.lua z.hone 8 4 600 >/dev/null 2>&1 &
    run=$! others= times=0
    while [ -z "$others" ] && [ $times -lt 100 ]; do
        sleep 0.1
        others=$(pgrep -P $run)
        times=$((times + 1))
    done
    sleep 0.2
    kill -9 $run
    wait $run 2>/dev/null
    sleep 1
    left=0
    for p in $others; do # one that has ended but was not reaped yet is gone, too
        case $(ps -o stat= -p "$p" 2>/dev/null) in '' | Z*) ;; *) left=1 ;; esac
    done
    [ -n "$others" ] && [ $left = 0 ]; ok $? "r.F7: without rank 0 the others are gone in a second"
else
    skip "faults of ranks" "no pgrep here"
fi
cat >resume.lua <<'EOF'
local d = hone.data{ "german-credit" }
local net = nn.model{ input = d, nn.linear{48}, nn.relu{}, nn.dropout{ p = 0.2 }, nn.linear{2} }
local a = hone.train{ model = net, data = d, epochs = 2, batch = tonumber(arg[3] or 8), accum = tonumber(arg[4] or 4), seed = 5 }
a:wait()
hone.set("ranks", tonumber(arg[2]))
hone.train{ resume = a, epochs = 4 }:wait()
net:save(arg[1])
EOF
go 2 resume.lua u1.hone 1; go 2 resume.lua u2.hone 2; go 1 resume.lua u3.hone 3
same "a run goes on with more or fewer ranks, to the same bits" u1.hone u2.hone u3.hone
for r in 1 2 3; do go 1 resume.lua w$r.hone $r 32 1; done
same "a batch that was one piece stays one when the run goes on with two or three ranks" w1.hone w2.hone w3.hone
finish
