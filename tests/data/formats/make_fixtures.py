"""Makes the files of this folder with PyTorch (2.13 was used) and safetensors; the suite only reads them.

    python3 tests/data/formats/make_fixtures.py
"""
import collections
import os
import warnings

import torch
from safetensors.torch import save_file
from torch import nn

warnings.filterwarnings("ignore")
here = os.path.dirname(os.path.abspath(__file__))
os.chdir(here)
torch.manual_seed(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(4, eps=1e-3, momentum=0.03)
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        x = torch.relu(self.bn(self.conv(x)))
        return self.fc(x.mean((2, 3)))


class Sizes(nn.Module):
    """Symbolic sizes as arguments."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12, 5)

    def forward(self, x, y):
        n = x.shape[0]
        a, b = torch.split(self.fc(x.view(n, 12)), [2, 3], dim=1)
        z = torch.cat([a, b], 1).reshape(n * 5) + torch.full((n * 5,), 0.5)
        v, i = torch.max(y, dim=1)
        return z.view(n, 5), v + i.float(), torch.topk(y, 2, dim=1)[0]


class Image(nn.Module):
    """Height and width in arguments: of views, and of a resize."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        y = self.conv(x)
        rows = y.reshape(1, 4, y.shape[2] * y.shape[3]).transpose(1, 2)
        return rows, nn.functional.interpolate(y, size=(2 * y.shape[2], 2 * y.shape[3]))


def case(name, module, inputs, decompose=False, **kwargs):
    ep = torch.export.export(module, inputs, **kwargs)
    if decompose:
        ep = ep.run_decompositions()
    torch.export.save(ep, name + ".pt2")
    return ep


x = torch.randn(4, 3, 6, 6)
net = Net().train()
eager = Net().train()
eager.load_state_dict(net.state_dict())
case("train_decomposed", net, (x,), decompose=True)
torch.save({"input": x, "output": eager(x).detach(), "running_mean": eager.bn.running_mean, "running_var": eager.bn.running_var,
            "eval_output": eager.eval()(x).detach()}, "train_decomposed.pth")

sizes = Sizes().eval()
batch = torch.export.Dim("batch", min=1, max=64)
x, y = torch.randn(3, 3, 4), torch.randn(3, 7)
case("symbolic_sizes", sizes, (x, y), dynamic_shapes={"x": {0: batch}, "y": {0: batch}})
x, y = torch.randn(5, 3, 4), torch.randn(5, 7)
data = {"x": x, "y": y}
data.update({f"out_{i}": o.detach() for i, o in enumerate(sizes(x, y))})
torch.save(data, "symbolic_sizes.pth")

image = Image().eval()
edge = lambda name: torch.export.Dim(name, min=4, max=256)
case("symbolic_image", image, (torch.randn(1, 3, 8, 12),), dynamic_shapes={"x": {2: edge("height"), 3: edge("width")}})
x = torch.randn(1, 3, 10, 6)
torch.save({"x": x, **{f"out_{i}": o.detach() for i, o in enumerate(image(x))}}, "symbolic_image.pth")

# State dicts in every form that torch.save gives them.
net = Net().eval()
weights = collections.OrderedDict(net.state_dict())
base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
weights["view.transposed"] = base.t()
weights["view.slice"] = base[1:3, 2:5]
weights["view.row"] = base[2]
weights["tied"] = weights["conv.weight"]
for dtype in ("float16", "bfloat16", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"):
    weights["dtype." + dtype] = torch.arange(5).to(getattr(torch, dtype))
weights["dtype.uint16"] = torch.arange(5).to(torch.uint16)
weights["scalar"] = torch.tensor(2.5)
weights["empty"] = torch.zeros(0, 3)
weights["parameter"] = nn.Parameter(torch.ones(2), requires_grad=True)
torch.save(weights, "weights.pth")
separate = {k: v.detach().clone().contiguous() for k, v in weights.items()}
save_file(separate, "weights.safetensors", metadata={"format": "pt"})
legacy = collections.OrderedDict((k, v) for k, v in weights.items() if k != "dtype.uint16")
torch.save(legacy, "weights_legacy.pth", _use_new_zipfile_serialization=False)
torch.save({"epoch": 3, "lr": 0.1, "state_dict": net.state_dict(), "note": "text", "steps": [1, 2, None, True]}, "checkpoint.pth")
torch.save(net, "whole_module.pth")
torch.jit.save(torch.jit.trace(net, torch.randn(1, 3, 6, 6)), "torchscript.pt")


class Blocks(nn.Module):
    """A frozen part under no_grad, with a block without autocast in it, and a part that learns."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x):
        with torch.no_grad():
            y = torch.relu(self.a(x))
            with torch.autocast("cpu", enabled=False):
                z = self.b(y)
            y = y + z
        return self.c(y), y


class Mixed(nn.Module):
    """What run_decompositions() takes apart, and what other types of floats change."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(4, 5)
        self.gn, self.ln, self.up = nn.GroupNorm(2, 4), nn.LayerNorm(5), nn.ConvTranspose2d(4, 4, 2, stride=2)

    def forward(self, x):
        x = torch.relu(self.bn(self.conv(x)))
        x = self.gn(self.up(nn.functional.max_pool2d(x, 2)))
        x = self.ln(self.fc(nn.functional.adaptive_avg_pool2d(x, (2, 1)).mean((2, 3)).to(x.dtype)))
        return torch.softmax(x.masked_fill(x < -1.5, torch.finfo(x.dtype).min), -1)


x = torch.randn(2, 6)
blocks = Blocks().eval()
case("blocks", blocks, (x,))
torch.save({"x": x, "out_0": blocks(x)[0].detach(), "out_1": blocks(x)[1].detach()}, "blocks.pth")

x = torch.randn(1, 3, 6, 6)
mixed = Mixed().eval()
case("decomposed", mixed, (x,), decompose=True)
data = {"x": x, "decomposed": mixed(x).detach()}
for dtype in ("float64", "bfloat16"):
    other = Mixed().eval()
    other.load_state_dict(mixed.state_dict())
    other = other.to(getattr(torch, dtype))
    case(dtype, other, (x.to(getattr(torch, dtype)),))
    data[dtype] = other(x.to(getattr(torch, dtype))).float().detach()
torch.save(data, "mixed.pth")
