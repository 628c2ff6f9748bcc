#!/usr/bin/env python3
"""Runs octet's .pt2 files for XNNPACK in ExecuTorch's own runtime, end to end.

    check_xnnpack.py [--octet build/octet] [--mode MODE ...] [--only CASE ...] [--work FOLDER] [--flags "--flag value"]
    check_xnnpack.py --file MODEL.pt2 --input X.npy ...

Every golden case is quantized by octet, loaded with torch.export.load, lowered by to_edge_transform_and_lower with the
XnnpackPartitioner, and the .pte is run. `dB` is the runtime's output against that of the .pt2 itself in PyTorch.
tests/data/golden/targets/xnnpack_pte.json has the same figures of the reference's own files: a case agrees where octet's
file is one partition wherever the reference's is, and within 3 dB of its figure or above 40 dB. Where the reference's
file does not lower or run, octet's need not.
A virtual environment of Python 3.11 is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import json
import pathlib
import sys
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "peers"))
from environment import octet, run_again  # noqa: E402

PACKAGES = ["torch==2.13.0", "torchao==0.18.0", "executorch==1.5.1"]
MODES = ["static-per-channel", "dynamic-per-channel"]


def decibels(want, got):
    import torch

    want, got = want.double().flatten(), got.double().flatten()
    noise = float(((want - got) ** 2).sum())
    return 999.0 if noise == 0 else 10 * float(torch.log10((want**2).sum() / noise + 1e-30))


def run_pte(path, inputs):
    """What becomes of one .pt2: partitions, operators left outside, and dB; or where it fails."""
    import torch
    import torchao.quantization.pt2e  # registers the operators of quantized programs
    import executorch.kernels.quantized  # out variants for what stays outside
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    program = torch.export.load(str(path))
    want = program.module()(*inputs)
    want = want[0] if isinstance(want, (tuple, list)) else want
    try:
        edge = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
        nodes = edge.exported_program().graph.nodes
        names = [str(node.target) for node in nodes if node.op == "call_function"]
        lowered = edge.to_executorch()
    except Exception as error:
        return {"error": str(error).splitlines()[0][:120]}
    left = [name for name in names if "executorch_call_delegate" not in name and "getitem" not in name]
    result = {"partitions": len(names) - len(left) - sum("getitem" in name for name in names), "left": left}
    try:
        method = Runtime.get().load_program(lowered.buffer).load_method("forward")
        got = method.execute([each.contiguous() for each in inputs])[0]
        result["db"] = round(decibels(want, got), 1)
    except Exception as error:
        result["run"] = str(error).splitlines()[0][:120]
    return result


def verdict(mine, reference):
    if reference is None:
        return "no figure"
    if "db" not in reference:  # the reference's own file fails
        return "agrees"
    if "db" not in mine:
        return "fails"
    if reference["partitions"] == 1 and not reference["left"] and (mine["partitions"] != 1 or mine["left"]):
        return "falls apart"
    return "agrees" if mine["db"] >= min(reference["db"] - 3, 40) else "worse"


def summary(result):
    if result is None:
        return "-"
    if "error" in result:
        return "does not lower: " + result["error"][:60]
    text = f"{result['partitions']} partition(s), {len(result['left'])} outside, "
    return text + (f"{result['db']:.1f} dB" if "db" in result else "does not run: " + result["run"][:60])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--octet", default=str(ROOT / "build" / "octet"))
    parser.add_argument("--cases", type=pathlib.Path, default=ROOT / "tests" / "data" / "golden" / "cases")
    parser.add_argument("--figures", type=pathlib.Path,
                        default=ROOT / "tests" / "data" / "golden" / "targets" / "xnnpack_pte.json")  # fmt: skip
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "peers" / "xnnpack")
    parser.add_argument("--mode", nargs="*", default=MODES)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--flags", default="", help="more of octet quantize's")
    parser.add_argument("--file", type=pathlib.Path, help="one .pt2 instead of the golden cases")
    parser.add_argument("--input", nargs="*", default=[], help="its inputs, .npy")
    parser.add_argument("--here", action="store_true")
    options = parser.parse_args()
    if not options.here:
        return run_again(__file__, "executorch-1.5.1", PACKAGES, sys.argv[1:], python="python3.11")
    warnings.simplefilter("ignore")
    import numpy
    import torch

    load = lambda path: torch.from_numpy(numpy.load(path))
    if options.file:
        print(summary(run_pte(options.file, [load(path) for path in options.input])))
        return 0
    figures = json.loads(options.figures.read_text())
    counts = {}
    for mode in options.mode:
        work = options.work / mode
        work.mkdir(parents=True, exist_ok=True)
        for folder in sorted(path for path in options.cases.iterdir() if (path / "model.pt2").exists()):
            if options.only and folder.name not in options.only:
                continue
            path = work / f"{folder.name}.pt2"
            told = octet(options.octet, "quantize", folder / "model.pt2", "--target", "xnnpack", "--mode", mode, "--calibrate",
                         f"npy:{folder}/calib_*.npy", "--quiet", "-o", path, *options.flags.split())  # fmt: skip
            inputs = [load(file) for file in sorted(folder.glob("test_*.npy"), key=lambda file: int(file.stem.split("_")[1]))]
            mine = run_pte(path, inputs)
            reference = figures.get(f"{mode}/{folder.name}")
            word = verdict(mine, reference)
            warned = any("XNNPACK" in line for line in told)
            counts[(mode, word)] = counts.get((mode, word), 0) + 1
            mark = ", warned" if warned else ""
            print(f"{mode}/{folder.name}: {word}{mark}: {summary(mine)}; reference {summary(reference)}", flush=True)
    for (mode, word), count in sorted(counts.items()):
        print(f"{mode}: {count} {word}")
    return any(word in ("fails", "falls apart", "worse") for _, word in counts)


if __name__ == "__main__":
    sys.exit(main())
