"""Makes scripted.pt, traced.pt, frozen.pt and their input and output. Needs torch and numpy; the suite only reads the files."""
import os

import numpy as np
import torch
from torch import nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4, eps=1e-3),
                                      nn.ReLU6(inplace=True))
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.drop = nn.Dropout(0.3)
        self.fc = nn.Linear(16, 3)
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, x):
        y = self.up(self.features(x)) * self.scale + 1.0
        y = F.adaptive_avg_pool2d(F.max_pool2d(y, 2), (2, 2))
        y = self.drop(y.view(y.size(0), -1))
        return self.fc(y), F.softmax(y, -1)


torch.manual_seed(0)
here = os.path.dirname(os.path.abspath(__file__))
net = Net().eval()
with torch.no_grad():
    net.features[1].running_mean.normal_()
    net.features[1].running_var.uniform_(0.5, 2)
x = torch.randn(2, 3, 8, 8)
torch.jit.script(net).save(os.path.join(here, "scripted.pt"))
torch.jit.trace(net, x).save(os.path.join(here, "traced.pt"))
torch.jit.freeze(torch.jit.script(net)).save(os.path.join(here, "frozen.pt"))
np.save(os.path.join(here, "input.npy"), x.numpy())
for i, y in enumerate(net(x)):
    np.save(os.path.join(here, f"output_{i}.npy"), y.detach().numpy())
