#!/usr/bin/env python3
"""Makes models.json: losses of 100 steps of plain descent in float64 and the first gradients of small models, by PyTorch. Weights and data come from formulas that
tests/engine/model_golden.c repeats, so only results are stored: whole gradients of the small models (grads), norm and a weighted sum of each tensor of the others (sums);
gap: the largest distance of PyTorch's own float32 losses over the 100 steps. Texts are alone in their batch, so nothing is padded. Needs: pip install torch transformers."""
import json, os
import torch, torch.nn.functional as F
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb
torch.set_num_threads(1)

def val(k, n):
    i = torch.arange(n, dtype=torch.int64)
    return ((i * 37 + k * 101 + (i * i) % 97) % 199).double() / 199.0 - 0.5

ROWS, STEPS, CLASSES = 4, 100, 3
y = torch.tensor([(i * 5 + 1) % CLASSES for i in range(ROWS)])
lens = [5, 0, 3, 7]
ids = torch.tensor([(i * 11 + i * i) % 12 for i in range(sum(lens))])
texts = torch.split(ids, lens)
dense = lambda n: 2 * val(50, ROWS * n).reshape(ROWS, n)

def mlp(p, x):
    h = torch.tanh(F.linear(x, p[0], p[1]))
    return F.linear(F.gelu(F.linear(h, p[2], p[3])), p[4], p[5])
def pooled(p, f, width, like):  # f of the vectors of each text; zeros for an empty one
    return torch.stack([f(F.embedding(t, p)) if len(t) else torch.zeros(width, dtype=like.dtype) for t in texts])
def bag(p, _):
    return F.linear(pooled(p[0], lambda h: h.mean(0), 4, p[0]), p[1], p[2])
def norm(p, x):
    h = F.layer_norm(F.silu(F.linear(x, p[0], p[1])), (8,), p[2], p[3])
    return F.linear(h + F.relu(F.linear(h, p[4], p[5])), p[6], p[7])
def group(p, x):
    h = F.group_norm(F.conv2d(x.reshape(ROWS, 2, 5, 4), p[0], p[1], padding=1), 3, p[2], p[3])
    h = F.glu(F.linear(F.rms_norm(h.flatten(1), (120,), p[4], 1e-6), p[5], p[6]))
    a, b = F.linear(h, p[7], p[8]).chunk(2, -1)
    return F.linear(F.silu(a) * b, p[9], p[10])
def recurrent(cls, mode, hid, layers, shapes):
    def f(p, _):
        m = cls(4, hid, layers, bidirectional=True, batch_first=True).to(p[0].dtype)
        w = dict(zip([n for n, _ in m.named_parameters()], p[1:-2]))
        def one(h):
            out = torch.func.functional_call(m, w, (h[None],))[0][0]
            return out.mean(0) if mode == "mean" else torch.cat([out[-1, :hid], out[0, hid:]])
        return F.linear(pooled(p[0], one, 2 * hid, p[0]), p[-2], p[-1])
    m = cls(4, hid, layers, bidirectional=True)
    return f, [(12, 4)] + [tuple(w.shape) for _, w in m.named_parameters()] + [(3, 2 * hid), (3,)]
def text_cnn(p, _):
    def one(h):
        return torch.cat([F.relu(F.conv1d(h.T[None], p[1 + 2 * i], p[2 + 2 * i], padding="same", dilation=d))[0].amax(1) for i, d in enumerate((1, 1, 2))])
    return F.linear(pooled(p[0], one, 15, p[0]), p[7], p[8])
def sound(p, _):  # strides of 2: ceil(n / 2) outputs, zeros at both ends, then all before the first
    def one(h):
        h = F.relu(F.conv1d(F.pad(h.T[None], (1, 1)), p[1], p[2], stride=2))
        return F.conv1d(F.pad(h, (2, 0)), p[3], p[4], stride=2, groups=2)[0].mean(1)
    return F.linear(pooled(p[0], one, 4, p[0]), p[5], p[6])
def vision(p, x):  # sizes of height and width all different
    h = F.conv2d(x.reshape(ROWS, 3, 9, 8), p[0], p[1], stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=3)
    h = F.leaky_relu(F.batch_norm(h, None, None, p[2], p[3], True))
    h = F.conv2d(F.max_pool2d(h, (3, 2), (1, 2), (1, 0)), p[4], padding=(0, 1))
    return F.linear(F.max_pool2d(F.avg_pool2d(h, (2, 3), (2, 1), (1, 1)), 2).amax((2, 3)), p[5], p[6])
def heads(t, n): return t.unflatten(-1, (n, -1)).transpose(0, 1)[None]  # (T, n d) -> (1, n, T, d)
def attend(h, p, n, causal, base):
    q, k, v = (heads(t, n) for t in F.linear(h, p[0], p[1]).chunk(3, -1))
    if base:
        d = q.shape[-1]
        angle = torch.outer(torch.arange(len(h), dtype=h.dtype), 1 / base ** (torch.arange(0, d, 2, dtype=h.dtype) / d)).repeat(1, 2)[None]
        q, k = apply_rotary_pos_emb(q, k, angle.cos(), angle.sin())
    return F.linear(F.scaled_dot_product_attention(q, k, v, is_causal=causal)[0].transpose(0, 1).flatten(1), p[2], p[3])
def gpt(p, _):  # a block that normalises first with gated SiLU, one that normalises behind with the tanh form of GELU
    word, position, p = p[0], p[1], p[2:]
    norm = lambda h, at, eps=1e-12: F.layer_norm(h, (8,), p[at], p[at + 1], eps)
    def one(h):
        h = norm(h + position[:len(h)], 0)
        h = h + attend(norm(h, 2), p[4:8], 2, True, 50)
        a, b = F.linear(norm(h, 8), p[10], p[11]).chunk(2, -1)
        h = h + F.linear(F.silu(a) * b, p[12], p[13])
        h = norm(h + attend(h, p[14:18], 4, True, 0), 18)
        h = norm(h + F.linear(F.gelu(F.linear(h, p[20], p[21]), approximate="tanh"), p[22], p[23]), 24)
        return norm(h, 26, 1e-5).mean(0)
    return F.linear(pooled(word, one, 8, word), p[28], p[29])
def bag_of(f):
    return lambda p, _: F.linear(pooled(p[0], f, 4, p[0]), p[1], p[2])
def two(p, x): return F.linear(torch.tanh(F.linear(x, p[0], p[1])), p[2], p[3])
values = val(60, ROWS * CLASSES).reshape(ROWS, CLASSES)
def ce(z, smooth): return F.cross_entropy(z, y, label_smoothing=smooth)
def kl(z, _):
    q = (values + 0.6) / (values + 0.6).sum(1, keepdim=True)
    return 4 * F.kl_div(F.log_softmax(z / 2, 1), q.to(z.dtype), reduction="batchmean")
def cosine(z, _): return F.cosine_embedding_loss(z, values.to(z.dtype), torch.ones(ROWS, dtype=z.dtype))
def contrastive(z, _):
    s = F.normalize(z) @ F.normalize(values.to(z.dtype)).T / 0.5
    t = torch.arange(ROWS)
    return (F.cross_entropy(s, t) + F.cross_entropy(s.T, t)) / 2
def one_way(z, _): return F.cross_entropy(F.normalize(z) @ F.normalize(values.to(z.dtype)).T / 0.07, torch.arange(ROWS))
def weighted(z, s): return F.cross_entropy(z, y, torch.tensor(s["class_weights"], dtype=z.dtype), ignore_index=2, label_smoothing=0.1, reduction="sum") / ROWS
def summed(f, **k): return lambda z, _: f(z, values.to(z.dtype), reduction="sum", **k) / ROWS
def bce(z, _):
    q = (values + 0.6) / (values + 0.6).sum(1, keepdim=True)
    return F.binary_cross_entropy_with_logits(z, q.to(z.dtype), reduction="sum") / ROWS
losses_of = dict(kl=kl, cosine=cosine, contrastive=contrastive, one_way=one_way, weighted=weighted, bce=bce, mse=summed(F.mse_loss), mae=summed(F.l1_loss),
                 huber=summed(F.huber_loss, delta=0.3))
def resnet_shapes():
    shapes = [(16, 3, 3, 3), (16,), (16,)]
    for width, old in ((16, 16), (32, 16), (64, 32)):
        for i in range(3):
            shapes += [(width, old if i == 0 else width, 3, 3), (width,), (width,), (width, width, 3, 3), (width,), (width,)]
    return shapes + [(CLASSES, 64), (CLASSES,)]
def resnet(p, x):
    it = iter(p)
    def conv(h, s=1):
        return F.batch_norm(F.conv2d(h, next(it), None, s, 1), None, None, next(it), next(it), True)
    h = F.relu(conv(x.reshape(ROWS, 3, 8, 8)))
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        for i in range(3):
            s = stride if i == 0 else 1
            short = h[:, :, ::s, ::s]
            more = width - h.shape[1]
            h = F.relu(conv(F.relu(conv(h, s))) + F.pad(short, (0, 0, 0, 0, more // 2, more - more // 2)))
    return F.linear(h.mean((2, 3)), next(it), next(it))

def resnet_layers():
    out, at, channels = [], "start", 16
    def conv(name, width, stride, old=None):
        out.append(dict(layer="conv2d", out=width, k=3, stride=stride, pad=1, bias=False, name=name, **({"from": old} if old else {})))
        out.append(dict(layer="batch_norm", name=name + "n"))
    conv("stem", 16, 1)
    out.append(dict(layer="relu", name="start"))
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        for i in range(3):
            name, s, short = "b%d%d" % (width, i), stride if i == 0 else 1, at
            conv(name + "a", width, s, at)
            out.append(dict(layer="relu"))
            conv(name + "b", width, 1)
            if s > 1:
                short = name + "s"
                out.append({"layer": "pad_shortcut", "out": width, "stride": s, "name": short, "from": at})
            out.append({"layer": "add", "from": [name + "bn", short]})
            out.append(dict(layer="relu", name=name))
            at = name
    return out + [dict(layer="global_pool"), L(CLASSES)]

L = lambda out, **k: dict(layer="linear", out=out, **k)
E, text = dict(layer="embedding", n=12, dim=4), dict(ids=12)
rnn = lambda kind, n, **k: dict(layer=kind, units=n, bidirectional=True, **k)
lstm, lstm_shapes = recurrent(torch.nn.LSTM, "mean", 5, 2, None)
gru, gru_shapes = recurrent(torch.nn.GRU, "last", 6, 1, None)
cv = lambda k, d, **o: dict(layer="conv1d", out=5, k=k, dilation=d, **{"from": "embedding1"}, **o)
pooling = lambda n: [dict(layer="relu"), dict(layer="max_pool", name="p" + str(n))]
cases = [
    ("mlp", mlp, [(5, 6), (5,), (4, 5), (4,), (3, 4), (3,)], 0.1, 0.1, 6, dict(input=6, layers=[L(5, act="tanh"), L(4, act="gelu"), L(3)])),
    ("bag", bag, [(12, 4), (3, 4), (3,)], 0.0, 0.1, 0, dict(input=text, layers=[E, dict(layer="mean_pool"), L(3)])),
    ("norm", norm, [(8, 6), (8,), (8,), (8,), (8, 8), (8,), (3, 8), (3,)], 0.0, 0.1, 6,
     dict(input=6, layers=[L(8, act="silu"), dict(layer="layer_norm"), dict(layer="residual", layers=[L(8, act="relu")]), L(3)])),
    ("group", group, [(6, 2, 3, 3), (6,), (6,), (6,), (120,), (8, 120), (8,), (10, 4), (10,), (3, 5), (3,)], 0.0, 0.05, 40,
     dict(input=[2, 5, 4], layers=[dict(layer="conv2d", out=6, k=3, pad=1), dict(layer="group_norm", groups=3), dict(layer="flatten"), dict(layer="rms_norm"), L(8), dict(layer="glu"),
          dict(layer="swiglu", out=5), L(3)])),
    ("lstm", lstm, lstm_shapes, 0.0, 0.1, 0, dict(input=text, layers=[E, rnn("lstm", 5, num_layers=2), dict(layer="mean_pool"), L(3)])),
    ("gru", gru, gru_shapes, 0.0, 0.1, 0, dict(input=text, layers=[E, rnn("gru", 6, states="last"), L(3)])),
    ("text_cnn", text_cnn, [(12, 4), (5, 4, 3), (5,), (5, 4, 4), (5,), (5, 4, 5), (5,), (3, 15), (3,)], 0.0, 0.05, 0,
     dict(input=text, layers=[E, cv(3, 1), *pooling(1), cv(4, 1), *pooling(2), cv(5, 2), *pooling(3), {"layer": "concat", "from": ["p1", "p2", "p3"]}, L(3)])),
    ("sound", sound, [(12, 4), (6, 4, 3), (6,), (4, 3, 3), (4,), (3, 4), (3,)], 0.0, 0.1, 0,
     dict(input=text, layers=[E, dict(layer="conv1d", out=6, k=3, stride=2), dict(layer="relu"), dict(layer="conv1d", out=4, k=3, stride=2, groups=2, pad="causal"), dict(layer="mean_pool"), L(3)])),
    ("kl", two, [(5, 6), (5,), (3, 5), (3,)], dict(loss="kl", temperature=2), 0.1, 6, dict(input=6, layers=[L(5, act="tanh"), L(3)])),
    ("cosine", two, [(5, 6), (5,), (3, 5), (3,)], dict(loss="cosine"), 0.1, 6, dict(input=6, layers=[L(5, act="tanh"), L(3)])),
    ("contrastive", two, [(5, 6), (5,), (3, 5), (3,)], dict(loss="contrastive", temperature=0.5, symmetric=True), 0.02, 6, dict(input=6, layers=[L(5, act="tanh"), L(3)])),
    ("vision", vision, [(6, 1, 3, 2), (6,), (6,), (6,), (5, 6, 1, 3), (3, 5), (3,)], 0.0, 0.05, 216,
     dict(input=[3, 9, 8], layers=[dict(layer="conv2d", out=6, k=[3, 2], stride=[2, 1], pad=[1, 2], dilation=[1, 2], groups=3), dict(layer="batch_norm"), dict(layer="leaky_relu"),
          dict(layer="max_pool2d", k=[3, 2], stride=[1, 2], pad=[1, 0]), dict(layer="conv2d", out=5, k=[1, 3], pad=[0, 1], bias=False),
          dict(layer="avg_pool2d", k=[2, 3], stride=[2, 1], pad=[1, 1]), dict(layer="max_pool2d"), dict(layer="global_max_pool"), L(3)])),
    ("gpt", gpt, [(12, 8), (8, 8), (8,), (8,), (8,), (8,), (24, 8), (24,), (8, 8), (8,), (8,), (8,), (12, 8), (12,), (8, 6), (8,), (24, 8), (24,), (8, 8), (8,), (8,), (8,), (7, 8), (7,), (8, 7), (8,),
          (8,), (8,), (8,), (8,), (3, 8), (3,)], 0.0, 0.05, 0,
     dict(input=text, layers=[dict(layer="text_embedding", n=12, dim=8, positions=8), dict(layer="encoder_block", heads=2, ffn=6, act="silu", gated=True, pre=True, causal=True, rope=50),
          dict(layer="encoder_block", heads=4, ffn=7, act="gelu_tanh", causal=True), dict(layer="layer_norm"), dict(layer="mean_pool"), L(3)])),
    ("bag_sum", bag_of(lambda h: h.sum(0)), [(12, 4), (3, 4), (3,)], 0.0, 0.02, 0, dict(input=text, layers=[dict(layer="embedding_bag", n=12, dim=4, mode="sum"), L(3)])),
    ("bag_max", bag_of(lambda h: h.amax(0)), [(12, 4), (3, 4), (3,)], 0.0, 0.1, 0, dict(input=text, layers=[dict(layer="embedding_bag", n=12, dim=4, mode="max"), L(3)])),
    *[(name, two, [(5, 6), (5,), (3, 5), (3,)], dict(loss=loss, **spec), lr, 6, dict(input=6, layers=[L(5, act="tanh"), L(3)])) for name, loss, lr, spec in (
        ("one_way", "contrastive", 0.005, {}), ("weighted", "cross_entropy", 0.05, dict(class_weights=[0.5, 2, 1.5], ignore_index=2, label_smoothing=0.1)), ("bce", "bce", 0.05, {}),
        ("mse", "mse", 0.02, {}), ("mae", "mae", 0.001, {}), ("huber", "huber", 0.05, dict(delta=0.3)))],
    ("resnet20", resnet, resnet_shapes(), 0.0, 0.02, 192, dict(input=[3, 8, 8], layers=resnet_layers()))]

def descend(f, shapes, smooth, lr, width, dtype):
    p = [val(k, torch.Size(s).numel()).reshape(s).to(dtype).requires_grad_() for k, s in enumerate(shapes)]
    x, losses, first = dense(width).to(dtype) if width else None, [], None
    for _ in range(STEPS + 1):
        loss = (losses_of[name] if type(smooth) is dict else ce)(f(p, x), smooth)
        g = torch.autograd.grad(loss, p)
        losses.append(loss.item())
        first = first or g
        p = [(a - lr * b).detach().requires_grad_() for a, b in zip(p, g)]
    return losses, first

out = []
for name, f, shapes, smooth, lr, width, model in cases:
    losses, g = descend(f, shapes, smooth, lr, width, torch.float64)
    short, _ = descend(f, shapes, smooth, lr, width, torch.float32)
    spec = smooth if type(smooth) is dict else dict(loss="cross_entropy", label_smoothing=smooth)
    c = dict(name=name, model=model, loss=spec, lr=lr, losses=losses, gap=max(abs(a - b) for a, b in zip(losses, short)))
    if sum(a.numel() for a in g) < 200: c["grads"] = [a.flatten().tolist() for a in g]
    else: c["sums"] = [[a.norm().item(), (a.flatten() * torch.cos(torch.arange(a.numel(), dtype=torch.float64))).sum().item()] for a in g]
    out.append(c)
    print(name, losses[0], losses[-1], c["gap"])
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "models.json"), "w") as fp:
    fp.write("[\n" + ",\n".join(json.dumps(c) for c in out) + "\n]\n")
