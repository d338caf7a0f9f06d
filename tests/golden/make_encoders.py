#!/usr/bin/env python3
"""Makes encoders/: small random encoders as the transformers package saves them (BERT, RoBERTa, DistilBERT with a classifier) and encoders.json: their outputs
on ragged texts and, for training, the losses of 100 steps of plain descent in float64 with the first gradients (norm and a weighted sum of each tensor).
Needs: pip install torch transformers. Dropout is 0; a text alone in its batch, so nothing is padded."""
import json, os, torch, transformers as T
HERE = os.path.dirname(os.path.abspath(__file__))
LENS, CLASSES, STEPS, LR = [5, 1, 12, 7], 3, 100, 0.05
ids = [[4 + (i * 11 + i * i + 5 * r) % 36 for i in range(n)] for r, n in enumerate(LENS)]
y = [(i * 5 + 1) % CLASSES for i in range(len(LENS))]
zero = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=CLASSES)
small = dict(vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, max_position_embeddings=20, **zero)
made = [
    ("bert", T.BertForSequenceClassification, T.BertConfig(**small)),
    ("roberta", T.RobertaForSequenceClassification, T.RobertaConfig(type_vocab_size=1, pad_token_id=1, **small)),
    ("distilbert", T.DistilBertForSequenceClassification, T.DistilBertConfig(vocab_size=40, dim=24, n_layers=2, n_heads=3, hidden_dim=40, max_position_embeddings=20,
        dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0, num_labels=CLASSES))]
out = []
for name, cls, config in made:
    torch.manual_seed(7)
    m = cls(config)
    for p in m.parameters(): p.data += 0.2 * torch.randn_like(p)  # biases and gains away from 0 and 1
    m.save_pretrained(os.path.join(HERE, "encoders", name), safe_serialization=True)
    m = m.double().eval()
    t = torch.tensor(y)
    forward = lambda: torch.cat([m(torch.tensor([r])).logits for r in ids])
    logits, losses, grads = forward().detach().tolist(), [], None
    for s in range(STEPS + 1):
        m.zero_grad()
        loss = torch.nn.functional.cross_entropy(forward(), t)
        loss.backward()
        losses.append(loss.item())
        if s == 0:
            grads = {}
            for k, p in m.named_parameters():
                if p.grad is None: continue
                g = p.grad.flatten()
                grads[k] = [g.norm().item(), (g * torch.cos(torch.arange(g.numel(), dtype=torch.float64))).sum().item()]
        with torch.no_grad():
            for p in m.parameters():
                if p.grad is not None: p -= LR * p.grad
    out.append(dict(name=name, lens=LENS, ids=sum(ids, []), y=y, lr=LR, logits=logits, losses=losses, grads=grads))
with open(os.path.join(HERE, "encoders.json"), "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c) for c in out) + "\n]\n")
