#!/usr/bin/env python3
"""Pictures a second of octet's loader and of torchvision's, on the same folder, in turn.

    compare_loading.py [--bench build/bench_image_loading] [--images N] [--rounds N] [--here]

Writes JPEGs of 500 x 375 in ten classes (once, under build/peers), as large as ImageNet's usual ones. `train` is
RandomResizedCrop to 224 and RandomHorizontalFlip, `eval` Resize to 256 and CenterCrop to 224, both to normalised tensors in batches
of 32: ImageFolder and DataLoader there, images:FOLDER and Loader here, with one worker and with two. A line each: medians over the
rounds of both sides, and of the ratio round by round.
A virtual environment is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "peers"))
from environment import run_again  # noqa: E402

PACKAGES = ["torch", "torchvision", "numpy", "pillow"]


def write_pictures(folder, count):
    """Slopes, waves and noise: as many bytes a picture as photographs take at this size."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:375, 0:500]
    for i in range(count):
        path = folder / f"class{i % 10}" / f"{i}.jpg"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        a, b, c = rng.uniform(3, 40, 3)
        rgb = np.stack([x * 255 / 500, 128 + 90 * np.sin(x / a + y / b), 128 + 90 * np.cos(y / c)], -1)
        rgb += np.kron(rng.normal(0, 40, (75, 100, 3)), np.ones((5, 5, 1))) + rng.normal(0, 8, rgb.shape)
        Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(path, quality=90)


def of_torchvision(folder, kind, workers):
    import torch
    from torchvision import datasets, transforms

    normalise = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    sized = {
        "train": [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()],
        "eval": [transforms.Resize(256), transforms.CenterCrop(224)],
    }[kind]
    data = datasets.ImageFolder(folder, transforms.Compose([*sized, transforms.ToTensor(), normalise]))
    loader = torch.utils.data.DataLoader(data, batch_size=32, shuffle=kind == "train", num_workers=workers)
    begin, count = time.perf_counter(), 0
    for images, _ in loader:
        count += len(images)
    return count / (time.perf_counter() - begin)


def of_octet(bench, folder, workers):
    told = subprocess.run([bench, folder, str(workers)], check=True, capture_output=True, text=True).stdout
    return {line.split()[0]: float(line.split()[2]) for line in told.splitlines()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default=str(ROOT / "build" / "bench_image_loading"))
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--here", action="store_true")
    arguments = parser.parse_args()
    if not arguments.here:
        return run_again(__file__, "images", PACKAGES, sys.argv[1:])
    folder = ROOT / "build" / "peers" / f"pictures_{arguments.images}"
    write_pictures(folder, arguments.images)
    found = {}
    for _ in range(arguments.rounds):
        for workers in (1, 2):
            ours = of_octet(arguments.bench, folder, workers)
            for kind in ("train", "eval"):
                found.setdefault((kind, workers), []).append((ours[kind], of_torchvision(folder, kind, workers)))
    print(f"{'':6} {'workers':>7} {'octet/s':>9} {'torchvision/s':>14} {'ratio':>6}")
    for (kind, workers), pairs in found.items():
        ratio = statistics.median(own / other for own, other in pairs)
        own, other = (statistics.median(side) for side in zip(*pairs))
        print(f"{kind:6} {workers:7} {own:9.1f} {other:14.1f} {ratio:6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
