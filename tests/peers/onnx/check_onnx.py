#!/usr/bin/env python3
"""Networks of torchvision and timm through both of torch's exporters to ONNX, against onnxruntime and their own .pt2.

    check_onnx.py [--octet build/octet] [--only NAME ...]

For each network and exporter a line: the SQNR in dB of `octet run` against onnxruntime (100 and more is rounding), and
of the model that `octet quantize` makes of it for imxrt700 with random data against its own float model, beside that of
the same network from a .pt2. Exit status 1 where one is below 100 dB, or half a dB below its .pt2.
A virtual environment is made under build/peers (once); --here takes the Python that runs this.
"""
import argparse
import logging
import pathlib
import subprocess
import sys
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "peers"))
from environment import run_again  # noqa: E402

PACKAGES = ["torch", "torchvision", "timm", "onnx", "onnxruntime", "onnxscript", "numpy"]


if "--here" not in sys.argv:
    sys.exit(run_again(__file__, "onnx", PACKAGES, sys.argv[1:]))

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
import numpy as np
import onnxruntime
import torch
from torch import nn


class Block(nn.Sequential):
    def __init__(self, inputs, outputs):
        super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([Block(3, 8), Block(8, 16), Block(16, 32)])
        self.up, self.join = nn.ConvTranspose2d(32, 16, 2, 2), nn.ModuleList([Block(32, 16), Block(24, 8)])
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        a = self.down[0](x)
        b = self.down[1](nn.functional.max_pool2d(a, 2))
        c = self.down[2](nn.functional.max_pool2d(b, 2))
        y = self.join[0](torch.cat([self.up(c), b], 1))
        y = nn.functional.interpolate(y, scale_factor=2, mode="bilinear")
        return self.out(self.join[1](torch.cat([y, a], 1)))


class Gru(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.gru = nn.Conv1d(1, 16, 5, padding=2), nn.GRU(16, 24, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(48, 4)

    def forward(self, x):
        return self.head(self.gru(self.conv(x).relu().transpose(1, 2))[0][:, -1])


def of_torchvision(name):
    def make():
        import torchvision
        return torchvision.models.get_model(name, weights=None)
    return make


def of_timm(name, **options):
    def make():
        import timm
        return timm.create_model(name, pretrained=False, **options)
    return make


IMAGE = (1, 3, 64, 64)
NETWORKS = {
    "unet": (Unet, (1, 3, 32, 32)), "gru": (Gru, (1, 1, 32)),
    "deit_tiny": (of_timm("deit_tiny_patch16_224", img_size=64), IMAGE),
    **{name: (of_torchvision(name), IMAGE) for name in (
        "mobilenet_v2", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "efficientnet_b0",
        "mnasnet0_5", "densenet121", "regnet_y_400mf")},
    **{name: (of_timm(name), IMAGE) for name in (
        "efficientnet_lite0", "mobilevit_xxs", "convnext_atto", "mobilenetv4_conv_small", "ghostnet_100", "repvgg_a0",
        "edgenext_xx_small", "efficientvit_b0", "fastvit_t8", "poolformer_s12")},
}
EXPORTERS = {"dynamo, opset 18": (18, True), "script, opset 14": (14, False), "script, opset 17": (17, False)}


def prepared(name):
    """The network with statistics of some data, a sample and its .pt2."""
    torch.manual_seed(1)
    build, shape = NETWORKS[name]
    net = build()
    with torch.no_grad():
        for part in net.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.momentum = 0.5
        for _ in range(3):
            net.train()(torch.randn(8, *shape[1:]))
    return net.eval(), torch.randn(*shape)


def sqnr(wanted, got):
    noise = np.sum((wanted.astype(np.float64) - got) ** 2)
    return 999.0 if noise == 0 else 10 * np.log10(np.sum(wanted.astype(np.float64) ** 2) / noise)


def octet(*arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])


def run(model, folder, output="out.npy"):
    octet("run", model, "--input", folder / "x.npy", "--output", folder / output)
    return np.load(folder / output)


def quantized_sqnr(model, folder):
    octet("quantize", model, "--calibrate", f"npy:{folder}/calib_*.npy", "-o", folder / "quantized.octet")
    return sqnr(run(model, folder, "float.npy"), run(folder / "quantized.octet", folder))


def onnxruntime_result(path, sample):
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, plain, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: sample})[0]


def export(net, sample, path, opset, dynamo):
    if dynamo:
        torch.onnx.export(net, (sample,), path, opset_version=opset, dynamo=True, external_data=False, verbose=False)
    else:
        torch.onnx.export(net, (sample,), path, opset_version=opset, dynamo=False, input_names=["x"],
                          dynamic_axes={"x": {0: "batch"}})


parser = argparse.ArgumentParser()
parser.add_argument("--here", action="store_true")
parser.add_argument("--octet", default=str(ROOT / "build" / "octet"))
parser.add_argument("--only", nargs="*", default=list(NETWORKS))
options = parser.parse_args()
program, bad = options.octet, 0
print(f"{'network':22} {'exporter':18} {'run, dB':>8} {'quantized':>10} {'of .pt2':>8}")
for name in options.only:
    folder = ROOT / "build" / "peers" / "onnx_networks" / name
    folder.mkdir(parents=True, exist_ok=True)
    net, sample = prepared(name)
    np.save(folder / "x.npy", sample.numpy())
    for i in range(8):
        np.save(folder / f"calib_{i}_0.npy", torch.randn_like(sample).numpy())
    torch.export.save(torch.export.export(net, (sample,)), folder / "model.pt2")
    of_pt2 = quantized_sqnr(folder / "model.pt2", folder)
    for how, (opset, dynamo) in EXPORTERS.items():
        path = folder / "model.onnx"
        try:
            export(net, sample, str(path), opset, dynamo)
            db = sqnr(onnxruntime_result(str(path), sample.numpy()), run(path, folder))
            quantized = quantized_sqnr(path, folder)
        except Exception as error:
            print(f"{name:22} {how:18} {str(error)[-200:]}", flush=True)
            bad += 1
            continue
        bad += db < 100 or quantized < of_pt2 - 0.5
        print(f"{name:22} {how:18} {db:8.1f} {quantized:10.1f} {of_pt2:8.1f}", flush=True)
sys.exit(1 if bad else 0)
