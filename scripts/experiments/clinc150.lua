-- CLINC150, the 150 intents in scope, from scratch, several seeds: hashed word and character n-grams, mean and maximum of their vectors side by side, label
-- smoothing.
--   hone run clinc150.lua [SEEDS] [PART]
-- Choices were made on the validation part (PART val); the test part is read once a seed, at the end.
local seeds = require "hone.seeds"
local data = hone.data{ "clinc150", ngrams = 2, chars = "2-4", hash_buckets = 131072 }
seeds.run(math.tointeger(tonumber(arg and arg[1])) or 3, function(seed)
    local o = { dim = 256, max = true, drop_tokens = 0.1, dropout = 0.3, smooth = 0.1, lr = 5e-3, epochs = 10, batch = 32, part = arg and arg[2] }
    return seeds.bag(data, o, seed)
end)
