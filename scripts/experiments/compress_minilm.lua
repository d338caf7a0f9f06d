-- Compresses a fine-tuned MiniLM-L6: 8-bit products and word table where they are faster here, judged on a validation part; then both models on the test
-- part, read once.
--   hone run compress_minilm.lua [MODEL] [data=banking77] [val=1000] [len=64] [max_drop=0.01] [seconds=4] [prune=0] [save=FOLDER]
-- MODEL: a folder saved by finetune.lua (save=FOLDER), trained without the rows that validate here (val=1000 there too, of the same data set and seed).
-- Without it the pretrained encoder is fine-tuned first, shortly: [epochs=3] [lr=0.0003] [train=0]. prune: share of units and heads removed before quantising.
local hone_init = require "hone.init"
local o = hone_init.args(arg, { data = "banking77", val = 1000, len = 64, max_drop = 0.01, seconds = 4, prune = 0, save = "",
    epochs = 3, lr = 3e-4, train = 0, encoder = "all-minilm-l6-v2" })
local data = hone.data{ o.data, tokenizer = o.encoder, len = o.len, train = o.train > 0 and o.train or nil, val = o.val }

local function finetuned()
    if o[1] then return hone.load(o[1]) end
    local net = hone.load{ o.encoder, classes = #data.classes, pool = "mean", len = o.len, dropout = 0.1 }
    local steps = math.ceil(#data.train / 32) * o.epochs
    hone.train{ model = net, data = data, epochs = o.epochs, batch = 32, optim = optim.adamw{ lr = o.lr, weight_decay = 0.01, lazy = true }, clip_norm = 1,
        sched = sched.warmup{ steps // 10, sched.polynomial{} } }:wait()
    return net
end

local net = finetuned()
local recipe = { quant.int8{} }
if o.prune > 0 then table.insert(recipe, 1, prune.magnitude{ o.prune }) end
local tiny = hone.compress{ model = net, data = data, recipe = recipe, max_drop = o.max_drop, seconds = o.seconds, save = o.save ~= "" and o.save or nil }
print(tiny:table())
local both = hone.compare{ net, tiny, data = data.test }
print(both)
local a, b = both[1], both[2]
print(("test accuracy %.4f -> %.4f (%+.2f points, lost %d, won %d, McNemar p %.3f); file %.1f MB -> %.1f MB (%.1f %%)"):format(
    a.acc, b.acc, 100 * (b.acc - a.acc), b.lost or 0, b.won or 0,
    b.p_mcnemar or 1, tiny.bytes_before / 1e6, tiny.bytes / 1e6, 100 * tiny.bytes / tiny.bytes_before))
hone.result{ acc_before = a.acc, acc = b.acc, bytes_before = tiny.bytes_before, bytes = tiny.bytes, p50_ms_before = tiny.p50_ms_before, p50_ms = tiny.p50_ms,
    examples_s_before = tiny.examples_s_before, examples_s = tiny.examples_s, p_mcnemar = b.p_mcnemar }
