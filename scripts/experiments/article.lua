-- The classic text classifier: Embedding(10000, 128), mean over the tokens, Dense. 128 tokens a text, 3 epochs, batch 32, Adam.
--   hone run article.lua [DATA] [lazy]      DATA: a data set with texts (default imdb, 10,000 training texts; banking77 if imdb is not there)
-- lazy: Adam touches only the embedding rows of the batch.
local name, lazy
for _, a in ipairs(arg or {}) do
    if a == "lazy" then lazy = true else name = a end
end

local function load(which)
    return hone.data{ which, train = which == "imdb" and 10000 or nil, vocab = 10000, len = 128 }
end
local data
if name then
    data = load(name)
else
    local ok, found = pcall(load, "imdb")
    if ok then
        name, data = "imdb", found
    else
        print("imdb is not on this machine, so the shipped sample banking77 takes its place")
        name, data = "banking77", load("banking77")
    end
end

local n = #data.classes
local bag = nn.model{ input = data, name = "bag", nn.embedding{10000, 128}, nn.mean_pool{}, nn.linear{n} }
print(string.format("%s: %d training texts, %d classes, %d parameters", name, #data.train, n, bag:params()))

local run = hone.train{ model = bag, data = data, epochs = 3, batch = 32, optim = optim.adam{ lr = 1e-3, lazy = lazy } }
run:wait()

-- Wilson's interval needs the count alone; recall and F1 get theirs from the same number of examples (a good guide where classes are balanced).
local function line(part, r)
    local function interval(p)
        local z, m = 1.959963984540054, r.n
        local mid, half = (p + z * z / (2 * m)) / (1 + z * z / m), z * math.sqrt(p * (1 - p) / m + z * z / (4 * m * m)) / (1 + z * z / m)
        return string.format("%.4f [%.4f, %.4f]", p, mid - half, mid + half)
    end
    print(string.format("%-5s  accuracy %s  recall %s  F1 %s  (%d texts)", part, interval(r.acc), interval(r.recall_macro), interval(r.f1_macro), r.n))
end
local train = hone.eval{ model = bag, data = data.train }
local test = hone.eval{ model = bag, data = data.test }
line("train", train)
line("test", test)
hone.result{ params = bag:params(), train_acc = train.acc, test_acc = test.acc, test_recall = test.recall_macro, test_f1 = test.f1_macro }
