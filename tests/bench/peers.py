#!/usr/bin/env python3
"""One workload of `hone bench` in PyTorch, ONNX Runtime or OpenVINO: prints the median milliseconds of a step, or why there are none.

    python peers.py WORK torch|compile|onnxruntime|openvino [THREADS [SECONDS]]

Names, shapes, tokens and lengths are those of engine/cmds/bench_work.c; weights and ids are random. run.py calls it."""
import os, random, statistics, sys, time

work, peer = sys.argv[1:3]
threads = int(sys.argv[3]) if len(sys.argv) > 3 else 1
seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 4.0
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = str(threads)
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(threads)
torch.manual_seed(1)
WORDS, TOKENS = 30522, 128


class Bag(nn.Module):
    def __init__(self, sparse):
        super().__init__()
        self.table, self.out = nn.Embedding(10000, 128, sparse=sparse), nn.Linear(128, 2)

    def forward(self, ids):
        return self.out(self.table(ids).mean(1))


class EncoderLayer(nn.Module):
    """Attention and feed-forward part, each with a residual and a normalisation behind it."""

    def __init__(self, width, heads, ffn):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj, self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(width, width), nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x, mask):
        rows, tokens, width = x.shape
        q, k, v = self.qkv(x).view(rows, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(rows, tokens, width)
        x = self.norm1(x + self.proj(y))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Encoder(nn.Module):
    def __init__(self, layers, width, heads, ffn):
        super().__init__()
        self.word, self.position, self.norm = nn.Embedding(WORDS, width), nn.Embedding(512, width), nn.LayerNorm(width)
        self.layers, self.out = nn.ModuleList(EncoderLayer(width, heads, ffn) for _ in range(layers)), nn.Linear(width, 2)

    def forward(self, ids, mask=None):
        x = self.norm(self.word(ids) + self.position(torch.arange(ids.shape[1])))
        for layer in self.layers:
            x = layer(x, mask)
        return self.out(x[:, 0])


class Residual(nn.Module):
    def __init__(self, before, width, stride):
        super().__init__()
        self.stride, self.more = stride, (width - before) // 2
        self.part = nn.Sequential(nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
                                  nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.part(x)
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
        return F.relu(x + y)


def resnet20():
    parts, before = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for width in (16, 32, 64):
        for _ in range(3):
            parts.append(Residual(before, width, 1 if width == before else 2))
            before = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def minilm():
    return Encoder(6, 384, 12, 1536)


def zipf():
    """Id i has weight 1 / (i + 2.7), as in bench_zipf."""
    return torch.tensor(random.Random(7).choices(range(10000), [1 / (i + 2.7) for i in range(10000)], k=32 * TOKENS)).view(32, TOKENS)


def words(rows):
    return torch.randint(WORDS, (rows, TOKENS))


def adam(p):
    return torch.optim.Adam(p, 1e-3)


def adamw(p):
    return torch.optim.AdamW(p, 1e-4, fused=True)


TRAIN = {  # model, input, classes, optimiser
    "bag-train": (lambda: Bag(False), zipf, 2, adam),
    "bag-train-lazy": (lambda: Bag(True), zipf, 2, lambda p: torch.optim.SparseAdam(list(p)[:1])),
    "mlp-train": (lambda: nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10)), lambda: torch.rand(128, 784), 10, adam),
    "resnet20-train": (resnet20, lambda: torch.rand(128, 3, 32, 32), 10, lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=1e-4)),
    "minilm-train": (minilm, lambda: words(32), 2, adamw),
    "bert-train": (lambda: Encoder(12, 768, 12, 3072), lambda: words(8), 2, adamw),
}
INFER = {"minilm-infer": 32, "minilm-p1": 1}


def train_step(name, bf16):
    make, data, classes, optim = TRAIN[name]
    model, x = make(), data()
    y, update = torch.randint(classes, (len(x),)), optim(model.parameters())
    run = torch.compile(model) if peer == "compile" else model

    def step():
        update.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = F.cross_entropy(run(x).float(), y)
        loss.backward()
        update.step()
    return step


def texts():
    """256 texts with log-normal lengths cut to 4 .. 128, sorted: batches of 32, padded to the longest of the batch."""
    draw = random.Random(7)
    n, out = sorted(max(4, min(128, int(draw.lognormvariate(3.6, 0.8)))) for _ in range(256)), []
    for i in range(0, 256, 32):
        part = torch.tensor(n[i:i + 32])
        seen = torch.arange(int(part.max()))[None] < part[:, None]
        out.append((torch.randint(WORDS, seen.shape), seen[:, None, None, :]))
    return out


def infer_step(name, bf16, int8):
    model = minilm().eval()
    if int8:
        model = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, torch.qint8)
    run = torch.compile(model) if peer == "compile" else model
    batches = texts() if name == "minilm-ragged" else [(words(INFER[name]), None)]

    def step():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            for ids, mask in batches:
                run(ids, mask)
    return step


def exported(name):
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"hone-bench-{os.getuid()}-minilm.onnx")
    if not os.path.exists(path):
        torch.onnx.export(minilm().eval(), (words(2),), path, input_names=["ids"], dynamic_axes={"ids": {0: "rows", 1: "tokens"}}, opset_version=17, dynamo=False)
    return path, words(INFER[name]).numpy()


def runtime_step(name, int8):
    """8 bits: ONNX Runtime's dynamic quantisation, or NNCF's static one (both sides of every product, calibrated on 8 random batches) for OpenVINO."""
    path, ids = exported(name)
    if peer == "onnxruntime":
        import onnxruntime
        if int8:
            from onnxruntime.quantization import QuantType, quantize_dynamic
            whole, path = path, path.replace(".onnx", "-int8.onnx")
            if not os.path.exists(path):
                quantize_dynamic(whole, path, weight_type=QuantType.QInt8, per_channel=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"ids": ids})
    import openvino
    core = openvino.Core()
    model = core.read_model(path)
    model.reshape({"ids": list(ids.shape)})
    if int8:
        import nncf
        model = nncf.quantize(model, nncf.Dataset([words(INFER[name]).numpy() for _ in range(8)]), model_type=nncf.ModelType.TRANSFORMER)
    request = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    return lambda: request.infer({"ids": ids})


def build():
    base, bf16, int8 = work.removesuffix("-bf16").removesuffix("-int8"), work.endswith("-bf16"), work.endswith("-int8")
    if peer in ("onnxruntime", "openvino"):
        if base not in INFER or bf16:
            raise ValueError("not timed with this peer")
        return runtime_step(base, int8)
    if peer == "compile" and (int8 or base in ("minilm-ragged", "bag-train-lazy")):
        raise ValueError("not timed compiled")
    return train_step(base, bf16) if base in TRAIN else infer_step(base, bf16, int8)


try:
    step = build()
    for _ in range(2):
        step()
    times, until = [], time.perf_counter() + seconds
    while len(times) < 3 or (time.perf_counter() < until and len(times) < 500):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    print(f"{statistics.median(times):.4f}")
except Exception as why:  # a peer that cannot do the work is a result too
    print(f"{type(why).__name__}: {str(why).splitlines()[0][:120] if str(why) else ''}")
