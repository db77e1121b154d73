"""Makes the golden answers: resizes the same pixels with the real libraries.

    pip install -r requirements.txt      (torch, torchvision: requirements-torch.txt, in another environment)
    python make.py pillow opencv tensorflow keras-crops opencv-crops samples
    python make.py torchvision torchvision-crops transformers-crops
    python make.py pillow11              (after pip install pillow==11.3.0)

Writes one .json per name next to this file. An answer of 8 bits is kept as its SHA-256; one in floating point as samples: up to
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
# So wide that the library's positions in single precision are visibly off. All values of such an answer are kept.
WIDE = {"tensorflow": [((4810, 1), (105, 1)), ((1823, 1), (83, 1))]}
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
    # Versions before 12 use another order: run this with one version of each.
    is_old = int(__version__.split(".")[0]) < 12
    prefix, names = ("pillow11", names[:-1]) if is_old else ("pillow", names)
    return f"Pillow {__version__}", {f"{prefix}-{name}": resize(name) for name in names}


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


CROP_SIZES = [(500, 375), (375, 500), (301, 224), (97, 640), (224, 301), (90, 61)]


def keras_crops():
    """The rules of cropping of Keras, Pillow's ImageOps and TensorFlow."""
    import tempfile

    import tensorflow as tf
    from PIL import Image, ImageOps, __version__

    def load_img(pixels, rule):
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            Image.fromarray(pixels).save(file.name)
            size = (rule["height"], rule["width"])
            mode = "grayscale" if rule["channels"] == 1 else "rgb"
            options = {"interpolation": rule["resize"].split("-")[1], "keep_aspect_ratio": rule.get("cover", False)}
            return np.asarray(tf.keras.utils.load_img(file.name, color_mode=mode, target_size=size, **options))

    def pad(pixels, rule):
        size = (rule["width"], rule["height"])
        return np.asarray(ImageOps.pad(Image.fromarray(pixels), size, Image.Resampling.BICUBIC, color=rule["padColor"]))

    def central_crop(pixels, rule):
        cut = tf.image.central_crop(pixels, rule["cropFraction"])
        return tf.image.resize(cut, (rule["height"], rule["width"])).numpy()

    def smart_resize(pixels, rule):
        return tf.keras.preprocessing.image.smart_resize(pixels, (rule["height"], rule["width"]))

    def resize_with_pad(pixels, rule):
        return tf.image.resize_with_pad(pixels, rule["height"], rule["width"]).numpy()

    return f"TensorFlow {tf.__version__}, Pillow {__version__}", [
        (load_img, {"resize": "pillow-nearest", "width": 224, "height": 224}),
        (load_img, {"resize": "pillow-bilinear", "width": 96, "height": 96, "channels": 1}),
        (load_img, {"resize": "pillow-bilinear", "width": 224, "height": 224, "cover": True}),
        (load_img, {"resize": "pillow-lanczos", "width": 120, "height": 50, "cover": True}),
        (pad, {"resize": "pillow-bicubic", "width": 224, "height": 224, "padColor": "#7b6850"}),
        (pad, {"resize": "pillow-bicubic", "width": 99, "height": 150, "padColor": "#000000"}),
        (central_crop, {"resize": "tensorflow-bilinear", "width": 224, "height": 224, "cropFraction": 0.875}),
        (central_crop, {"resize": "tensorflow-bilinear", "width": 64, "height": 48, "cropFraction": 0.5}),
        (smart_resize, {"resize": "tensorflow-bilinear", "width": 224, "height": 224, "cover": True}),
        (resize_with_pad, {"resize": "tensorflow-bilinear", "width": 224, "height": 224, "padColor": "#000000"}),
        (resize_with_pad, {"resize": "tensorflow-bilinear", "width": 99, "height": 150, "padColor": "#000000"}),
    ]


def opencv_crops():
    """Grey, the short side with a center crop as MLPerf's reference code does it with OpenCV, and the center square of old ultralytics."""
    import cv2

    def grey(pixels, rule):
        return cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), (rule["width"], rule["height"]))

    def short_side(pixels, rule):
        height, width, _ = pixels.shape
        short, side = min(width, height), rule["shortSide"]
        resized = cv2.resize(pixels, (int(side * width / short), int(side * height / short)), interpolation=cv2.INTER_AREA)
        left, top = int((resized.shape[1] - rule["width"]) / 2), int((resized.shape[0] - rule["height"]) / 2)
        return resized[top : top + rule["height"], left : left + rule["width"]]

    def center_square(pixels, rule):
        """`CenterCrop` of ultralytics before 8.0.233."""
        height, width = pixels.shape[:2]
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2
        return cv2.resize(pixels[top : top + short, left : left + short], (rule["width"], rule["height"]), interpolation=cv2.INTER_LINEAR)

    return f"OpenCV {cv2.__version__}", [
        (grey, {"resize": "opencv-linear", "width": 28, "height": 28, "channels": 1}),
        (short_side, {"resize": "opencv-area", "width": 224, "height": 224, "shortSide": 256}),
        (center_square, {"resize": "opencv-linear", "width": 224, "height": 224, "cover": True}),
    ]


def torchvision_crops():
    """torchvision's usual evaluation transforms, on PIL images and on tensors."""
    import torch
    import torchvision as tv
    from PIL import Image, __version__
    from torchvision.transforms import InterpolationMode as Mode
    from torchvision.transforms import v2

    def transform(rule):
        mode = Mode(rule["resize"].split("-")[1])
        return v2.Compose([v2.Resize(rule["shortSide"], mode), v2.CenterCrop((rule["height"], rule["width"]))])

    def pil(pixels, rule):
        return np.asarray(transform(rule)(Image.fromarray(pixels)))

    def tensor(pixels, rule):
        return transform(rule)(torch.from_numpy(pixels).permute(2, 0, 1)).permute(1, 2, 0).numpy()

    return f"torchvision {tv.__version__}, torch {torch.__version__}, Pillow {__version__}", [
        (pil, {"resize": "pillow-bilinear", "width": 224, "height": 224, "shortSide": 256}),
        (pil, {"resize": "pillow-bicubic", "width": 224, "height": 224, "shortSide": 235}),
        (pil, {"resize": "pillow-bilinear", "width": 75, "height": 43, "shortSide": 90}),
        (pil, {"resize": "pillow-bilinear", "width": 128, "height": 97, "shortSide": 75, "padColor": "#000000"}),
        (tensor, {"resize": "torchvision-bilinear", "width": 224, "height": 224, "shortSide": 256}),
        (tensor, {"resize": "torchvision-bicubic", "width": 224, "height": 224, "shortSide": 235}),
    ]


def transformers_crops():
    """Image processors of Hugging Face's transformers that resize with Pillow."""
    import transformers
    from PIL import Image, __version__
    from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
    from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
    from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
    from transformers.models.mobilevit.image_processing_pil_mobilevit import MobileViTImageProcessorPil
    from transformers.models.perceiver.image_processing_pil_perceiver import PerceiverImageProcessorPil
    from transformers.models.poolformer.image_processing_pil_poolformer import PoolFormerImageProcessorPil

    bytes_only = {"do_rescale": False, "do_normalize": False}

    def run_by(processor):
        def run(pixels, rule):
            values = processor(images=Image.fromarray(pixels), return_tensors="np")["pixel_values"][0]
            return np.moveaxis(values, 0, -1).astype(np.uint8)

        return run

    bilinear = {**bytes_only, "resample": Image.Resampling.BILINEAR}
    bit = BitImageProcessorPil(size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224}, **bilinear)
    wide = BitImageProcessorPil(size={"shortest_edge": 90}, crop_size={"height": 43, "width": 75}, **bytes_only)
    convnext = ConvNextImageProcessorPil(size={"shortest_edge": 224}, crop_pct=0.95, **bytes_only)
    deit = DeiTImageProcessorPil(**bytes_only)
    odd = DeiTImageProcessorPil(size={"height": 255, "width": 255}, **bilinear)
    poolformer = PoolFormerImageProcessorPil(crop_pct=0.9, **bytes_only)
    perceiver = PerceiverImageProcessorPil(**bytes_only)
    uneven = PerceiverImageProcessorPil(size={"height": 193, "width": 193}, crop_size={"height": 211, "width": 211}, **bilinear)
    mobilevit = MobileViTImageProcessorPil(do_flip_channel_order=False, **bilinear)
    filled = MobileViTImageProcessorPil(size={"shortest_edge": 75}, crop_size={"height": 96, "width": 128}, do_flip_channel_order=False, **bilinear)
    size = {"width": 224, "height": 224}
    return f"transformers {transformers.__version__}, Pillow {__version__}", [
        (run_by(bit), {"resize": "transformers-bilinear", **size, "shortSide": 256}),
        (run_by(wide), {"resize": "transformers-bicubic", "width": 75, "height": 43, "shortSide": 90}),
        (run_by(convnext), {"resize": "transformers-bicubic", **size, "shortSide": 235}),
        (run_by(poolformer), {"resize": "transformers-bicubic", **size, "shortSide": 248}),
        (run_by(deit), {"resize": "transformers-bicubic", **size, "stretchTo": 256}),
        (run_by(odd), {"resize": "transformers-bilinear", **size, "stretchTo": 255}),
        (run_by(perceiver), {"resize": "transformers-bicubic", **size, "cover": True, "cropFraction": 224 / 256}),
        (run_by(uneven), {"resize": "transformers-bilinear", "width": 193, "height": 193, "cover": True, "cropFraction": 193 / 211}),
        (run_by(mobilevit), {"resize": "transformers-bilinear", "width": 256, "height": 256, "shortSide": 224, "padColor": "#000000"}),
        (run_by(filled), {"resize": "transformers-bilinear", "width": 128, "height": 96, "shortSide": 75, "padColor": "#000000"}),
    ]


def samples():
    """Whole files, decoded and resized as a notebook with Pillow does it: Keras' load_img, torchvision's transforms."""
    from PIL import Image, __version__

    folder = pathlib.Path(__file__).parents[3] / "models" / "samples"
    answers = []
    for file in sorted(folder.glob("*.[jp][pn]g")):
        image = Image.open(file).convert("RGB")
        stretched = np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR))
        answers.append({"file": file.name, "resize": "pillow-bilinear", **golden_of(stretched, True)})
    return f"Pillow {__version__}", answers


# Rounded to 8 bits from floating point whose last bits depend on the processor: kept as samples.
ROUNDED = {"opencv-cubic", "torchvision-bilinear", "torchvision-bilinear-no-antialias"}
LIBRARIES = {"pillow": pillow, "pillow11": pillow, "opencv": opencv, "tensorflow": tensorflow, "torchvision": torchvision}
CROPS = {"keras-crops": keras_crops, "opencv-crops": opencv_crops, "torchvision-crops": torchvision_crops, "transformers-crops": transformers_crops}


def write(name: str, version: str, cases: list) -> None:
    text = ",\n".join("    " + json.dumps(case) for case in cases)
    target = pathlib.Path(__file__).with_name(f"{name}.json")
    target.write_text(f'{{\n  "made with": "{version}",\n  "cases": [\n{text}\n  ]\n}}\n')
    print(f"{target.name}: {len(cases)} cases, {version}")


def answer_of(resize: str, result: np.ndarray) -> dict:
    return golden_of(result, result.dtype == np.uint8 and resize not in ROUNDED)


for name in sys.argv[1:]:
    cases = []
    if name == "samples":
        version, cases = samples()
    elif name in CROPS:
        version, crops = CROPS[name]()
        for run, rule in crops:
            rule.setdefault("channels", 3)
            for source in CROP_SIZES:
                cases.append({"rule": rule, "from": source, **answer_of(rule["resize"], run(draw(*source, 3), rule))})
    else:
        version, resizers = LIBRARIES[name]()
        for resize, run in resizers.items():
            for source, size in SIZES + WIDE.get(name, []):
                for channels in (1, 3, 4) if source in WITH_ALPHA else (1, 3):
                    answer = answer_of(resize, run(draw(*source, channels), size))
                    cases.append({"resize": resize, "from": source, "to": size, "channels": channels, **answer})
    write(name, version, cases)
