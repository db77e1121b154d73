"""Makes the golden answers: resizes the same pixels with the real libraries.

    pip install -r requirements.txt      (torch, torchvision: requirements-torch.txt, in another environment)
    python make.py pillow opencv tensorflow
    python make.py torchvision

Writes <library>.json beside this file. An answer of 8 bits is kept as its SHA-256; one in floating point as samples: up to
120 of its values, evenly spread, in 64ths.
"""
import base64
import hashlib
import json
import pathlib
import sys

import numpy as np
from pixels import draw

# From width x height to width x height: up, down, both, by whole numbers, one dimension only, and not at all.
SIZES = [
    ((1, 1), (1, 1)),
    ((1, 1), (5, 7)),
    ((2, 2), (1, 1)),
    ((3, 2), (224, 5)),
    ((5000, 37), (224, 224)),
    ((37, 5000), (48, 64)),
    ((500, 375), (341, 256)),
    ((375, 500), (224, 224)),
    ((64, 48), (32, 24)),
    ((96, 60), (32, 20)),
    ((30, 20), (90, 41)),
    ((100, 80), (100, 80)),
    ((100, 80), (100, 37)),
    ((100, 80), (61, 80)),
    ((1, 100), (10, 10)),
    ((640, 480), (299, 299)),
    ((1111, 777), (17, 9)),
    ((256, 256), (224, 224)),
]
WITH_ALPHA = [(500, 375), (30, 20), (100, 80)]
SAMPLES = 120


def golden_of(result: np.ndarray, is_exact: bool) -> dict:
    if is_exact:
        return {"sha256": hashlib.sha256(np.ascontiguousarray(result).tobytes()).hexdigest()}
    values = result.astype(np.float64).ravel()
    step = max(1, len(values) // SAMPLES)
    scaled = np.rint(values[::step] * 64).astype("<i2")
    return {"step": step, "samples": base64.b64encode(scaled.tobytes()).decode()}


def pillow():
    from PIL import Image, __version__

    def resize(name):
        filter = getattr(Image.Resampling, name.upper())

        def run(pixels, size):
            image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
            return np.asarray(image.resize(size, filter))

        return run

    names = ["bilinear", "bicubic", "lanczos", "box", "hamming", "nearest"]
    return f"Pillow {__version__}", {f"pillow-{name}": resize(name) for name in names}


def opencv():
    import cv2

    def resize(flag, use_ipp=True):
        def run(pixels, size):
            cv2.ipp.setUseIPP(use_ipp)
            return cv2.resize(pixels, size, interpolation=flag)

        return run

    return f"OpenCV {cv2.__version__}", {
        "opencv-linear": resize(cv2.INTER_LINEAR),
        "opencv-area": resize(cv2.INTER_AREA),
        "opencv-cubic": resize(cv2.INTER_CUBIC),
        "opencv-cubic-fixed": resize(cv2.INTER_CUBIC, use_ipp=False),
        "opencv-nearest": resize(cv2.INTER_NEAREST),
    }


def tensorflow():
    import tensorflow as tf

    def resize(method, antialias=False):
        return lambda pixels, size: tf.image.resize(pixels, size[::-1], method=method, antialias=antialias).numpy()

    return f"TensorFlow {tf.__version__}", {
        "tensorflow-bilinear": resize("bilinear"),
        "tensorflow-bilinear-antialias": resize("bilinear", True),
        "tensorflow-bicubic": resize("bicubic"),
        "tensorflow-bicubic-antialias": resize("bicubic", True),
        "tensorflow-lanczos3-antialias": resize("lanczos3", True),
        "tensorflow-nearest": resize("nearest"),
        "tensorflow-area": resize("area"),
    }


def torchvision():
    import torch
    import torchvision as tv
    from torchvision.transforms.v2 import functional
    from torchvision.transforms import InterpolationMode as Mode

    def resize(mode, antialias):
        def run(pixels, size):
            tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
            out = functional.resize(tensor, list(size[::-1]), interpolation=mode, antialias=antialias)
            return out.permute(1, 2, 0).numpy()

        return run

    return f"torchvision {tv.__version__}, torch {torch.__version__}", {
        "torchvision-bilinear": resize(Mode.BILINEAR, True),
        "torchvision-bilinear-no-antialias": resize(Mode.BILINEAR, False),
        "torchvision-bicubic": resize(Mode.BICUBIC, True),
        "torchvision-bicubic-no-antialias": resize(Mode.BICUBIC, False),
        "torchvision-nearest": resize(Mode.NEAREST, False),
        "torchvision-nearest-exact": resize(Mode.NEAREST_EXACT, False),
    }


# Rounded to 8 bits from floating point whose last bits depend on the processor: kept as samples.
ROUNDED = {"opencv-cubic", "torchvision-bilinear", "torchvision-bilinear-no-antialias"}
LIBRARIES = {"pillow": pillow, "opencv": opencv, "tensorflow": tensorflow, "torchvision": torchvision}

for library in sys.argv[1:]:
    version, resizers = LIBRARIES[library]()
    cases = []
    for name, run in resizers.items():
        for source, size in SIZES:
            for channels in (1, 3, 4) if source in WITH_ALPHA else (1, 3):
                result = run(draw(*source, channels), size)
                answer = golden_of(result, result.dtype == np.uint8 and name not in ROUNDED)
                cases.append({"resize": name, "from": source, "to": size, "channels": channels, **answer})
    text = ",\n".join("    " + json.dumps(case) for case in cases)
    target = pathlib.Path(__file__).with_name(f"{library}.json")
    target.write_text(f'{{\n  "made with": "{version}",\n  "cases": [\n{text}\n  ]\n}}\n')
    print(f"{target.name}: {len(cases)} cases, {version}")
