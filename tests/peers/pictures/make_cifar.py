"""Writes the ten classes of make_pictures.py as 32x32 pictures in the binary format of CIFAR-10, in five training batches and one of tests.

  python make_cifar.py FOLDER [TRAIN] [TEST]

Each picture is cut out of a larger one and shrunk, with noise; it follows from its class and number alone. Needs numpy and Pillow.
"""

import os
import sys

import numpy
from PIL import Image

import make_pictures

make_pictures.WIDTH, make_pictures.HEIGHT = 256, 256


def record(number, split):
    kind = make_pictures.PATTERNS[number % 10]
    image = make_pictures.picture(kind, f"{split}/{number}").resize((32, 32), Image.Resampling.BOX)
    pixels = numpy.asarray(image, numpy.int16)
    chance = numpy.random.RandomState(number)
    pixels = (pixels + chance.normal(0, 20, pixels.shape)).clip(0, 255).astype(numpy.uint8)
    return bytes([number % 10]) + pixels.transpose(2, 0, 1).tobytes()


def main(folder, train=5000, test=1000):
    os.makedirs(folder, exist_ok=True)
    for batch in range(5):
        with open(f"{folder}/data_batch_{batch + 1}.bin", "wb") as file:
            for number in range(batch * int(train) // 5, (batch + 1) * int(train) // 5):
                file.write(record(number, "train"))
    with open(f"{folder}/test_batch.bin", "wb") as file:
        for number in range(int(test)):
            file.write(record(number, "test"))


if __name__ == "__main__":
    main(*sys.argv[1:])
