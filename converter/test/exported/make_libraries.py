"""python make_libraries.py [name ...]   Classifiers as transformers, timm, ultralytics, onnxruntime and scikit-learn write them.

Versions are in requirements.txt. onnxruntime quantizes a model of make_torch.py."""
import os
import sys

import numpy as np
import torch
from torch import nn

from cases import HERE, IMAGE, IMAGES, folder, imagenet, pixels, softmax, write_case
from small_network import first, run


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
    write_case("transformers-vit", softmax(run(net, x)), {**spec, "labels": ["thing 0", "thing 4"]}, note="config.json and preprocessor_config.json next to it, all sizes open")


def timm_case():
    import timm
    from timm.models._hub import save_config_for_hf

    torch.manual_seed(14)
    small = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 1, "num_heads": 2}
    net = timm.create_model("vit_tiny_patch16_224", num_classes=5, **small).eval()
    with torch.no_grad():
        net.head.weight.normal_(0, 1)
    where = folder("timm-vit")
    save_config_for_hf(net, os.path.join(where, "config.json"), {"label_names": [f"thing {i}" for i in range(5)]})
    config = timm.data.resolve_model_data_config(net)
    mean, deviation = (np.array(config[name], np.float32) for name in ("mean", "std"))
    x = first((pixels(32, 32, 3).astype(np.float32) / 255 - mean) / deviation)
    torch.onnx.export(net, (x[:1],), os.path.join(where, "model.onnx"), dynamo=True, external_data=False)
    spec = {"input": {**IMAGE, "shortSide": 35, "normalization": "tf", "resize": "pillow-bicubic"}, "output": {"activation": "logits"}}
    write_case("timm-vit", softmax(run(net, x)), {**spec, "labels": ["thing 0", "thing 4"]}, note="timm's config.json next to it, batch 1")


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
    write_case("onnxruntime-int8", softmax(z), spec, note="quantized by onnxruntime (QDQ); its own answers", certainty="likely")


def sklearn_case():
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    x = rng.random((40, 8)).astype(np.float32)
    model = LogisticRegression().fit(x, rng.integers(0, 3, 40))
    onx = to_onnx(model, x[:1])
    with open(os.path.join(folder("sklearn"), "model.onnx"), "wb") as file:
        file.write(onx.SerializeToString())


def sklearn_image_cases():
    """The images of digits as rows of pixels from 0 to 16."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    digits = load_digits()
    # Trained little, so that the answers are not all 0 or 1.
    model = make_pipeline(MinMaxScaler(), LogisticRegression(C=0.01)).fit(digits.data, digits.target)
    x = pixels(8, 8, 1).reshape(IMAGES, 64).astype(np.float32) * np.float32(16 / 255)
    for name, zipmap in (("sklearn-digits", False), ("refused/sklearn-zipmap", True)):
        onx = to_onnx(model, x[:1], options={"zipmap": zipmap}, target_opset=17)
        with open(os.path.join(folder(name), "model.onnx"), "wb") as file:
            file.write(onx.SerializeToString())
    flags = ("--width", "8", "--height", "8", "--scale", str(16 / 255))
    image = {"width": 8, "height": 8, "channels": 1, "normalization": {"scale": 16 / 255, "mean": [0], "std": [1], "order": "rgb"}}
    spec = {"input": image, "output": {"activation": "softmax"}}
    write_case("sklearn-digits", model.predict_proba(x), spec, flags, note="rows of pixels")


MAKERS = {f.__name__: f for f in (transformers_case, timm_case, ultralytics_case, onnxruntime_cases, sklearn_case, sklearn_image_cases)}

if __name__ == "__main__":
    for name in sys.argv[1:] or MAKERS:
        MAKERS[name]()
