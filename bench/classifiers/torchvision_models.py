"""Makes the classifiers of torchvision.models with the framework itself, as ONNX of both exporters.

    python torchvision_models.py list           one line of JSON per model: name, size in pixels, normalization
    python torchvision_models.py make           reads {"name", "pixels", "out"} per line, answers with {"answers", "forms"} or {"error"}

`pixels` is a file of uint8 images, `out` an empty folder. Weights are random: batch statistics are taken from the images, and the last layer is
scaled so that answers differ between images."""

import contextlib
import io
import json
import os
import re
import sys
import warnings

import numpy as np
import torch
import torchvision
from torchvision import models

warnings.filterwarnings("ignore")
CLASSES = 20
SEED = 7
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def listed():
    """The default weights say the size of the images, and how many parameters a model has."""
    found = []
    for name in models.list_models(module=models):
        weights = models.get_model_weights(name).DEFAULT
        # That of the first weights: the second ones were trained on small images and tested on larger ones.
        crop = re.search(r"crop_size=\[?(\d+)", str(list(models.get_model_weights(name))[0].transforms))
        found.append((weights.meta["num_params"], name, int(crop[1]) if crop else 224))
    return [(name, size) for _, name, size in sorted(found)]


def run(model, x):
    with torch.no_grad():
        return torch.cat([model(x[i : i + 1]) for i in range(len(x))])


def settle(model, x):
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    model.train()
    with torch.no_grad():
        model(x)
    model.eval()
    heads = [m for m in model.modules() if CLASSES in (getattr(m, "out_features", 0), getattr(m, "out_channels", 0))]
    head = heads[-1]
    if float(head.weight.detach().std()) == 0:
        torch.nn.init.normal_(head.weight, 0, 0.02)
    with torch.no_grad():
        z = run(model, x)
        scale = 2.5 / (z - z.mean(0)).std().clamp(min=1e-6)
        head.weight.mul_(scale)
        if head.bias is not None:
            head.bias.sub_(z.mean(0)).mul_(scale)


def export_current(model, sample, file):
    batch = torch.export.Dim("batch")
    # Two images, since an example of one makes the batch size fixed.
    torch.onnx.export(model, (sample,), file, dynamo=True, verbose=False, dynamic_shapes=({0: batch},), input_names=["input"], output_names=["output"])


def export_old(model, sample, file):
    axes = {"input": {0: "batch"}, "output": {0: "batch"}}
    torch.onnx.export(model, (sample[:1],), file, dynamo=False, input_names=["input"], output_names=["output"], dynamic_axes=axes)


FORMS = {"onnx-dynamo": ("dynamo/model.onnx", export_current), "onnx-torchscript": ("old/model.onnx", export_old)}


def make(name, pixels, out, forms):
    size = dict(listed())[name]
    torch.manual_seed(SEED)
    more = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    model = models.get_model(name, weights=None, num_classes=CLASSES, **({**more, "aux_logits": False} if more else {}))
    x = np.fromfile(pixels, np.uint8).reshape(-1, size, size, 3).astype(np.float32)
    x = torch.from_numpy(((x / 255 - MEAN) / DEVIATION).transpose(0, 3, 1, 2).copy())
    settle(model, x)
    answers = run(model, x).double().softmax(-1).numpy()
    made = {}
    for form in forms:
        file, export = FORMS[form]
        target = os.path.join(out, file)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            export(model, x[:2], target)
            made[form] = {"file": file}
        except Exception as error:
            made[form] = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
    return {"answers": answers.round(8).tolist(), "forms": made}


def main():
    if sys.argv[1] == "list":
        for name, size in listed():
            print(json.dumps({"name": name, "size": size, "normalization": "torch"}))
        return
    versions = f"PyTorch {torch.__version__.split('+')[0]}, torchvision {torchvision.__version__.split('+')[0]}"
    print(json.dumps({"versions": versions, "forms": list(FORMS)}), flush=True)
    answers = sys.stdout
    for line in sys.stdin:
        task = json.loads(line)
        # Exporters print.
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                answer = make(task["name"], task["pixels"], task["out"], task["forms"])
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        print(json.dumps(answer), file=answers, flush=True)


main()
