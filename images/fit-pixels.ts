/** Turns decoded pixels into a model's input, by the rules of its spec. Server, converter and bench all use it. */
import { type CropRule, type Library, planCrop } from './crop.ts';
import { type Area, cutPixels, type Pixels, type Size } from './resize/pixels.ts';
import type { ResizeName } from './resize/resize-names.ts';
import { RESIZERS } from './resize/resizers.ts';

export interface FitRule extends CropRule {
  channels: 1 | 3 | 4;
  resize: ResizeName;
}

/**
 * The first pass makes every row as wide as the result. Of an absurdly tall image, say 3 x 20,000,000, that would be gigabytes and
 * minutes: rows beyond this bound are averaged first, and the result no longer equals the library's bytes.
 */
const MAX_BETWEEN_PIXELS = 6_000_000;

export const libraryOf = (resize: ResizeName): Library =>
  resize.split('-', 1)[0]?.replace('pillow11', 'pillow') as Library;

/**
 * Crops and resizes a decoded image for a model.
 * @param source upright sRGB; RGBA for a model of four channels, otherwise without transparency
 * @returns uint8, rule.height x rule.width x rule.channels
 */
export function fitPixels(source: Pixels, rule: FitRule): Uint8Array {
  const library = libraryOf(rule.resize);
  const plan = planCrop(source, rule, library);
  const resizer = RESIZERS[rule.resize];
  const seen = rule.channels === 1 ? toGray(source, library) : source;
  const reduction = smooths(rule.resize) ? Math.ceil((plan.from.height * plan.part.width) / MAX_BETWEEN_PIXELS) : 1;
  // Pillow's resize takes a box and lets the pixels around it take part; the other libraries get a cropped image.
  const resized =
    library === 'pillow' && rule.cover && reduction === 1
      ? resizer(seen, plan.size, plan.part, plan.from)
      : resizer(averageRows(cutPixels(seen, plan.from), reduction), plan.size, plan.part);
  const pixels = repeatGray(resized, seen.channels, rule.channels);
  const isFilled = plan.part.width === rule.width && plan.part.height === rule.height;
  return isFilled ? pixels : pad(pixels, { ...plan.part, ...plan.at }, rule);
}

/** No filter reads pixels farther away than this: output pixels if the image shrinks, otherwise its own pixels. */
const MAX_REACH = 4;

/** The part of a source that `fitPixels` reads; its other pixels change nothing in the result. */
export function findSourceArea(source: Size, rule: FitRule): Area {
  const { from, size, part } = planCrop(source, rule, libraryOf(rule.resize));
  const isAveraged = from.height * part.width > MAX_BETWEEN_PIXELS;
  if (isAveraged) return { left: 0, top: 0, width: source.width, height: source.height };
  const find = (start: number, length: number, scale: number, origin: number, end: number) => {
    const reach = MAX_REACH * Math.max(scale, 1) + 1;
    const first = Math.max(Math.floor(origin + start * scale - reach), 0);
    return [first, Math.min(Math.ceil(origin + (start + length) * scale + reach), end) - first] as const;
  };
  const [left, width] = find(part.left, part.width, from.width / size.width, from.left, source.width);
  const [top, height] = find(part.top, part.height, from.height / size.height, from.top, source.height);
  return { left, top, width, height };
}

/** Whether a resize reads every pixel of an image that it shrinks. */
const smooths = (resize: ResizeName): boolean =>
  /^(pillow(11)?|transformers)-(?!nearest)|^torchvision-(bilinear|bicubic)$|-area$|\d?-antialias$/.test(resize) &&
  !resize.includes('no-');

/** Every `count` rows become one. */
function averageRows({ data, width, height, channels }: Pixels, count: number): Pixels {
  if (count <= 1) return { data, width, height, channels };
  const rowBytes = width * channels;
  const rows = Math.ceil(height / count);
  const averaged = new Uint8Array(rows * rowBytes);
  for (let row = 0; row < rows; row++) {
    const end = Math.min((row + 1) * count, height);
    for (let at = 0; at < rowBytes; at++) {
      let sum = 0;
      for (let y = row * count; y < end; y++) sum += data[y * rowBytes + at]!;
      averaged[row * rowBytes + at] = Math.round(sum / (end - row * count));
    }
  }
  return { data: averaged, width, height: rows, channels };
}

/** ITU-R BT.601, in the fixed point of the library. Gray stays as it is. */
export function toGray(source: Pixels, library: Library): Pixels {
  const { data, width, height, channels } = source;
  if (channels === 1) return source;
  const gray = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < gray.length; i++, at += channels) {
    const [red, green, blue] = [data[at]!, data[at + 1]!, data[at + 2]!];
    gray[i] =
      library === 'opencv'
        ? (red * 9798 + green * 19235 + blue * 3735 + 0x4000) >> 15
        : (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
  }
  return { data: gray, width, height, channels: 1 };
}

/** Gray becomes three equal channels. */
function repeatGray(data: Uint8Array, from: number, to: number): Uint8Array {
  if (from === to) return data;
  const repeated = new Uint8Array(data.length * to);
  for (let i = 0; i < data.length; i++) repeated.fill(data[i]!, i * to, i * to + 3);
  if (to === 4) for (let at = 3; at < repeated.length; at += 4) repeated[at] = 255;
  return repeated;
}

function pad(data: Uint8Array, place: Area, { width, height, channels, padColor = '#000000' }: FitRule): Uint8Array {
  const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(padColor.slice(at, at + 2), 16)) as [
    number,
    number,
    number,
  ];
  const color = { data: Uint8Array.of(red, green, blue, 255), width: 1, height: 1, channels: 4 as const };
  const filling = channels === 1 ? toGray(color, 'pillow').data : color.data.subarray(0, channels);
  const result = Buffer.alloc(width * height * channels, filling);
  const rowBytes = place.width * channels;
  for (let y = 0; y < place.height; y++) {
    const to = ((place.top + y) * width + place.left) * channels;
    result.set(data.subarray(y * rowBytes, (y + 1) * rowBytes), to);
  }
  return result;
}
