"""Writes the HEIC samples of heic.test.ts: 128 x 96 pixels, left red, right blue, the bottom quarter transparent or white. Also
the CMYK samples of cmyk.test.ts, 8 x 8 pixels in many inks, and prints their RGB pixels.

python make.py FOLDER (needs pillow-heif, whose encoder is x265)
"""

import sys
from pathlib import Path

import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()
folder = Path(sys.argv[1])
plain = Image.new('RGB', (128, 96), (255, 0, 0))
plain.paste((0, 0, 255), (64, 0, 128, 96))
plain.paste((255, 255, 255), (0, 72, 128, 96))
clear = plain.convert('RGBA')
clear.paste((0, 0, 0, 0), (0, 72, 128, 96))
options = {'quality': 90, 'chroma': 444}
plain.save(folder / 'plain.heic', **options)
clear.save(folder / 'transparent.heic', **options)

inks = Image.frombytes('CMYK', (8, 8), bytes(i * 37 % 256 for i in range(8 * 8 * 4)))
inks.save(folder / 'cmyk.jpg', quality=95)
inks.save(folder / 'cmyk.tif')
for name in ['cmyk.jpg', 'cmyk.tif']:
    print(name, Image.open(folder / name).convert('RGB').tobytes().hex())
