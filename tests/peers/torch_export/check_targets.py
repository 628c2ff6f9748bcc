#!/usr/bin/env python3
"""Quantizes golden cases for other targets, loads the .pt2 files with torch.export.load, and compares with octet's output.

    check_targets.py [--octet build/octet] [--target intx --mode weight-int4-group8] [--only CASE ...] [--here] [--verbose]

Without --target and --mode: every mode that this script lists. torch computes with torchao's own operators, octet with its
own. A virtual environment is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import collections
import pathlib
import sys
import tempfile
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "peers"))
from environment import octet, run_again  # noqa: E402

PACKAGES = ["torch==2.13.0", "torchao==0.18.0", "numpy"]
MODES = {
    "intx": ["weight-int8-channel", "weight-int4-group8-asymmetric", "weight-int2-group8", "dynamic-int8-channel",
             "dynamic-int4-group8", "dynamic-int4-group8-no-clipping"],
    "qnn": ["8a8w-per-channel", "16a8w-per-channel", "8a4w-per-channel", "16a4w-block", "qat-8a8w-per-channel"],
    "xnnpack": ["static-per-channel", "dynamic-per-channel"],
    "coreml": ["static-symmetric", "static-affine", "weight-only", "weight-only-affine", "qat-symmetric"],
}  # fmt: skip
CLOSE = 1e-5


def check(case, target, mode, options, work, torch, numpy):
    """equal, close (1e-5 of the largest), one float apart in dB, or what is wrong."""
    model, result = work / "model.pt2", work / "out.npy"
    data = [] if mode.startswith("weight") else ["--calibrate", f"npy:{case}/calib_*.npy"]
    octet(options.octet, "quantize", case / "model.pt2", "--target", target, "--mode", mode, *data, "-o", model)
    inputs = sorted(case.glob("test_*.npy"), key=lambda path: int(path.stem.split("_")[1]))
    octet(options.octet, "run", model, *(word for path in inputs for word in ("--input", path)), "--output", result)
    with torch.no_grad():
        got = torch.export.load(str(model)).module()(*(torch.from_numpy(numpy.load(path)) for path in inputs))
    got = torch.utils._pytree.tree_leaves(got)[0].double()
    wanted = torch.from_numpy(numpy.load(result)).double()
    if got.shape != wanted.shape:
        return f"gives {list(got.shape)} instead of {list(wanted.shape)}"
    difference = (got - wanted).abs().max().item()
    if difference == 0:
        return "equal"
    if difference <= CLOSE * max(wanted.abs().max().item(), 1e-30):
        return "close"
    noise = (got - wanted).norm().item()
    decibel = 20 * torch.log10(wanted.norm() / noise).item()
    return "one step" if decibel > 25 else f"wrong: {decibel:.1f} dB"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--octet", default=str(ROOT / "build" / "octet"))
    parser.add_argument("--target")
    parser.add_argument("--mode")
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--here", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    if not options.here:
        return run_again(__file__, "torchao-0.18.0", PACKAGES, sys.argv[1:])
    warnings.simplefilter("ignore")
    import numpy
    import torch
    import torchao  # registers torchao's operators
    import torch.ao.quantization.fx._decomposed  # and those of quantized_decomposed

    cases = sorted(path.parent for path in (ROOT / "tests/data/golden/cases").glob("*/model.pt2"))
    cases = [case for case in cases if not options.only or case.name in options.only]
    modes = {options.target: [options.mode]} if options.target else MODES
    failed = False
    for target, names in modes.items():
        for mode in names:
            verdicts = collections.Counter()
            for case in cases:
                with tempfile.TemporaryDirectory() as work:
                    try:
                        verdict = check(case, target, mode, options, pathlib.Path(work), torch, numpy)
                    except Exception as error:
                        verdict = f"failed: {error}"
                good = verdict in ("equal", "close", "one step")
                failed = failed or not good
                verdicts[verdict if good else "wrong"] += 1
                if options.verbose or not good:
                    print(f"{target} {mode} {case.name}: {verdict}", flush=True)
            print(f"{target} {mode}: " + ", ".join(f"{count} {name}" for name, count in sorted(verdicts.items())), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
