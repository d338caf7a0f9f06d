-- BANKING77 from scratch, several seeds: hashed word and character n-grams, TF-IDF, an averaged embedding.
--   hone run banking77.lua [SEEDS]
-- Choices were made on 1,000 examples cut from the training part; the test part is read once a seed, at the end.
local seeds = require "hone.seeds"
local data = hone.data{ "banking77", ngrams = 2, chars = "2-5", hash_buckets = 131072, tfidf = true }
seeds.run(math.tointeger(tonumber(arg and arg[1])) or 3, function(seed)
    return seeds.bag(data, { dim = 128, dropout = 0.3, lr = 1e-2, epochs = 10, batch = 64 }, seed)
end)
