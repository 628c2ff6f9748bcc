#!/usr/bin/env python3
"""Loads .pt2 files that octet wrote with torch.export.load, runs them, and compares with octet's own output.

    check_pt2.py FOLDER [--layout current|legacy] [--torch VERSION | --here] [--verbose]

FOLDER holds, at any depth, folders with current.pt2 and legacy.pt2, in_J.npy and out_J.npy. A virtual environment
with that torch is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import collections
import os
import pathlib
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from environment import run_again  # noqa: E402

DEFAULT_TORCH = {"current": "2.13.0", "legacy": "2.6.0"}
CLOSE = 1e-5


def step_of(program, index):
    """The scale of the grid that result `index` lies on; 0 where it is no result of a dequantize per tensor."""
    output = next(node for node in program.graph.nodes if node.op == "output")
    node = output.args[0][index]
    if "dequantize_per_tensor" not in str(node.target):
        return 0.0
    scale = node.args[1] if len(node.args) > 1 else node.kwargs["scale"]
    return float(scale) if isinstance(scale, (int, float)) else 0.0


def check(file, torch, numpy):
    """What became of one file: equal, close, one step, or what is wrong with it."""
    folder = file.parent
    arrays = lambda front: [
        torch.from_numpy(numpy.load(folder / f"{front}_{j}.npy"))
        for j in range(sum(1 for _ in folder.glob(f"{front}_*.npy")))
    ]
    program = torch.export.load(str(file))
    with torch.no_grad():
        got = torch.utils._pytree.tree_leaves(program.module()(*arrays("in")))
    wanted = arrays("out")
    if len(got) != len(wanted):
        return f"gives {len(got)} results instead of {len(wanted)}"
    verdict = "equal"
    for index, (left, right) in enumerate(zip(got, wanted)):
        if left.dtype == torch.bfloat16 or "float8" in str(left.dtype):  # NumPy has neither
            left = left.float()
        if left.shape != right.shape or left.dtype != right.dtype:
            return f"result {index} is {left.dtype}{list(left.shape)} instead of {right.dtype}{list(right.shape)}"
        if torch.equal(left, right):
            continue
        difference = (left.double() - right.double()).abs().max().item()
        if difference <= CLOSE * max(right.double().abs().max().item(), 1.0):
            verdict = "close" if verdict == "equal" else verdict
        elif difference <= step_of(program, index) * 1.001:
            verdict = "one step"
        else:
            return f"result {index} differs by {difference:.3g}, a step is {step_of(program, index):.3g}"
    return verdict


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--layout", choices=["current", "legacy"], default="current")
    parser.add_argument("--torch", metavar="VERSION")
    parser.add_argument("--here", action="store_true", help="this Python has torch already")
    parser.add_argument("--verbose", action="store_true", help="a line for each file")
    options = parser.parse_args()
    if not options.here:
        version = options.torch or DEFAULT_TORCH[options.layout]
        arguments = [options.folder, "--layout", options.layout] + ["--verbose"] * options.verbose
        return run_again(__file__, f"torch-{version}", [f"torch=={version}", "numpy"], arguments)

    warnings.filterwarnings("ignore")
    os.environ.setdefault("TORCH_LOGS", "-all")
    import numpy
    import torch
    import torch.export
    import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed

    torch.set_num_threads(1)
    files = sorted(pathlib.Path(options.folder).rglob(options.layout + ".pt2"))
    if not files:
        print(f"no {options.layout}.pt2 under {options.folder}")
        return 1
    counts = collections.Counter()
    for file in files:
        try:
            verdict = check(file, torch, numpy)
        except Exception as error:  # whatever torch throws at a file is a finding
            verdict = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        fine = verdict in ("equal", "close", "one step")
        counts[verdict if fine else "wrong"] += 1
        if options.verbose or not fine:
            print(f"{file.parent.relative_to(options.folder)}: {verdict}", flush=True)
    summary = ", ".join(f"{counts[kind]} {kind}" for kind in ("equal", "close", "one step", "wrong") if counts[kind])
    print(f"torch {torch.__version__}, {options.layout} layout: {len(files)} files: {summary}")
    return 1 if counts["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
