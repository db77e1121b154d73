"""Shared by all peers: the preparation of images, the ONNX file and the answer."""

import io
import json
import os

import numpy as np
from PIL import Image

LABELS = json.loads(os.environ["LABELS"])


def prepare(data: bytes) -> np.ndarray:
    """Short side to 256, centre crop 224, uint8 RGB."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    scale = 256 / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224)))


class Model:
    def __init__(self) -> None:
        self.session = None
        if os.environ.get("NULL") == "1":
            self.constant = np.full(len(LABELS), 1 / len(LABELS), np.float32)
            return
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = os.cpu_count() or 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def run(self, images: np.ndarray) -> np.ndarray:
        """uint8 [N,224,224,3] to probabilities [N,classes]."""
        if self.session is None:
            return np.tile(self.constant, (len(images), 1))
        return self.session.run(["probabilities"], {self.name: images})[0]


def answer(probabilities: np.ndarray) -> dict:
    best = np.argsort(probabilities)[::-1][:5]
    return {"labels": [{"name": LABELS[i], "index": int(i), "score": float(probabilities[i])} for i in best]}
