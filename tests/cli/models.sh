#!/bin/sh
# Whole models of scripts/lib/hone/models.lua: parameters and multiply-adds that are known, small ones with a run through their options.
. "$top_srcdir/tests/cli/lib.sh"
cat >count.lua <<'END'
local models, text = require "hone.models", { ids = 10000, len = 128 }
local make = {
    article = function() return nn.model{ input = text, nn.embedding{ 10000, 128 }, nn.mean_pool{}, nn.linear{ 2 } } end,
    resnet20conv = function() return models.resnet20{ shortcut = "conv" } end,
    bert_base = function() return models.bert_base{ head = false } end,
    text_cnn = function() return models.text_cnn{ input = text, vocab = 10000, classes = 2 } end,
    bilstm = function() return models.bilstm{ input = text, vocab = 10000, classes = 2 } end,
    bigru = function() return models.bilstm{ input = text, vocab = 10000, classes = 2, cell = "gru", layers = 2, pool = "last" } end,
}
local m = (make[arg[1]] or models[arg[1]])()
print(string.format("%d %d", m:params(), m:macs()))
END
count() { is 0 "^$2 $3\$" "$1: $2 parameters, $3 multiply-adds" run count.lua "$1"; }
count article 1280258 256
count resnet20 269722 40551040
count resnet20conv 272474 40813184
count resnet32 464154 68862592
count resnet56 853018 125485696
count resnet18 11689512 1814073344
count resnet50 25557032 4089184256
# 12 layers x 128 tokens x (4 x 768^2 + 2 x 768 x 3072 + 2 x 128 x 768) + pooler
count bert_base 109482240 11174215680
# text_cnn: 10000 x 128 + 100 (3 + 4 + 5) 128 + 300 + 602; 128 tokens x 153,600 + 600
count text_cnn 1434502 19661400
# bilstm: 10000 x 128 + 2 x (4 x 128 (128 + 128) + 2 x 512) + 514; 128 tokens x 262,144 + 512
count bilstm 1544706 33554944
# two layers of 3 x 128 gates a direction: 128 and 256 inputs
count bigru 1775106 62915072
finish
