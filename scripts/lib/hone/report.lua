-- Reports as people read them: what hone.eval, hone.compare and the like return gets these methods.
--   rep.acc, rep.f1_macro ... are numbers; rep.classes, rep.matrix (rows: true class), rep.per_class are tables.
--   rep:confusion() and rep:table() are text; print(rep) shows the numbers.
local report = {}
local methods = {}

local order = { "acc", "acc_lo", "acc_hi", "loss", "precision_macro", "recall_macro", "f1_macro", "f1_micro", "f1_weighted",
    "auroc", "kappa", "mcc", "log_loss", "brier", "ece", "rmse", "mae", "r2", "n", "params" }

local function cell(v)
    if v == nil then return "-" end
    if math.type(v) == "integer" then return tostring(v) end
    if type(v) == "number" then return string.format("%.4f", v) end
    return tostring(v)
end

local function columns(rows)
    local width = {}
    for _, row in ipairs(rows) do
        for i = 1, #row do width[i] = math.max(width[i] or 0, utf8.len(row[i]) or #row[i]) end
    end
    local out = {}
    for _, row in ipairs(rows) do
        local line = {}
        for i = 1, #row do
            local pad = string.rep(" ", width[i] - (utf8.len(row[i]) or #row[i]))
            line[i] = i == 1 and row[i] .. pad or pad .. row[i]
        end
        out[#out + 1] = (table.concat(line, "  "):gsub("%s+$", ""))
    end
    return table.concat(out, "\n")
end

-- Precision, recall, F1 and support of each class; classes without examples and guesses show "-".
function methods:table()
    local rows = { { "class", "precision", "recall", "f1", "support" } }
    for _, c in ipairs(self.per_class or {}) do
        rows[#rows + 1] = { tostring(c.class), cell(c.precision), cell(c.recall), cell(c.f1), cell(c.support) }
    end
    rows[#rows + 1] = { "macro", cell(self.precision_macro), cell(self.recall_macro), cell(self.f1_macro), cell(self.n) }
    return columns(rows)
end

-- The confusion matrix: rows are true classes, columns what the model said. Beyond 20 classes the 20 most frequent mistakes.
function methods:confusion()
    local m, names = self.matrix or {}, self.classes or {}
    local rows = {}
    if #m <= 20 then
        rows[1] = { "true \\ said" }
        for c = 1, #m do rows[1][c + 1] = tostring(c - 1) end
        for r = 1, #m do
            rows[r + 1] = { string.format("%d %s", r - 1, names[r] or "") }
            for c = 1, #m do rows[r + 1][c + 1] = cell(m[r][c]) end
        end
        return columns(rows)
    end
    local pairs_ = {}
    for r = 1, #m do
        for c = 1, #m do
            if r ~= c and m[r][c] > 0 then pairs_[#pairs_ + 1] = { m[r][c], r, c } end
        end
    end
    table.sort(pairs_, function(a, b)
        if a[1] ~= b[1] then return a[1] > b[1] end
        if a[2] ~= b[2] then return a[2] < b[2] end
        return a[3] < b[3]
    end)
    rows[1] = { "true", "said", "times" }
    for i = 1, math.min(20, #pairs_) do
        local p = pairs_[i]
        rows[#rows + 1] = { tostring(names[p[2]] or p[2]), tostring(names[p[3]] or p[3]), cell(p[1]) }
    end
    return columns(rows)
end

local function text(self)
    local rows, seen = {}, {}
    for _, name in ipairs(order) do
        if self[name] ~= nil then rows[#rows + 1] = { name, cell(self[name]) } end
        seen[name] = true
    end
    local more = {}
    for name, v in pairs(self) do
        if not seen[name] and type(name) == "string" and type(v) ~= "table" then more[#more + 1] = name end
    end
    table.sort(more)
    for _, name in ipairs(more) do rows[#rows + 1] = { name, cell(self[name]) } end
    return columns(rows)
end

-- Gives a command's result its methods. The raw tables move to names that are free.
function report.wrap(r)
    if type(r.confusion) == "table" then r.matrix, r.confusion = r.confusion, nil end
    if type(r.table) == "table" then r.per_class, r.table = r.table, nil end
    return setmetatable(r, { __index = methods, __tostring = text, __name = "report" })
end

return report
