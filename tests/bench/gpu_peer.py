#!/usr/bin/env python3
"""One workload of `hone bench` in PyTorch on a GPU, eager and compiled: prints "WORK ROWS HOW MS" for each, the median of a step.

    python gpu_peer.py WORK ROWS

Names and shapes are those of engine/cmds/bench_work.c; weights and inputs are random. Training: forward, cross-entropy, backward, AdamW with its fused update, bf16 under
autocast; inference in bf16: the whole model is of that type. Compiled with mode reduce-overhead (CUDA graphs) where that works, else the default. Everything is compiled
and warm before anything is timed; with HONE_TURN=FILE the timing waits until FILE is there, FILE.ready says that it waits, FILE.done that it is over.
scripts/dev/gpu-check calls it."""
import os, statistics, sys, time

import torch
from torch import nn
from torch.nn import functional as F

work, rows = sys.argv[1], int(sys.argv[2])
torch.manual_seed(1)
torch.set_float32_matmul_precision("highest")
dev, half, WORDS, TOKENS = "cuda", work.endswith(("-bf16", "-fp8")), 30522, 128


class Layer(nn.Module):
    def __init__(self, width, heads, ffn):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj, self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(width, width), nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x):
        b, t, w = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        x = self.norm1(x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, w)))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Encoder(nn.Module):
    def __init__(self, layers, width, heads, ffn):
        super().__init__()
        self.word, self.position, self.norm = nn.Embedding(WORDS, width), nn.Embedding(512, width), nn.LayerNorm(width)
        self.layers, self.out = nn.ModuleList(Layer(width, heads, ffn) for _ in range(layers)), nn.Linear(width, 2)
        self.register_buffer("at", torch.arange(TOKENS))

    def forward(self, ids):
        x = self.norm(self.word(ids) + self.position(self.at))
        for layer in self.layers:
            x = layer(x)
        return self.out(x[:, 0])


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(10000, 128), nn.Linear(128, 2)

    def forward(self, ids):
        return self.out(self.table(ids).mean(1))


class Block(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.a, self.b = nn.Conv2d(i, o, 3, s, 1, bias=False), nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.na, self.nb, self.s, self.pad = nn.BatchNorm2d(o), nn.BatchNorm2d(o), s, (o - i) // 2

    def forward(self, x):
        y = self.nb(self.b(F.relu(self.na(self.a(x)))))
        if self.pad or self.s > 1:
            x = F.pad(x[:, :, :: self.s, :: self.s], (0, 0, 0, 0, self.pad, self.pad))
        return F.relu(y + x)


def resnet20():
    blocks, width = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for out, stride in ((16, 1), (32, 2), (64, 2)):
        for i in range(3):
            blocks.append(Block(width, out, stride if i == 0 else 1))
            width = out
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def ids(vocab):
    return torch.randint(0, vocab, (rows, TOKENS), device=dev)


if work.startswith("mlp"):
    net, x, classes = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10)), torch.rand(rows, 784, device=dev), 10
elif work.startswith("bag"):
    net, x, classes = Bag(), ids(10000), 2
elif work.startswith("resnet20"):
    net, x, classes = resnet20().to(memory_format=torch.channels_last), torch.rand(rows, 3, 32, 32, device=dev).to(memory_format=torch.channels_last), 10
elif work.startswith("bert"):
    net, x, classes = Encoder(12, 768, 12, 3072), ids(WORDS), 2
else:
    net, x, classes = Encoder(6, 384, 12, 1536), ids(WORDS), 2
training = "-train" in work
net = net.to(dev) if training or not half else net.to(dev, torch.bfloat16)
y = torch.arange(rows, device=dev) % classes


def step_of(model):
    if not training:
        model.eval()

        def infer():
            with torch.inference_mode():
                return model(x)

        return infer
    optim = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def train():
        optim.zero_grad(set_to_none=True)
        with torch.autocast(dev, torch.bfloat16, enabled=half):
            loss = F.cross_entropy(model(x), y)
        loss.backward()
        optim.step()

    return train


def median_ms(step, seconds=2.0):
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    times, end = [], time.time() + seconds
    while time.time() < end or len(times) < 5:
        t = time.perf_counter()
        for _ in range(5):
            step()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - t) * 200)
    return statistics.median(times)


steps = [("eager", step_of(net))]
for mode in ("reduce-overhead", "default"):
    try:
        step = step_of(torch.compile(net, mode=mode))
        for _ in range(5):
            step()
        torch.cuda.synchronize()
        steps.append(("compiled", step))
        break
    except Exception as e:
        print("compiled", mode, "failed:", str(e)[:200], file=sys.stderr)
turn = os.environ.get("HONE_TURN")
if turn:
    open(turn + ".ready", "w").close()
    while not os.path.exists(turn):
        time.sleep(0.1)
for how, step in steps:
    print(work, rows, how, f"{median_ms(step):.4f}", flush=True)
if turn:
    open(turn + ".done", "w").close()
