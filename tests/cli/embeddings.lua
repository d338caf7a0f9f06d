-- Embeddings of the texts of arg[1] by the known model against the float32 array of arg[2] (an npy file): the smallest cosine and the largest difference.
local texts, want = {}, io.open(arg[2], "rb"):read("a")
for line in io.lines(arg[1]) do texts[#texts + 1] = line end
local model = hone.load("all-minilm-l6-v2")
local got, at, low, far = model:predict(texts), 11 + string.unpack("<I2", want, 9), 1, 0
for i, row in ipairs(got) do
    local dot, a, b = 0, 0, 0
    for _, x in ipairs(row.value) do
        local y
        y, at = string.unpack("<f", want, at)
        dot, a, b, far = dot + x * y, a + x * x, b + y * y, math.max(far, math.abs(x - y))
    end
    low = math.min(low, dot / math.sqrt(a * b))
end
assert(#got == #texts and at == #want + 1, "another number of values than the array has")
hone.result{ texts = #got, cosine = low, far = far, cosine_met = low >= 0.999999, far_met = far <= 5e-6 }
