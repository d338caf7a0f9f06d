-- Text classification by averaged word vectors: embedding of 10,000 words in 128 dimensions, mean, linear. First 128 words of
-- each text, 3 epochs, batch 32, Adam. Prints parameters, accuracy, recall and F1 with 95 % intervals on train and test, and the seconds each part took.
-- hone run article.lua [DATA] [train=10000] [epochs=3] [batch=32] [lr=0.001] [lazy=false] [tokens=words]
-- DATA: imdb (default), banking77, sst2, chnsenticorp (tokens=chars) ...; without imdb the banking77 sample is taken.
local hone_init = require "hone.init"
local o = hone_init.args(arg, { train = 0, epochs = 3, batch = 32, lr = 1e-3, lazy = false, tokens = "words", vocab = 10000, len = 128, dim = 128 })
local name = o[1] or "imdb"

local function spec(which, rows)
    return { which, train = rows, vocab = o.vocab, len = o.len, tokens = o.tokens, val = 0 }
end
local began = hone.clock()
local rows = o.train > 0 and o.train or (name == "imdb" and 10000 or nil)
local data
if o[1] then
    data = hone.data(spec(name, rows))
else
    data = hone_init.try_data(spec(name, rows))
    if not data then
        print("imdb is not on this machine: the banking77 sample with 77 classes is taken instead")
        name = "banking77"
        data = hone.data(spec(name))
    end
end

local bag = nn.model{ input = data, name = "bag", nn.embedding{ o.vocab, o.dim }, nn.mean_pool{}, nn.linear{ #data.classes } }
print(("%s: %d classes, %d texts to train on, %d to test; %d parameters"):format(name, #data.classes, #data.train, #data.test, bag:params()))

local loaded = hone.clock()
local run = hone.train{ model = bag, data = data, epochs = o.epochs, batch = o.batch, optim = optim.adam{ lr = o.lr, lazy = o.lazy } }
local last = 0
run:on("epoch", function() last = hone.clock() end) -- the last step is done; what follows is the wait for its checkpoint to be on the disk
run:wait()
local saved = hone.clock()

local function line(part, r)
    local cells = {}
    for _, m in ipairs{ "acc", "recall_macro", "f1_macro" } do
        local lo, hi = r:interval(m)
        cells[#cells + 1] = ("%s %.4f (%.4f to %.4f)"):format(m, r[m], lo, hi)
    end
    print(("%-5s  %s"):format(part, table.concat(cells, "   ")))
end
local on_train, on_test = hone.eval{ model = bag, data = data.train }, hone.eval{ model = bag, data = data.test }
local evaluated = hone.clock()
line("train", on_train)
line("test", on_test)
print(("seconds: %.2f reading both parts, vocabulary and tokens; %.2f training; %.2f until its last checkpoint is durable; %.2f evaluating"):format(
    loaded - began, last - loaded, saved - last, evaluated - saved))
hone.result{ data = name, seconds_data = loaded - began, seconds_train = last - loaded, seconds_saved = saved - last, seconds_eval = evaluated - saved,
    params = bag:params(), train_acc = on_train.acc, test_acc = on_test.acc, acc_lo = on_test.acc_lo, acc_hi = on_test.acc_hi,
    test_recall_macro = on_test.recall_macro, test_f1_macro = on_test.f1_macro }
