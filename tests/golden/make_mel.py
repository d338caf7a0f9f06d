#!/usr/bin/env python3
"""Makes mel.txt: log-mel energies of a sound that tests/unit/sound_test.c writes as WAV, from torch.stft in float64 and triangles written down here. A line: rate, bands, samples,
frame, then the energies of that frame. Needs: pip install torch."""
import os
import torch

def sample(i): return (i * i * 7 + i * 13) % 2001 - 1000 + (3000 if i // 40 % 2 else -3000)  # of 16 bits

def mel(f): return 2595 * torch.log10(1 + torch.as_tensor(f, dtype=torch.float64) / 700)
def hz(m): return 700 * (10 ** (m / 2595) - 1)

def frames(rate, bands, n):
    x = torch.tensor([sample(i) for i in range(n)], dtype=torch.float64) / 32768
    win, hop, points = rate // 40, rate // 100, 512
    while points < win: points *= 2
    count = 1 + (n - win) // hop if n > win else 1
    x = torch.nn.functional.pad(x, (0, max(0, (count - 1) * hop + points - n)))
    rows = x.unfold(0, points, hop)[:count].clone()
    rows[:, win:] = 0
    rows[:, :win] *= torch.hann_window(win, periodic=True, dtype=torch.float64)
    power = torch.fft.rfft(rows).abs() ** 2
    edge = hz(torch.linspace(0, 1, bands + 2, dtype=torch.float64) * mel(rate / 2))
    f = torch.arange(points // 2 + 1, dtype=torch.float64) * rate / points
    up = (f - edge[:-2, None]) / (edge[1:-1] - edge[:-2])[:, None]
    down = (edge[2:, None] - f) / (edge[2:] - edge[1:-1])[:, None]
    weight = torch.minimum(up, down).clamp(min=0)
    return torch.log(power @ weight.T / win + 1e-7)

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "mel.txt"), "w") as out:
    for rate, bands, n in ((8000, 40, 800), (16000, 24, 1500), (44100, 80, 5000), (8000, 13, 90)):
        y = frames(rate, bands, n)
        for k in sorted({0, len(y) // 2, len(y) - 1}):
            print(rate, bands, n, k, *("%.7g" % v for v in y[k]), file=out)
