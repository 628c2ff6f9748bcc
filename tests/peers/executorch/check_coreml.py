#!/usr/bin/env python3
"""Hands octet's .pt2 files for Core ML to ExecuTorch's CoreMLPartitioner, and says what it takes.

    check_coreml.py [--octet build/octet] [--modes MODE ...] [--only CASE ...] [--here] [--verbose]

Lowering runs on Linux up to the bytes of the .pte; running them needs a Mac, so numbers are not seen. Static modes
need iOS 17. A virtual environment of Python 3.11 is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import collections
import logging
import pathlib
import sys
import tempfile
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "peers"))
from environment import octet, run_again  # noqa: E402

PACKAGES = ["torch==2.13.0", "torchao==0.18.0", "executorch==1.5.1", "coremltools==9.0"]
MODES = ["static-symmetric", "static-affine", "weight-only", "weight-only-affine", "qat-symmetric"]
CASES = ["conv_relu", "linear_relu", "conv_bn_relu", "op_add_relu", "op_mul", "op_max_pool2d", "net_cifarnet",
         "net_mobilenet_v2_w025"]  # fmt: skip


def lower(path):
    """(delegates, operators outside of them, bytes) of one file."""
    import coremltools
    import torch
    from executorch.backends.apple.coreml.compiler import CoreMLBackend
    from executorch.backends.apple.coreml.partition import CoreMLPartitioner
    from executorch.exir import to_edge_transform_and_lower

    specs = CoreMLBackend.generate_compile_specs(minimum_deployment_target=coremltools.target.iOS17)
    program = torch.export.load(str(path))
    edge = to_edge_transform_and_lower(program, partitioner=[CoreMLPartitioner(compile_specs=specs)])
    delegates, outside = 0, []
    for node in edge.exported_program().graph.nodes:
        if node.op != "call_function":
            continue
        name = str(node.target)
        if "executorch_call_delegate" in name:
            delegates += 1
        elif "getitem" not in name:
            outside.append(name)
    return delegates, outside, len(edge.to_executorch().buffer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--octet", default=str(ROOT / "build" / "octet"))
    parser.add_argument("--modes", nargs="+", default=MODES)
    parser.add_argument("--only", nargs="+", default=CASES)
    parser.add_argument("--here", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    if not options.here:
        return run_again(__file__, "executorch-1.5.1-coreml", PACKAGES, sys.argv[1:], python="python3.11")
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import torchao  # registers torchao's operators
    import torch.ao.quantization.fx._decomposed  # and those of quantized_decomposed
    import executorch.kernels.quantized  # out variants of what stays outside

    failed = False
    for mode in options.modes:
        verdicts = collections.Counter()
        for name in options.only:
            case = ROOT / "tests/data/golden/cases" / name
            with tempfile.TemporaryDirectory() as work:
                path = pathlib.Path(work) / "model.pt2"
                try:
                    data = [] if mode.startswith("weight") else ["--calibrate", f"npy:{case}/calib_*.npy"]
                    octet(options.octet, "quantize", case / "model.pt2", "--target", "coreml", "--mode", mode, *data, "-o", path)
                    delegates, outside, size = lower(path)
                    whole = delegates == 1 and not outside
                    verdict = "whole" if whole else f"{delegates} delegates, outside: {', '.join(outside)}"
                    detail = f"{verdict}, {size} bytes"
                except Exception as error:
                    whole, verdict = False, "failed"
                    detail = f"failed: {str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}"
            failed = failed or not whole
            verdicts["whole" if whole else "not whole"] += 1
            if options.verbose or not whole:
                print(f"{mode} {name}: {detail}", flush=True)
        print(f"{mode}: " + ", ".join(f"{count} {what}" for what, count in sorted(verdicts.items())), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
