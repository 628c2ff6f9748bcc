#!/usr/bin/env python3
"""The overlays of `octet export --model-explorer` against the nodes that Model Explorer itself makes of the .tflite and the .pt2.

    check_model_explorer.py [--octet build/octet] [--only NAME ...]

For golden cases, quantized: how many operators of each graph have a value of placement and of noise, and how many values find no
node in either. Exit status 1 for an operator that computes without a value, and for a value without a node.
A virtual environment is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import json
import pathlib
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "peers"))
from environment import octet, run_again  # noqa: E402

sys.path.pop(0)  # its folder executorch is none of Model Explorer's

if "--here" not in sys.argv:
    sys.exit(run_again(__file__, "model_explorer", ["torch==2.13.0", "ai-edge-model-explorer"], sys.argv[1:]))

import torch.ao.quantization.fx._decomposed  # noqa: E402, F401
from model_explorer.builtin_pytorch_exportedprogram_adapter import BuiltinPytorchExportedProgramAdapter  # noqa: E402
from model_explorer.builtin_tflite_flatbuffer_adapter import BuiltinTfliteFlatbufferAdapter  # noqa: E402
from model_explorer.node_data_builder import GraphNodeData, NodeDataResult, ThresholdItem  # noqa: E402

# What moves values or changes their form, and computes none that octet tells of.
TFLITE_HELPERS = {"GraphInputs", "GraphOutputs", "pseudo_const", "quantize", "dequantize", "transpose", "reshape", "pad", "padv2"}


def keys_of_nodes(path):
    """By graph: the keys by which values find each node, and which of the nodes compute."""
    graphs = {}
    if path.suffix == ".tflite":
        for graph in BuiltinTfliteFlatbufferAdapter().convert(str(path), {})["graphCollections"][0].graphs:
            nodes = graph["nodes"] if isinstance(graph, dict) else vars(graph)["nodes"]
            graphs[graph["id"]] = [
                ({node["id"], *(pair["value"] for out in node["outputsMetadata"] for pair in out["attrs"]
                                if pair["key"] == "tensor_name")}, node["label"] not in TFLITE_HELPERS, node["label"])
                for node in nodes]
        return graphs
    for graph in BuiltinPytorchExportedProgramAdapter().convert(str(path), {})["graphs"]:
        graphs[graph.id] = [({node.id}, node.label.startswith("aten."), node.label) for node in graph.nodes]
    return graphs


def check(program, case, folder):
    model, quantized = case / "model.pt2", folder / "quantized.octet"
    octet(program, "quantize", model, "--calibrate", f"npy:{case}/calib_*.npy", "-o", quantized)
    octet(program, "export", quantized, "--tflite", folder / "q.tflite", "--pt2", folder / "q.pt2",
          "--model-explorer", folder / "q.json", "--float", model)
    wrong = 0
    for kind in ("q.json", "q.sqnr.json"):
        overlay = json.loads((folder / kind).read_text())
        found = set()
        for path in (folder / "q.tflite", folder / "q.pt2"):
            for graph, nodes in keys_of_nodes(path).items():
                data = overlay[graph]
                GraphNodeData(results={key: NodeDataResult(**value) for key, value in data["results"].items()},
                              **{key: value for key, value in data.items() if key not in ("results", "thresholds")},
                              thresholds=[ThresholdItem(**each) for each in data.get("thresholds", [])])
                computing = [(keys, label) for keys, computes, label in nodes if computes]
                without = [label for keys, label in computing if not keys & data["results"].keys()]
                found |= {key for keys, _, _ in nodes for key in keys} & data["results"].keys()
                wrong += len(without)
                print(f"{case.name:24} {kind:12} {path.name:9} {len(computing) - len(without)} of {len(computing)} operators"
                      + (f", none for {sorted(set(without))}" if without else ""))
        lost = overlay["graph"]["results"].keys() - found
        wrong += len(lost)
        if lost:
            print(f"{case.name:24} {kind:12} no node for {sorted(lost)}")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--octet", default="build/octet")
    parser.add_argument("--only", nargs="*", default=["conv_relu", "linear_relu", "net_cifarnet", "net_mobilenet_v2_w025", "net_unet"])
    parser.add_argument("--here", action="store_true")
    options = parser.parse_args()
    wrong = 0
    for name in options.only:
        wrong += check(options.octet, ROOT / "tests/data/golden/cases" / name, pathlib.Path(tempfile.mkdtemp()))
    return 1 if wrong else 0


sys.exit(main())
