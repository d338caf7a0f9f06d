#!/usr/bin/env python3
"""Sentence embeddings of 500 texts by all-MiniLM-L6-v2 as PyTorch computes them in fp32, for tests/cli/minilm.sh.
The texts are test queries of BANKING77 (Casanueva et al. 2020, CC BY 4.0), the last 100 of them six queries joined.

    python3 make_minilm.py FOLDER ../../datasets/samples/banking77/test.csv.gz

writes minilm_texts.txt and minilm.npy (500, 384). Needs torch, transformers, numpy."""
import csv, gzip, sys
import numpy as np, torch
from transformers import AutoModel, AutoTokenizer

with gzip.open(sys.argv[2], "rt", encoding="utf-8", newline="") as f:
    queries = [" ".join(r["text"].split()) for r in csv.DictReader(f)]
texts = queries[:400] + [" ".join(queries[400 + 6 * i:406 + 6 * i]) for i in range(100)]
tokenizer, model = AutoTokenizer.from_pretrained(sys.argv[1]), AutoModel.from_pretrained(sys.argv[1]).eval()
out = []
with torch.no_grad():
    for t in texts:  # one at a time: no padding has a say
        ids = tokenizer(t, truncation=True, max_length=128, return_tensors="pt")
        h = model(**ids).last_hidden_state[0].double().mean(0)
        out.append((h / h.norm()).float().numpy())
open("minilm_texts.txt", "w", encoding="utf-8").write("\n".join(texts) + "\n")
np.save("minilm.npy", np.stack(out).astype("<f4"))
