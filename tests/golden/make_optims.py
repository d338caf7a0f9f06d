#!/usr/bin/env python3
"""Makes optims.json: weights after 1 and 100 steps (with a line search 10 or 25, as what is decided by its comparisons differs in the last bits) of every optimiser in
float64, on a quadratic and on a two-layer net, L-BFGS also on three harder functions, by torch.optim (whole batches, gradients by
autograd). lamb and lion have no counterpart there: they are written here from the papers (You et al. 2020, Algorithm 2; Chen et al. 2023, Algorithm 2). torch.optim.Muon
rounds its products to bfloat16: that rounding is switched off. L-BFGS: one iteration a step.
Rates are such that a change of the start by 1e-16 stays below 1e-10 (with Adafactor at 0.05 and with L-BFGS of 7 pairs the net does not: torch differs from itself).
SHIFT=1 prints how much a change of the start by 1e-15 has become.
Needs: pip install torch (2.9 or newer). Start values and data come from formulas that tests/engine/optim_golden.c repeats."""
import json, math, os
import torch

torch.set_default_dtype(torch.float64)
SHAPES = [(7, 4), (7,), (3, 7), (3,), (2, 3, 2, 2)]  # W1, b1, W2, b2, K

def val(k, n):
    i = torch.arange(n, dtype=torch.int64)
    return ((i * 37 + k * 101 + (i * i) % 97) % 199).double() / 199.0 - 0.5

def start(): return [val(k, math.prod(s)).reshape(s).clone().requires_grad_() for k, s in enumerate(SHAPES)]

X, Y = 2 * val(50, 6 * 4).reshape(6, 4), 2 * val(51, 6 * 3).reshape(6, 3)

def quadratic(p):
    """1/2 sum of c (p - t)^2 with c from 0.1 to 1.9, and 1/4 of the squared sum of each tensor"""
    loss = 0
    for k, q in enumerate(p):
        f, n = q.reshape(-1), q.numel()
        c, t = 1 + 1.8 * val(60 + k, n), val(70 + k, n)
        loss = loss + 0.5 * (c * (f - t) ** 2).sum() + 0.25 * f.sum() ** 2
    return loss

def net(p):
    """1/2 sum of (W2 tanh(W1 x + b1) + b2 - y)^2 over six points, K pulled to its targets"""
    h = torch.tanh(X @ p[0].T + p[1]) @ p[2].T + p[3]
    return 0.5 * ((h - Y) ** 2).sum() + 0.5 * ((p[4].reshape(-1) - val(80, 24)) ** 2).sum()

def waves(p):
    """1/10 sum of (p - t)^2 and of cos(4 p + k): many minima, slopes of both signs along a line"""
    loss = 0
    for k, q in enumerate(p):
        f = q.reshape(-1)
        loss = loss + 0.1 * ((f - 4 * val(70 + k, q.numel())) ** 2).sum() + torch.cos(4 * f + k).sum()
    return loss

def ripples(p):
    """1/10 sum of (p - t)^2 and 1/5 cos of three times the sum of each tensor + k: many minima along a line too"""
    loss = 0
    for k, q in enumerate(p):
        f = q.reshape(-1)
        loss = loss + 0.1 * ((f - 2 * val(70 + k, q.numel())) ** 2).sum() + 0.2 * torch.cos(3 * f.sum() + k)
    return loss

def valley(p):
    """sum over neighbours of 10 (b - a^2)^2 + (1 - a)^2 (Rosenbrock 1960)"""
    w = torch.cat([q.reshape(-1) for q in p])
    return (10 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()

class Lamb(torch.optim.Optimizer):
    def __init__(self, params, lr, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01): super().__init__(params, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)); self.t = 0
    def step(self):
        self.t += 1
        for g in self.param_groups:
            (b1, b2), lr = g["betas"], g["lr"]
            for p in g["params"]:
                s = self.state[p]
                s["m"] = b1 * s.get("m", 0) + (1 - b1) * p.grad
                s["v"] = b2 * s.get("v", 0) + (1 - b2) * p.grad ** 2
                r = (s["m"] / (1 - b1 ** self.t)) / ((s["v"] / (1 - b2 ** self.t)).sqrt() + g["eps"])
                u = r + g["weight_decay"] * p.data
                np, nu = p.data.norm(), u.norm()
                p.data -= lr * (np / nu if np > 0 and nu > 0 else 1) * u

class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr, betas=(0.9, 0.99), weight_decay=0.0): super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))
    def step(self):
        for g in self.param_groups:
            (b1, b2), lr = g["betas"], g["lr"]
            for p in g["params"]:
                m = self.state[p].get("m", torch.zeros_like(p))
                p.data -= lr * ((b1 * m + (1 - b1) * p.grad).sign() + g["weight_decay"] * p.data)
                self.state[p]["m"] = b2 * m + (1 - b2) * p.grad

class Muon:
    """Matrices by torch.optim.Muon without its rounding, the rest by AdamW, as hone divides them."""
    def __init__(self, params, adam_lr, rest=(), **k):
        mats = [p for i, p in enumerate(params) if p.ndim == 2 and i not in rest]
        ids = {id(p) for p in mats}
        self.a, self.b = torch.optim.Muon(mats, **k), torch.optim.AdamW([p for p in params if id(p) not in ids], lr=adam_lr, weight_decay=k["weight_decay"])
    def zero_grad(self): self.a.zero_grad(); self.b.zero_grad()
    def step(self):
        keep, torch.bfloat16 = torch.bfloat16, torch.float64
        self.a.step(); self.b.step()
        torch.bfloat16 = keep

O = torch.optim
EPS1 = 1.1920928955078125e-7
CASES = [
    ("sgd", dict(optim="sgd", lr=0.01, weight_decay=0.05), lambda p: O.SGD(p, lr=0.01, weight_decay=0.05)),
    ("sgd nesterov", dict(optim="sgd", lr=0.01, momentum=0.9, nesterov=True), lambda p: O.SGD(p, lr=0.01, momentum=0.9, nesterov=True)),
    ("sgd dampening", dict(optim="sgd", lr=0.01, momentum=0.9, dampening=0.3), lambda p: O.SGD(p, lr=0.01, momentum=0.9, dampening=0.3)),
    ("adagrad", dict(optim="adagrad", lr=0.01, lr_decay=0.02), lambda p: O.Adagrad(p, lr=0.01, lr_decay=0.02)),
    ("adadelta", dict(optim="adadelta", lr=0.5, weight_decay=0.01), lambda p: O.Adadelta(p, lr=0.5, weight_decay=0.01)),
    ("rmsprop", dict(optim="rmsprop", lr=0.001), lambda p: O.RMSprop(p, lr=0.001)),
    ("rmsprop centered momentum", dict(optim="rmsprop", lr=0.001, centered=True, momentum=0.9), lambda p: O.RMSprop(p, lr=0.001, centered=True, momentum=0.9)),
    ("adam", dict(optim="adam", lr=0.01, weight_decay=0.1), lambda p: O.Adam(p, lr=0.01, weight_decay=0.1)),
    ("adam amsgrad", dict(optim="adam", lr=0.01, amsgrad=True), lambda p: O.Adam(p, lr=0.01, amsgrad=True)),
    ("adamw", dict(optim="adamw", lr=0.01, weight_decay=0.1), lambda p: O.AdamW(p, lr=0.01, weight_decay=0.1)),
    ("adamax", dict(optim="adamax", lr=0.01), lambda p: O.Adamax(p, lr=0.01)),
    ("nadam", dict(optim="nadam", lr=0.01), lambda p: O.NAdam(p, lr=0.01)),
    ("radam", dict(optim="radam", lr=0.01), lambda p: O.RAdam(p, lr=0.01)),
    ("rprop", dict(optim="rprop", lr=0.01), lambda p: O.Rprop(p, lr=0.01)),
    ("asgd", dict(optim="asgd", lr=0.01, lambd=0.01, t0=20, weight_decay=0.02), lambda p: O.ASGD(p, lr=0.01, lambd=0.01, t0=20, weight_decay=0.02)),
    ("adafactor", dict(optim="adafactor", lr=0.01, weight_decay=0.1), lambda p: O.Adafactor(p, lr=0.01, weight_decay=0.1, eps=(EPS1, 1e-3))),
    ("muon", dict(optim="muon", lr=0.02, weight_decay=0.1, adam_lr=0.01), lambda p: Muon(p, 0.01, lr=0.02, weight_decay=0.1)),
    ("muon rms, no nesterov, a matrix for adamw", dict(optim="muon", lr=0.01, weight_decay=0, adam_lr=0.01, adjust="match_rms_adamw", nesterov=False, rest="p2"),
     lambda p: Muon(p, 0.01, rest=(2,), lr=0.01, weight_decay=0.0, nesterov=False, adjust_lr_fn="match_rms_adamw")),
    ("lbfgs", dict(optim="lbfgs", lr=1, history=20), lambda p: O.LBFGS(p, lr=1, history_size=20, max_iter=1)),
    ("lbfgs, no pair dropped", dict(optim="lbfgs", lr=1, history=100), lambda p: O.LBFGS(p, lr=1, history_size=100, max_iter=1)),
    ("lbfgs, strong Wolfe", dict(optim="lbfgs", lr=1, history=10, line_search="strong_wolfe"), lambda p: O.LBFGS(p, lr=1, history_size=10, max_iter=1, max_eval=26, line_search_fn="strong_wolfe")),
    ("lbfgs, strong Wolfe from far", dict(optim="lbfgs", lr=20, history=10, line_search="strong_wolfe"), lambda p: O.LBFGS(p, lr=20, history_size=10, max_iter=1, max_eval=26, line_search_fn="strong_wolfe")),
    ("lbfgs, strong Wolfe from near", dict(optim="lbfgs", lr=0.1, history=10, line_search="strong_wolfe"), lambda p: O.LBFGS(p, lr=0.1, history_size=10, max_iter=1, max_eval=26, line_search_fn="strong_wolfe")),
    ("lbfgs, strong Wolfe of few evaluations", dict(optim="lbfgs", lr=0.1, history=10, line_search="strong_wolfe", evaluations=1), lambda p: O.LBFGS(p, lr=0.1, history_size=10, max_iter=1, max_eval=2, line_search_fn="strong_wolfe")),
    ("lbfgs, tolerances", dict(optim="lbfgs", lr=1, history=3, tolerance_grad=0.02, tolerance_change=0.05),
     lambda p: O.LBFGS(p, lr=1, history_size=3, max_iter=1, tolerance_grad=0.02, tolerance_change=0.05), dict(steps=25)),
    ("lbfgs, a gradient small enough", dict(optim="lbfgs", lr=1, history=3, tolerance_grad=0.05), lambda p: O.LBFGS(p, lr=1, history_size=3, max_iter=1, tolerance_grad=0.05), dict(steps=25)),
    ("lbfgs, curvature of both signs", dict(optim="lbfgs", lr=0.05, history=3), lambda p: O.LBFGS(p, lr=0.05, history_size=3, max_iter=1), dict(on=(waves, valley), steps=25)),
    ("lbfgs, pairs left out", dict(optim="lbfgs", lr=0.3, history=3), lambda p: O.LBFGS(p, lr=0.3, history_size=3, max_iter=1), dict(on=(ripples,), steps=25)),
    ("lbfgs, a small gradient", dict(optim="lbfgs", lr=0.5, history=4), lambda p: O.LBFGS(p, lr=0.5, history_size=4, max_iter=1), dict(on=(quadratic,), steps=10, clip=0.1)),
    ("lbfgs with penalties, clipped", dict(optim="lbfgs", lr=0.5, history=4, l1=0.02, l2=0.3), lambda p: O.LBFGS(p, lr=0.5, history_size=4, max_iter=1), dict(steps=25, clip=0.7)),
] + [
    (f"lbfgs, strong Wolfe, {n} evaluations from {lr}", dict(optim="lbfgs", lr=lr, history=3, line_search="strong_wolfe", evaluations=n),
     lambda p, lr=lr, n=n: O.LBFGS(p, lr=lr, history_size=3, max_iter=1, max_eval=n + 1, line_search_fn="strong_wolfe"), dict(on=(waves, valley), steps=10))
    for lr, n in ((40, 25), (40, 3), (3, 25), (3, 5), (1, 4), (1, 2), (0.2, 3))
] + [
    (f"lbfgs, strong Wolfe, {n} evaluations from {lr}", dict(optim="lbfgs", lr=lr, history=3, line_search="strong_wolfe", evaluations=n),
     lambda p, lr=lr, n=n: O.LBFGS(p, lr=lr, history_size=3, max_iter=1, max_eval=n + 1, line_search_fn="strong_wolfe"), dict(on=(ripples,), steps=steps))
    for lr, n, steps in ((1000, 2, 10), (100, 1, 10))
] + [
    ("lbfgs, strong Wolfe with tolerances", dict(optim="lbfgs", lr=40, history=3, line_search="strong_wolfe", tolerance_change=0.2),
     lambda p: O.LBFGS(p, lr=40, history_size=3, max_iter=1, max_eval=26, line_search_fn="strong_wolfe", tolerance_change=0.2), dict(on=(waves, valley), steps=10)),
    ("lbfgs, strong Wolfe with penalties, clipped", dict(optim="lbfgs", lr=1, history=4, l1=0.02, l2=0.3, line_search="strong_wolfe"),
     lambda p: O.LBFGS(p, lr=1, history_size=4, max_iter=1, max_eval=26, line_search_fn="strong_wolfe"), dict(on=(net, valley), steps=10, clip=0.7)),
    ("lion", dict(optim="lion", lr=0.001, weight_decay=0.1), lambda p: Lion(p, lr=0.001, weight_decay=0.1)),
    ("lamb", dict(optim="lamb", lr=0.02, weight_decay=0.05), lambda p: Lamb(p, lr=0.02, weight_decay=0.05)),
    ("groups", dict(optim="adamw", lr=0.01, weight_decay=0.1, decay_bias=False, groups=[dict(match="p2", lr_scale=0.25, weight_decay=0.3), dict(match="p0", lr_scale=2)]),
     lambda p: O.AdamW([dict(params=[p[0]], lr=0.02), dict(params=[p[2]], lr=0.0025, weight_decay=0.3), dict(params=[p[4]]), dict(params=[p[1], p[3]], weight_decay=0)], lr=0.01, weight_decay=0.1)),
    ("layer decay", dict(optim="nadam", lr=0.01, layer_decay=0.5), lambda p: O.NAdam([dict(params=[q], lr=0.01 * 0.5 ** (4 - i)) for i, q in enumerate(p)], lr=0.01)),
]

def descend(make, f, spec, last, clip=0, shift=0):
    """Weights after 1 and `last` steps; clip: the gradient of a step by its norm, penalties come on top."""
    p, seen = start(), {}
    with torch.no_grad(): p[0][0, 0] += shift
    o = make(p)
    for t in range(1, last + 1):
        scale = 1.0
        if clip:
            norm = torch.cat([g.reshape(-1) for g in torch.autograd.grad(f(p), p, allow_unused=True) if g is not None]).norm()
            if norm > clip: scale = (clip / (norm + 1e-6)).item()
        def closure():
            o.zero_grad()
            loss = scale * f(p)
            if spec.get("l1"): loss = loss + spec["l1"] * sum(q.abs().sum() for q in p)
            if spec.get("l2"): loss = loss + spec["l2"] / 2 * sum((q ** 2).sum() for q in p)
            loss.backward()
            return loss
        if isinstance(o, O.LBFGS): o.step(closure)
        else: closure(); o.step()
        if t in (1, last): seen[str(t)] = [x for q in p for x in q.detach().reshape(-1).tolist()]
    return seen

out = []
for name, spec, make, *more in CASES:
    more = more[0] if more else {}
    for f in more.get("on", (quadratic, net)):
        last = more.get("steps", 25 if "line_search" in spec else 100)
        row = dict(name=name, spec=spec, problem=f.__name__, steps=descend(make, f, spec, last, more.get("clip", 0)))
        if "clip" in more: row["clip"] = more["clip"]
        if os.environ.get("SHIFT"): # how much a change in the last bits grows
            other = descend(make, f, spec, last, more.get("clip", 0), 1e-15)
            print(f"{max(abs(a - b) for a, b in zip(row['steps'][str(last)], other[str(last)])):.1e}", name, f.__name__)
        out.append(row)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "optims.json"), "w") as fp:
    fp.write("[\n" + ",\n".join(json.dumps(c) for c in out) + "\n]\n")
