#!/usr/bin/env python3
"""Hands octet's quantized .pt2 files to ExecuTorch's NXP backend and compares what it delegates with placement.json.

    check_delegation.py [--octet build/octet] [--only CASE ...] [--qat] [--verbose]

placement.json of a golden case says what the reference delegates of the model that it quantized on its own. NXP's SDK
takes no part: a module in its place says what the target is, and hands the int8 program back as it is.
A virtual environment of Python 3.11 is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import collections
import json
import logging
import pathlib
import sys
import types
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "peers"))
from environment import octet, run_again  # noqa: E402

PACKAGES = ["torch==2.13.0", "torchao==0.18.0", "executorch==1.5.1"]
TARGET = "imxrt700"
# Cases that octet quantizes otherwise on purpose: the heading in docs/deviations.md.
DEVIATIONS = {
    "conv_groups": "Grouped convolutions are sliced",
    "limit_conv_depthwise_multiplier": "Grouped convolutions are sliced",
    "net_shuffle_unit": "Grouped convolutions are sliced",
    "op_relu6": "relu6 is an activation",
}


def stand_in_for_sdk():
    """A module eiq_neutron_sdk that knows the shape of the target, and no compiler."""
    target = types.SimpleNamespace(name=TARGET, subsystem=False, hwVersion=2, numUnits=1, numPipes=8, numMacs=8)
    library = types.ModuleType("eiq_neutron_sdk.neutron_library_utils")
    library.isNeutronTarget = lambda name: name == TARGET
    library.getNeutronTargets = lambda: [target]
    converter = types.ModuleType("eiq_neutron_sdk.neutron_converter")
    converter.getNeutronTarget = lambda name: target
    sdk = types.ModuleType("eiq_neutron_sdk")
    sdk.neutron_library_utils, sdk.neutron_converter = library, converter
    sys.modules["eiq_neutron_sdk"] = sdk


class Reference:
    """ExecuTorch's flow for the NPU, to the bytes that NXP's compiler would get."""

    def __init__(self):
        stand_in_for_sdk()
        import torch
        import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
        from executorch.backends.nxp import neutron_partitioner, nxp_backend
        from executorch.backends.nxp.backend.custom_delegation_options import CustomDelegationOptions
        from executorch.backends.nxp.backend.neutron_target_spec import NeutronTargetSpec
        from executorch.backends.nxp.edge_passes.neutron_edge_pass_manager import NeutronEdgePassManager
        from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

        self.torch, self.backend, self.lower = torch, nxp_backend, to_edge_transform_and_lower
        self.spec, self.options = NeutronTargetSpec(TARGET), CustomDelegationOptions()
        self.passes = NeutronEdgePassManager
        self.config = EdgeCompileConfig(
            _check_ir_validity=False, _core_aten_ops_exception_list=nxp_backend.core_aten_ops_exception_list
        )
        reference = self

        class Recording(neutron_partitioner.NeutronPartitioner):
            def partition(self, program):
                result = super().partition(program)
                reference.nodes = placed(program.graph)
                return result

        self.partitioner = Recording
        self.programs = []

        class Compiler:
            def __init__(self, *_):
                pass

            def convert(self, program, *_):
                reference.programs.append(bytes(program))
                return bytes(program)

        nxp_backend.NeutronConverterManager = Compiler
        nxp_backend.NeutronMap = lambda *_: types.SimpleNamespace(get_neutron_to_edge_map=dict)
        nxp_backend.PayloadComposer.get_binary_payload = lambda self, formats, program: program

    def delegate(self, path):
        """[(operator, partition or None)] of one .pt2, and the int8 programs of its partitions."""
        torch = self.torch
        self.nodes, self.programs = None, []
        program = torch.export.load(str(path))
        keep_whole = [
            torch.ops.aten.prelu.default, torch.ops.aten.pad.default, torch.ops.aten.hardswish.default
        ]  # fmt: skip
        partitioner = self.partitioner(
            self.backend.generate_neutron_compile_spec(TARGET),
            self.spec,
            self.options,
            program.module().state_dict(),
            preserve_ops=keep_whole,
        )
        self.lower(program, transform_passes=self.passes(), partitioner=[partitioner], compile_config=self.config)
        return self.nodes, self.programs


def placed(graph):
    """What the partitioner decided, operator by operator; without quantize, dequantize and getitem, as recorded."""
    nodes, numbers = [], {}
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        name = str(getattr(node.target, "__name__", node.target))
        if "quantize_per" in name or name == "getitem":
            continue
        tag = node.meta.get("delegation_tag")
        number = None if tag is None else numbers.setdefault(tag, len(numbers))
        nodes.append((name, number))
    return nodes


def recorded(path):
    numbers = {}
    nodes = []
    for node in json.loads(path.read_text())["nodes"]:
        number = None if node["npu"] is None else numbers.setdefault(node["npu"], len(numbers))
        nodes.append((node["op"], number))
    return nodes


def on_npu(nodes):
    return [node for node in nodes if node[1] is not None]


def on_cpu(nodes):
    """In no order: constants may be made earlier or later."""
    return sorted(name for name, number in nodes if number is None)


def outline(program):
    """An int8 program without its names: an (operator, inputs, outputs) each, a tensor being type, shape, scales, zero
    points and constant bytes."""
    from executorch.backends.nxp.backend.ir.lib.tflite.BuiltinOperator import BuiltinOperator
    from executorch.backends.nxp.backend.ir.lib.tflite.Model import Model

    names = {number: name for name, number in vars(BuiltinOperator).items() if isinstance(number, int)}
    model = Model.GetRootAs(program, 0)
    graph = model.Subgraphs(0)

    def tensor(index):
        if index < 0:
            return None
        each = graph.Tensors(index)
        data = model.Buffers(each.Buffer()).DataAsNumpy()
        grid = each.Quantization()
        scales = [grid.Scale(c) for c in range(grid.ScaleLength())] if grid else []
        zero_points = [grid.ZeroPoint(c) for c in range(grid.ZeroPointLength())] if grid else []
        shape = [each.Shape(d) for d in range(each.ShapeLength())]
        return each.Type(), shape, scales, zero_points, b"" if isinstance(data, int) else bytes(data)

    result = []
    for i in range(graph.OperatorsLength()):
        op = graph.Operators(i)
        code = model.OperatorCodes(op.OpcodeIndex())
        name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        inputs = [tensor(op.Inputs(j)) for j in range(op.InputsLength())]
        outputs = [tensor(op.Outputs(j)) for j in range(op.OutputsLength())]
        result.append((name, inputs, outputs))
    return sorted(result, key=repr)  # branches come in any order


def same_operators(left, right):
    """Operators, types and shapes alike; grids and constants aside."""

    def skeleton(program):
        shapes = lambda tensors: [tensor and tensor[:2] for tensor in tensors]
        return [(name, shapes(inputs), shapes(outputs)) for name, inputs, outputs in program]

    return skeleton(left) == skeleton(right)


def plain(options, quantized, work):
    """Outline of octet's own plain lowering of a quantized .pt2."""
    path = work / "plain.tflite"
    octet(options.octet, "export", quantized, "--tflite", path, "--plain")
    return outline(path.read_bytes())


def check(options, case, reference):
    """(verdict, what there is to say)."""
    folder, work = options.cases / case, options.work / case
    work.mkdir(parents=True, exist_ok=True)
    path = work / "quantized.pt2"
    octet(options.octet, "quantize", folder / "model.pt2", "--calibrate", f"npy:{folder}/calib_*.npy", "--quiet", "-o", path,
          *options.quantize)  # fmt: skip
    got, programs = reference.delegate(path)
    for k, program in enumerate(programs):
        (work / f"neutron_{k}.tflite").write_bytes(program)
    partitions = len({number for _, number in got if number is not None})
    text = f"{sum(number is not None for _, number in got)} of {len(got)} operators in {partitions} partitions"
    if partitions == 1 and len(on_npu(got)) == len(got):
        mine, theirs = plain(options, path, work), outline(programs[0])
        same = "equal" if mine == theirs else "grids differ" if same_operators(mine, theirs) else "operators differ"
        options.plain[same] += 1
        text += f"; octet --plain: {same}"
    if programs and (folder / "neutron_0.tflite").exists():
        files = sorted(folder.glob("neutron_?.tflite"))
        same = len(files) == len(programs) and all(
            same_operators(outline(file.read_bytes()), outline(program)) for file, program in zip(files, programs)
        )
        options.recorded["equal" if same else "differ"] += 1
        text += f"; recorded programs: {'same operators' if same else 'other operators'}"
    if len(programs) != partitions:
        return "different", f"{text}, but {len(programs)} programs for the NPU"
    if not (folder / "placement.json").exists():
        return "no record", text
    wanted = recorded(folder / "placement.json")
    if on_npu(got) == on_npu(wanted) and on_cpu(got) == on_cpu(wanted):
        return "equal", text
    if case in DEVIATIONS:
        return "deviates", f"{text}, recorded {len(on_npu(wanted))} of {len(wanted)}; {DEVIATIONS[case]}"
    for left, right in zip(got, wanted):
        if left != right:
            return "different", f"{text}; {left} where the record has {right}"
    return "different", f"{text}, {len(got)} operators instead of {len(wanted)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--octet", type=pathlib.Path, default=ROOT / "build" / "octet")
    parser.add_argument("--cases", type=pathlib.Path, default=ROOT / "tests" / "data" / "golden" / "cases")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "peers" / "executorch-files")
    parser.add_argument("--only", nargs="+", metavar="CASE")
    parser.add_argument("--quantize", nargs=argparse.REMAINDER, default=[], help="more options for octet quantize")
    parser.add_argument("--here", action="store_true", help="this Python has ExecuTorch already")
    options = parser.parse_args()
    if not options.here:
        return run_again(__file__, "executorch-1.5.1", PACKAGES, sys.argv[1:], python="python3.11")
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    reference = Reference()
    reference.torch.set_num_threads(1)
    counts, options.plain, options.recorded = collections.Counter(), collections.Counter(), collections.Counter()
    print("| case | verdict | delegated |\n|---|---|---|")
    for case in options.only or sorted(each.name for each in options.cases.iterdir() if each.is_dir()):
        try:
            verdict, text = check(options, case, reference)
        except Exception as error:  # whatever the reference throws at a file is a finding
            if (options.cases / case / "placement.error").exists():
                counts["fails on its own too"] += 1
                print(f"| {case} | fails on its own too | {type(error).__name__} |", flush=True)
                continue
            lines = str(error).strip().splitlines() or [""]
            verdict, text = "failed", f"{type(error).__name__}: {lines[0]}"
            if options.only:
                import traceback

                traceback.print_exc()
        counts[verdict] += 1
        print(f"| {case} | {verdict} | {text} |", flush=True)
    print("\n" + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    text = lambda counter: ", ".join(f"{count} {kind}" for kind, count in sorted(counter.items()))
    print("ExecuTorch's int8 programs and the recorded ones, operators and shapes:", text(options.recorded))
    print("ExecuTorch's int8 programs and octet's plain ones, grids and constants too:", text(options.plain))
    return 1 if counts["failed"] + counts["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
