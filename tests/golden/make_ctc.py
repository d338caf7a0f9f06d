#!/usr/bin/env python3
"""Makes ctc.json: losses and gradients of torch.nn.functional.ctc_loss in float64. Logits come from a formula that tests/engine/ctc_test.c repeats, logit j of frame i of a case k from
val(k, i * classes + j), so only results are stored: the loss of each row and the gradient of their sum by the logits, whole for small cases, else norm and a weighted sum.
Non-finite numbers are strings. Needs: pip install torch."""
import json, math, os
import torch, torch.nn.functional as F
torch.set_num_threads(1)

def val(k, n):
    i = torch.arange(n, dtype=torch.int64)
    return ((i * 37 + k * 101 + (i * i) % 97) % 199).double() / 199.0 - 0.5

def labels(k, n, classes, blank, repeat):
    """n labels that are not the blank, neighbours differ; but each `repeat`-th is that of the one before."""
    out = []
    for i in range(n):
        c = (i * 7 + k * 3 + i * i) % (classes - 1)
        if i and c + (c >= blank) == out[-1]: c = (c + 1) % (classes - 1)
        out.append(out[-1] if repeat and i and i % repeat == 0 else c + (c >= blank))
    return out

cases = [  # name, classes, blank, scale, frames of each row, labels of each row, repeat, zero_infinity
    ("one label", 3, 0, 2, [4], [1], 0, False),
    ("rows of several lengths", 5, 0, 4, [9, 12, 6, 3], [3, 4, 2, 1], 0, False),
    ("equal labels in a row", 4, 0, 3, [10, 7], [4, 3], 2, False),
    ("blank is the last class", 6, 5, 4, [8, 11], [3, 5], 3, False),
    ("no label", 4, 0, 4, [5, 6], [0, 2], 0, False),
    ("as many frames as labels", 7, 0, 4, [4, 5], [4, 5], 0, False),
    ("too few frames", 5, 0, 4, [3, 8, 2], [4, 3, 2], 2, False),
    ("too few frames, zero_infinity", 5, 0, 4, [3, 8, 2], [4, 3, 2], 2, True),
    ("sharp", 8, 0, 60, [20, 31], [6, 9], 4, False),
    ("long", 29, 0, 6, [200, 150, 171], [40, 12, 33], 5, False),
]
def plain(x): return x if math.isfinite(x) else str(x)
out = []
for k, (name, classes, blank, scale, frames, n, repeat, zero) in enumerate(cases):
    z = (scale * val(k, sum(frames) * classes)).reshape(-1, classes).requires_grad_()
    y = [labels(k + r, m, classes, blank, repeat) for r, m in enumerate(n)]
    longest = torch.nn.utils.rnn.pad_sequence(torch.split(torch.log_softmax(z, 1), frames))
    flat = torch.tensor([c for row in y for c in row])
    loss = F.ctc_loss(longest, flat, torch.tensor(frames), torch.tensor(n), blank=blank, reduction="none", zero_infinity=zero)
    mean = F.ctc_loss(longest, flat, torch.tensor(frames), torch.tensor(n), blank=blank, reduction="mean", zero_infinity=zero)
    g, = torch.autograd.grad(loss.sum(), z)
    c = {"name": name, "classes": classes, "blank": blank, "scale": scale, "zero_infinity": zero, "frames": frames, "targets": y,
         "loss": [plain(v) for v in loss.tolist()], "mean": plain(mean.item())}
    if g.numel() <= 400: c["grad"] = [plain(v) for v in g.flatten().tolist()]
    else: c["sums"] = [g.norm().item(), (g.flatten() * torch.cos(torch.arange(g.numel()).double())).sum().item()]
    out.append(c)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "ctc.json"), "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in out) + "\n]\n")
