"""Writes the files of this folder: what the models of octet/models compute, as their Python originals do.

    pip install torch torchvision timm
    python make.py

NAME.json of a model: "options" of make_model beside its name, "state" (name and shape of every entry of the state dict,
in order), "batch_norm" (eps and momentum of all BatchNorms), "operators" (of torch.export in eval mode, without "aten."),
"input" (its shape) and "output", computed in float64. Weights and input are no data: they follow from a formula (README).
"""
import json
import pathlib
import warnings

import numpy as np
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
here = pathlib.Path(__file__).parent


def uniform(name, count):
    """From -1 up to but not 1: splitmix64 of FNV-1a of the name."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(state) + (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1


def value(name, shape):
    count = int(np.prod(shape))
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    u = uniform(name, count)
    if name.endswith("running_var"):
        u = 1 + 0.5 * u
    elif len(shape) >= 2 and name != "input":
        u = u * np.sqrt(6.0 / (count // shape[0]))
    elif name.endswith("weight"):
        u = 1 + 0.25 * u
    elif name != "input":
        u = 0.1 * u
    return torch.from_numpy(u.astype(np.float32).reshape(shape))


# ---- MLPerf Tiny: the benchmark's Keras definitions, written out -----------------------------------------------------


def same(x, kernel, stride):
    """Padding SAME of TensorFlow."""
    pads = []
    for size, k in zip(reversed(x.shape[2:]), reversed(kernel)):
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


def keras_bn(channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Separable(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.stride = stride
        self.depthwise = nn.Conv2d(channels, channels, 3, stride, groups=channels)
        self.bn1 = keras_bn(channels)
        self.pointwise = nn.Conv2d(channels, out, 1)
        self.bn2 = keras_bn(out)

    def forward(self, x):
        x = F.relu(self.bn1(self.depthwise(same(x, (3, 3), self.stride))))
        return F.relu(self.bn2(self.pointwise(x)))


class DsCnn(nn.Module):
    def __init__(self, channels=64, classes=12):
        super().__init__()
        self.conv = nn.Conv2d(1, channels, (10, 4), 2)
        self.bn = keras_bn(channels)
        self.blocks = nn.Sequential(*[Separable(channels, channels, 1) for _ in range(4)])
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn(self.conv(same(x, (10, 4), 2)))))
        return self.fc(x.mean((2, 3)))


class MobileNetV1(nn.Module):
    def __init__(self, width=0.25, classes=2):
        super().__init__()
        c = int(32 * width)
        self.conv = nn.Conv2d(3, c, 3, 2)
        self.bn = keras_bn(c)
        blocks = []
        for out, stride in [(2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), *[(16, 1)] * 5, (32, 2), (32, 1)]:
            blocks.append(Separable(c, int(32 * width) * out, stride))
            c = int(32 * width) * out
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(c, classes)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn(self.conv(same(x, (3, 3), 2)))))
        return self.fc(x.mean((2, 3)))


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        sizes = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128]
        self.layers = nn.Sequential(*[
            nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b, eps=1e-3, momentum=0.01), nn.ReLU())
            for a, b in zip(sizes, sizes[1:])])
        self.out = nn.Linear(128, 640)

    def forward(self, x):
        return self.out(self.layers(x))


class Frames(nn.Module):
    def __init__(self, channels, out, frames):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, (frames, 1), groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, out, 1, bias=False)
        self.bn = keras_bn(out)

    def forward(self, x):
        return F.relu(self.bn(self.pointwise(self.depthwise(x))))


class WakeWord(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(Frames(40, 128, 3), Frames(128, 128, 5), Frames(128, 128, 10), Frames(128, 32, 15))
        self.fc = nn.Linear(32, 3)

    def forward(self, x):
        return self.fc(self.blocks(x).flatten(1))


class Stack(nn.Module):
    def __init__(self, channels, out, stride, norm):
        super().__init__()
        self.tensorflow, self.stride = norm is keras_bn, stride
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 0 if self.tensorflow else 1)
        self.bn1 = norm(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1)
        self.bn2 = norm(out)
        self.shortcut = nn.Conv2d(channels, out, 1, stride) if stride != 1 else None

    def forward(self, x):
        y = self.conv1(same(x, (3, 3), self.stride) if self.tensorflow else x)
        y = self.bn2(self.conv2(F.relu(self.bn1(y))))
        return F.relu((x if self.shortcut is None else self.shortcut(x)) + y)


class ResNet8(nn.Module):
    def __init__(self, norm=nn.BatchNorm2d):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, 1, 1)
        self.bn = norm(16)
        self.stack1, self.stack2, self.stack3 = Stack(16, 16, 1, norm), Stack(16, 32, 2, norm), Stack(32, 64, 2, norm)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.stack3(self.stack2(self.stack1(F.relu(self.bn(self.conv(x))))))
        return self.fc(x.mean((2, 3)))


# ---- the files -------------------------------------------------------------------------------------------------------


def operators(model, x):
    program = torch.export.export(model, (x,))
    return [str(node.target)[len("aten."):] for node in program.graph.nodes if node.op == "call_function"]


def write(name, model, input_shape, with_operators=True, **options):
    model = model.eval()
    state = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
    model.load_state_dict({key: value(key, shape) for key, shape in state.items()})
    norms = {(m.eps, m.momentum) for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))}
    (norm,) = norms
    x = value("input", input_shape)
    calls = operators(model, x) if with_operators else []
    with torch.no_grad():
        y = model.double()(x.double()).flatten().tolist()
    out = {"options": options, "batch_norm": norm, "input": input_shape,
           "state": {key: ",".join(map(str, shape)) for key, shape in state.items()},
           "operators": " ".join(calls), "output": [float(f"{v:.6g}") for v in y]}
    (here / f"{name}.json").write_text(json.dumps(out, separators=(",", ":")) + "\n")
    print(name, sum(p.numel() for p in model.parameters()), max(map(abs, y)))


IMAGE = [1, 3, 224, 224]
get = torchvision.models.get_model
write("mobilenet_v2", get("mobilenet_v2", weights=None), IMAGE)
write("mobilenet_v2_w075", get("mobilenet_v2", weights=None, width_mult=0.75, num_classes=10), IMAGE, num_classes=10)
write("mobilenet_v3_small", get("mobilenet_v3_small", weights=None), IMAGE)
write("mobilenet_v3_small_w050", get("mobilenet_v3_small", weights=None, width_mult=0.5, num_classes=10), IMAGE, num_classes=10)
write("mobilenet_v3_large", get("mobilenet_v3_large", weights=None), IMAGE)
write("mobilenet_v3_large_w125", get("mobilenet_v3_large", weights=None, width_mult=1.25, num_classes=10), IMAGE, num_classes=10)
write("resnet18", get("resnet18", weights=None), IMAGE)
write("resnet50", get("resnet50", weights=None), IMAGE)
write("efficientnet_lite0", timm.create_model("efficientnet_lite0", drop_rate=0.2), IMAGE)
write("tf_efficientnet_lite0", timm.create_model("tf_efficientnet_lite0", drop_rate=0.2), IMAGE)
write("tf_efficientnet_lite0_of_2_channels", timm.create_model("tf_efficientnet_lite0", drop_rate=0.2, in_chans=2, num_classes=10),
      [1, 2, 224, 224], num_classes=10, in_channels=2)
# Written out above: the operators are another matter than what is computed.
write("resnet8", ResNet8(), [1, 3, 32, 32], with_operators=False)
write("tf_resnet8", ResNet8(keras_bn), [1, 3, 32, 32], with_operators=False)
write("ds_cnn", DsCnn(), [1, 1, 49, 10], with_operators=False)
write("ds_cnn_w050", DsCnn(channels=32), [1, 1, 49, 10], with_operators=False)
write("mobilenet_v1", MobileNetV1(), [1, 3, 96, 96], with_operators=False)
write("mobilenet_v1_w050", MobileNetV1(width=0.5, classes=5), [1, 3, 96, 96], with_operators=False, num_classes=5)
write("autoencoder", Autoencoder(), [1, 640], with_operators=False)
write("wake_word", WakeWord(), [1, 40, 30, 1], with_operators=False)
