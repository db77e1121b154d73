"""python make.py [name ...]   Small ONNX classifiers as the real exporters write them, with the original framework's answers.

Versions are in requirements.txt. Weights are random: what is tested is that the answers are the framework's own. The pixels are
those of `pixels.fixture.ts`. Each model goes into a folder beside this file, the answers into answers/<name>.json."""
import json
import os
import sys

import numpy as np
import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
IMAGES = 3
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def pixels(height, width, channels):
    count = height * width * channels
    rows = [(np.arange(count, dtype=np.int64) * (7919 + 2 * k) + 31 * k) % 251 for k in range(IMAGES)]
    return np.stack(rows).astype(np.uint8).reshape(IMAGES, height, width, channels)


def first(x):
    return torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))


def imagenet(x):
    return (x.astype(np.float32) / 255 - MEAN) / DEVIATION


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def write_case(name, answers, spec, flags=(), note=""):
    """spec: what `add` must find out. flags: what it must be given."""
    os.makedirs(os.path.join(HERE, "answers"), exist_ok=True)
    with open(os.path.join(HERE, "answers", name + ".json"), "w") as file:
        rows = np.asarray(answers, np.float64).reshape(IMAGES, -1).round(7).tolist()
        json.dump({"note": note, "flags": list(flags), "spec": spec, "answers": rows}, file, indent=1)
        file.write("\n")


def folder(name):
    path = os.path.join(HERE, name)
    os.makedirs(path, exist_ok=True)
    return path


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
    """Normalizes by itself: takes bytes as floats."""

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


IMAGE = {"width": 32, "height": 32, "channels": 3}


def torch_cases():
    px = pixels(32, 32, 3)
    x = first(imagenet(px))
    torch.manual_seed(7)
    net = settle(Net(), x)
    logits = softmax(run(net, x))
    guess = {"input": {**IMAGE, "normalization": "torch"}, "output": {"activation": "logits"}}
    export(net, x, "torch-dynamo", dynamo=True, dynamic=False)
    write_case("torch-dynamo", logits, guess, note="torch.onnx.export as it is today: batch 1, weights in model.onnx.data")
    export(net, x, "torch-fixed", dynamic=False)
    write_case("torch-fixed", logits, guess, note="the exporter of years, no dynamic axes: batch 1")
    for opset in (7, 8, 9, 13, 17):
        export(net if opset > 13 else settle_plain(), x, f"torch-opset{opset}", opset=opset)
        answers = logits if opset > 13 else softmax(run(settle_plain(), x))
        write_case(f"torch-opset{opset}", answers, guess, note=f"opset {opset}, free batch")
    soft = Net(end=nn.Softmax(1))
    soft.load_state_dict(net.state_dict())
    export(soft.eval(), x, "torch-softmax")
    write_case("torch-softmax", logits, {**guess, "output": {"activation": "softmax"}}, note="ends in Softmax")
    log = Net(end=nn.LogSoftmax(1))
    log.load_state_dict(net.state_dict())
    export(log.eval(), x, "torch-logsoftmax", dynamo=True, dynamic=False, external_data=False)
    write_case("torch-logsoftmax", logits, guess, note="ends in LogSoftmax")
    multi = Net(end=nn.Sigmoid())
    multi.load_state_dict(net.state_dict())
    export(multi.eval(), x, "torch-sigmoid")
    write_case("torch-sigmoid", sigmoid(run(net, x)), {**guess, "output": {"activation": "sigmoid"}}, note="ends in Sigmoid: several labels at once")
    torch.manual_seed(8)
    single = settle(Net(classes=1), x)
    p = sigmoid(run(single, x))
    export(single, x, "torch-binary")
    write_case("torch-binary", np.concatenate([1 - p, p], 1), {**guess, "output": {"activation": "logits-sigmoid"}}, note="one logit: two classes")
    both = Net(features=True)
    both.load_state_dict(net.state_dict())
    export(both.eval(), x, "torch-two-outputs", names=("input", "embedding", "logits"))
    named = {**guess, "output": {"activation": "logits", "name": "logits"}}
    write_case("torch-two-outputs", logits, named, ("--output", "logits"), note="features first, scores second")
    inside = Inside(net).eval()
    export(inside, first(px.astype(np.float32)), "torch-inside")
    none = {**guess, "input": {**IMAGE, "normalization": "none"}}
    write_case("torch-inside", logits, none, note="divides by 255 and normalizes by itself")
    half = Net()
    half.load_state_dict(net.state_dict())
    export(half.eval().half(), x.half(), "torch-half")
    write_case("torch-half", logits, guess, note="float16 weights and input: within 5e-3")
    torch.manual_seed(9)
    grey = pixels(28, 28, 1)
    gx = first(grey.astype(np.float32) / 255)
    mnist = settle(Net(classes=10, channels=1), gx)
    export(mnist, gx, "torch-grey")
    grey_spec = {"input": {"width": 28, "height": 28, "channels": 1, "normalization": "unit"}, "output": {"activation": "logits"}}
    write_case("torch-grey", softmax(run(mnist, gx)), grey_spec, note="1 x 28 x 28")
    torch.manual_seed(10)
    four = pixels(24, 16, 4)
    fx = first(four.astype(np.float32) / 255)
    rgba = settle(Net(channels=4), fx)
    export(rgba, fx, "torch-rgba")
    rgba_spec = {"input": {"width": 16, "height": 24, "channels": 4, "normalization": "unit"}, "output": {"activation": "logits"}}
    write_case("torch-rgba", softmax(run(rgba, fx)), rgba_spec, note="4 channels, not square")


PLAIN = None


def settle_plain():
    """Without Hardswish, which opset 7 does not have."""
    global PLAIN
    if PLAIN is None:
        torch.manual_seed(11)
        net = Net()
        net.body[2] = nn.ReLU()
        PLAIN = settle(net, first(imagenet(pixels(32, 32, 3))))
    return PLAIN


def transformers_case():
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(12)
    config = ViTConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8)
    config.id2label = {i: f"thing {i}" for i in range(5)}
    config.label2id = {v: k for k, v in config.id2label.items()}
    net = ViTForImageClassification(config).eval()
    x = first(pixels(32, 32, 3).astype(np.float32) / 127.5 - 1)
    with torch.no_grad():
        net.classifier.weight.mul_(40)
    where = folder("transformers-vit")
    config.save_pretrained(where)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(where)
    names = {"pixel_values": {0: "batch_size", 1: "num_channels", 2: "height", 3: "width"}, "logits": {0: "batch_size"}}

    class Logits(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, pixel_values):
            return self.net(pixel_values).logits

    torch.onnx.export(Logits(), (x[:1],), os.path.join(where, "model.onnx"), input_names=["pixel_values"], output_names=["logits"], dynamic_axes=names, dynamo=False)
    spec = {"input": {**IMAGE, "normalization": "tf", "kernel": "linear"}, "output": {"activation": "logits"}}
    write_case("transformers-vit", softmax(run(net, x)), {**spec, "labels": ["thing 0", "thing 4"]}, note="config.json and preprocessor_config.json beside it, all sizes open")


def ultralytics_case():
    from ultralytics import YOLO

    scale = os.path.join(HERE, "tiny-cls.yaml")
    text = """nc: 5
scales:
  n: [0.33, 0.4, 64]
backbone:
  - [-1, 1, Conv, [64, 3, 2]]
  - [-1, 1, Conv, [128, 3, 2]]
  - [-1, 1, C2f, [128, True]]
head:
  - [-1, 1, Conv, [32, 1, 1]]
  - [-1, 1, Classify, [nc]]
"""
    with open(scale, "w") as file:
        file.write(text)
    torch.manual_seed(13)
    model = YOLO(scale, task="classify")
    os.remove(scale)
    model.model.names = {i: f"thing {i}" for i in range(5)}
    px = pixels(32, 32, 3)
    x = first(px.astype(np.float32) / 255)
    net = model.model.eval()
    with torch.no_grad():
        net.model[-1].linear.weight.mul_(200)
        z = net(x)
    z = (z[0] if isinstance(z, (tuple, list)) else z).double().numpy()
    file = model.export(format="onnx", imgsz=32, simplify=False)
    os.replace(file, os.path.join(folder("ultralytics-cls"), "model.onnx"))
    spec = {"input": {**IMAGE, "shortSide": 32, "normalization": "unit"}, "output": {"activation": "softmax"}, "labels": ["thing 0", "thing 4"]}
    write_case("ultralytics-cls", z, spec, note="batch 1, Softmax inside, names and size in the metadata")




def onnxruntime_cases():
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    import onnxruntime as ort

    x = imagenet(pixels(32, 32, 3)).transpose(0, 3, 1, 2)

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.rows = iter([{"input": x[i : i + 1]} for i in range(len(x))])

        def get_next(self):
            return next(self.rows, None)

    source = os.path.join(HERE, "torch-opset17", "model.onnx")
    target = os.path.join(folder("onnxruntime-int8"), "model.onnx")
    quantize_static(source, target, Reader(), quant_format=QuantFormat.QDQ)
    session = ort.InferenceSession(target, providers=["CPUExecutionProvider"])
    z = session.run(None, {"input": x})[0].astype(np.float64)
    spec = {"input": {**IMAGE, "normalization": "torch"}, "output": {"activation": "logits"}}
    write_case("onnxruntime-int8", softmax(z), spec, note="quantized by onnxruntime (QDQ); its own answers")


def sklearn_case():
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    x = rng.random((40, 8)).astype(np.float32)
    model = LogisticRegression().fit(x, rng.integers(0, 3, 40))
    onx = to_onnx(model, x[:1])
    with open(os.path.join(folder("sklearn"), "model.onnx"), "wb") as file:
        file.write(onx.SerializeToString())


MAKERS = {f.__name__: f for f in (torch_cases, transformers_case, ultralytics_case, onnxruntime_cases, sklearn_case)}

if __name__ == "__main__":
    for name in sys.argv[1:] or MAKERS:
        MAKERS[name]()
