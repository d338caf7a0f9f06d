-- Spoken digits (FSDD, 8 kHz, six speakers) from scratch: convolutions over frames of log-mel energies, several seeds.
--   hone run fsdd.lua [model=text_cnn] [epochs=30] [batch=32] [lr=0.002] [seeds=3] [first=1] [part=test]
-- Epochs and rate were chosen on 300 recordings of the training part (part=val); the test part is read once a seed, at the end.
local hone_init, models, seeds = require "hone.init", require "hone.models", require "hone.seeds"
local o = hone_init.args(arg, { model = "text_cnn", epochs = 30, batch = 32, lr = 0.002, seeds = 3, first = 1, part = "test" })
local data = hone.data{ "fsdd", val = o.part == "val" and 300 or 0 }

seeds.run(o.seeds, function(seed)
    local net = models[o.model]{ input = data, frames = true, seed = seed }
    hone.train{ model = net, data = data, epochs = o.epochs, batch = o.batch, seed = seed, optim = optim.adam{ lr = o.lr }, sched = sched.one_cycle{} }:wait()
    local rep = hone.eval{ model = net, data = data[o.part] }
    print(("seed %d: accuracy %.4f on the %s part (95 %%: %.4f to %.4f)"):format(seed, rep.acc, o.part, rep.acc_lo, rep.acc_hi))
    return { acc = rep.acc }
end, o.first)
