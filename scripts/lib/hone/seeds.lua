-- The same experiment with several seeds: mean and 95 % interval (Student's t) of each number it gives.
--   local seeds = require "hone.seeds"
--   seeds.run(3, function(seed) ... return { acc = 0.9 } end)
local seeds = {}

local t975 = { 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262 } -- by degrees of freedom

-- Mean and half the width of the 95 % interval of a list of numbers (0 for a single one).
function seeds.interval(list)
    local n, sum, sq = #list, 0, 0
    for _, x in ipairs(list) do sum = sum + x end
    local mean = sum / n
    for _, x in ipairs(list) do sq = sq + (x - mean) ^ 2 end
    if n < 2 then return mean, 0 end
    return mean, (t975[n - 1] or 1.96) * math.sqrt(sq / (n - 1) / n)
end

-- fn(seed) for n seeds from `first` (1 if not given), its results printed one a line, published as NAME, NAME_lo, NAME_hi. Also returned: {NAME = mean}.
function seeds.run(n, fn, first)
    local all, names, result, means = {}, {}, {}, {}
    first = first or 1
    for seed = first, first + n - 1 do
        for name, x in pairs(fn(seed)) do
            if not all[name] then
                all[name] = {}
                names[#names + 1] = name
            end
            table.insert(all[name], x)
        end
    end
    table.sort(names)
    for _, name in ipairs(names) do
        local mean, half = seeds.interval(all[name])
        print(string.format("%s: mean %.4f of %d seeds, 95 %% interval %.4f to %.4f", name, mean, n, mean - half, mean + half))
        result[name], result[name .. "_lo"], result[name .. "_hi"] = mean, mean - half, mean + half
        means[name] = mean
    end
    hone.result(result)
    return means
end

-- A bag of n-grams: data, a table {dim, dropout, lr, epochs, batch} and a seed; the test accuracy (the validation part's with part="val") and the seconds of
-- training. Also in the table: max, the maximum of the vectors beside their mean; drop_tokens, dropout of the vectors; smooth, label smoothing.
function seeds.bag(data, o, seed)
    local spec = { input = data, name = "ngrams", seed = seed, nn.embedding{ dim = o.dim } }
    if o.drop_tokens then spec[#spec + 1] = nn.dropout{ o.drop_tokens } end
    if o.max then
        local from = o.drop_tokens and "dropout1" or "embedding1"
        spec[#spec + 1] = nn.mean_pool{ name = "mean", from = from }
        spec[#spec + 1] = nn.max_pool{ name = "max", from = from }
        spec[#spec + 1] = nn.concat{ from = { "mean", "max" } }
    else
        spec[#spec + 1] = nn.mean_pool{}
    end
    spec[#spec + 1] = nn.dropout{ o.dropout }
    spec[#spec + 1] = nn.linear{ #data.classes }
    local net = nn.model(spec)
    local from = os.time()
    local run = hone.train{ model = net, data = data, epochs = o.epochs, batch = o.batch, seed = seed,
        optim = optim.adam{ lr = o.lr, lazy = true }, sched = sched.cosine{},
        loss = o.smooth and loss.cross_entropy{ label_smoothing = o.smooth } }
    run:wait()
    local seconds, test = os.time() - from, hone.eval{ model = net, data = data[o.part or "test"] }
    print(string.format("seed %d: %s accuracy %.4f (95 %% interval of that part %.4f to %.4f), trained in %d s",
        seed, o.part or "test", test.acc, test.acc_lo, test.acc_hi, seconds))
    return { acc = test.acc, seconds = seconds }
end

return seeds
