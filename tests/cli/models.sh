#!/bin/sh
# Whole models of scripts/lib/hone/models.lua: parameters and multiply-adds that are known, small ones with a run through their options.
. "$top_srcdir/tests/cli/lib.sh"
cat >count.lua <<'END'
local models, text = require "hone.models", { ids = 10000, len = 128 }
local make = {
    article = function() return nn.model{ input = text, nn.embedding{ 10000, 128 }, nn.mean_pool{}, nn.linear{ 2 } } end,
    resnet20conv = function() return models.resnet20{ shortcut = "conv" } end,
    bert_base = function() return models.bert_base{ head = false } end,
    minilm_l6 = function() return models.minilm_l6{ head = false } end,
    text_cnn = function() return models.text_cnn{ input = text, vocab = 10000, classes = 2 } end,
    bilstm = function() return models.bilstm{ input = text, vocab = 10000, classes = 2 } end,
    bigru = function() return models.bilstm{ input = text, vocab = 10000, classes = 2, cell = "gru", layers = 2, pool = "last" } end,
}
local m = (make[arg[1]] or models[arg[1]])()
print(string.format("%d %d", m:params(), m:macs()))
END
cat >parts.lua <<'END'
local models = require "hone.models"
local rest = { mlp = function() return models.mlp{ input = { 1, 8, 8 }, hidden = { 9, 7 }, act = "tanh", classes = 3 } end,
    gpt_rope = function() return models.gpt{ rope = 10000, gated = true } end, bert_base = function() return models.bert_base{ head = false } end }
(rest[arg[1]] or models[arg[1]])():save("saved-" .. arg[1])
END
# parts MODEL TIMES PATTERN: how often its description says something
parts() {
    [ -d "saved-$1" ] || timeout 60 "$hone" run --plain parts.lua "$1" >out 2>&1 || cat out
    got=$(tr -d ' \n' <"saved-$1/model.json" | grep -oE -e "$3" | wc -l)
    [ "$got" = "$2" ]
    ok $? "$1: $3 $got times"
}
count() { is 0 "^$2 $3\$" "$1: $2 parameters, $3 multiply-adds" run count.lua "$1"; }
count article 1280258 256
count resnet20 269722 40551040
count resnet20conv 272474 40813184
count resnet32 464154 68862592
count resnet56 853018 125485696
count resnet18 11689512 1814073344
count resnet50 25557032 4089184256
count resnet34 21797672 '[0-9]+'
count resnet101 44549160 '[0-9]+'
count resnet152 60192808 '[0-9]+'
# without the pooler of all-MiniLM-L6-v2; 6 layers x 128 tokens x (4 x 384^2 + 2 x 384 x 1536 + 2 x 128 x 384)
count minilm_l6 22565376 1434451968
# (256 + 256) 128 + 4 (512 + 128 x 384 + 384 + 128^2 + 128 + 2 x 128 x 512 + 640) + 256 + 128 x 256; 256 tokens x (4 x 196,608 + 32,768 + 4 x 2 x 256 x 128)
count gpt 891648 276824064
# 12 layers x 128 tokens x (4 x 768^2 + 2 x 768 x 3072 + 2 x 128 x 768) + pooler
count bert_base 109482240 11174215680
parts mlp 2 '"layer":"tanh"'
parts gpt 4 '"causal":true'
parts gpt 4 '"pre":true'
parts gpt 1 '"layer":"layer_norm"'
parts gpt 1 '"positions":256'
parts gpt_rope 4 '"rope":10000'
parts gpt_rope 4 '"gated":true'
parts gpt_rope 1 '"positions":0'
parts bert_base 1 '"act":"tanh"'
parts resnet20 19 '"layer":"relu"'
parts resnet20 9 '"layer":"add"'
# text_cnn: 10000 x 128 + 100 (3 + 4 + 5) 128 + 300 + 602; 128 tokens x 153,600 + 600
count text_cnn 1434502 19661400
# bilstm: 10000 x 128 + 2 x (4 x 128 (128 + 128) + 2 x 512) + 514; 128 tokens x 262,144 + 512
count bilstm 1544706 33554944
# two layers of 3 x 128 gates a direction: 128 and 256 inputs
count bigru 1775106 62915072

# by their names on the command line, for the data that are there
is 0 'resnet20 .*pictures' "models lists them" models
is 0 'widths .*\{3, 4, 5\}' "models NAME shows the arguments" models text_cnn
is 1 'no model nope; hone models lists them$' "an unknown one" models nope
bank='{banking77, train=154, val=77, test=0}'
for m in bag text_cnn bilstm '{bilstm, pool=last, units=8}' '{bert, layers=1, dim=24, heads=2, pool=mean}'; do
    is 0 'banking77-[0-9] done' "model=$m learns texts" train data="$bank" "model=$m" steps=2
done
mkdir -p pictures/black pictures/white
for i in 1 2 3 4; do
    printf 'P5 8 8 255\n%064d' $i >pictures/black/$i.pgm
    printf 'P6 8 8 255\n%0192d' $i | tr 0 '~' >pictures/white/$i.ppm
done
is 0 ': resnet8, [0-9,]+ param' "model=resnet takes size and channels from the pictures" train data=pictures/ 'model={resnet, depth=8}' steps=2
is 2 'resnet20 wants pictures; german-credit has [0-9]+ numbers a row: model=mlp, model=linear$' "pictures wanted, values there" \
    train data=german-credit model=resnet20
is 2 'gpt wants stream; banking77 has texts: model=bag' "a stream wanted, texts there" train data=banking77 model=gpt
is 2 'no model "resnett20"; did you mean resnet20' "the nearest model" train data=german-credit model=resnett20
is 2 'no model "all-minilm-l6-v"; did you mean all-minilm-l6-v2' "the nearest pretrained model" train data=banking77 model=all-minilm-l6-v
is 2 'mlp has no argument hiden; it takes hidden, act, dropout' "an argument that the model does not have" train data=german-credit 'model={mlp, hiden={3}}'
is 2 'layers are made into one with nn.model' "a list of layers is no model" train data=german-credit 'model={mlp, relu}'
yes 'to be or not to be, that is the question' | head -c 20000 >book.txt
is 0 'book-1 done' "model=gpt reads a text as a stream" train 'data={book.txt, len=16, val=20}' 'model={gpt, dim=16, heads=2, layers=1}' steps=3
script 0 '^true done 2' "a script names models too, and waits for them in place" <<'LUA'
local r = hone.train{ model = { "mlp", hidden = { 4 } }, data = "german-credit", steps = 2 }
local t = setmetatable({}, { __index = function() return r:wait() end })
print(t.x.state == "done", t.x.state, t.x.step)
LUA
mkdir -p conf/hone
cat >conf/hone/config.lua <<'LUA'
require("hone.models").add{ name = "wide", wants = { "values" }, help = "one wide layer", args = { { "width", 32, "units" } },
    build = function(o) return { nn.linear{ o.width }, nn.tanh{}, nn.linear{ o.classes } } end }
LUA
export XDG_CONFIG_HOME="$work/conf"
is 0 'wide .*one wide layer' "a model added in config.lua is in the list" models
is 0 ': wide, 514 parameters' "and is trained by its name" train data=german-credit 'model={wide, width=8}' steps=2
unset XDG_CONFIG_HOME

# a saved model goes on with texts cut by its own vocabulary, and the run that did so is resumed with the same
cat >save.lua <<'LUA'
local d = hone.data{ "banking77", train = 77, val = 0, test = 0, vocab = 500, len = 12 }
local m = nn.model{ input = d, nn.embedding{ 500, 8 }, nn.mean_pool{}, nn.linear{ 77 } }
m:save("small")
LUA
is 0 '' "a model is saved" run --plain save.lua
is 0 'onward-1 done' "and trained on by its path" train data="$bank" model=small steps=4 name=onward
is 0 'onward-[0-9] done' "that run is resumed" train resume=onward-1 steps=6
finish
