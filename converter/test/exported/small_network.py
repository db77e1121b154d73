"""A small residual network with random weights, and its export by torch."""
import os

import numpy as np
import torch
from torch import nn

from cases import DEVIATION, MEAN, folder


def first(x):
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


class Net(nn.Module):
    """A small residual network."""

    def __init__(self, classes=5, channels=3, end=None, features=False):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, classes)
        self.end = end
        self.features = features

    def forward(self, x):
        x = self.stem(x)
        x = x + self.body(x)
        x = torch.flatten(self.pool(x), 1)
        z = self.head(x)
        z = self.end(z) if self.end is not None else z
        return (x, z) if self.features else z


class Inside(nn.Module):
    """Normalizes inside the model: takes bytes as floats."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.from_numpy(MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("std", torch.from_numpy(DEVIATION).reshape(1, 3, 1, 1))

    def forward(self, x):
        return self.net((x / 255 - self.mean) / self.std)


def settle(net, x, spread=2.0):
    """Batch norms take the images' statistics, the head is scaled so that answers differ."""
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.momentum = 1.0
            nn.init.uniform_(m.weight, 0.7, 1.3)
            nn.init.normal_(m.bias, 0, 0.1)
    net.train()
    with torch.no_grad():
        net(x)
    net.eval()
    heads = [m for m in net.modules() if isinstance(m, nn.Linear)]
    with torch.no_grad():
        z = net(x)
        z = z[1] if isinstance(z, tuple) else z
        if isinstance(heads[-1], nn.Linear) and z.std() > 0:
            heads[-1].weight.mul_(spread / (z - z.mean(0)).std().clamp(min=1e-4))
    return net


def run(net, x):
    with torch.no_grad():
        z = net(x)
    z = z[1] if isinstance(z, tuple) else z
    return (z.logits if hasattr(z, "logits") else z).double().numpy()


def export(net, x, name, dynamo=False, dynamic=True, opset=None, names=("input", "output"), **more):
    file = os.path.join(folder(name), "model.onnx")
    options = {"input_names": [names[0]], "output_names": list(names[1:]), "dynamo": dynamo, **more}
    if opset:
        options["opset_version"] = opset
    if dynamic and not dynamo:
        options["dynamic_axes"] = {each: {0: "batch"} for each in names}
    torch.onnx.export(net, (x[:1],), file, **options)
