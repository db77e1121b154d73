"""A case as exported.test.ts reads it: its pixels, what `add` must find out, and the original framework's answers.

The pixels are those of the test. Each model goes into a folder next to this file, the answers into answers/<name>.json."""
import json
import os

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
IMAGES = 3
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
IMAGE = {"width": 32, "height": 32, "channels": 3}


def pixels(height, width, channels):
    count = height * width * channels
    rows = [(np.arange(count, dtype=np.int64) * (7919 + 2 * k) + 31 * k) % 251 for k in range(IMAGES)]
    return np.stack(rows).astype(np.uint8).reshape(IMAGES, height, width, channels)


def imagenet(x):
    return (x.astype(np.float32) / 255 - MEAN) / DEVIATION


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def write_case(name, answers, spec, flags=(), note="", certainty=None):
    """spec: what `add` must find out. flags: what it must be given. certainty: how sure it must be of the normalization."""
    os.makedirs(os.path.join(HERE, "answers"), exist_ok=True)
    with open(os.path.join(HERE, "answers", name + ".json"), "w") as file:
        rows = np.asarray(answers, np.float64).reshape(IMAGES, -1).round(7).tolist()
        sure = {} if certainty is None else {"certainty": certainty}
        json.dump({"note": note, "flags": list(flags), "spec": spec, **sure, "answers": rows}, file, indent=1)
        file.write("\n")


def folder(name):
    path = os.path.join(HERE, name)
    os.makedirs(path, exist_ok=True)
    return path
