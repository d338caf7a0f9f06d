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

local function copy(o, defaults)
    local t = {}
    for k, v in pairs(defaults) do t[k] = v end
    for k, v in pairs(o) do t[k] = v end
    return t
end

-- A BERT encoder of any size. vocab (30522), dim (768), layers (12), heads (12), ffn (4 dim), positions (512), types (2), dropout (0), pool: "first" (the pooler:
-- first token, linear, tanh; the default), "mean", "none". classes: a linear head; without it (head=false) the pooled vector is the output.
function models.bert(o)
    o = copy(o, { vocab = 30522, dim = 768, layers = 12, heads = 12, positions = 512, types = 2, dropout = 0, pool = "first", head = true })
    local spec = { input = o.input or { ids = o.vocab, len = o.len or 128 }, name = o.name or "bert" }
    local function add(l) spec[#spec + 1] = l end
    add(nn.text_embedding{ o.vocab, o.dim, positions = o.positions, types = o.types, dropout = o.dropout, name = "embed" })
    for i = 1, o.layers do add(nn.encoder_block{ o.heads, o.ffn or 4 * o.dim, act = o.act or "gelu", dropout = o.dropout, name = "block" .. i }) end
    if o.pool == "first" then
        add(nn.first_token{})
        add(nn.linear{ o.dim, act = "tanh", name = "pooler" })
    elseif o.pool == "mean" then add(nn.mean_pool{})
    elseif o.pool ~= "none" then error("pool is \"first\", \"mean\" or \"none\", not " .. tostring(o.pool), 2) end
    if o.head then
        if o.dropout > 0 then add(nn.dropout{ o.dropout }) end
        add(nn.linear{ classes_of(o), name = "head" })
    end
    return nn.model(spec)
end

-- 12 layers of 768: 109,482,240 parameters with the pooler and without a head.
function models.bert_base(o) return models.bert(copy(o or {}, { name = "bert_base" })) end

-- 6 layers of 384, 12 heads: the shape of all-MiniLM-L6-v2, mean over the tokens.
function models.minilm_l6(o) return models.bert(copy(o or {}, { name = "minilm_l6", dim = 384, layers = 6, pool = "mean" })) end

-- A small GPT: learned positions, or rotary ones with rope = 10000; blocks normalise first; the output is a row of vocab scores a token.
function models.gpt(o)
    o = copy(o, { vocab = 256, dim = 128, layers = 4, heads = 4, positions = 256, dropout = 0, rope = 0 })
    local spec = { input = o.input or { ids = o.vocab, len = o.len or o.positions }, name = o.name or "gpt" }
    spec[1] = nn.text_embedding{ o.vocab, o.dim, positions = o.rope > 0 and 0 or o.positions, norm = false, dropout = o.dropout, name = "embed" }
    for i = 1, o.layers do
        spec[#spec + 1] = nn.encoder_block{ o.heads, o.ffn or 4 * o.dim, act = o.act or "gelu_tanh", gated = o.gated or false, pre = true, causal = true, rope = o.rope,
            eps = 1e-5, dropout = o.dropout, name = "block" .. i }
    end
    spec[#spec + 1] = nn.layer_norm{ name = "norm" }
    spec[#spec + 1] = nn.linear{ o.vocab, bias = false, name = "head" }
    return nn.model(spec)
end

return models
