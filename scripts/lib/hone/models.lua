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

-- Convolutions over words (Kim 2014): windows of several widths side by side, the maximum of each filter over the text. dim: of the words (128); widths ({3, 4, 5}), filters of
-- each (100), dropout (0.5); vocab: ids, taken from the data if absent; dropout_embed: share of the words' values dropped (0).
function models.text_cnn(o)
    o = copy(o, { dim = 128, widths = { 3, 4, 5 }, filters = 100, dropout = 0.5, dropout_embed = 0 })
    local spec = { input = o.input, name = o.name or "text_cnn", seed = o.seed, nn.embedding{ o.vocab, dim = o.dim, name = "embed" } }
    local from, names = "embed", {}
    if o.vocab == nil then spec[1] = nn.embedding{ dim = o.dim, name = "embed" } end
    if o.dropout_embed > 0 then
        spec[#spec + 1] = nn.dropout{ o.dropout_embed, name = "drop" }
        from = "drop"
    end
    for _, width in ipairs(o.widths) do
        spec[#spec + 1] = nn.conv1d{ o.filters, width, name = "conv" .. width, from = from }
        spec[#spec + 1] = nn.relu{}
        spec[#spec + 1] = nn.max_pool{ name = "pool" .. width }
        names[#names + 1] = "pool" .. width
    end
    if #names > 1 then spec[#spec + 1] = nn.concat{ from = names } end
    if o.dropout > 0 then spec[#spec + 1] = nn.dropout{ o.dropout } end
    spec[#spec + 1] = nn.linear{ classes_of(o), name = "head" }
    return nn.model(spec)
end

-- A recurrent net over words, both ways. dim: of the words (128); units of a direction (128), layers (1), cell: "lstm" (default) or "gru", bidirectional (true);
-- pool: "max" (default) or "mean" over the states, "last": the last state of each direction; dropout of the words and of the pooled vector (0.3).
function models.bilstm(o)
    o = copy(o, { dim = 128, units = 128, layers = 1, cell = "lstm", bidirectional = true, pool = "max", dropout = 0.3 })
    if o.cell ~= "lstm" and o.cell ~= "gru" then error("cell is \"lstm\" or \"gru\", not " .. tostring(o.cell), 2) end
    if o.pool ~= "max" and o.pool ~= "mean" and o.pool ~= "last" then error("pool is \"max\", \"mean\" or \"last\", not " .. tostring(o.pool), 2) end
    local spec = { input = o.input, name = o.name or "bi" .. o.cell, seed = o.seed, nn.embedding{ o.vocab, dim = o.dim, name = "embed" } }
    local function add(l) spec[#spec + 1] = l end
    if o.vocab == nil then spec[1] = nn.embedding{ dim = o.dim, name = "embed" } end
    if o.dropout > 0 then add(nn.dropout{ o.dropout }) end
    add(nn[o.cell]{ o.units, num_layers = o.layers, bidirectional = o.bidirectional, dropout = o.layers > 1 and o.dropout or 0, states = o.pool == "last" and "last" or "all", name = o.cell })
    if o.pool ~= "last" then add(nn[o.pool .. "_pool"]{}) end
    if o.dropout > 0 then add(nn.dropout{ o.dropout }) end
    add(nn.linear{ classes_of(o), name = "head" })
    return nn.model(spec)
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

-- Residual nets (He et al. 2015). depth 20, 32, 44, 56, 110: small images, 16-32-64 channels, shortcut "pad" (no weights; the default) or "conv".
-- depth 18, 34, 50, 101, 152: ImageNet's, 64-512 channels, 1x1 shortcuts, bottlenecks from 50 on with the stride in their 3x3 (v1.5). input: default {3, 32, 32} or {3, 224, 224}.
local imagenet = { [18] = { 2, 2, 2, 2 }, [34] = { 3, 4, 6, 3 }, [50] = { 3, 4, 6, 3 }, [101] = { 3, 4, 23, 3 }, [152] = { 3, 8, 36, 3 } }
function models.resnet(o)
    o = copy(o or {}, {})
    local depth, spec, at, channels = o.depth or 20, {}, nil, 0
    local big = imagenet[depth]
    if not big and (depth < 8 or depth % 6 ~= 2) then error("a residual net has 18, 34, 50, 101, 152 or 6 n + 2 layers, not " .. tostring(depth), 2) end
    local function add(l) spec[#spec + 1] = l end
    local function conv(name, out, k, stride, from)
        add(nn.conv2d{ out, k, stride = stride, pad = k // 2, bias = false, name = name, from = from })
        add(nn.batch_norm{ name = name .. "n" })
    end
    local function block(name, width, stride, bottleneck)
        local out, from = bottleneck and 4 * width or width, at
        if bottleneck then
            conv(name .. "a", width, 1, 1, from)
            add(nn.relu{})
            conv(name .. "b", width, 3, stride)
            add(nn.relu{})
            conv(name .. "c", out, 1, 1)
        else
            conv(name .. "a", out, 3, stride, from)
            add(nn.relu{})
            conv(name .. "b", out, 3, 1)
        end
        local last, short = name .. (bottleneck and "cn" or "bn"), from
        if stride > 1 or out ~= channels then
            short = name .. "s"
            if big or o.shortcut == "conv" then
                conv(short, out, 1, stride, from)
                short = short .. "n"
            else add(nn.pad_shortcut{ out, stride, name = short, from = from }) end
        end
        add(nn.add{ from = { last, short } })
        add(nn.relu{ name = name })
        at, channels = name, out
    end
    if o.shortcut and o.shortcut ~= "pad" and o.shortcut ~= "conv" then error("shortcut is \"pad\" or \"conv\", not " .. tostring(o.shortcut), 2) end
    channels = big and 64 or 16
    conv("stem", channels, big and 7 or 3, big and 2 or 1)
    add(nn.relu{ name = "start" })
    at = "start"
    if big then
        add(nn.max_pool2d{ 3, stride = 2, pad = 1, name = "pool" })
        at = "pool"
    end
    for stage, n in ipairs(big or { (depth - 2) // 6, (depth - 2) // 6, (depth - 2) // 6 }) do
        local width = (big and 32 or 8) * 2 ^ stage // 1
        for i = 1, n do block(string.format("s%db%d", stage, i), math.tointeger(width), i == 1 and stage > 1 and 2 or 1, big and depth >= 50) end
    end
    add(nn.global_pool{})
    spec.input = o.input or (big and { 3, 224, 224 } or { 3, 32, 32 })
    spec.name = o.name or "resnet" .. depth
    if not o.classes and not (type(o.input) == "userdata") then o.classes = big and 1000 or 10 end
    add(nn.linear{ classes_of(o), name = "head" })
    return nn.model(spec)
end
for _, depth in ipairs{ 18, 20, 32, 34, 44, 50, 56, 101, 110, 152 } do
    models["resnet" .. depth] = function(o) return models.resnet(copy(o or {}, { depth = depth })) end
end

return models
