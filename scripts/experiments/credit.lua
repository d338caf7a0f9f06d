-- Will a customer pay a loan back: the German credit table, a small net with dropout, class weights by the cost of a mistake.
--   hone demo credit       or: hone run credit.lua
local models = require "hone.models"
local data = hone.data{ "german-credit", test = 200, val = 100 }
local net = models.mlp{ input = data, hidden = { 32 }, dropout = 0.3, name = "credit" }
local run = hone.train{
    model = net, data = data, epochs = 40, batch = 32, optim = optim.adamw{ lr = 3e-3, weight_decay = 1e-2 },
    patience = 10, keep = "best",
}
run:wait()
local test = hone.eval{ model = net, data = data.test }
print(test:table())
hone.result{ acc = test.acc, recall = test.recall_macro, f1_macro = test.f1_macro }
