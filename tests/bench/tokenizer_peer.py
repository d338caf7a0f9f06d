#!/usr/bin/env python3
"""What tests/bench/tokenizer.c does, by the `tokenizers` package on one core: python tokenizer_peer.py VOCAB.txt|TOKENIZER.json imdb/train.tsv.gz"""
import gzip, os, sys, time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import BertWordPieceTokenizer, Tokenizer

name, data = sys.argv[1:3]
texts = [r.rstrip("\n").split("\t")[1] for r in gzip.open(data, "rt", encoding="utf-8", newline="\n")][1:]
ms = []
for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 3):
    t = Tokenizer.from_file(name) if name.endswith(".json") else BertWordPieceTokenizer(name)  # a new one: its cache is cold
    start = time.perf_counter()
    out = t.encode_batch_fast(texts) if hasattr(t, "encode_batch_fast") else t._tokenizer.encode_batch_fast(texts)
    ms.append(1000 * (time.perf_counter() - start))
h, n = 0xCBF29CE484222325, 0
if len(sys.argv) > 4:
    for o in out:
        for i in o.ids:
            h = ((h ^ i) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
n = sum(len(o.ids) for o in out)
size = sum(len(s.encode()) for s in texts)
ms.sort()
print("tokenizers package: %.0f ms, %.1f MB/s, %d bytes, %d ids, hash %016x" % (ms[len(ms) // 2], size / ms[len(ms) // 2] / 1000, size, n, h))
