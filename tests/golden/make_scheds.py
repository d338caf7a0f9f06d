#!/usr/bin/env python3
"""Makes scheds.json: the learning rate before each of 120 steps (ten steps an epoch) under torch.optim.lr_scheduler, base rate 0.3, in float64. A schedule that counts
epochs is stepped at the end of each. Restarts of the cosine are CosineAnnealingWarmRestarts. Needs: pip install torch. Read by tests/engine/sched_test.c."""
import json, os
import torch
import torch.optim.lr_scheduler as S

STEPS, PER, BASE = 120, 10, 0.3
METRIC = [1.0, 0.8, 0.79, 0.795, 0.81, 0.7, 0.7, 0.7, 0.71, 0.69995, 0.5, 0.6]  # after each epoch

def opt(): return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
def s(name, **k): return dict(sched=name, **k)

CASES = [
    ("constant", s("constant"), "step", lambda o: S.ConstantLR(o, factor=1.0)),
    ("step", s("step", every=3, gamma=0.4), "epoch", lambda o: S.StepLR(o, 3, gamma=0.4)),
    ("step by steps", s("step", every=17, gamma=0.5, by="step"), "step", lambda o: S.StepLR(o, 17, gamma=0.5)),
    ("multi_step", s("multi_step", at=[30, 80, 100], gamma=0.3, by="step"), "step", lambda o: S.MultiStepLR(o, [30, 80, 100], gamma=0.3)),
    ("exponential", s("exponential", gamma=0.9), "epoch", lambda o: S.ExponentialLR(o, 0.9)),
    ("cosine", s("cosine", min=0.01), "step", lambda o: S.CosineAnnealingLR(o, STEPS, eta_min=0.01)),
    ("cosine by epochs", s("cosine", min=0.01, by="epoch"), "epoch", lambda o: S.CosineAnnealingLR(o, STEPS // PER, eta_min=0.01)),
    ("cosine with restarts", s("cosine", min=0.02, restarts=4), "step", lambda o: S.CosineAnnealingWarmRestarts(o, 30, eta_min=0.02)),
    ("cosine with restarts, each twice as long", s("cosine", min=0.02, restarts=4, mult=2), "step", lambda o: S.CosineAnnealingWarmRestarts(o, 8, T_mult=2, eta_min=0.02)),
    ("polynomial", s("polynomial", power=2), "step", lambda o: S.PolynomialLR(o, STEPS, power=2)),
    ("polynomial, shorter than the run", s("polynomial", total=70, power=0.5), "step", lambda o: S.PolynomialLR(o, 70, power=0.5)),
    ("one_cycle", s("one_cycle", rise=0.3, div=20, final_div=1e3), "step", lambda o: S.OneCycleLR(o, BASE, total_steps=STEPS, pct_start=0.3, div_factor=20, final_div_factor=1e3, cycle_momentum=False)),
    ("warmup", s("warmup", steps=25, **{"from": 0.1}), "step", lambda o: S.LinearLR(o, start_factor=0.1, total_iters=25)),
    ("warmup, then cosine", s("warmup", steps=20, next=s("cosine", min=0.001), **{"from": 0.05}), "step",
     lambda o: S.SequentialLR(o, [S.LinearLR(o, start_factor=0.05, total_iters=20), S.CosineAnnealingLR(o, STEPS - 20, eta_min=0.001)], [20])),
    ("chain", s("chain", schedules=[s("warmup", steps=10, **{"from": 0.2}), s("exponential", gamma=0.97, by="step"), s("constant")], at=[10, 90]), "step",
     lambda o: S.SequentialLR(o, [S.LinearLR(o, start_factor=0.2, total_iters=10), S.ExponentialLR(o, 0.97), S.ConstantLR(o, factor=1.0)], [10, 90])),
    ("plateau", s("plateau", factor=0.5, patience=1, threshold=1e-3, cooldown=1, min=0.05), "metric", lambda o: S.ReduceLROnPlateau(o, factor=0.5, patience=1, threshold=1e-3, cooldown=1, min_lr=0.05, eps=0)),
    ("plateau of a metric that rises", s("plateau", factor=0.1, patience=0), "rising", lambda o: S.ReduceLROnPlateau(o, mode="max", factor=0.1, patience=0, eps=0)),
]

out = []
for name, spec, by, make in CASES:
    o = opt()
    sch = make(o)
    lr = []
    for t in range(STEPS):
        lr.append(o.param_groups[0]["lr"])
        o.step()
        end = (t + 1) % PER == 0
        if by == "step": sch.step()
        elif end and by == "epoch": sch.step()
        elif end and by == "metric": sch.step(METRIC[t // PER])
        elif end: sch.step(1 - METRIC[t // PER] / 2)
    out.append(dict(name=name, spec=spec, rising=by == "rising", metric=METRIC, lr=lr))
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "scheds.json"), "w") as fp:
    fp.write("[\n" + ",\n".join(json.dumps(c) for c in out) + "\n]\n")
