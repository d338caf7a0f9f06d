-- BANKING77 from scratch over words in order: convolutions, LSTM or GRU, several seeds.
--   hone run words.lua [text_cnn|bilstm|bigru] [SEEDS]
-- Nothing was tuned; the test part is read once a seed, at the end.
local seeds, models = require "hone.seeds", require "hone.models"
local kind = arg and arg[1] or "text_cnn"
local make = {
    text_cnn = function(data, seed) return models.text_cnn{ input = data, filters = 128, seed = seed } end,
    bilstm = function(data, seed) return models.bilstm{ input = data, seed = seed } end,
    bigru = function(data, seed) return models.bilstm{ input = data, cell = "gru", pool = "last", seed = seed } end,
}
if not make[kind] then error("the first argument is text_cnn, bilstm or bigru, not " .. kind, 0) end
local data = hone.data{ "banking77", vocab = 4000, len = 64 }
seeds.run(math.tointeger(tonumber(arg and arg[2])) or 3, function(seed)
    local net = make[kind](data, seed)
    hone.train{ model = net, data = data, epochs = 8, batch = 32, seed = seed, optim = optim.adam{ lr = 2e-3 }, sched = sched.cosine{} }:wait()
    return { acc = hone.eval{ model = net, data = data.test }.acc }
end)
