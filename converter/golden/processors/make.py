"""python make.py NAME   Values that the image processors of transformers give; NAME is that of the file that is written, without .json.

Run it with transformers 4.57.6 (NAME transformers-4) and with 5.24.0 (NAME transformers-5), Pillow 13.0.0. Each case is a preprocessor_config.json as the processor saves it,
and samples of what it makes of the image that ../../../images/resize/golden/pixels.py draws."""
import importlib
import json
import pathlib
import sys
import tempfile

import numpy as np
import transformers
from PIL import Image, __version__

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parents[2] / "images" / "resize" / "golden"))
from pixels import draw  # noqa: E402

# Processors of the models that classify images, by the folder of their module.
CLASSES = {
    "beit": "Beit", "bit": "Bit", "clip": "CLIP", "convnext": "ConvNext", "deit": "DeiT", "efficientnet": "EfficientNet", "flava": "Flava",
    "levit": "Levit", "mobilenet_v1": "MobileNetV1", "mobilenet_v2": "MobileNetV2", "mobilevit": "MobileViT", "perceiver": "Perceiver",
    "poolformer": "PoolFormer", "pvt": "Pvt", "segformer": "Segformer", "siglip": "Siglip", "vit": "ViT",
}
DEFAULTS, CROPPED, SQUARE = {}, {"size": {"shortest_edge": 75}, "crop_size": {"height": 64, "width": 64}, "do_center_crop": True}, {"size": {"height": 48, "width": 48}, "do_center_crop": False}
SIZES = [(140, 100), (75, 111)]
SAMPLES = 60


def values_of(processor, size):
    image = Image.fromarray(draw(*size, 3))
    return np.asarray(processor(images=image, return_tensors="np")["pixel_values"][0], np.float32)


def cases():
    is_four = transformers.__version__.startswith("4")
    for folder, name in CLASSES.items():
        module, ending = (f"image_processing_{folder}", "ImageProcessor") if is_four else (f"image_processing_pil_{folder}", "ImageProcessorPil")
        maker = getattr(importlib.import_module(f"transformers.models.{folder}.{module}"), name + ending)
        for options in (DEFAULTS, CROPPED, SQUARE):
            try:
                processor = maker(**options)
                results = [values_of(processor, size) for size in SIZES]
            except Exception as error:  # Not every processor takes every option.
                print(f"{name} {options}: {type(error).__name__}")
                continue
            with tempfile.TemporaryDirectory() as scratch:
                processor.save_pretrained(scratch)
                config = json.loads((pathlib.Path(scratch) / "preprocessor_config.json").read_text())
            for size, result in zip(SIZES, results):
                flat = result.ravel()
                step = max(1, flat.size // SAMPLES)
                yield {"config": config, "from": size, "shape": result.shape, "step": step, "samples": flat[::step].astype(np.float64).round(5).tolist()}


made = list(cases())
text = ",\n".join("    " + json.dumps(case) for case in made)
(HERE / f"{sys.argv[1]}.json").write_text(f'{{\n  "made with": "transformers {transformers.__version__}, Pillow {__version__}",\n  "cases": [\n{text}\n  ]\n}}\n')
print(len(made), "cases")
