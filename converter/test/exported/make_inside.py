"""python make_inside.py [name ...]   Models of PyTorch that prepare their images themselves; versions are in requirements.txt.

Each is written by one of the exporters; `EXPORTERS=both` also writes it by the other, under the same name with -other."""
import os
import sys

import numpy as np
import onnx
import torch
from torch import nn
from torchvision.transforms import v2

from cases import DEVIATION, IMAGE, MEAN, folder, pixels, softmax, write_case
from small_network import Net, export, first, run, settle

PX = first(pixels(32, 32, 3).astype(np.float32))
UNIT = PX / 255
BLUE = PX.flip(1)
BLUE_FIRST = {"scale": 1, "mean": [0], "std": [1], "order": "bgr"}
BLUE_MEAN = torch.tensor([103.939, 116.779, 123.68]).reshape(1, 3, 1, 1)
M = torch.from_numpy(MEAN).reshape(1, 3, 1, 1)
D = torch.from_numpy(DEVIATION).reshape(1, 3, 1, 1)


class Prepared(nn.Module):
    """`prepare` is what happens to an image before the network; modules in it are part of the model."""

    def __init__(self, prepare, channels=3, seed=7, x=PX):
        super().__init__()
        self.prepare = prepare
        torch.manual_seed(seed)
        with torch.no_grad():
            self.net = settle(Net(channels=channels), prepare(x))

    def forward(self, x):
        return self.net(self.prepare(x))


def case(name, prepare, x, normalization, note, channels=3, dynamo=True, flags=(), certainty="read"):
    model = Prepared(prepare, channels, x=x).eval()
    spec = {"input": {**IMAGE, "normalization": normalization}, "output": {"activation": "logits"}}
    exporters = [(name, dynamo)] + ([(name + "-other", not dynamo)] if os.environ.get("EXPORTERS") == "both" else [])
    for where, is_dynamo in exporters:
        more = {"external_data": False} if is_dynamo else {}
        export(model, x, where, dynamo=is_dynamo, dynamic=False, **more)
        forget_sources(os.path.join(folder(where), "model.onnx"))
        write_case(where, softmax(run(model, x)), spec, flags, note, "given" if flags else certainty)


def forget_sources(file):
    """The places in the code that nodes come from are most of a small file, and nothing reads them."""
    model = onnx.load(file)
    for message in (model, model.graph, *model.graph.node, *model.graph.value_info):
        del message.metadata_props[:]
        message.doc_string = ""
    onnx.save(model, file)


class Standardize(nn.Module):
    def __init__(self, dims):
        super().__init__()
        self.dims = dims

    def forward(self, x):
        return (x - x.mean(self.dims, keepdim=True)) / (x.std(self.dims, keepdim=True) + 1e-7)


class Affine(nn.Module):
    """A convolution of one pixel whose weights are no more than a normalization."""

    def __init__(self, groups):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, groups=groups)
        factor = 1 / (255 * D.flatten())
        with torch.no_grad():
            self.conv.weight.copy_(factor.reshape(3, 1, 1, 1) if groups == 3 else torch.diag(factor).reshape(3, 3, 1, 1))
            self.conv.bias.copy_(-(M / D).flatten())

    def forward(self, x):
        return self.conv(x)


class PerColumn(nn.Module):
    """The mean and the deviation of each column of the images of training."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.register_buffer("mean", 100 + 50 * torch.rand(1, 3, 1, 32, generator=generator))
        self.register_buffer("std", 50 + 20 * torch.rand(1, 3, 1, 32, generator=generator))

    def forward(self, x):
        return (x - self.mean) / self.std


class Constants(nn.Module):
    """Constants that other operators change first, and limits."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(MEAN).double())
        self.register_buffer("variance", torch.from_numpy(DEVIATION**2))

    def forward(self, x):
        x = torch.where(torch.isnan(x), torch.zeros_like(x), x).clamp(0, 1)
        mean = self.mean.float().reshape(1, 3).unsqueeze(-1).unsqueeze(-1).expand_as(x)
        deviation = torch.sqrt(self.variance)[None, :, None, None]
        return (x - mean) / deviation


def by_channel(x):
    """As torchvision's Inception and GoogLeNet do with `transform_input`: -1..1 of what ImageNet's normalization gives."""
    channels = [x[:, i : i + 1] * (float(DEVIATION[i]) / 0.5) + (float(MEAN[i]) - 0.5) / 0.5 for i in range(3)]
    return torch.cat(channels, 1)


def gray():
    one = nn.Sequential(v2.Grayscale(), v2.Normalize([0.5], [0.5]))
    case("torch-gray", one, UNIT, "unit", "Grayscale, then Normalize", channels=1)
    three = nn.Sequential(v2.Grayscale(3), v2.Normalize(MEAN.tolist(), DEVIATION.tolist()))
    case("torch-gray-three", three, UNIT, "unit", "Grayscale with three channels, then Normalize", dynamo=False)
    case("torch-gray-alone", v2.Grayscale(), UNIT, "unit", "Grayscale alone, which shows no range: 0..1 is a guess", channels=1, certainty="guessed")
    weighted = lambda x: (x * torch.tensor([0.114, 0.587, 0.299]).reshape(1, 3, 1, 1)).sum(1, keepdim=True) / 127.5 - 1
    case("torch-gray-blue-first", weighted, BLUE, BLUE_FIRST, "gray from bytes, blue first", channels=1)


def standardized():
    case("torch-standardized", Standardize((1, 2, 3)), UNIT, "none", "minus the mean of each image, divided by its deviation")
    case("torch-standardized-channels", nn.InstanceNorm2d(3), UNIT, "unit", "instance normalization first", certainty="likely")


def reordered():
    caffe = lambda x: x[:, [2, 1, 0]] * 255 - BLUE_MEAN
    case("torch-reordered", caffe, UNIT, "unit", "red first, exchanged with blue, which Caffe's means show")
    case("torch-reordered-blue", lambda x: (x[:, [2, 1, 0]] / 255 - M) / D, BLUE, BLUE_FIRST, "blue first, exchanged with red, which ImageNet's means show")
    case("torch-flipped-blue", lambda x: (x.flip(1) / 255 - M) / D, BLUE, BLUE_FIRST, "the same by flip", dynamo=False)
    case("torch-blue-first", lambda x: (x / 255 - M.flip(1)) / D.flip(1), BLUE, BLUE_FIRST, "blue first by its means")
    open_order = ("--scale", "1", "--order", "bgr")
    case("torch-reordered-open", lambda x: x[:, [2, 1, 0]] / 127.5 - 1, BLUE, BLUE_FIRST, "exchanged, and nothing shows which is first", flags=open_order)
    case("torch-by-channel", by_channel, (UNIT - M) / D, "torch", "transform_input: channel by channel", dynamo=False)


def scaled():
    case("torch-constants", Constants(), UNIT, "unit", "constants behind casts, reshapes and roots; where and clamp", dynamo=False)
    case("torch-centered", lambda x: (x - 127) / 128, PX, "none", "(x - 127) / 128")
    case("torch-signed", lambda x: x / 127.5 - 1, PX, "none", "x / 127.5 - 1", dynamo=False)
    case("torch-depthwise", Affine(3), PX, "none", "a normalization as a depthwise convolution")
    case("torch-diagonal", Affine(1), PX, "none", "a normalization as a convolution of one pixel", dynamo=False)
    case("torch-per-column", PerColumn(), PX, "none", "a mean per column and channel")


def limited():
    """What is below black or above white becomes black or white, which hides the range that the model takes."""
    case("torch-gamma", lambda x: x.clamp(0, 1) ** 0.45, UNIT, "unit", "a limit and a gamma", dynamo=False)
    case("torch-limited", lambda x: x.clamp(-1, 1), UNIT * 2 - 1, "tf", "limits its input to -1..1", dynamo=False)


@torch.jit.script
def divide_bytes(x):
    if bool(x.max() > 1.0):
        y = x / 255
    else:
        y = x * 1.0
    return y


def branching():
    """Bytes are divided, and 0..1 is not: by the largest value of an image, in the branches of an If."""
    cond = lambda x: (torch.cond(x.max() > 1, lambda y: y / 255, lambda y: y * 1, (x,)) - M) / D
    case("torch-branch", lambda x: (divide_bytes(x) - M) / D, PX, "none", "an If that reads the image", flags=("--normalization", "none"), dynamo=False)
    looked = lambda x: torch.cond((x / 255).mean() > 0, lambda y: y * 1, lambda y: -y, (x,))
    case("torch-branch-looked", looked, (PX / 255 - M) / D, "torch", "an If that is chosen by scaled values, and takes the image as it is", certainty="guessed")
    case("torch-branch-cond", cond, PX, "none", "the same by torch.cond", flags=("--normalization", "none"))


def unknown():
    case("torch-power", lambda x: x.clamp(0) ** 2.2 * 40 - 3, UNIT, "unit", "a power, from which nothing can be read", flags=("--normalization", "unit"))


MAKERS = {f.__name__: f for f in (gray, standardized, reordered, scaled, limited, branching, unknown)}

for name in sys.argv[1:] or MAKERS:
    MAKERS[name]()
