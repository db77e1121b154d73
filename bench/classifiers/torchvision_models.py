"""The classifiers of torchvision.models, as ONNX of both exporters, for framework.py.

Weights are random: batch statistics are taken from the images, and the last layer is scaled so that answers differ between images."""

import re
import warnings

import numpy as np
import torch
import torchvision
from torchvision import models

warnings.filterwarnings("ignore")
VERSIONS = f"PyTorch {torch.__version__.split('+')[0]}, torchvision {torchvision.__version__.split('+')[0]}"
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def listed():
    """In order of their parameters."""
    found = []
    for name in models.list_models(module=models):
        weights = list(models.get_model_weights(name))
        # Some weights take larger images than others. The smallest keep the run short.
        crops = [re.search(r"crop_size=\[?(\d+)", str(entry.transforms)) for entry in weights]
        size = min((int(crop[1]) for crop in crops if crop), default=224)
        found.append((weights[-1].meta["num_params"], {"name": name, "size": size, "normalization": "torch"}))
    return [model for _, model in sorted(found, key=lambda entry: (entry[0], entry[1]["name"]))]


def run(model, x):
    with torch.no_grad():
        return torch.cat([model(x[i : i + 1]) for i in range(len(x))])


def settle(model, x, classes):
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    model.train()
    with torch.no_grad():
        model(x)
    model.eval()
    heads = [m for m in model.modules() if classes in (getattr(m, "out_features", 0), getattr(m, "out_channels", 0))]
    head = heads[-1]
    if float(head.weight.detach().std()) == 0:
        torch.nn.init.normal_(head.weight, 0, 0.02)
    with torch.no_grad():
        z = run(model, x)
        scale = 2.5 / (z - z.mean(0)).std().clamp(min=1e-6)
        head.weight.mul_(scale)
        if head.bias is not None:
            head.bias.sub_(z.mean(0)).mul_(scale)


def export_current(file):
    batch = torch.export.Dim("batch")
    # Two images, since an example of one makes the batch size fixed.
    more = {"dynamo": True, "verbose": False, "dynamic_shapes": ({0: batch},)}
    torch.onnx.export(built["model"], (built["sample"],), file, input_names=["input"], output_names=["output"], **more)


def export_old(file):
    more = {"dynamo": False, "dynamic_axes": {"input": {0: "batch"}, "output": {0: "batch"}}}
    torch.onnx.export(built["model"], (built["sample"][:1],), file, input_names=["input"], output_names=["output"], **more)


FORMS = {"onnx-dynamo": ("model.onnx", export_current), "onnx-torchscript": ("model.onnx", export_old)}

# The model that the exporters write, and two images.
built = {}


def build(name, images, classes, seed):
    """Returns logits per image."""
    built.clear()
    torch.manual_seed(seed)
    more = {"init_weights": True, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
    model = models.get_model(name, weights=None, num_classes=classes, **more)
    x = torch.from_numpy(((images.astype(np.float32) / 255 - MEAN) / DEVIATION).transpose(0, 3, 1, 2).copy())
    settle(model, x, classes)
    built.update(model=model, sample=x[:2])
    return run(model, x).numpy()
