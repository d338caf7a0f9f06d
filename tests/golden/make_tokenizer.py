#!/usr/bin/env python3
"""Makes tests/golden/tokenizer: 2,000 lines of text, tokenizers trained on them, and what the `tokenizers` package makes of the lines.

    python make_tokenizer.py DATASETS OUT       (needs the package tokenizers; DATASETS has sib200, banking77, tinyshakespeare, vocab)

lines.txt.gz  texts of 13 languages, questions, verse, and generated lines: emoji, combining marks, ideographs, blanks of all kinds,
              controls, special tokens in the text
wordpiece.json, bpe.json, roberta.json   trained here
expect.txt.gz one row a line, one column a tokenizer: number of ids : 32-bit hash of them (FNV-1a 64 over little-endian int32, folded)
"""
import csv, glob, gzip, os, random, sys
from tokenizers import Tokenizer, BertWordPieceTokenizer, models, normalizers, pre_tokenizers, processors, trainers

DATA, OUT = sys.argv[1:3]
rnd = random.Random(7)


def lines():
    out = []
    for f in sorted(glob.glob(DATA + "/sib200/*.test.tsv")):
        rows = [r.rstrip("\n").split("\t")[2] for r in open(f, encoding="utf-8")][1:]
        out += rows[:75]
    rows = [r[0] for r in csv.reader(open(DATA + "/banking77/test.csv", encoding="utf-8"))][1:]
    out += [r.replace("\n", " ") for r in rows[:300]]
    out += [s for s in open(DATA + "/tinyshakespeare/input.txt") .read().split("\n") if s][:200]
    pools = [
        "abcdefghij KLMNOP qrstuv 0123456789", "éèüöñçåøßŁİıǅẞ ÀÁÂÃÄ", "e\u0301a\u0308o\u0302\u0327n\u0303\u0323\u1ab0x\u20d7", "中文字漢語日本語ひらがなカタカナ한국어",
        "\U00020000\U0002a700\U0002b740\U0002b920\uf900", "😀👩‍👩‍👧‍👦🇩🇪👍🏽❤️☕", "\u00a0\u2003\u3000\u200b\u200d\u00ad\ufeff\t \u0085\u2028", "\x01\x0b\x7f\ufffd\ue000",
        "«»„“”‘’…—–·¿¡§¶†‡•〈〉。、！？", "$+<=>^`|~!\"#%&'()*,-./:;?@[\\]_{}", "can't I'll we've they're it's 'd 'M 'S ''s", "१२३٤٥٦½²Ⅷ①", "ไทยภาษาहिन्दीবাংলাعربيעברית", "ǰΐΰᾼὨﬁﬃⓐ𝔸𝕏"]
    special = ["[MASK]", "[CLS]", "[SEP]", "[mask]", "<mask>", "<s>", " <mask> ", "[UNK]", "<pad>", "<|endoftext|>"]
    while len(out) < 2000:
        s = ""
        for _ in range(rnd.randrange(1, 9)):
            p = rnd.choice(pools)
            s += "".join(rnd.choice(p) for _ in range(rnd.randrange(1, 12))) if rnd.random() < 0.9 else rnd.choice(special)
            if rnd.random() < 0.5:
                s += rnd.choice([" ", "  ", "   ", " \t", "\u3000"])
        if rnd.random() < 0.03:
            s += "x" * rnd.choice([99, 100, 101, 300])
        if rnd.random() < 0.02:
            s += "ab " * 40 + "ha" * 200
        s = s.replace("\n", " ").replace("\r", " ").replace("\0", "")
        if s:
            out.append(s)
    return out[:2000]


def bert(vocab, lower):
    return BertWordPieceTokenizer(vocab, lowercase=lower)


def fold(ids):
    h = 0xCBF29CE484222325
    for i in ids:
        for b in i.to_bytes(4, "little"):
            h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return "%d:%08x" % (len(ids), (h ^ h >> 32) & 0xFFFFFFFF)


def main():
    os.makedirs(OUT, exist_ok=True)
    text = lines()
    wp = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    wp.normalizer = normalizers.BertNormalizer()
    wp.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    wp.train_from_iterator(text, trainers.WordPieceTrainer(vocab_size=1600, limit_alphabet=700, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    wp.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    wp.save(OUT + "/wordpiece.json")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(text, trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False))
    bpe.save(OUT + "/bpe.json")
    rob = Tokenizer(models.BPE())
    rob.normalizer = normalizers.NFC()
    rob.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    rob.train_from_iterator(text, trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], show_progress=False))
    rob.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=True)
    from tokenizers import AddedToken
    rob.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    rob.add_tokens([AddedToken("ca", single_word=True), AddedToken("ひら", rstrip=True)])
    rob.save(OUT + "/roberta.json")
    all_ = [wp, bpe, rob, bert(DATA + "/vocab/bert-base-uncased.txt", True), bert(DATA + "/vocab/bert-base-chinese.txt", True), bert(DATA + "/vocab/bert-base-uncased.txt", False)]
    with gzip.GzipFile(OUT + "/lines.txt.gz", "wb", mtime=0) as f:
        f.write(("\n".join(text) + "\n").encode())
    with gzip.GzipFile(OUT + "/expect.txt.gz", "wb", mtime=0) as f:
        for s in text:
            f.write((" ".join(fold(t.encode(s).ids) for t in all_) + "\n").encode())


main()
