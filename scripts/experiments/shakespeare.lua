-- A small GPT that predicts the next character of Shakespeare's plays: the first 90 % of the text train it, the rest is held out.
-- hone run shakespeare.lua [steps=1600] [batch=32] [len=128] [dim=128] [layers=4] [heads=4] [lr=0.003] [dropout=0] [seeds=3] [first=1] [eval_every=400]
local hone_init, models, seeds = require "hone.init", require "hone.models", require "hone.seeds"
local o = hone_init.args(arg, { steps = 1600, batch = 32, len = 128, dim = 128, layers = 4, heads = 4, lr = 3e-3, dropout = 0, seeds = 3,
    first = 1, eval_every = 400, warmup = 0.1, decay = 0.1,
    data = "tinyshakespeare" })
local data = hone.data{ o.data, stream = true, len = o.len }

seeds.run(o.seeds, function(seed)
    local net = models.gpt{ input = data, vocab = #data.classes,
        dim = o.dim, layers = o.layers, heads = o.heads, positions = o.len, dropout = o.dropout, seed = seed }
    print(("%d parameters, %d windows of %d characters to train on, %d held out"):format(net:params(), #data.train, o.len, #data.val))
    local run = hone.train{ model = net, data = data, steps = o.steps, batch = o.batch, seed = seed, eval_every = o.eval_every, clip_norm = 1, metric = "loss",
        optim = optim.adamw{ lr = o.lr, weight_decay = o.decay, beta2 = 0.99 }, sched = sched.one_cycle{ rise = o.warmup }, ckpt_every = o.steps }
    local seconds = 0
    run:on("eval", function(e)
        seconds = e.t
        print(("seed %d, step %d: validation loss %.4f nats a character, %.1f s"):format(seed, e.step, e.loss, e.t))
    end)
    run:wait()
    local val = hone.eval{ model = net, data = data.val }
    return { val_loss = val.loss, val_acc = val.acc, seconds = seconds }
end, o.first)
