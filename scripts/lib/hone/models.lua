-- Whole models as values: each returns what nn.model{...} would be given by hand.
--   local models = require "hone.models"
--   local net = models.mlp{ input = data, hidden = {512}, classes = 10 }
local models = {}

local function classes_of(o)
    if o.classes then return o.classes end
    local ok, names = pcall(function() return o.input.classes end)
    if ok and type(names) == "table" then return #names end
    error("the number of classes is not known: give classes = N", 3)
end

-- Multi-layer perceptron. hidden: list of widths (default {512}); act: an activation's name (default "relu"); dropout: after each hidden layer.
function models.mlp(o)
    local spec = { input = o.input, name = o.name or "mlp", nn.flatten{} }
    for _, width in ipairs(o.hidden or { 512 }) do
        spec[#spec + 1] = nn.linear{ width }
        spec[#spec + 1] = nn[o.act or "relu"]{}
        if o.dropout and o.dropout > 0 then spec[#spec + 1] = nn.dropout{ o.dropout } end
    end
    spec[#spec + 1] = nn.linear{ classes_of(o) }
    return nn.model(spec)
end

-- Bag of words: embedding, mean over the tokens, one dense layer. dim: width of the embedding (default 128); vocab: ids, taken from the data if absent.
function models.bag(o)
    local spec = { input = o.input, name = o.name or "bag", nn.embedding{ o.vocab, dim = o.dim or 128 }, nn.mean_pool{} }
    if o.vocab == nil then spec[1] = nn.embedding{ dim = o.dim or 128 } end
    if o.dropout and o.dropout > 0 then spec[#spec + 1] = nn.dropout{ o.dropout } end
    spec[#spec + 1] = nn.linear{ classes_of(o) }
    return nn.model(spec)
end

return models
