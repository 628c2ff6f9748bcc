#!/usr/bin/env python3
"""Writes the pictures of this folder and what PIL and torchvision make of them: make.py (with pillow, numpy, torchvision)."""

import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps
from torchvision import transforms
from torchvision.transforms import autoaugment, functional
from torchvision.transforms.functional import InterpolationMode

HERE = pathlib.Path(__file__).parent
rng = np.random.default_rng(7)


def scene(height, width):
    """Slopes, edges and a little noise."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 255 / width, y * 255 / height, 128 + 100 * np.sin(x / 5 + y / 7)], -1)
    rgb[height // 4 : height // 2, width // 3 : width // 2] = [250, 20, 40]
    return Image.fromarray(np.clip(rgb + rng.normal(0, 6, rgb.shape), 0, 255).astype(np.uint8))


def save(name, image, **options):
    image.save(HERE / name, **options)


def expect(name, image):
    np.save(HERE / (name + ".npy"), np.asarray(image.convert("RGB")))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(name, values, bits, color, interlaced=False):
    """PNGs that PIL does not write: 16 bits, interlaced. `values`: [height, width, channels]."""
    height, width = values.shape[:2]
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b""
    for top, left, down, across in passes if interlaced else [(0, 0, 1, 1)]:
        part = values[top::down, left::across]
        if part.size:
            rows += b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for row in part)
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, int(interlaced))
    (HERE / name).write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def main():
    whole = scene(45, 61)
    small = whole.resize((13, 9))
    save("baseline.jpg", whole, quality=85)
    save("progressive.jpg", whole, quality=80, progressive=True)
    save("full_chroma.jpg", whole, quality=90, subsampling=0)
    save("grey.jpg", whole.convert("L"), quality=85)
    save("cmyk.jpg", small.convert("CMYK"), quality=90)
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(f"turned_{orientation}.jpg", small, quality=90, exif=exif)
    save("rgb.png", small)
    save("rgba.png", Image.merge("RGBA", (*small.split(), small.convert("L"))))
    save("grey.png", small.convert("L"))
    save("grey_alpha.png", Image.merge("LA", (small.convert("L"), small.convert("L"))))
    save("palette.png", small.quantize(12))
    save("one_bit.png", small.convert("1"))
    for path in sorted(HERE.glob("*.jpg")) + sorted(HERE.glob("*.png")):
        expect(path.name, ImageOps.exif_transpose(Image.open(path)))
    pixels = np.asarray(small)
    write_png("interlaced.png", pixels, 8, 2, interlaced=True)
    np.save(HERE / "interlaced.png.npy", pixels)
    deep = pixels.astype(np.uint16) * 256 + 77
    write_png("deep.png", deep, 16, 2)
    np.save(HERE / "deep.png.npy", pixels)
    write_png("deep_grey.png", deep[..., :1], 16, 0)
    np.save(HERE / "deep_grey.png.npy", np.repeat(pixels[..., :1], 3, -1))

    # From rgb.png and baseline.jpg, as torchvision does on PIL images.
    tall = Image.open(HERE / "baseline.jpg").convert("RGB").rotate(90, expand=True)
    save("tall.png", tall)
    for name, step in {
        "resize_16": transforms.Resize(16),
        "resize_100": transforms.Resize(100),
        "resize_20x30": transforms.Resize((20, 30)),
        "resize_16_bicubic": transforms.Resize(16, interpolation=transforms.InterpolationMode.BICUBIC),
        "center_crop_24x31": transforms.CenterCrop((24, 31)),
        "center_crop_64x50": transforms.CenterCrop((64, 50)),
    }.items():
        np.save(HERE / f"{name}.npy", np.asarray(step(tall)))
    box = functional.resized_crop(tall, 5, 7, 33, 21, [24, 24])
    np.save(HERE / "resized_crop.npy", np.asarray(box))
    for factor in (0.4, 1.7):
        np.save(HERE / f"brightness_{factor}.npy", np.asarray(functional.adjust_brightness(tall, factor)))
        np.save(HERE / f"contrast_{factor}.npy", np.asarray(functional.adjust_contrast(tall, factor)))
        np.save(HERE / f"saturation_{factor}.npy", np.asarray(functional.adjust_saturation(tall, factor)))
    webp(tall)
    changes(tall)


def webp(tall):
    """Lossy and lossless, with alpha, and one of two pictures, which octet refuses."""
    small = tall.resize((13, 18))
    save("lossy.webp", tall, quality=80)
    save("lossless.webp", small, lossless=True)
    save("alpha.webp", Image.merge("RGBA", (*small.split(), small.convert("L"))), lossless=True, exact=True)
    for name in ("lossy.webp", "lossless.webp", "alpha.webp"):
        expect(name, Image.open(HERE / name))
    small.save(HERE / "animated", format="WEBP", save_all=True, append_images=[small.rotate(180)])


def changes(tall):
    """What RandAugment's single changes make of a part of it: a row a change, in torchvision's order, at magnitude 9 and, the
    other way, 20 of 31; hue; what fills the corners of a rotation; and how far each goes at five magnitudes."""
    part = functional.crop(tall, 8, 6, 40, 30)
    space = autoaugment.RandAugment()._augmentation_space(31, (40, 30))

    def made(name, magnitude, sign, fill=None):
        magnitudes, signed = space[name]
        far = float(magnitudes[magnitude]) if magnitudes.ndim else 0.0
        return np.asarray(autoaugment._apply_op(part, name, -far if signed and sign < 0 else far, InterpolationMode.NEAREST, fill))

    np.save(HERE / "changes.npy", np.stack([np.stack([made(name, 9, 1), made(name, 20, -1)]) for name in space]))
    np.save(HERE / "rotated_filled.npy", made("Rotate", 25, 1, [10, 200, 30]))
    np.save(HERE / "hue.npy", np.stack([np.asarray(functional.adjust_hue(part, hue)) for hue in (-0.5, -0.13, 0.1, 0.37)]))
    reach = [[float(m[i]) if m.ndim else 0.0 for i in (0, 5, 9, 15, 30)] for m, _ in space.values()]
    np.save(HERE / "strengths.npy", np.array(reach))


if __name__ == "__main__":
    main()
