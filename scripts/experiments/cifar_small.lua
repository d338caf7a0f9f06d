-- A residual net of 20 layers on 2,000 pictures of CIFAR-10: how far the training loss falls in a minute.
-- hone run cifar_small.lua [train=2000] [epochs=16] [batch=64] [lr=0.05] [seeds=3] [first=1] [crop=0] [flip=false] [data=cifar10]
local hone_init, models, seeds = require "hone.init", require "hone.models", require "hone.seeds"
local o = hone_init.args(arg, { train = 2000, epochs = 16, batch = 64, lr = 0.05, seeds = 3, first = 1, crop = 0, flip = false, data = "cifar10" })
local data = hone.data{ o.data, train = o.train, normalize = true }

seeds.run(o.seeds, function(seed)
    local net = models.resnet20{ input = data, seed = seed }
    local from, losses, times = os.time(), {}, {}
    local run = hone.train{ model = net, data = data, epochs = o.epochs, batch = o.batch, seed = seed, crop = o.crop, flip = o.flip,
        optim = optim.sgd{ lr = o.lr, momentum = 0.9, nesterov = true, weight_decay = 1e-4 }, sched = sched.one_cycle{} }
    local first
    run:on("metric", function(e) first = first or e.loss end)
    run:on("epoch", function(e)
        losses[#losses + 1], times[#times + 1] = e.loss, e.t
        print(("seed %d, epoch %d: loss %.4f, accuracy on the training part %.4f, %.1f s"):format(seed, e.epoch, e.loss, e.acc, e.t))
    end)
    run:wait()
    local test = hone.eval{ model = net, data = data.test }
    print(("seed %d: loss %.4f in the first steps, %.4f in the last epoch: %.1f times less after %.1f s; test accuracy %.4f (95 %%: %.4f to %.4f)"):format(
        seed, first, losses[#losses], first / losses[#losses], times[#times], test.acc, test.acc_lo, test.acc_hi))
    return { acc = test.acc, loss = losses[#losses], times_less = first / losses[#losses], seconds = times[#times] }
end, o.first)
