#!/usr/bin/env python3
"""Quantizes the float networks of MLPerf Tiny with octet, and holds them to float and to the benchmark's own int8 files.

    compare_mlperf.py FOLDER [--octet build/octet] [--samples 256] [--only NAME ...] [--here]

FOLDER holds NAME_fp32.tflite and NAME_int8.tflite (docs/mlperf-tiny.md says where they come from). Inputs are drawn, those of
the calibration apart from those of the test: `noise`, uniform over the range of the benchmark's int8 input, and `like`, of the
kind that the network is for (images with shapes and shades, spectra of speech and of machines). The table has a row for
each kind: how far the results of both int8 files are from the float file's (SQNR, and how often the greatest is the
same), and from each other; bytes and arena; in how many elements LiteRT's reference kernels and octet differ on octet's
file. A file that has no float one is compared with LiteRT alone. The exit status is 1 where bits differ, or where octet's
file turns an image.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "peers" / "litert"))
import check_litert  # noqa: E402


def unit(numpy, values):
    """From 0 to 1."""
    low, high = values.min(), values.max()
    return (values - low) / max(high - low, 1e-9)


def waves(numpy, random, shape, count=4, fastest=8):
    """A sum of waves along all dimensions."""
    places = numpy.meshgrid(*[numpy.linspace(0, 1, size) for size in shape], indexing="ij")
    value = numpy.zeros(shape)
    for _ in range(count):
        phase = random.uniform(0, 2 * numpy.pi) + sum(random.uniform(-fastest, fastest) * place for place in places)
        value += random.uniform(0.2, 1) * numpy.sin(phase)
    return value


def image(numpy, random, shape):
    """A shaded ground with a few discs and bars, a little grain: from 0 to 1."""
    height, width, channels = shape
    y, x = numpy.meshgrid(numpy.linspace(0, 1, height), numpy.linspace(0, 1, width), indexing="ij")
    value = unit(numpy, waves(numpy, random, (height, width)))[..., None] * random.uniform(0.2, 1, channels)
    for _ in range(random.integers(2, 6)):
        if random.integers(2):
            inside = (y - random.uniform()) ** 2 + (x - random.uniform()) ** 2 < random.uniform(0.05, 0.4) ** 2
        else:
            turn = random.uniform(0, numpy.pi)
            inside = abs((y - 0.5) * numpy.cos(turn) + (x - 0.5) * numpy.sin(turn)) < random.uniform(0.03, 0.2)
        value[inside] = random.uniform(0, 1, channels) + 0.1 * value[inside]
    return numpy.clip(value + random.normal(0, 0.03, shape), 0, 1)


def cepstrum(numpy, random, shape):
    """Coefficients of speech over time [49, 10, 1]: loudness first, then ever smaller ones, between silences."""
    frames, coefficients, _ = shape
    time = numpy.linspace(0, 1, frames)
    voice = numpy.exp(-((time - random.uniform(0.3, 0.7)) / random.uniform(0.1, 0.3)) ** 2)
    loudness = -random.uniform(60, 110) * (1 - voice) + random.uniform(-20, 15) * voice
    rest = waves(numpy, random, (frames, coefficients - 1), 6, 20) * 6 / numpy.arange(1, coefficients) ** 0.5
    rest = rest * (0.2 + voice[:, None]) + random.normal(0, 0.8, rest.shape)
    return numpy.concatenate([loudness[:, None], rest], 1)[..., None]


def spectra(numpy, random, shape):
    """Five frames of a machine's spectrum in decibels [640]: falling, with hums, nearly the same in each frame."""
    bands = numpy.linspace(0, 1, 128)
    spectrum = random.uniform(-25, -10) - random.uniform(20, 40) * bands + 4 * waves(numpy, random, (128,), 5, 40)
    for _ in range(random.integers(1, 5)):
        spectrum += random.uniform(5, 20) * numpy.exp(-((bands - random.uniform()) / 0.015) ** 2)
    return (spectrum[None, :] + random.normal(0, 2, (5, 128))).reshape(shape)


def draw(numpy, shape, span, count, kind, seed):
    """`count` inputs between the bounds of `span`."""
    random = numpy.random.default_rng(zlib.crc32(seed.encode()))
    samples = []
    for _ in range(count):
        if kind == "noise":
            samples.append(random.uniform(*span, shape))
        elif len(shape) == 3 and shape[2] == 3:
            samples.append(span[0] + (span[1] - span[0]) * image(numpy, random, shape))
        else:
            samples.append((cepstrum if len(shape) == 3 else spectra)(numpy, random, shape))
    return numpy.stack(samples).astype(numpy.float32)


def sqnr(numpy, wanted, got):
    noise = float(((wanted.astype(numpy.float64) - got) ** 2).sum())
    return float("inf") if noise == 0 else 10 * numpy.log10(float((wanted.astype(numpy.float64) ** 2).sum()) / noise)


def same_greatest(wanted, got):
    return 100.0 * float((wanted.argmax(1) == got.argmax(1)).mean())


def run(options, numpy, model, inputs, *flags):
    given, result = options.work / "in.npy", options.work / "out.npy"
    numpy.save(given, inputs)
    check_litert.octet(options.octet, "run", model, "--input", given, "--output", result, *flags)
    return numpy.load(result)


def facts(options, path):
    """Type, grid and shape of the input, arena and constants of a .tflite."""
    done = subprocess.run([options.octet, "inspect", path, "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def litert_differs(options, numpy, path, levels):
    """Elements of all results in which LiteRT's reference kernels and octet differ."""
    each = [[levels[i : i + 1]] for i in range(len(levels))]
    _, theirs, _ = check_litert.litert_apart(path, each, "reference")
    ours = run(options, numpy, path, levels)
    return sum(int((ours[i : i + 1] != result[0]).sum()) for i, (_, result) in enumerate(theirs))


def levels_of(numpy, values, grid):
    scale, zero_point = grid
    return numpy.clip(numpy.rint(values / numpy.float32(scale)) + zero_point, -128, 127).astype(numpy.int8)


def input_grid(path):
    from ai_edge_litert import interpreter as litert

    detail = litert.Interpreter(str(path)).get_input_details()[0]
    return detail["quantization"], [int(size) for size in detail["shape"]]


def compare(options, numpy, name):
    """A row for each kind of inputs."""
    float_file, theirs = options.folder / f"{name}_fp32.tflite", options.folder / f"{name}_int8.tflite"
    grid, shape = input_grid(theirs)
    span = (grid[0] * (-128 - grid[1]), grid[0] * (127 - grid[1]))
    if not float_file.exists():
        test = draw(numpy, shape[1:], span, options.samples, "noise", f"{name} test")
        return [{"network": name, "kind": "noise",
                 "bits": litert_differs(options, numpy, theirs, levels_of(numpy, test, grid))}]
    rows = []
    for kind in ("like", "noise"):
        calibration, ours = options.work / f"calib_{name}_{kind}.npy", options.work / f"{name}_{kind}.tflite"
        numpy.save(calibration, draw(numpy, shape[1:], span, options.samples, kind, f"{name} calibration"))
        test = draw(numpy, shape[1:], span, options.samples, kind, f"{name} test")
        check_litert.octet(options.octet, "quantize", float_file, "--calibrate", f"npy:{calibration}", "-o", ours)
        row = {"network": name, "kind": kind}
        wanted = run(options, numpy, float_file, test)
        results = {"ours": run(options, numpy, ours, test, "--dequantize"),
                   "theirs": run(options, numpy, theirs, test, "--dequantize")}
        for who, got in results.items():
            row[f"sqnr {who}"], row[f"top {who}"] = sqnr(numpy, wanted, got), same_greatest(wanted, got)
        row["top both"] = same_greatest(results["theirs"], results["ours"])
        for who, path in (("ours", ours), ("theirs", theirs)):
            row[f"bytes {who}"] = path.stat().st_size
            row[f"arena {who}"] = facts(options, path)["arena_bytes"]
        row["operators"] = [operator["op"] for operator in facts(options, ours)["operators"]]
        row["bits"] = litert_differs(options, numpy, ours, levels_of(numpy, test, input_grid(ours)[0]))
        rows.append(row)
    return rows


def table(rows):
    print("| network | inputs | SQNR: octet | benchmark | greatest as float: octet | benchmark | octet as benchmark "
          "| bytes: octet | benchmark | arena: octet | benchmark | LiteRT differs in |")
    print("|---" * 12 + "|")
    for row in rows:
        cells = [row["network"], row["kind"]]
        if "sqnr ours" in row:
            cells += [f"{row['sqnr ours']:.1f} dB", f"{row['sqnr theirs']:.1f} dB", f"{row['top ours']:.1f} %",
                      f"{row['top theirs']:.1f} %", f"{row['top both']:.1f} %", f"{row['bytes ours']:,}",
                      f"{row['bytes theirs']:,}", f"{row['arena ours']:,}", f"{row['arena theirs']:,}"]
        else:
            cells += [""] * 9
        print("| " + " | ".join([*cells, str(row["bits"])]) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--octet", default=str(ROOT / "build" / "octet"))
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "peers" / "mlperf")
    parser.add_argument("--here", action="store_true", help="in this Python: it needs ai-edge-litert and numpy")
    options = parser.parse_args()
    if not options.here:
        return check_litert.run_again(__file__, *check_litert.ENVIRONMENT, sys.argv[1:])
    import numpy

    options.work.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name.removesuffix("_int8.tflite") for path in options.folder.glob("*_int8.tflite"))
    chosen = [name for name in names if not options.only or name in options.only]
    rows = [row for name in chosen for row in compare(options, numpy, name)]
    table(rows)
    turned = [row["network"] for row in rows if "TRANSPOSE" in row.get("operators", [])]
    if turned:
        print("TRANSPOSE stands in octet's files of", ", ".join(turned))
    return 1 if turned or any(row["bits"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
