#!/usr/bin/env python3
"""Pictures for the tests and what Pillow reads from them: python3 make_images.py TOP (the project's folder).

Writes tests/fuzz/corpus/{png,jpeg,pnm,tar,cifar,plain}/* and tests/golden/images.txt: one line a picture, FILE W H C SHA256 of its bytes as (C, H, W),
and "fit FILE SIZE" lines with the pixels that Image.resize(BILINEAR) of the whole scaled picture and a cut of its middle give.
"""
import hashlib, io, os, sys, tarfile
import numpy as np
from PIL import Image, ImageOps

top = sys.argv[1]
corpus = os.path.join(top, "tests/fuzz/corpus")
rng = np.random.default_rng(7)


def picture(h, w, c):
    y, x = np.mgrid[0:h, 0:w]
    planes = [(128 + 100 * np.sin(x / (3 + k)) * np.cos(y / (2 + k))).astype(np.uint8) for k in range(c)]
    a = np.stack(planes, -1)
    return a[..., 0] if c == 1 else a


made = []


def save(kind, name, image, **how):
    path = f"{kind}/{name}"
    fmt = {"png": "PNG", "jpeg": "JPEG", "pnm": "PPM"}[kind]
    image.save(os.path.join(corpus, path), fmt, **how)
    made.append(path)


rgb, grey = Image.fromarray(picture(11, 17, 3)), Image.fromarray(picture(9, 14, 1))
save("png", "rgb", rgb)
save("png", "grey", grey)
save("png", "palette", rgb.quantize(16))
save("png", "one_bit", grey.point(lambda v: 255 * (v > 128)).convert("1"))
strokes = Image.new("RGBA", (17, 11))  # black on nothing
strokes.paste((0, 0, 0, 255), (3, 2, 9, 10))
save("png", "strokes", strokes)
save("jpeg", "colour", rgb, quality=90)
save("jpeg", "grey", grey, quality=80)
save("jpeg", "progressive", Image.fromarray(picture(33, 40, 3)), quality=75, progressive=True)
save("jpeg", "plain_chroma", rgb, quality=75, subsampling=0)
save("jpeg", "inks", rgb.convert("CMYK"), quality=90)
for turn in range(2, 9):  # as cameras note it
    exif = Image.Exif()
    exif[0x0112] = turn
    save("jpeg", f"turned{turn}", rgb, quality=60, exif=exif)
save("pnm", "colour", rgb)
save("pnm", "grey", grey)
for name, head, body in [("comment", b"P6\n# a comment line\n3 2\n255\n", bytes(range(18))), ("deep", b"P5 2 2 65535\n", bytes([0, 0, 255, 255, 128, 0, 1, 2])),
                         ("few_levels", b"P5\n4 1\n3\n", bytes([0, 1, 2, 3]))]:
    with open(os.path.join(corpus, "pnm", name), "wb") as f:
        f.write(head + body)


def archive(name, fmt, prefix):
    with tarfile.open(os.path.join(corpus, "tar", name), "w", format=fmt) as t:
        for part in ("train", "test"):
            for cls in ("cat", "dog"):
                for i in range(2):
                    b = io.BytesIO()
                    Image.fromarray(picture(4, 5, 3)).save(b, "PPM")
                    info = tarfile.TarInfo(f"{prefix}/{part}/{cls}/{i}.ppm")
                    info.size = len(b.getvalue())
                    b.seek(0)
                    t.addfile(info, b)


archive("ustar", tarfile.USTAR_FORMAT, "set")
archive("gnu", tarfile.GNU_FORMAT, "a" * 120)
archive("pax", tarfile.PAX_FORMAT, "b" * 160)
with open(os.path.join(corpus, "cifar", "two"), "wb") as f:
    for label in (3, 9):
        f.write(bytes([label]) + rng.integers(0, 256, 3072, dtype=np.uint8).tobytes())
with open(os.path.join(corpus, "cifar", "hundred"), "wb") as f:
    f.write(bytes([19, 99]) + rng.integers(0, 256, 3072, dtype=np.uint8).tobytes())
with open(os.path.join(corpus, "plain", "lines"), "wb") as f:
    f.write("First Citizen:\nSpeak, speak.\n\nÄÖ 中文\n".encode())
with open(os.path.join(top, "tests/golden/images.txt"), "w") as out:
    for path in made:
        m = Image.open(os.path.join(corpus, path))
        m = ImageOps.exif_transpose(m)
        if m.mode == "RGBA":  # over white
            m = Image.alpha_composite(Image.new("RGBA", m.size, (255, 255, 255, 255)), m)
        m = m.convert("L" if m.mode in ("L", "1") else "RGB")
        a = np.asarray(m)
        a = a[None] if a.ndim == 2 else a.transpose(2, 0, 1)
        out.write(f"{path} {a.shape[2]} {a.shape[1]} {a.shape[0]} {hashlib.sha256(a.tobytes()).hexdigest()}\n")
    for path, size in (("png/rgb", 6), ("png/rgb", 20), ("png/grey", 4)):
        m = Image.open(os.path.join(corpus, path))
        small = min(m.size)
        w, h = m.size[0] * size // small, m.size[1] * size // small
        a = np.asarray(m.resize((w, h), Image.BILINEAR))
        y, x = (h - size) // 2, (w - size) // 2
        a = a[y:y + size, x:x + size]
        a = a[None] if a.ndim == 2 else a.transpose(2, 0, 1)
        out.write(f"fit {path} {size} {' '.join(map(str, a.reshape(-1)))}\n")
