-- Which of 77 things does a bank's customer want: hashed word and character n-grams, TF-IDF, an averaged embedding.
--   hone demo intents      or: hone run intents.lua [EPOCHS]
-- Choices were made on 1,000 examples cut from the training part; the test part is read once, at the end.
local epochs = math.tointeger(tonumber(arg and arg[1])) or 10
local data = hone.data{ "banking77", ngrams = 2, chars = "2-5", hash_buckets = 131072, tfidf = true }
local net = nn.model{ input = data, name = "ngrams", nn.embedding{ dim = 128 }, nn.mean_pool{}, nn.dropout{ 0.3 }, nn.linear{ #data.classes } }
local run = hone.train{ model = net, data = data, epochs = epochs, batch = 64, optim = optim.adam{ lr = 1e-2, lazy = true }, sched = sched.cosine{} }
run:wait()

local test = hone.eval{ model = net, data = data.test }
print(string.format("test accuracy %.4f (95 %% interval %.4f to %.4f), macro F1 %.4f, %d parameters",
    test.acc, test.acc_lo, test.acc_hi, test.f1_macro, net:params()))
for _, text in ipairs{ "my card was stolen on holiday", "why is my transfer still pending?" } do
    local p = net:predict(text)
    p = p[1] or p
    print(string.format("  %-36s -> %s", text, p.label or p.class))
end
hone.result{ acc = test.acc, f1_macro = test.f1_macro }
