"""Pillow's side of the image fuzz.

pillow.py seeds IMAGE FOLDER    writes one small file of every kind
pillow.py heic IMAGE FOLDER     writes HEIC files; needs pillow-heif
pillow.py read                  per line of standard input, the path of a file: answers one line, the size and the base64 of 64 x 64 RGB pixels, or '!' and the reason
"""

import base64
import sys
import warnings
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

try:
    import pillow_heif
except ImportError:  # Only needed for HEIC.
    pillow_heif = None

SIDE = 64
Image.MAX_IMAGE_PIXELS = 64_000_000
warnings.simplefilter('ignore')


def seeds(source: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rgb = Image.open(source).convert('RGB').resize((160, 120))
    # Not every format's profile is read by Pillow.
    rgb.info.pop('icc_profile', None)
    grey, palette = rgb.convert('L'), rgb.quantize(64)
    rgba = rgb.copy()
    rgba.putalpha(Image.linear_gradient('L').resize(rgb.size))
    other = ImageOps.invert(rgb)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    part = Image.new('P', (200, 160))
    part.putpalette(palette.getpalette())
    wanted = {
        'baseline.jpg': (rgb, {'quality': 85}),
        'full-color.jpg': (rgb, {'quality': 90, 'subsampling': 0}),
        'progressive.jpg': (rgb, {'quality': 85, 'progressive': True}),
        'grey.jpg': (grey, {'quality': 85}),
        'turned.jpg': (rgb, {'quality': 85, 'exif': exif}),
        'restarts.jpg': (rgb, {'quality': 85, 'restart_marker_rows': 1}),
        'rgb.png': (rgb, {}),
        'rgba.png': (rgba, {}),
        'grey.png': (grey, {}),
        'one-bit.png': (grey.convert('1'), {}),
        'grey-alpha.png': (rgba.convert('LA'), {}),
        'profile.png': (rgb, {'icc_profile': srgb}),
        'profile.jpg': (rgb, {'quality': 85, 'icc_profile': srgb}),
        'profile.webp': (rgb, {'quality': 80, 'icc_profile': srgb}),
        'profile.avif': (rgb, {'quality': 70, 'speed': 10, 'icc_profile': srgb}),
        'profile.tif': (rgb, {'compression': 'tiff_lzw', 'icc_profile': srgb}),
        'two.mpo': (rgb, {'save_all': True, 'append_images': [other]}),
        'palette.png': (palette, {}),
        'sixteen-bits.png': (grey.convert('I').point(lambda value: value * 257).convert('I;16'), {}),
        'animated.png': (rgb, {'save_all': True, 'append_images': [other]}),
        'lossy.webp': (rgb, {'quality': 80}),
        'lossless.webp': (rgb, {'lossless': True}),
        'alpha.webp': (rgba, {'quality': 80}),
        'animated.webp': (rgb, {'save_all': True, 'append_images': [other], 'quality': 80}),
        'still.gif': (palette, {}),
        'animated.gif': (palette, {'save_all': True, 'append_images': [other.quantize(64)]}),
        'still.avif': (rgb, {'quality': 70, 'speed': 10}),
        'alpha.avif': (rgba, {'quality': 70, 'speed': 10}),
        'plain.tif': (rgb, {}),
        'lzw.tif': (rgb, {'compression': 'tiff_lzw'}),
        'deflate.tif': (rgb, {'compression': 'tiff_adobe_deflate'}),
        'packbits.tif': (rgb, {'compression': 'packbits'}),
        'jpeg.tif': (rgb, {'compression': 'jpeg'}),
        'fax.tif': (grey.convert('1'), {'compression': 'group4'}),
        'strips.tif': (rgb, {'compression': 'tiff_lzw', 'tiffinfo': {278: 16}}),
        'rgba.tif': (rgba, {'compression': 'tiff_lzw'}),
        'grey.tif': (grey, {}),
        'palette.tif': (palette, {}),
        'big.tif': (rgb, {'compression': 'tiff_lzw', 'big_tiff': True}),
        # Copies: the JPEG encoder leaves its options with an image.
        'pages.tif': (rgb.copy(), {'compression': 'tiff_lzw', 'save_all': True, 'append_images': [other.copy()]}),
        'rgb.bmp': (rgb, {}),
        'rgba.bmp': (rgba, {}),
        'grey.bmp': (grey, {}),
        'palette.bmp': (palette, {}),
        'one-bit.bmp': (grey.convert('1'), {}),
        'png.ico': (rgba.resize((64, 64)), {'sizes': [(16, 16), (64, 64)]}),
        'bmp.ico': (rgba.resize((64, 64)), {'sizes': [(16, 16), (64, 64)], 'bitmap_format': 'bmp'}),
    }
    for name, (image, options) in wanted.items():
        image.save(folder / name, **options)


def heic_seeds(source: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rgb = Image.open(source).convert('RGB').resize((160, 120))
    rgb.info.clear()
    rgba = rgb.copy()
    rgba.putalpha(Image.linear_gradient('L').resize(rgb.size))
    exif = Image.Exif()
    exif[0x0112] = 6
    wanted = {
        'plain.heic': (rgb, {'quality': 80}),
        'full-color.heic': (rgb, {'quality': 90, 'chroma': 444}),
        'lossless.heic': (rgb, {'quality': -1}),
        'grey.heic': (rgb.convert('L'), {'quality': 80}),
        'alpha.heic': (rgba, {'quality': 80}),
        'turned.heic': (rgb, {'quality': 80, 'exif': exif}),
        'two.heic': (rgb, {'quality': 80, 'save_all': True, 'append_images': [ImageOps.invert(rgb)]}),
    }
    for name, (image, options) in wanted.items():
        image.save(folder / name, **options)


def flatten(image: Image.Image) -> Image.Image:
    if image.mode in ('I', 'I;16', 'I;16B', 'I;16L', 'F'):
        image = image.convert('I').point(lambda value: value / 257).convert('L')
    image = image.convert('RGBA')
    white = Image.new('RGBA', image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert('RGB')


def read() -> None:
    for line in sys.stdin:
        try:
            with Image.open(line.rstrip('\n')) as image:
                image.load()
                turned = ImageOps.exif_transpose(image)
                pixels = flatten(turned).resize((SIDE, SIDE), Image.Resampling.BILINEAR).tobytes()
            answer = f'{image.width}x{image.height} ' + base64.b64encode(pixels).decode()
        except Exception as error:  # Whatever it is, it is a refusal.
            answer = '!' + repr(error).replace('\n', ' ')[:200]
        print(answer, flush=True)


if pillow_heif:
    pillow_heif.register_heif_opener()
if sys.argv[1] == 'seeds':
    seeds(sys.argv[2], Path(sys.argv[3]))
elif sys.argv[1] == 'heic':
    heic_seeds(sys.argv[2], Path(sys.argv[3]))
else:
    read()
