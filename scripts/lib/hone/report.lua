-- Methods of the reports that hone.eval, hone.compare and hone.compress give. Fields are the metrics, rep.classes the names, rep.matrix the
-- confusion counts (rows: true class), rep.per_class the numbers of each class; rep:table() and rep:confusion() are text,
-- rep:interval(NAME) the two ends of a 95 % interval, print(rep) shows the metrics.
local M = {}
local SHOWN = 20 -- classes of a whole matrix, mistakes of a large one

local function num(x, digits)
    if type(x) ~= "number" then return x == nil and "-" or tostring(x) end
    if math.type(x) == "integer" then return tostring(x) end
    return string.format("%." .. (digits or 4) .. "f", x)
end

local function columns(rows, right)
    local width, out = {}, {}
    for _, r in ipairs(rows) do
        for c, cell in ipairs(r) do width[c] = math.max(width[c] or 0, utf8.len(cell) or #cell) end
    end
    for _, r in ipairs(rows) do
        local line = {}
        for c, cell in ipairs(r) do
            local pad = (" "):rep(width[c] - (utf8.len(cell) or #cell))
            line[c] = (right and c > 1) and pad .. cell or cell .. pad
        end
        out[#out + 1] = (table.concat(line, "  "):gsub("%s+$", ""))
    end
    return table.concat(out, "\n")
end

local report = {}

local function need(self, field)
    return rawget(self, field) or error("a report of a regression or of sequences has no classes", 3)
end

local CLASS_HEAD = { "class", "precision", "recall", "f1", "support" }
local function class_row(c) return { tostring(c.class), num(c.precision), num(c.recall), num(c.f1), num(c.support) } end

-- Precision, recall, F1 and support of each class; "-" where a class has neither examples nor guesses.
function report:table()
    local rows = { CLASS_HEAD }
    for _, c in ipairs(need(self, "per_class")) do rows[#rows + 1] = class_row(c) end
    rows[#rows + 1] = { "macro", num(self.precision_macro), num(self.recall_macro), num(self.f1_macro), num(self.n) }
    return columns(rows, true)
end

local function mistakes(m, names)
    local list, rows = {}, { { "true", "said", "times" } }
    for r = 1, #m do
        for c = 1, #m do
            if r ~= c and m[r][c] > 0 then list[#list + 1] = { m[r][c], r, c } end
        end
    end
    table.sort(list, function(a, b)
        if a[1] ~= b[1] then return a[1] > b[1] end
        if a[2] ~= b[2] then return a[2] < b[2] end
        return a[3] < b[3]
    end)
    for i = 1, math.min(SHOWN, #list) do
        local n, truth, answer = list[i][1], list[i][2], list[i][3]
        rows[i + 1] = { tostring(names[truth] or truth), tostring(names[answer] or answer), num(n) }
    end
    return columns(rows)
end

-- The confusion matrix: rows are true classes, columns what the model said. Of many classes the most frequent mistakes.
function report:confusion()
    local m, names, rows = need(self, "matrix"), self.classes or {}, { { "true \\ said" } }
    if #m > SHOWN then return mistakes(m, names) end
    for c = 1, #m do rows[1][c + 1] = tostring(c - 1) end
    for r = 1, #m do
        rows[r + 1] = { (r - 1) .. " " .. tostring(names[r] or "") }
        for c = 1, #m do rows[r + 1][c + 1] = num(m[r][c]) end
    end
    return columns(rows, true)
end

-- Macro means of precision, recall and F1 of a confusion matrix.
local function macros(m)
    local guess, precision, recall, f1, n = {}, 0, 0, 0, 0
    for c = 1, #m do guess[c] = 0 end
    for r = 1, #m do
        local row = m[r]
        for c = 1, #m do guess[c] = guess[c] + row[c] end
    end
    for k = 1, #m do
        local label, hit = 0, m[k][k]
        for c = 1, #m do label = label + m[k][c] end
        if label + guess[k] > 0 then
            f1 = f1 + 2 * hit / (label + guess[k])
            if label > 0 then recall = recall + hit / label end
            if guess[k] > 0 then precision = precision + hit / guess[k] end
            n = n + 1
        end
    end
    if n == 0 then return { precision_macro = 0, recall_macro = 0, f1_macro = 0 } end
    return { precision_macro = precision / n, recall_macro = recall / n, f1_macro = f1 / n }
end

-- 2.5 and 97.5 percentiles of the macro numbers over resampled rows of the matrix, from a fixed seed.
local function bootstrap(m)
    local cell, n = {}, 0
    for r = 1, #m do
        for c = 1, #m do
            local row = { r, c }
            for _ = 1, m[r][c] do n = n + 1; cell[n] = row end
        end
    end
    if n == 0 then return { precision_macro = { 0, 1 }, recall_macro = { 0, 1 }, f1_macro = { 0, 1 } } end
    local seed, values, out = 88172645463325252, { precision_macro = {}, recall_macro = {}, f1_macro = {} }, {}
    for b = 1, math.max(100, math.min(1000, 2000000 // n)) do
        local s = {}
        for r = 1, #m do
            s[r] = {}
            for c = 1, #m do s[r][c] = 0 end
        end
        for _ = 1, n do
            seed = seed ~ seed << 13
            seed = seed ~ seed >> 7
            seed = seed ~ seed << 17
            local at = cell[(seed >> 11) % n + 1]
            local row, c = s[at[1]], at[2]
            row[c] = row[c] + 1
        end
        for name, v in pairs(macros(s)) do values[name][b] = v end
    end
    for name, v in pairs(values) do
        table.sort(v)
        out[name] = { v[math.max(1, math.floor(#v * 0.025 + 0.5))], v[math.min(#v, math.ceil(#v * 0.975))] }
    end
    return out
end

-- 95 % interval of acc, recall_macro, precision_macro or f1_macro: Wilson's for acc, otherwise percentiles of a bootstrap over
-- the rows of the confusion matrix with a fixed seed, so that the same report gives the same interval.
function report:interval(name)
    name = name or "acc"
    if name == "acc" then return self.acc_lo, self.acc_hi end
    if name ~= "f1_macro" and name ~= "recall_macro" and name ~= "precision_macro" then error("no interval is known for " .. tostring(name), 2) end
    local m = need(self, "matrix")
    local all = rawget(self, "intervals") -- the resamples serve all three
    if not all then
        all = bootstrap(m)
        rawset(self, "intervals", all)
    end
    return all[name][1], all[name][2]
end

local ORDER = { "loss", "acc", "ler", "top5", "precision_macro", "recall_macro", "f1_macro", "f1_weighted", "jaccard_macro", "specificity", "npv", "auroc", "ap",
    "mcc", "kappa", "log_loss", "brier", "ece", "mce", "mse", "mae", "rmse", "r2" }

local function report_text(self)
    local rows = {}
    for _, name in ipairs(ORDER) do
        if self[name] ~= nil then
            local cell = num(self[name])
            if name == "acc" and self.acc_lo then cell = cell .. "  (95 %: " .. num(self.acc_lo) .. " to " .. num(self.acc_hi) .. ")" end
            rows[#rows + 1] = { name, cell }
        end
    end
    local head = string.format("%s on %s, %s: %s rows", tostring(self.model), tostring(self.data), tostring(self.split), num(self.n))
    if self.precision and self.precision ~= "fp32" then head = head .. ", computed in " .. self.precision end
    if self.threshold then
        head = head .. string.format("\n%s from a probability of %.4g on", tostring(self.positive), self.threshold)
        if self.threshold_for then head = head .. string.format(", picked on %s for %s", self.threshold_from, self.threshold_for) end
        if self.cost then rows[#rows + 1] = { "cost", num(self.cost) .. "  a row" } end
    end
    return #rows > 0 and head .. "\n" .. columns(rows) or head
end

local function compare_text(self)
    local rows = { { "model", "acc", "95 %", "f1_macro", "loss", "bytes", "lost", "won", "p" } }
    for _, r in ipairs(self) do
        rows[#rows + 1] = { tostring(r.model), num(r.acc), r.acc_lo and num(r.acc_lo) .. ".." .. num(r.acc_hi) or "-",
            num(r.f1_macro), num(r.loss), num(r.bytes),
            num(r.lost), num(r.won), num(r.p_mcnemar) }
    end
    return columns(rows)
end

-- How a run ended: its state, then the numbers in the order of their names.
local function outcome_text(self)
    local rest, head = {}, { self.state, self.run }
    for k, v in pairs(self) do
        if k ~= "state" and k ~= "run" and k ~= "step" and type(v) ~= "table" then
            rest[#rest + 1] = k .. " " .. (math.type(v) == "float" and string.format("%.6g", v) or tostring(v))
        end
    end
    table.sort(rest)
    if self.step then head[#head + 1] = "step " .. num(self.step) end
    return table.concat(head, "  ") .. (#rest > 0 and "  " .. table.concat(rest, "  ") or "")
end

-- What hone.compress gives: the report's fields and, beside them, everything that its model has: tiny:save(path), tiny:predict(x), hone.eval{ model = tiny }.
local function compress_meta(t)
    local function of_model(_, key)
        if key == "table" then return function(self) return rawget(self, "text") end end
        if type(key) ~= "string" then return nil end
        local ok, f = pcall(function() return t.model[key] end)
        if not ok or type(f) ~= "function" then return ok and f or nil end
        return function(_, ...) return f(t.model, ...) end
    end
    return { __index = of_model, __tostring = function(self) return rawget(self, "text") end, __handle = t.model }
end

local report_meta = { __index = report, __tostring = report_text }
local compare_meta = { __tostring = compare_text }
local outcome_meta = { __tostring = outcome_text }

local WORST = 10 -- classes shown where there are more than SHOWN

-- The classes with the least F1; those that have neither examples nor guesses are left out.
local function worst(self)
    local list, rows = {}, { CLASS_HEAD }
    for i, c in ipairs(self.per_class) do
        if c.f1 then list[#list + 1] = { c.f1, i, c } end
    end
    table.sort(list, function(a, b)
        if a[1] ~= b[1] then return a[1] < b[1] end
        return a[2] < b[2]
    end)
    for i = 1, math.min(WORST, #list) do rows[i + 1] = class_row(list[i][3]) end
    return string.format("the %d of %d classes with the least f1:\n", #rows - 1, #self.per_class) .. columns(rows, true)
end

-- All of a report as the command line shows it; nil: it is none.
function M.sheet(t, command)
    M.wrap(t, command)
    local meta = getmetatable(t)
    if meta == compare_meta then return compare_text(t) end
    if meta ~= report_meta then return nil end
    local parts = { report_text(t) }
    if t.per_class and #t.per_class > 0 then
        parts[2] = #t.per_class > SHOWN and worst(t) or t:table()
        parts[3] = (#t.per_class > SHOWN and "most frequent mistakes:\n" or "") .. t:confusion()
    end
    return table.concat(parts, "\n\n")
end

-- Called by the bindings with each result of a job that is a table.
function M.wrap(t, command)
    if getmetatable(t) then return end
    if command == "compress" and t.model and t.steps then
        setmetatable(t, compress_meta(t))
    elseif command ~= "wait" and (type(t.split) == "string" or t.acc or t.confusion) then
        t.matrix, t.per_class, t.confusion, t.table = t.confusion, t.table, nil, nil
        setmetatable(t, report_meta)
    elseif command == "wait" and t.state then
        setmetatable(t, outcome_meta)
    elseif command == "compare" and type(t[1]) == "table" then
        setmetatable(t, compare_meta)
    end
end

return M
