-- CLINC150, the 150 intents in scope, from scratch, several seeds: hashed word and character n-grams, TF-IDF, an averaged embedding.
--   hone run clinc150.lua [SEEDS]
-- Choices were made on the validation part; the test part is read once a seed, at the end.
local seeds = require "hone.seeds"
local data = hone.data{ "clinc150", ngrams = 2, chars = "2-5", hash_buckets = 131072, tfidf = true }
seeds.run(math.tointeger(tonumber(arg and arg[1])) or 3, function(seed)
    return seeds.bag(data, { dim = 128, dropout = 0.3, lr = 1e-2, epochs = 10, batch = 64 }, seed)
end)
