#!/usr/bin/env python3
"""Quantizes the float networks of MLPerf Tiny with octet, and holds them to float and to the benchmark's own int8 files.

    compare_mlperf.py FOLDER [--octet build/octet] [--samples 256] [--only NAME ...] [--here]

FOLDER holds NAME_fp32.tflite and NAME_int8.tflite (docs/mlperf-tiny.md says where they come from). Inputs are drawn: noise
over the whole range that the benchmark's int8 input has, and smooth ones over the same range, half of them each, others
for calibration than for the test. The table has a row a network: how far the results of both int8 files are from the
float file's (SQNR, and how often the greatest is the same), and from each other; bytes and arena; whether LiteRT's
reference kernels give octet's bits of octet's file. A file that has no float one is compared with LiteRT alone.
The exit status is 1 where bits differ.
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


def smooth(numpy, random, shape):
    """Numbers from 0 to 1 that change slowly along all dimensions but the last: a few waves each, and an edge."""
    places = numpy.meshgrid(*[numpy.linspace(0, 1, size) for size in shape], indexing="ij")
    value = numpy.zeros(shape)
    for _ in range(4):
        phase = random.uniform(0, 2 * numpy.pi)
        for place in places:
            phase = phase + random.uniform(-8, 8) * place
        value += random.uniform(0.2, 1) * numpy.sin(phase)
    axis = random.integers(len(shape))
    value += random.uniform(-2, 2) * (places[axis] > random.uniform())
    low, high = value.min(), value.max()
    return (value - low) / max(high - low, 1e-9)


def draw(numpy, name, shape, span, count, purpose):
    """`count` inputs between the bounds of `span`, every second one smooth."""
    random = numpy.random.default_rng(zlib.crc32(f"{name} {purpose}".encode()))
    samples = []
    for i in range(count):
        unit = smooth(numpy, random, shape) if i % 2 else random.uniform(0, 1, shape)
        samples.append(span[0] + (span[1] - span[0]) * unit)
    return numpy.stack(samples).astype(numpy.float32)


def sqnr(numpy, wanted, got):
    noise = float(((wanted.astype(numpy.float64) - got) ** 2).sum())
    return float("inf") if noise == 0 else 10 * numpy.log10(float((wanted.astype(numpy.float64) ** 2).sum()) / noise)


def same_greatest(wanted, got):
    return 100.0 * float((wanted.argmax(1) == got.argmax(1)).mean())


def run(options, numpy, model, inputs, *flags):
    given, result = options.work / "in.npy", options.work / "out.npy"
    numpy.save(given, inputs)
    check_litert.octet(options, "run", model, "--input", given, "--output", result, *flags)
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
    float_file, theirs = options.folder / f"{name}_fp32.tflite", options.folder / f"{name}_int8.tflite"
    (scale, zero_point), shape = input_grid(theirs)
    span = (scale * (-128 - zero_point), scale * (127 - zero_point))
    test = draw(numpy, name, shape[1:], span, options.samples, "test")
    row = {"network": name}
    if not float_file.exists():
        row["bits"] = litert_differs(options, numpy, theirs, levels_of(numpy, test, (scale, zero_point)))
        return row
    calibration = options.work / f"calib_{name}.npy"
    numpy.save(calibration, draw(numpy, name, shape[1:], span, options.samples, "calibration"))
    ours = options.work / f"{name}.tflite"
    check_litert.octet(options, "quantize", float_file, "--calibrate", f"npy:{calibration}", "-o", ours)
    (our_scale, our_zero_point), _ = input_grid(ours)
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
    row["bits"] = litert_differs(options, numpy, ours, levels_of(numpy, test, (our_scale, our_zero_point)))
    return row


def table(rows):
    print("| network | SQNR to float: octet | benchmark | same greatest as float: octet | benchmark | octet and benchmark "
          "| bytes: octet | benchmark | arena: octet | benchmark | LiteRT differs |")
    print("|---" * 11 + "|")
    for row in rows:
        if "sqnr ours" not in row:
            print(f"| {row['network']}" + " |" * 9 + f" | {row['bits']} |")
            continue
        cells = [row["network"], f"{row['sqnr ours']:.1f} dB", f"{row['sqnr theirs']:.1f} dB", f"{row['top ours']:.1f} %",
                 f"{row['top theirs']:.1f} %", f"{row['top both']:.1f} %", f"{row['bytes ours']:,}",
                 f"{row['bytes theirs']:,}", f"{row['arena ours']:,}", f"{row['arena theirs']:,}", row["bits"]]
        print("| " + " | ".join(map(str, cells)) + " |")


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
        return check_litert.run_in_environment(sys.argv[1:], __file__)
    import numpy

    options.work.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name.removesuffix("_int8.tflite") for path in options.folder.glob("*_int8.tflite"))
    rows = [compare(options, numpy, name) for name in names if not options.only or name in options.only]
    table(rows)
    turned = [row["network"] for row in rows if "TRANSPOSE" in row.get("operators", [])]
    if turned:
        print("TRANSPOSE stands in octet's files of", ", ".join(turned))
    return 1 if turned or any(row["bits"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
