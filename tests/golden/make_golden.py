#!/usr/bin/env python3
"""Makes models.json: losses, gradients and 10 steps of plain descent of three small models in float64, by JAX's automatic differentiation.
Needs: pip install jax. Weights and data come from formulas that tests/engine/model_golden.c repeats, so only results are stored."""
import json, os
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_enable_x64", True)

def val(k, n):
    i = np.arange(n, dtype=np.int64)
    return ((i * 37 + k * 101 + (i * i) % 97) % 199) / 199.0 - 0.5

ROWS, STEPS, LR = 4, 10, 0.1
x = jnp.array(2 * val(50, ROWS * 6).reshape(ROWS, 6))
y = jnp.array([(i * 5 + 1) % 3 for i in range(ROWS)])
lens = [5, 0, 3, 7]
ids = jnp.array([(i * 11 + i * i) % 12 for i in range(sum(lens))])
seg = jnp.array(sum(([r] * n for r, n in enumerate(lens)), []))

def lin(h, w, b): return h @ w.T + b
def norm(h, g, b):
    m = h.mean(-1, keepdims=True); v = ((h - m) ** 2).mean(-1, keepdims=True)
    return (h - m) / jnp.sqrt(v + 1e-5) * g + b
def mlp(p):
    h = jnp.tanh(lin(x, p[0], p[1]))
    return lin(jax.nn.gelu(lin(h, p[2], p[3]), approximate=False), p[4], p[5])
def bag(p):
    s = jax.ops.segment_sum(p[0][ids], seg, ROWS)
    return lin(s / jnp.maximum(jnp.array(lens), 1)[:, None], p[1], p[2])
def net(p):
    h = norm(jax.nn.silu(lin(x, p[0], p[1])), p[2], p[3])
    return lin(h + jax.nn.relu(lin(h, p[4], p[5])), p[6], p[7])

L = lambda out, **k: dict(layer="linear", out=out, **k)
cases = [
    ("mlp", mlp, [(5, 6), (5,), (4, 5), (4,), (3, 4), (3,)], 0.1, dict(input=6, layers=[L(5, act="tanh"), L(4, act="gelu"), L(3)])),
    ("bag", bag, [(12, 4), (3, 4), (3,)], 0.0, dict(input=dict(ids=12), layers=[dict(layer="embedding", n=12, dim=4), dict(layer="mean_pool"), L(3)])),
    ("norm", net, [(8, 6), (8,), (8,), (8,), (8, 8), (8,), (3, 8), (3,)], 0.0,
     dict(input=6, layers=[L(8, act="silu"), dict(layer="layer_norm"), dict(layer="residual", layers=[L(8, act="relu")]), L(3)]))]

out = []
for name, f, shapes, smooth, model in cases:
    p = [jnp.array(val(k, int(np.prod(s))).reshape(s)) for k, s in enumerate(shapes)]
    def loss(p):
        lp = jax.nn.log_softmax(f(p))
        t = (1 - smooth) * jax.nn.one_hot(y, 3, dtype=jnp.float64) + smooth / 3
        return -(t * lp).sum() / ROWS
    step = jax.value_and_grad(loss)
    losses, first = [], None
    for i in range(STEPS + 1):
        v, g = step(p)
        losses.append(float(v))
        first = first or [np.asarray(a).ravel().tolist() for a in g]
        p = [a - LR * b for a, b in zip(p, g)]
    out.append(dict(name=name, model=model, smooth=smooth, losses=losses, grads=first))
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "models.json"), "w") as fp:
    fp.write("[\n" + ",\n".join(json.dumps(c) for c in out) + "\n]\n")
