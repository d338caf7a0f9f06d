#!/usr/bin/env python3
"""Peak memory of one MiniLM training step in PyTorch (6 layers, width 384, 12 heads, FFN 1536, 32 x 128 tokens, fused AdamW, no dropout), beside the
bytes_peak that `hone bench minilm-train` prints.

    python3 memory_peer.py [--compile] [--steps 4]

Prints one JSON object: bytes_peak is the largest resident size during steps after the warm-up, less what was resident after the import (with --compile that
includes what the compiler keeps, so bytes_step, the largest less what is resident between steps, is printed too); bytes_tensors is what parameters,
gradients and optimiser states take.
"""
import argparse, gc, json, os

ap = argparse.ArgumentParser()
ap.add_argument("--compile", action="store_true")
ap.add_argument("--steps", type=int, default=4)
a = ap.parse_args()
os.environ["OMP_NUM_THREADS"] = "1"
import torch, torch.nn as nn, torch.nn.functional as F

torch.set_num_threads(1)
torch.manual_seed(1)
W, H, FFN, N, V, B, T = 384, 12, 1536, 6, 30522, 32, 128


def status(name):
    for line in open("/proc/self/status"):
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024


def reset():
    with open("/proc/self/clear_refs", "w") as f:
        f.write("5")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(W, 3 * W), nn.Linear(W, W)
        self.up, self.down = nn.Linear(W, FFN), nn.Linear(FFN, W)
        self.n1, self.n2 = nn.LayerNorm(W), nn.LayerNorm(W)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, H, W // H).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, W)
        x = self.n1(x + self.out(y))
        return self.n2(x + self.down(F.gelu(self.up(x))))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.word, self.pos, self.n = nn.Embedding(V, W), nn.Embedding(512, W), nn.LayerNorm(W)
        self.blocks, self.head = nn.ModuleList(Block() for _ in range(N)), nn.Linear(W, 2)

    def forward(self, x):
        y = self.n(self.word(x) + self.pos(torch.arange(x.shape[1])))
        for b in self.blocks:
            y = b(y)
        return self.head(y[:, 0])


base = status("VmRSS")
m = Net()
f = torch.compile(m) if a.compile else m
o = torch.optim.AdamW(m.parameters(), 1e-4, fused=True)
x, y = torch.randint(0, V, (B, T)), torch.arange(B) % 2


def step():
    o.zero_grad(set_to_none=True)
    F.cross_entropy(f(x), y).backward()
    o.step()


for _ in range(2):
    step()
gc.collect()
o.zero_grad(set_to_none=True)
between = status("VmRSS")
reset()
for _ in range(a.steps):
    step()
n = sum(p.numel() for p in m.parameters())
peak = status("VmHWM")
print(json.dumps(dict(work="minilm-train", peer="torch/" + torch.__version__.split("+")[0] + ("/compile" if a.compile else ""), bytes_peak=peak - base,
                      bytes_step=peak - between, bytes_tensors=16 * n)))
