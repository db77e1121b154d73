"""python make_timm.py   Values that timm's evaluation transforms give, as make.py writes them; with timm 1.0.31 and Pillow 13.0.0."""
import json
import pathlib
import sys

import numpy as np
import timm
from PIL import Image, __version__
from timm.data import create_transform, resolve_data_config

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parents[2] / "images" / "resize" / "golden"))
from pixels import draw  # noqa: E402

SIZES = [(140, 100), (75, 111), (97, 301)]
SAMPLES = 60
HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
CONFIGS = [
    {},
    {"input_size": (3, 64, 64), "crop_pct": 0.9, "interpolation": "bicubic"},
    {"input_size": (3, 64, 64), "crop_pct": 0.95, "interpolation": "bilinear", **HALF},
    {"input_size": (3, 64, 64), "crop_pct": 1.0, "interpolation": "bicubic", **HALF},
    {"input_size": (3, 57, 57), "crop_pct": 0.875, "interpolation": "lanczos"},
    {"input_size": (3, 64, 64), "crop_pct": 0.9, "crop_mode": "squash", "interpolation": "bicubic"},
    {"input_size": (3, 64, 64), "crop_pct": 1.0, "crop_mode": "squash", "interpolation": "bicubic"},
    {"input_size": (3, 64, 64), "crop_pct": 0.9, "crop_mode": "border", "interpolation": "bicubic"},
    {"input_size": (3, 48, 64), "crop_pct": 0.9, "interpolation": "bilinear"},
    {"input_size": (3, 64, 64), "crop_pct": 0.9, "interpolation": "nearest"},
    {"input_size": (3, 64, 64), "crop_pct": 0.9, "interpolation": "random"},
    {"input_size": (3, 64, 64), "crop_pct": 0.9, "test_input_size": (3, 80, 80), "test_crop_pct": 1.0},
    # Its defaults: 224, 0.875, bicubic, ImageNet's mean and deviation.
    {"input_size": (3, 64, 64)},
    {"crop_pct": 0.95},
    {"interpolation": "bilinear", "crop_mode": "squash"},
]

made = []
for config in CONFIGS:
    try:
        transform = create_transform(**resolve_data_config(pretrained_cfg=config), is_training=False)
        results = [np.asarray(transform(Image.fromarray(draw(*size, 3))), np.float32) for size in SIZES]
    except Exception as error:
        print(config, type(error).__name__, str(error)[:80])
        continue
    for size, result in zip(SIZES, results):
        flat = result.ravel()
        step = max(1, flat.size // SAMPLES)
        made.append({"config": {"pretrained_cfg": config}, "from": size, "shape": result.shape, "step": step, "samples": flat[::step].astype(np.float64).round(5).tolist()})
text = ",\n".join("    " + json.dumps(case) for case in made)
(HERE / "timm.json").write_text(f'{{\n  "made with": "timm {timm.__version__}, Pillow {__version__}",\n  "cases": [\n{text}\n  ]\n}}\n')
print(len(made), "cases")
