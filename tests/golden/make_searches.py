#!/usr/bin/env python3
"""Makes searches.json: every point at which torch.optim.LBFGS with line_search_fn="strong_wolfe" evaluates functions of one, two and four variables in float64, an
iteration a step, and where it ends. The functions: those of More and Thuente (1994, "Line search algorithms with guaranteed sufficient decrease", section 5), Rosenbrock's,
Beale's and Powell's singular one (More, Garbow and Hillstrom 1981, numbers 1, 5 and 13), waves on a slope, and three that are not defined everywhere: there a loss of
infinity with a slope that is not a number, on which torch halves the bracket. torch.optim.LBFGS leaves the tolerance of its search at 1e-9: tolerance_change is handed on.
Cases: of the branches of the search each is reached by some; SHIFT=1 prints how much a change of the start by 1e-15 has become (below 1e-10, or a case is of no use).
in_float: torch makes the same decisions in float32; where not, losses a rounding apart decide, or what is finite in a double is not in a float.
Needs: pip install torch. tests/engine/search_golden.c repeats the functions."""
import json, math, os
import torch
from torch.optim import lbfgs

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

def more1(w): return -w[0] / (w[0] ** 2 + 2)
def more2(w): return (w[0] + 0.004) ** 5 - 2 * (w[0] + 0.004) ** 4
def more3(w):
    x, b, l = w[0], 0.01, 39
    hat = 1 - x if x <= 1 - b else x - 1 if x >= 1 + b else (x - 1) ** 2 / (2 * b) + b / 2
    return hat + 2 * (1 - b) / (l * math.pi) * torch.sin(l * math.pi / 2 * x)
def yanai(w, b1, b2):
    c1, c2 = math.sqrt(1 + b1 * b1) - b1, math.sqrt(1 + b2 * b2) - b2
    return c1 * torch.sqrt((1 - w[0]) ** 2 + b2 * b2) + c2 * torch.sqrt(w[0] ** 2 + b1 * b1)
def waves(w, a, b, c, d): return -a * w[0] + b * torch.sin(c * w[0]) + d * w[0] ** 2
def rosenbrock(w): return 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2
def beale(w): return sum((y - w[0] * (1 - w[1] ** (i + 1))) ** 2 for i, y in enumerate((1.5, 2.25, 2.625)))
def powell(w): return (w[0] + 10 * w[1]) ** 2 + 5 * (w[2] - w[3]) ** 2 + (w[1] - 2 * w[2]) ** 4 + 10 * (w[0] - w[3]) ** 4
def barrier(w, a): return -torch.log(1 - w[0]) - a * w[0]
def overflow(w): return torch.exp(w[0] ** 2)
def no_slope(w): return torch.cos(w[0]) if w[0] < 4 else math.nan * w[0]

ONE, TWO, FOUR = [0.0], {"rosenbrock": [-1.2, 1.0], "beale": [1.0, 1.0]}, [3.0, -1.0, 0.0, 1.0]
def case(f, start, lr, args=(), scale=1, evaluations=25, tolerance=1e-9, steps=1):
    return dict(function=f.__name__, args=list(args), scale=scale, start=start, lr=lr, evaluations=evaluations, tolerance_change=tolerance, steps=steps)
CASES = [case(f, ONE, lr, args) for f, args in ((more1, ()), (more3, ()), (yanai, (0.001, 0.001)), (yanai, (0.01, 0.001)), (yanai, (0.001, 0.01)))
         for lr in (1e-3, 0.1, 10.0, 1e3) if (f, lr) not in ((more1, 1e3), (more3, 0.1))]
CASES += [case(more2, [0.5], 10.0, steps=2)]
CASES += [case(more1, ONE, 1e3, evaluations=12), case(more3, ONE, 1e-3, evaluations=4), case(more3, ONE, 1e-3, evaluations=11)]
# ends by its tolerance: of the width of the bracket times the slope, not of the width
CASES += [case(more1, ONE, 1e3, scale=20, tolerance=0.02), case(more1, ONE, 1e3, tolerance=0.1), case(more3, ONE, 10.0, scale=50, tolerance=0.05), case(more3, ONE, 0.1, scale=20, tolerance=0.01)]
# rises between the points of the bracket, points that are no lower than the low end though low enough, points close to an end twice, evaluations that end on a rise
CASES += [case(waves, [2.0], 0.2, (2, 0.1, 9, 0.05)), case(waves, [-2.0], 0.001, (3, 0.1, 9, 0.01)), case(waves, [1.0], 2.0, (1, 0.2, 5, 0.05), steps=2),
          case(waves, [3.0], 2.0, (2, 1, 3, 0.01), tolerance=0.05, steps=2), case(waves, [-1.0], 10.0, (1, 0.5, 5, 0.05)), case(waves, [-2.0], 5.0, (1, 1, 4, 0), evaluations=2, tolerance=0.05, steps=2),
          case(waves, [-2.0], 10.0, (0.5, 0.2, 4, 0.05), tolerance=0.05, steps=2), case(waves, [-1.0], 5.0, (2, 2, 8, 0.02)), case(waves, [2.0], 5.0, (0.5, 1, 4, 0.05)),
          case(waves, [1.0], 10.0, (1, 1, 2, 0.02), evaluations=1, steps=2), case(waves, [3.0], 5.0, (1, 2, 1, 0.02), evaluations=1, tolerance=0.5, steps=2),
          case(waves, [-2.0], 1.0, (0.5, 0.3, 5, 0.2), evaluations=2, tolerance=0.05, steps=2)]
CASES += [case(f, TWO[f.__name__], lr, steps=10) for f in (rosenbrock, beale) for lr in (0.01, 1.0, 30.0)] + [case(powell, FOUR, lr, steps=10) for lr in (0.01, 1.0, 30.0)]
CASES += [case(f, s, lr, tolerance=tol, steps=2) for f, s in ((rosenbrock, TWO["rosenbrock"]), (beale, TWO["beale"]), (powell, FOUR)) for lr, tol in ((30.0, 0.5), (100.0, 3.0))]
CASES += [case(barrier, ONE, lr, (4,), steps=2) for lr in (0.9, 3.0, 40.0)] + [case(barrier, ONE, 0.3, (4,), evaluations=n) for n in (1, 2)]
CASES += [case(overflow, [1.5], lr) for lr in (1.0, 30.0, 1e4)] + [case(no_slope, [1.0], lr, steps=2) for lr in (2.0, 30.0)]

search = lbfgs._strong_wolfe
def follow(c, shift=0, dtype=torch.float64):
    """The points that were evaluated, and the last one that was taken."""
    torch.set_default_dtype(dtype)
    w = torch.tensor(c["start"])
    w[0] += shift
    w.requires_grad_()
    lbfgs._strong_wolfe = lambda *a, **k: search(*a, tolerance_change=c["tolerance_change"], **k)
    o = torch.optim.LBFGS([w], lr=c["lr"], history_size=5, max_iter=1, max_eval=c["evaluations"] + 1, tolerance_change=c["tolerance_change"], line_search_fn="strong_wolfe")
    points = []
    def closure():
        points.append(w.detach().tolist())
        o.zero_grad()
        loss = c["scale"] * globals()[c["function"]](w, *c["args"])
        loss.backward()
        if torch.isfinite(loss) and torch.isfinite(w.grad).all(): return loss
        w.grad = torch.full_like(w, math.nan)
        return torch.tensor(math.inf)
    for _ in range(c["steps"]): o.step(closure)
    return points, w.detach().tolist()

def apart(c, **k):
    """How far from those of the case the points are, and how many more."""
    points, end = follow(c, **k)
    return max(abs(a - b) / max(1, abs(a)) for p, q in zip(c["points"] + [c["end"]], points + [end]) for a, b in zip(p, q)), len(points) - len(c["points"])

if __name__ == "__main__":
    for c in CASES:
        c["points"], c["end"] = follow(c)
        far, more = apart(c, dtype=torch.float32)
        c["in_float"] = far < 1e-3 and more == 0
        if os.environ.get("SHIFT"): print("%.1e %d" % apart(c, shift=1e-15), [v for k, v in c.items() if k not in ("points", "end")])
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "searches.json"), "w") as fp:
        fp.write("[\n" + ",\n".join(json.dumps(c, allow_nan=False) for c in CASES) + "\n]\n")
