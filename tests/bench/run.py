#!/usr/bin/env python3
"""One row a workload: milliseconds of `hone bench`, share of the multiply-add rate, ratio to the floor and to each peer found.

    python3 run.py [--hone build/hone] [--floors build/tests/bench/floors] [--threads N] [--seconds S] [WORK..]

HONE_PEERS names a Python that has torch (and, for inference, onnx, onnxruntime, openvino); without it there are no peers. A ratio is
peer / hone: above 1 hone is faster; floor: hone / floor. hone runs before and after the peers of a row and
the mean of both medians counts. Needs the standard library only."""
import argparse, json, os, subprocess, sys

PEERS = ("torch", "compile", "onnxruntime", "openvino")
FLOORS = ("mlp-train", "bag-train", "bag-train-lazy")
here = os.path.dirname(os.path.abspath(__file__))
ap = argparse.ArgumentParser()
ap.add_argument("works", nargs="*")
ap.add_argument("--hone", default="build/hone")
ap.add_argument("--floors", default="build/tests/bench/floors")
ap.add_argument("--threads", type=int, default=1)
ap.add_argument("--seconds", type=float, default=4.0)
a = ap.parse_args()
cores = sorted(os.sched_getaffinity(0))[:a.threads]
pin = ["taskset", "-c", ",".join(map(str, cores))]


def output(argv):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def hone(work):
    out = output(pin + [a.hone, "bench", *work, "--threads", str(a.threads), "--seconds", str(a.seconds * max(1, len(work))), "--json"])
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return {r["work"]: r for r in rows if r.get("event") == "bench"}


def names():
    """Without names: those that `hone bench` knows; a wrong one is answered by hone's own sentence."""
    source = open(os.path.join(here, "..", "..", "engine", "cmds", "bench_work.c")).read()
    table = source[source.index("bench_names[] = {"):]
    return [w.strip().strip('"') for w in table[table.index("{") + 1:table.index("NULL")].replace("\n", " ").split(",") if w.strip() and "-fp8" not in w]  # fp8 is for GPUs


def floors():
    found = {}
    for line in output(pin + [a.floors, "3"]).splitlines() if os.path.exists(a.floors) and a.threads == 1 else []:
        if "ratio" in line:
            found.setdefault(line.split()[0], []).append(float(line.split("ratio ")[1].split(",")[0]))
    return {k: sorted(v)[len(v) // 2] for k, v in found.items()}


def peer_ms(work, peer):
    python = os.environ.get("HONE_PEERS")
    if not python:
        return None
    out = output([python, os.path.join(here, "peers.py"), work, peer, str(a.threads), str(a.seconds)]).strip().splitlines()
    try:
        return float(out[-1])
    except (IndexError, ValueError):
        return None


works = a.works or names()
floor = floors() if any(w in FLOORS for w in works) else {}
print(f"{'work':22}{'ms':>9}{'yard':>8}{'of yard':>9}{'floor':>8}" + "".join(f"{p:>13}" for p in PEERS))
failed = 0
for w in works:
    before = hone([w]).get(w)
    if not before:
        print(f"{w:22} hone bench gave no figure")
        failed += 1
        continue
    peers = [peer_ms(w, p) for p in PEERS]
    after = (hone([w]).get(w) if any(peers) else None) or before
    ms, yard = (before["ms"] + after["ms"]) / 2, (before["yard_gflops"] + after["yard_gflops"]) / 2
    of = before["flop"] / ms / 1e6 / yard
    row = f"{w:22}{ms:9.4g}{yard:8.1f}{100 * of:8.1f}%" + (f"{floor[w]:8.2f}" if w in floor else f"{'-':>8}")
    print(row + "".join(f"{m / ms:12.2f}x" if m else f"{'-':>13}" for m in peers), flush=True)
sys.exit(1 if failed else 0)
