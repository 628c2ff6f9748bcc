"""Writes a folder of JPEGs in ten classes of patterns, for runs that need more pictures than a repository holds.

  python make_pictures.py FOLDER [TRAIN A CLASS] [VAL A CLASS]

Pictures are 1024x768 at quality 100 with noise, about a megabyte each, and follow from their class and number alone. Needs numpy and Pillow.
"""

import os
import random
import sys
import zlib

import numpy
from PIL import Image

WIDTH, HEIGHT = 1024, 768
PATTERNS = ["brick", "checker", "columns", "diagonal", "dots", "rays", "rings", "rows", "spiral", "waves"]
grain = numpy.random.RandomState(1).normal(0, 12, (2 * HEIGHT, 2 * WIDTH, 3)).astype(numpy.int16)


def wave(values):
    return 0.5 + 0.5 * numpy.sin(values)


def pattern(kind, chance):
    """How much of the second colour each pixel has, from 0 to 1."""
    y, x = numpy.mgrid[0:HEIGHT, 0:WIDTH].astype(numpy.float32)
    angle = chance.uniform(-0.2, 0.2) + (chance.choice([1, -1]) * 0.785 if kind == "diagonal" else 0)
    x, y = x - chance.uniform(0.3, 0.7) * WIDTH, y - chance.uniform(0.3, 0.7) * HEIGHT
    x, y = x * numpy.cos(angle) - y * numpy.sin(angle), x * numpy.sin(angle) + y * numpy.cos(angle)
    period = chance.uniform(60, 180)
    u, v = 2 * numpy.pi * x / period, 2 * numpy.pi * y / period
    around, far = numpy.arctan2(y, x), 2 * numpy.pi * numpy.hypot(x, y) / period
    if kind in ("columns", "diagonal"):
        return wave(u)
    if kind == "rows":
        return wave(v)
    if kind == "checker":
        return (numpy.sin(u) * numpy.sin(v) > 0).astype(numpy.float32)
    if kind == "dots":
        return (numpy.cos(u) + numpy.cos(v) > 0.9).astype(numpy.float32)
    if kind == "brick":
        row = numpy.floor(2 * y / period)
        return ((numpy.mod(x / period + row / 2, 1) > 0.12) & (numpy.mod(2 * y / period, 1) > 0.2)).astype(numpy.float32)
    if kind == "rays":
        return wave(chance.randint(8, 20) * around)
    if kind == "rings":
        return wave(far)
    if kind == "spiral":
        return wave(far + chance.choice([1, -1]) * chance.randint(2, 4) * around)
    return wave(v + 2.5 * numpy.sin(u / 2))


def picture(kind, name):
    chance = random.Random(zlib.crc32(f"{kind}/{name}".encode()))
    colours = numpy.array([[chance.randrange(256) for _ in range(3)] for _ in range(2)], numpy.float32)
    while abs(colours[0] - colours[1]).sum() < 200:
        colours[1] = [chance.randrange(256) for _ in range(3)]
    mix = pattern(kind, chance)[..., None]
    top, left = chance.randrange(HEIGHT), chance.randrange(WIDTH)
    pixels = (colours[0] + mix * (colours[1] - colours[0])).astype(numpy.int16)
    pixels += grain[top : top + HEIGHT, left : left + WIDTH]
    return Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8))


def main(folder, train=180, val=40):
    for split, count in (("train", int(train)), ("val", int(val))):
        for kind in PATTERNS:
            os.makedirs(f"{folder}/{split}/{kind}", exist_ok=True)
            for number in range(count):
                name = f"{split}/{kind}/{number:04d}.jpg"
                if not os.path.exists(f"{folder}/{name}"):
                    picture(kind, name).save(f"{folder}/{name}", quality=100)


if __name__ == "__main__":
    main(*sys.argv[1:])
