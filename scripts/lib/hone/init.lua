-- Small helpers that scripts share. The command bindings are the global `hone` itself; this file is `require "hone.init"`.
local M = {}

-- Numbered ARGs of a script as names: {"imdb", "lazy=true"} -> {"imdb", lazy=true}. Numbers and booleans are recognised.
function M.args(list, defaults)
    local out = {}
    for k, v in pairs(defaults or {}) do out[k] = v end
    for i = 1, #list do
        local name, text = tostring(list[i]):match("^([%a_][%w_]*)=(.*)$")
        if name then
            if defaults and defaults[name] == nil then error("this script has no option " .. name, 0) end
            if text == "true" or text == "false" then out[name] = text == "true"
            else out[name] = tonumber(text) or text end
        elseif defaults and type(defaults[list[i]]) == "boolean" then out[list[i]] = true -- "lazy" is lazy=true
        else
            out[#out + 1] = tonumber(list[i]) or list[i]
        end
    end
    return out
end

-- A data set, or nil when it cannot be found; any other mistake is raised.
function M.try_data(spec)
    local ok, d = pcall(hone.data, spec)
    if ok then return d end
    local text = tostring(d)
    if text:find("is in none of these folders", 1, true) then return nil, text end
    error(text, 0)
end

return M
