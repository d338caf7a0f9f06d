-- All of IMDB, several seeds: words and hashed bigrams of the whole review, an averaged embedding of 16 numbers.
--   hone run imdb_bigrams.lua [SEEDS]
-- Choices were made on 2,500 examples cut from the training part; the test part is read once a seed, at the end.
local seeds = require "hone.seeds"
local data = hone.data{ "imdb", ngrams = 2, vocab = 30000, hash_buckets = 2097152 }
seeds.run(math.tointeger(tonumber(arg and arg[1])) or 3, function(seed)
    return seeds.bag(data, { dim = 16, dropout = 0.2, lr = 1e-2, epochs = 3, batch = 64 }, seed)
end)
