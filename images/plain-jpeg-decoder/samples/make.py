"""Writes small JPEGs that sharp cannot write, and the digests of Pillow's pixels: python images/plain-jpeg-decoder/samples/make.py"""

import hashlib
import json
import pathlib

import numpy as np
from PIL import Image, __version__, features

FOLDER = pathlib.Path(__file__).parent
KINDS = {
    "420": {"subsampling": "4:2:0"},
    "422": {"subsampling": "4:2:2"},
    "444": {"subsampling": "4:4:4"},
    "420-restarts": {"subsampling": "4:2:0", "restart_marker_blocks": 1},
    "422-restarts": {"subsampling": "4:2:2", "restart_marker_rows": 1},
    "coarse": {"subsampling": "4:2:0", "quality": 5},
    "fine": {"subsampling": "4:2:0", "quality": 100},
    "gray": {},
}
SIZES = [(5, 1), (8, 8), (17, 16), (33, 50), (95, 61)]


def draw(width: int, height: int, channels: int) -> np.ndarray:
    """Smooth colors, with noise in one half."""
    rng = np.random.default_rng(width * 1000 + height)
    y, x = np.mgrid[0:height, 0:width]
    waves = [127 + 127 * np.sin(x / (7 + 3 * channel) + y / (11 - 2 * channel)) for channel in range(channels)]
    pixels = np.stack(waves, -1)
    noise = rng.integers(0, 256, pixels.shape)
    return np.where((x < width // 2)[..., None], pixels, noise).astype(np.uint8)


digests = {}
for kind, options in KINDS.items():
    for width, height in SIZES:
        pixels = draw(width, height, 1 if kind == "gray" else 3)
        path = FOLDER / f"{kind}-{width}x{height}.jpg"
        Image.fromarray(pixels[..., 0] if kind == "gray" else pixels).save(path, **{"quality": 90, **options})
        digests[path.name] = hashlib.sha256(np.asarray(Image.open(path)).tobytes()).hexdigest()

versions = f"Pillow {__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}"
(FOLDER / "pixels.json").write_text(json.dumps({"versions": versions, "sha256": digests}, indent=2) + "\n")
