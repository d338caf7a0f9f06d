-- Fine-tunes the pretrained encoder all-MiniLM-L6-v2 (22.6 million parameters; `hone data fetch all-minilm-l6-v2`) as a classifier of texts:
-- mean over the tokens, a new linear layer, AdamW (lazy on touched rows of the word table), linear warm-up over a tenth of the steps and linear descent.
--   hone run finetune.lua [DATA] [epochs=10] [lr=0.0003] [batch=32] [len=64] [train=0] [val=0] [dropout=0.1] [precision=fp32]
--     [save=FOLDER] [model=all-minilm-l6-v2]
--   hone run finetune.lua imdb train=10000 len=128 epochs=3 lr=0.0001
-- Choices are made with val=1000 (cut from the training part), the test part is read once, at the end of a run without val.
local hone_init = require "hone.init"
local o = hone_init.args(arg, { epochs = 10, lr = 3e-4, batch = 32, len = 64, train = 0, val = 0, dropout = 0.1, precision = "fp32",
    save = "", model = "all-minilm-l6-v2" })
local data = hone.data{ o[1] or "banking77", tokenizer = o.model, len = o.len, train = o.train > 0 and o.train or nil, val = o.val }
local net = hone.load{ o.model, classes = #data.classes, pool = "mean", len = o.len, dropout = o.dropout }
print(("%d classes, %d texts to train on, %d to test; %d parameters"):format(#data.classes, #data.train, #data.test, net:params()))
local steps = math.ceil(#data.train / o.batch) * o.epochs
local from = os.time()
local run = hone.train{ model = net, data = data, epochs = o.epochs, batch = o.batch,
    optim = optim.adamw{ lr = o.lr, weight_decay = 0.01, lazy = true }, clip_norm = 1, precision = o.precision,
    sched = sched.warmup{ math.max(1, steps // 10), sched.polynomial{} } }
run:on("epoch", function(e)
    print(("epoch %d: loss %.4f"):format(e.epoch, e.loss) .. (e.val_acc and (", validation accuracy %.4f"):format(e.val_acc) or ""))
end)
run:wait()
local seconds = os.time() - from
if o.save ~= "" then net:save(o.save) end
if o.val == 0 then
    local r = hone.eval{ model = net, data = data.test, precision = o.precision }
    print(("test accuracy %.4f (95 %% interval %.4f to %.4f), trained in %d s"):format(r.acc, r.acc_lo, r.acc_hi, seconds))
    hone.result{ acc = r.acc, acc_lo = r.acc_lo, acc_hi = r.acc_hi, f1_macro = r.f1_macro, seconds = seconds, params = net:params() }
end
