"""python make_optimum.py   What `optimum-cli export onnx` writes; versions are in requirements-optimum.txt.

A model of several labels per image, whose config.json is the only file that says so, and a model of quantities."""
import json
import os
import shutil
import tempfile

import numpy as np
import torch
from optimum.exporters.onnx import main_export
from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessor

from cases import HERE, IMAGE, pixels, sigmoid, write_case
from small_network import first


def export(target, problem_type, labels):
    torch.manual_seed(21)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic", problem_type=problem_type)
    config.id2label = dict(enumerate(labels))
    config.label2id = {name: i for i, name in enumerate(labels)}
    net = ResNetForImageClassification(config).eval()
    x = first(pixels(32, 32, 3).astype(np.float32) / 127.5 - 1)
    with torch.no_grad():
        head = net.classifier[-1]
        head.weight.mul_(20)
        head.bias.sub_(net(x).logits.mean(0))
        logits = net(x).logits.double().numpy()
    with tempfile.TemporaryDirectory() as source:
        net.save_pretrained(source)
        ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(source)
        where = os.path.join(HERE, target)
        shutil.rmtree(where, ignore_errors=True)
        main_export(source, where, task="image-classification", device="cpu")
    return logits


logits = export("optimum-multi-label", "multi_label_classification", [f"tag {i}" for i in range(5)])
spec = {"input": {**IMAGE, "normalization": "tf", "resize": "pillow-bilinear"}, "output": {"activation": "logits-sigmoid"}, "labels": ["tag 0", "tag 4"]}
write_case("optimum-multi-label", sigmoid(logits), spec, note="config.json says that an image can have several labels (problem_type)")
export("refused/regression", "regression", ["age"])
sentences = os.path.join(HERE, "refused", "sentences.json")
with open(sentences) as file:
    known = json.load(file)
known["regression"] = "--outputs logits=embedding"
with open(sentences, "w") as file:
    json.dump(known, file, indent=1)
    file.write("\n")
