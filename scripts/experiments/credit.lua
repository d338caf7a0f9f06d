-- German credit, a table with numbers and categories: who pays back. A small network against a linear model, on the same split.
-- hone run credit.lua [epochs=40] [test=200]
local o = require("hone.init").args(arg, { epochs = 40, test = 200, batch = 32 })

local data = hone.data{ "german-credit", test = o.test, val = 100 }
local n = #data.classes
local models = {
    nn.model{ input = data, name = "linear", nn.linear{n} },
    nn.model{ input = data, name = "network", nn.linear{ 32, act = "relu" }, nn.dropout{0.3}, nn.linear{n} },
}
for _, m in ipairs(models) do
    hone.train{ model = m, data = data, epochs = o.epochs, batch = o.batch, optim = optim.adamw{ lr = 3e-3, weight_decay = 1e-2 }, keep = "best" }:wait()
end
print(hone.compare{ models[1], models[2], data = data.test })
local best = hone.eval{ model = models[2], data = data.test }
print(best:table())
hone.result{ acc = best.acc, acc_lo = best.acc_lo, acc_hi = best.acc_hi, auroc = best.auroc, f1_macro = best.f1_macro }
