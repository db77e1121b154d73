/** Turns decoded pixels into a model's input, by the rules of its spec. Server, converter and bench all use it. */
import { type CropPlan, type CropRule, type Library, planCrop } from './crop.ts';
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
/** Each column has weights: of an image of 7,000,000 x 1 they were 500 MB. Columns beyond this bound are averaged likewise. */
const MAX_COLUMNS = 300_000;

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
  const isReduced = exceedsBounds(plan) && smooths(rule.resize);
  // Pillow's resize takes a box and lets the pixels around it take part; the other libraries get a cropped image.
  const resized =
    library === 'pillow' && rule.cover && !isReduced
      ? resizer(seen, plan.size, plan.part, plan.from)
      : resizer(cutReduced(seen, plan, isReduced), plan.size, plan.part);
  const pixels = repeatGray(resized, seen.channels, rule.channels);
  const isFilled = plan.part.width === rule.width && plan.part.height === rule.height;
  return isFilled ? pixels : pad(pixels, { ...plan.part, ...plan.at }, rule);
}

/** No filter reads pixels farther away than this: output pixels if the image shrinks, otherwise its own pixels. */
const MAX_REACH = 4;

/** The part of a source that `fitPixels` reads; its other pixels change nothing in the result. */
export function findSourceArea(source: Size, rule: FitRule): Area {
  const plan = planCrop(source, rule, libraryOf(rule.resize));
  const { from, size, part } = plan;
  if (exceedsBounds(plan)) return { left: 0, top: 0, width: source.width, height: source.height };
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

const exceedsBounds = ({ from, part }: CropPlan): boolean =>
  from.height * part.width > MAX_BETWEEN_PIXELS || from.width > MAX_COLUMNS;

/** The part of an image that is resized, within the bounds if `isReduced`. */
function cutReduced(source: Pixels, { from, part }: CropPlan, isReduced: boolean): Pixels {
  const cut = cutPixels(source, from);
  if (!isReduced) return cut;
  const down = Math.ceil((from.height * part.width) / MAX_BETWEEN_PIXELS);
  return averageBlocks(cut, Math.ceil(from.width / MAX_COLUMNS), down);
}

/** Every `across` x `down` pixels become one. */
function averageBlocks({ data, width, height, channels }: Pixels, across: number, down: number): Pixels {
  const columns = Math.ceil(width / across);
  const rows = Math.ceil(height / down);
  const averaged = new Uint8Array(columns * rows * channels);
  let to = 0;
  for (let row = 0; row < rows; row++) {
    const bottom = Math.min((row + 1) * down, height);
    for (let column = 0; column < columns; column++) {
      const right = Math.min((column + 1) * across, width);
      const count = (bottom - row * down) * (right - column * across);
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (let y = row * down; y < bottom; y++) {
          for (let x = column * across; x < right; x++) sum += data[(y * width + x) * channels + channel]!;
        }
        averaged[to++] = Math.round(sum / count);
      }
    }
  }
  return { data: averaged, width: columns, height: rows, channels };
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
