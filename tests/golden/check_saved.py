#!/usr/bin/env python3
"""Loads an encoder that hone saved (a folder with model.json and model.safetensors) back into PyTorch and compares its logits with encoders.json.
    hone run tests/golden/save_encoder.lua tests/golden/encoders/bert OUT && python3 tests/golden/check_saved.py OUT tests/golden/encoders/bert
Needs: pip install torch transformers safetensors. BERT layout; the names are those of engine/model/hf.c, read the other way round."""
import json, os, sys, torch, transformers as T
from safetensors.torch import load_file

def theirs(ours):
    out = {}
    for name, t in ours.items():
        layer, rest = name.split(".", 1)
        if layer == "embed":
            kind, suffix = rest.split(".")
            part = {"word": "word_embeddings", "position": "position_embeddings", "type": "token_type_embeddings", "norm": "LayerNorm"}[kind]
            out[f"bert.embeddings.{part}.{suffix}"] = t
        elif layer.startswith("block"):
            at, (part, suffix) = f"bert.encoder.layer.{int(layer[5:]) - 1}.", rest.rsplit(".", 1)
            if part == "attn.qkv":
                for n, piece in zip(("query", "key", "value"), t.chunk(3)): out[f"{at}attention.self.{n}.{suffix}"] = piece.clone()
            else:
                to = {"attn.out": "attention.output.dense", "norm1": "attention.output.LayerNorm", "up": "intermediate.dense", "down": "output.dense", "norm2": "output.LayerNorm"}[part]
                out[at + to + "." + suffix] = t
        elif layer == "pooler": out[f"bert.pooler.dense.{rest}"] = t
        elif layer == "head": out[f"classifier.{rest}"] = t
        else: sys.exit(f"{name}: no such tensor is known")
    return out

m = T.BertForSequenceClassification(T.BertConfig.from_pretrained(sys.argv[2]))
m.load_state_dict(theirs(load_file(os.path.join(sys.argv[1], "model.safetensors"))), strict=True)
m.eval()
want = [c for c in json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "encoders.json"))) if c["name"] == "bert"][0]
at, worst = 0, 0.0
for n, logits in zip(want["lens"], want["logits"]):
    with torch.no_grad(): got = m(torch.tensor([want["ids"][at:at + n]])).logits[0]
    at, worst = at + n, max(worst, (got.double() - torch.tensor(logits, dtype=torch.float64)).abs().max().item())
print(f"logits within {worst:.1e}")
sys.exit(worst > 5e-6)
