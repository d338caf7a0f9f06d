-- Whole models: the one list of them, for scripts, `hone train model=NAME`, the prompt and `hone models`.
--   local models = require "hone.models"
--   local net = models.mlp{ input = data, hidden = {512}, classes = 10 }
-- A row says what the model wants ("values", "pictures", "texts", "stream": a text as a stream of tokens, "frames": rows of frames, of sound for example), its
-- arguments with their defaults, how data named beside it are read unless they say otherwise, and returns in build(o) what nn.model{...} would be given by
-- hand. o has every argument, classes (outputs), input; where hone builds it for a data set also kind, ids, len, shape, sequence of these data.
local models = { names = {} }
local rows, by_name = {}, {}

local function has(list, x)
    for _, v in ipairs(list) do if v == x then return true end end
    return false
end

local function classes_of(o)
    if o.classes then return o.classes end
    local ok, names = pcall(function() return o.input.classes end)
    if ok and type(names) == "table" then return math.max(#names, 1) end
    error("the number of classes is not known: give classes = N", 0)
end

-- The arguments of a row as a table: as given, else their defaults. facts: of a data set, or nil.
local everywhere = { input = true, classes = true, name = true, seed = true }
local function arguments(row, given, facts)
    local o, names = { name = row.name }, {}
    for k, v in pairs(facts or {}) do o[k] = v end
    for _, a in ipairs(row.args) do
        names[#names + 1] = a[1]
        if a[2] ~= nil then o[a[1]] = a[2] end
    end
    for k, v in pairs(given or {}) do
        if not everywhere[k] and not has(names, k) then
            error(string.format("%s has no argument %s; it takes %s", row.name, tostring(k), #names > 0 and table.concat(names, ", ") or "none"), 0)
        end
        o[k] = v
    end
    return o
end

-- A new row: afterwards models.NAME{...} makes the model and every front end knows its name. In config.lua for example:
--   require("hone.models").add{ name = "wide", wants = { "values" }, help = "one wide layer", args = { { "width", 4096, "units" } },
--       build = function(o) return { nn.linear{ o.width }, nn.relu{}, nn.linear{ o.classes } } end }
function models.add(row)
    if type(row.name) ~= "string" or type(row.build) ~= "function" or type(row.wants) ~= "table" then
        error("a model is added as { name=, wants={...}, help=, args={ { NAME, DEFAULT, HELP } .. }, build=function(o) return { LAYER.. } end }", 2)
    end
    row.args, row.help = row.args or {}, row.help or ""
    models.names[row.name] = true
    row.at = by_name[row.name] and by_name[row.name].at or #rows + 1
    rows[row.at] = row
    by_name[row.name] = row
    models[row.name] = function(o)
        local full = arguments(row, o)
        if not full.classes and row.default_classes and type(full.input) ~= "userdata" then full.classes = row.default_classes(full) end
        if row.outputs ~= false and full.head ~= false then full.classes = classes_of(full) end
        local spec = row.build(full)
        spec.input, spec.name, spec.seed = spec.input or full.input, spec.name or full.name, full.seed
        return nn.model(spec)
    end
end

local function without_functions(row)
    local args = {}
    for k, a in ipairs(row.args) do
        local def = a[2]
        if type(def) == "table" then def = "{" .. table.concat(def, ", ") .. "}" end
        args[k] = { name = a[1], default = def, help = a[3] }
    end
    return { name = row.name, wants = row.wants, help = row.help, args = args, read = row.read, sequence = row.sequence }
end

-- For the commands models and train: all rows without their functions; the layers of one for a data set.
function models.list()
    local out = {}
    for i, r in ipairs(rows) do out[i] = without_functions(r) end
    return out
end

-- For people: a line a model, or the arguments of one.
function models.show(name)
    local out = {}
    local function line(...) out[#out + 1] = string.format(...) end
    local row = by_name[name]
    if name and not row then error("there is no model " .. name .. "; hone models lists them", 0) end
    if not name then
        for _, r in ipairs(rows) do line("%-11s %-26s %s", r.name, table.concat(r.wants, ", "), r.help) end
        line("also: the name of a run, a saved model, a folder of the Python package transformers or a known one (hone data ls), fine-tuned")
    else
        line("%s: %s\nwants %s", name, row.help, table.concat(row.wants, " or "))
        for _, a in ipairs(without_functions(row).args) do
            line("  %-14s %s%s", a.name, a.help, a.default ~= nil and "; default " .. tostring(a.default) or "")
        end
    end
    return { text = table.concat(out, "\n"), models = models.list() }
end

function models.spec(name, given, facts)
    local row = by_name[name]
    local spec = row.build(arguments(row, given, facts))
    if type(spec) ~= "table" or getmetatable(spec) then error("build of the model " .. name .. " returns no list of layers", 0) end
    spec.name = spec.name or given.name or name
    spec.input, spec.seed = nil, nil
    return spec
end

local function copy(o, defaults)
    local t = {}
    for k, v in pairs(defaults) do t[k] = v end
    for k, v in pairs(o or {}) do t[k] = v end
    return t
end

-- Tokens or frames to vectors: words are looked up in a table, frames are vectors already.
local function vectors(o)
    if o.kind == "frames" or o.frames then return nn.frames{ name = "embed" } end
    return o.vocab and nn.embedding{ o.vocab, o.dim, name = "embed" } or nn.embedding{ dim = o.dim, name = "embed" }
end
local frames = { "frames", false, "the input is rows of frames (T, D), not words" }
local vocab = { "vocab", nil, "ids; those of the data if not given" }

models.add{ name = "mlp", wants = { "values", "pictures", "frames" }, help = "layers of a perceptron",
    args = { { "hidden", { 512 }, "widths" }, { "act", "relu", "activation" }, { "dropout", 0, "share dropped behind each hidden layer" } },
    build = function(o)
        local spec = { nn.flatten{} }
        for _, width in ipairs(o.hidden) do
            spec[#spec + 1] = nn.linear{ width }
            spec[#spec + 1] = nn[o.act]{}
            if o.dropout > 0 then spec[#spec + 1] = nn.dropout{ o.dropout } end
        end
        spec[#spec + 1] = nn.linear{ o.classes }
        return spec
    end }

models.add{ name = "linear", wants = { "values", "pictures", "frames" }, help = "one linear layer: regression, logistic regression",
    build = function(o) return { nn.flatten{}, nn.linear{ o.classes } } end }

models.add{ name = "bag", wants = { "texts" }, help = "bag of words: embedding, mean over the tokens, one linear layer",
    args = { { "dim", 128, "width of the embedding" }, vocab, { "dropout", 0, "share of the mean dropped" } },
    build = function(o)
        local spec = { o.vocab and nn.embedding{ o.vocab, dim = o.dim } or nn.embedding{ dim = o.dim }, nn.mean_pool{} }
        if o.dropout > 0 then spec[#spec + 1] = nn.dropout{ o.dropout } end
        spec[#spec + 1] = nn.linear{ o.classes }
        return spec
    end }

models.add{ name = "text_cnn", wants = { "texts", "frames" }, help = "convolutions over words or frames, the largest of each filter (Kim 2014)",
    read = { len = 256 },
    args = { { "dim", 128, "width of the embedding" }, { "widths", { 3, 4, 5 }, "words under a filter" }, { "filters", 100, "filters of each width" },
        { "dropout", 0.5, "share of the features dropped" }, { "dropout_embed", 0, "share of the words' values dropped" }, vocab, frames },
    build = function(o)
        local spec, from, names = { vectors(o) }, "embed", {}
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
        spec[#spec + 1] = nn.linear{ o.classes, name = "head" }
        return spec
    end }

models.add{ name = "bilstm", wants = { "texts", "frames" }, help = "a recurrent net over words or frames, both ways", read = { len = 256 }, sequence = true,
    args = { { "dim", 128, "width of the embedding" }, { "units", 128, "of a direction" }, { "layers", 1, "one above the other" },
        { "cell", "lstm", "lstm or gru" },
        { "bidirectional", true, "both ways" },
        { "pool", nil, "max (the usual), mean, last: the last state of each direction, none: every state has an answer, for loss ctc" },
        { "dropout", 0.3, "share dropped of the words and of the pooled vector" }, vocab, frames },
    build = function(o)
        local pool, spec = o.pool or (o.sequence and "none" or "max"), { vectors(o) }
        local function add(l) spec[#spec + 1] = l end
        if o.cell ~= "lstm" and o.cell ~= "gru" then error("cell is \"lstm\" or \"gru\", not " .. tostring(o.cell), 0) end
        if not has({ "max", "mean", "last", "none" }, pool) then error("pool is \"max\", \"mean\", \"last\" or \"none\", not " .. tostring(pool), 0) end
        if o.dropout > 0 and not (o.kind == "frames" or o.frames) then add(nn.dropout{ o.dropout }) end
        add(nn[o.cell]{ o.units, num_layers = o.layers, bidirectional = o.bidirectional, dropout = o.layers > 1 and o.dropout or 0,
            states = pool == "last" and "last" or "all", name = o.cell })
        if pool == "max" or pool == "mean" then add(nn[pool .. "_pool"]{}) end
        if o.dropout > 0 then add(nn.dropout{ o.dropout }) end
        add(nn.linear{ o.classes, name = "head" })
        spec.name = o.name == "bilstm" and "bi" .. o.cell or o.name
        return spec
    end }

-- pool "first": the pooler of BERT (first token, linear, tanh). head=false: the pooled vector is the output.
local function bert_row(name, help, defaults)
    local d = copy(defaults, { dim = 768, layers = 12, pool = "first" })
    models.add{ name = name, wants = { "texts" }, help = help, read = { len = 128 },
        args = { { "vocab", nil, "ids; those of the data if not given, else 30522" }, { "dim", d.dim, "width" }, { "layers", d.layers, "blocks" },
            { "heads", 12, "of attention" }, { "ffn", nil, "inner width, 4 dim if not given" }, { "positions", 512, "longest text" },
            { "types", 2, "kinds of segments" },
            { "act", "gelu", "activation" },
            { "dropout", 0, "share dropped" }, { "pool", d.pool, "first: BERT's pooler, mean or none" },
            { "head", true, "a linear layer for the classes at the end" },
            { "len", 128, "tokens of a text where no data set is given" } },
        build = function(o)
            local ids = o.vocab or o.ids or 30522
            local spec = { input = o.input or { ids = ids, len = o.len } }
            local function add(l) spec[#spec + 1] = l end
            add(nn.text_embedding{ ids, o.dim, positions = o.positions, types = o.types, dropout = o.dropout, name = "embed" })
            for i = 1, o.layers do add(nn.encoder_block{ o.heads, o.ffn or 4 * o.dim, act = o.act, dropout = o.dropout, name = "block" .. i }) end
            if o.pool == "first" then
                add(nn.first_token{})
                add(nn.linear{ o.dim, act = "tanh", name = "pooler" })
            elseif o.pool == "mean" then add(nn.mean_pool{})
            elseif o.pool ~= "none" then error("pool is \"first\", \"mean\" or \"none\", not " .. tostring(o.pool), 0) end
            if o.head then
                if o.dropout > 0 then add(nn.dropout{ o.dropout }) end
                add(nn.linear{ o.classes, name = "head" })
            end
            return spec
        end }
end
bert_row("bert", "a BERT encoder of any size, from scratch", {})
bert_row("bert_base", "BERT's 12 layers of 768, from scratch: 109,482,240 parameters with 30,522 ids, without a head", {})
bert_row("minilm_l6", "6 layers of 384, from scratch: the shape of all-MiniLM-L6-v2, mean over the tokens", { dim = 384, layers = 6, pool = "mean" })

models.add{ name = "gpt", wants = { "stream" }, help = "a small GPT: blocks that normalise first, scores for the next token",
    read = { stream = true, len = 128 }, outputs = false,
    args = { { "vocab", nil, "ids; those of the data if not given, else 256" }, { "dim", 128, "width" }, { "layers", 4, "blocks" },
        { "heads", 4, "of attention" },
        { "ffn", nil, "inner width, 4 dim if not given" }, { "positions", 256, "longest window" }, { "act", "gelu_tanh", "activation" },
        { "gated", false, "gated inner layers" },
        { "dropout", 0, "share dropped" }, { "rope", 0, "base of rotary positions (10000) in the place of learned ones" },
        { "len", nil, "tokens of a window where no data set is given" } },
    build = function(o)
        local ids, positions = o.vocab or o.ids or 256, math.max(o.positions, o.kind and o.len or 0)
        local spec = { input = o.input or { ids = ids, len = o.len or positions } }
        spec[1] = nn.text_embedding{ ids, o.dim, positions = o.rope > 0 and 0 or positions, norm = false, dropout = o.dropout, name = "embed" }
        for i = 1, o.layers do
            spec[#spec + 1] = nn.encoder_block{ o.heads, o.ffn or 4 * o.dim, act = o.act, gated = o.gated, pre = true, causal = true, rope = o.rope, eps = 1e-5,
                dropout = o.dropout, name = "block" .. i }
        end
        spec[#spec + 1] = nn.layer_norm{ name = "norm" }
        spec[#spec + 1] = nn.linear{ ids, bias = false, name = "head" }
        return spec
    end }

-- Residual nets (He et al. 2015). depth 20, 32, 44, 56, 110: small pictures, 16-32-64 channels, shortcut "pad" (no weights; the default) or "conv".
-- depth 18, 34, 50, 101, 152: ImageNet's, 64-512 channels, 1x1 shortcuts, bottlenecks from 50 on with the stride in their 3x3 (v1.5). input: default {3, 32,
-- 32} or {3, 224, 224}.
local imagenet = { [18] = { 2, 2, 2, 2 }, [34] = { 3, 4, 6, 3 }, [50] = { 3, 4, 6, 3 }, [101] = { 3, 4, 23, 3 }, [152] = { 3, 8, 36, 3 } }
local function resnet(o)
    local depth, spec, at, channels = o.depth, {}, nil, 0
    local big = imagenet[depth]
    if not big and (math.type(depth) ~= "integer" or depth < 8 or depth % 6 ~= 2) then
        error("a residual net has 18, 34, 50, 101, 152 or 6 n + 2 layers, not " .. tostring(depth), 0)
    end
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
    if o.shortcut and o.shortcut ~= "pad" and o.shortcut ~= "conv" then error("shortcut is \"pad\" or \"conv\", not " .. tostring(o.shortcut), 0) end
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
    spec.name = o.name == "resnet" and "resnet" .. depth or o.name
    add(nn.linear{ o.classes, name = "head" })
    return spec
end
local function resnet_row(name, help, depth)
    models.add{ name = name, wants = { "pictures" }, help = help, build = resnet,
        default_classes = function(o) return imagenet[o.depth] and 1000 or 10 end,
        args = { { "depth", depth, "layers" }, { "shortcut", nil, "pad or conv: 20 to 110 layers" } } }
end
resnet_row("resnet", "a residual net of any depth: resnet{ depth = 20 }", 20)
for _, depth in ipairs{ 20, 32, 44, 56, 110 } do resnet_row("resnet" .. depth, "residual net for small pictures, " .. depth .. " layers", depth) end
for _, depth in ipairs{ 18, 34, 50, 101, 152 } do
    resnet_row("resnet" .. depth, "residual net for pictures of about 224 pixels, " .. depth .. " layers", depth)
end

return models
