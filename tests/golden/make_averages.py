#!/usr/bin/env python3
"""Makes averages.json: averaged weights after 40 steps by torch.optim.swa_utils.AveragedModel in float64: the plain mean, the moving average, the moving average whose
decay grows from the start (min(decay, (1 + n) / (10 + n)), through avg_fn), with running statistics averaged too; and running statistics taken anew by update_bn.
Weights of a step come from a formula that tests/engine/average_test.c repeats. Needs: pip install torch."""
import json, os
import torch
from torch.optim import swa_utils as U

torch.set_default_dtype(torch.float64)
STEPS, IN, HID, OUT, ROWS, BATCH = 40, 5, 4, 3, 10, 4

def val(k, n):
    i = torch.arange(n, dtype=torch.int64)
    return ((i * 37 + k * 101 + (i * i) % 97) % 199).double() / 199.0 - 0.5

def net():
    m = torch.nn.Sequential(torch.nn.Linear(IN, HID), torch.nn.BatchNorm1d(HID), torch.nn.ReLU(), torch.nn.Linear(HID, OUT))
    m[1].num_batches_tracked = m[1].num_batches_tracked.double()  # get_swa_multi_avg_fn takes no integers
    return m

def tensors(m):
    bn = m[1]
    return [m[0].weight, m[0].bias, bn.weight, bn.bias, bn.running_mean, bn.running_var, m[3].weight, m[3].bias]

def put(m, t):
    """tensor i of step t is val(10 t + i); a variance is above zero"""
    with torch.no_grad():
        for i, p in enumerate(tensors(m)): p.copy_((val(10 * t + i, p.numel()) + (1 if i == 5 else 0)).reshape(p.shape))

def flat(m): return [float(x) for p in tensors(m) for x in p.detach().reshape(-1)]

def averaged(**how):
    m = net()
    put(m, 0)
    a = U.AveragedModel(m, use_buffers=True, **how)
    for t in range(STEPS):
        put(m, t)
        a.update_parameters(m)
    return a

def warm(decay):
    def fn(avg, new, n):
        share = 1 - min(decay, (1 + float(n)) / (10 + float(n)))
        return avg + share * (new - avg)
    return fn

out = []
def add(name, decay, a): out.append(dict(name=name, decay=decay, weights=flat(a.module)))
mean = averaged(multi_avg_fn=U.get_swa_multi_avg_fn())
add("plain mean", 0, mean)
add("moving average", 0.15, averaged(multi_avg_fn=U.get_ema_multi_avg_fn(0.15)))  # below (1 + n) / (10 + n) from the second weights on
add("moving average from the start", 0.8, averaged(avg_fn=warm(0.8)))
X = 2 * val(990, ROWS * IN).reshape(ROWS, IN)
U.update_bn([X[i:i + BATCH] for i in range(0, ROWS, BATCH)], mean)
add("statistics", 0, mean)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "averages.json"), "w") as fp:
    fp.write("[\n" + ",\n".join(json.dumps(c) for c in out) + "\n]\n")
