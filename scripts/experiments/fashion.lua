-- Fashion-MNIST with one hidden layer: 784-512-10, ReLU, Adam, batch 128, 3 epochs.
--   hone demo fashion            or: hone run fashion.lua [EPOCHS]
local epochs = math.tointeger(tonumber(arg and arg[1])) or 3
local data = hone.data{ "fashion-mnist" }
local net = nn.model{ input = data, name = "mlp", nn.flatten{}, nn.linear{512}, nn.relu{}, nn.linear{10} }
local run = hone.train{
    model = net, data = data, epochs = epochs, batch = 128,
    optim = optim.adam{ lr = 2e-3 }, sched = sched.cosine{},
}
run:wait()

local test = hone.eval{ model = net, data = data.test }
print(test:table())
print(string.format("test accuracy %.4f (95 %% interval %.4f to %.4f), macro F1 %.4f", test.acc, test.acc_lo, test.acc_hi, test.f1_macro))
hone.result{ acc = test.acc, f1_macro = test.f1_macro, params = net:params() }
