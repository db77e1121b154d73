/**
 * Which part of an image a model sees, and to what size it is resized: the rules of `input` in a model's spec, with the
 * rounding of the library that `input.resize` names.
 */
import type { Area, Size } from './resize/pixels.ts';
import { roundHalfToEven } from './resize/rounding.ts';

/**
 * Without any of the optional fields, the whole image is stretched to width x height. Set at most one of them, or two together:
 * `shortSide` with `padColor`, or `cover` with `cropFraction`.
 */
export interface CropRule extends Size {
  /** The short side is resized to this, then the center is cropped. With `padColor` it may be too short: the rest is filled. */
  shortSide?: number | undefined;
  /** The whole image is stretched to a square of this side, then the center is cropped: DeiT's image processor. */
  stretchTo?: number | undefined;
  /**
   * This share of each side, around the center, is cut out, then stretched: `tf.image.central_crop`. With `cover`, it is a share of
   * the largest part that fits: Perceiver's image processor.
   */
  cropFraction?: number | undefined;
  /** The largest centered part with the model's proportions is cut out, then resized: Keras' `keep_aspect_ratio`. */
  cover?: boolean | undefined;
  /** The whole image is fitted in, and the rest filled with this color, `#rrggbb`: letterbox. */
  padColor?: string | undefined;
}

export interface CropPlan {
  /** The part of the source that is resized. */
  from: Area;
  /** What that part is resized to. */
  size: Size;
  /** The part of the resized image that the model sees. */
  part: Area;
  /** The position of that part in the model's input, if it does not fill it. */
  at: { left: number; top: number };
}

export type Library = 'pillow' | 'transformers' | 'opencv' | 'tensorflow' | 'tfjs' | 'torchvision' | 'canvas';

/**
 * Plans which part of an image is resized to what, and which part of that the model sees.
 * @param source the size of the upright image, in pixels
 * @param library whose rounding of sizes and offsets is followed
 */
export function planCrop(source: Size, rule: CropRule, library: Library): CropPlan {
  const { width, height } = rule;
  const whole = { left: 0, top: 0, ...source };
  const target = { width, height };
  if (rule.padColor !== undefined && rule.shortSide === undefined) {
    const { left, top, ...size } = fitInside(source, target, library);
    return { from: whole, size, part: { left: 0, top: 0, ...size }, at: { left, top } };
  }
  const at = { left: 0, top: 0 };
  if (rule.shortSide !== undefined) {
    const size = resizeShortSide(source, rule.shortSide, library);
    return { from: whole, size, ...centerWithin(size, target, library) };
  }
  if (rule.stretchTo !== undefined) {
    const size = { width: rule.stretchTo, height: rule.stretchTo };
    return { from: whole, size, part: centerOf(size, target, library), at };
  }
  const part = { ...at, ...target };
  if (rule.cover && rule.cropFraction !== undefined)
    return { from: cutShare(source, target, rule.cropFraction), size: target, part, at };
  if (rule.cropFraction !== undefined) return { from: cutFraction(source, rule.cropFraction), size: target, part, at };
  if (rule.cover) return { from: cutProportions(source, target), size: target, part, at };
  return { from: whole, size: target, part, at };
}

/** The size at which the short side has that length. */
function resizeShortSide({ width, height }: Size, shortSide: number, library: Library): Size {
  const short = Math.min(width, height);
  const resize = (side: number): number => {
    switch (library) {
      case 'canvas':
        // As Teachable Machine's library computes it.
        return Math.ceil(side * (shortSide / short));
      case 'tensorflow':
        // As TensorFlow's model garden does: single precision, truncated; but the short side is never shorter.
        return Math.max(Math.trunc(Math.fround(side * Math.fround(shortSide / short))), shortSide);
      case 'pillow':
      case 'transformers':
      case 'torchvision':
      case 'opencv':
      case 'tfjs':
        return Math.trunc((shortSide * side) / short);
      default:
        return library satisfies never;
    }
  };
  return { width: resize(width), height: resize(height) };
}

function centerOf(size: Size, target: Size, library: Library): Area {
  // torchvision's CenterCrop rounds half to even, the others truncate.
  const halve = library === 'pillow' || library === 'torchvision' ? roundHalfToEven : Math.trunc;
  return { left: halve((size.width - target.width) / 2), top: halve((size.height - target.height) / 2), ...target };
}

/** The center of an image that may be smaller than the target in one dimension or both. */
function centerWithin(size: Size, target: Size, library: Library): Pick<CropPlan, 'part' | 'at'> {
  const seen = { width: Math.min(size.width, target.width), height: Math.min(size.height, target.height) };
  // Where a pixel is left over, transformers put it in front of the image, torchvision behind.
  const halve = library === 'transformers' ? Math.ceil : Math.floor;
  const at = { left: halve((target.width - seen.width) / 2), top: halve((target.height - seen.height) / 2) };
  return { part: centerOf(size, seen, library), at };
}

/** A share of the largest square, or of a part with the model's proportions, around the center. */
function cutShare(source: Size, target: Size, share: number): Area {
  const { width, height } = cutProportions(source, target);
  const size = { width: Math.max(Math.trunc(share * width), 1), height: Math.max(Math.trunc(share * height), 1) };
  return { left: (source.width - size.width) >> 1, top: (source.height - size.height) >> 1, ...size };
}

function cutFraction(source: Size, fraction: number): Area {
  const left = Math.trunc((source.width - source.width * fraction) / 2);
  const top = Math.trunc((source.height - source.height * fraction) / 2);
  return { left, top, width: source.width - 2 * left, height: source.height - 2 * top };
}

function cutProportions(source: Size, target: Size): Area {
  const width = Math.max(Math.min(source.width, Math.floor((source.height * target.width) / target.height)), 1);
  const height = Math.max(Math.min(source.height, Math.floor((source.width * target.height) / target.width)), 1);
  return { left: (source.width - width) >> 1, top: (source.height - height) >> 1, width, height };
}

/** The largest size with the source's proportions, and its position in the target. */
function fitInside(source: Size, target: Size, library: Library): Area {
  const { width, height } = source;
  switch (library) {
    case 'tensorflow': {
      // tf.image.resize_with_pad: single precision, truncated.
      const { fround } = Math;
      const ratio = Math.max(fround(width / target.width), fround(height / target.height));
      const fitted = { width: fround(width / ratio), height: fround(height / ratio) };
      return {
        width: Math.max(Math.floor(fitted.width), 1),
        height: Math.max(Math.floor(fitted.height), 1),
        left: Math.max(Math.floor(fround((target.width - fitted.width) / 2)), 0),
        top: Math.max(Math.floor(fround((target.height - fitted.height) / 2)), 0),
      };
    }
    case 'pillow':
    case 'transformers':
    case 'torchvision':
    case 'opencv':
    case 'tfjs':
    case 'canvas': {
      // ImageOps.pad: the longer side fills the target; the other one and its position are rounded.
      const isWider = width / height > target.width / target.height;
      const fitted = isWider
        ? { width: target.width, height: Math.max(roundHalfToEven((height / width) * target.width), 1) }
        : { width: Math.max(roundHalfToEven((width / height) * target.height), 1), height: target.height };
      return {
        ...fitted,
        left: roundHalfToEven((target.width - fitted.width) / 2),
        top: roundHalfToEven((target.height - fitted.height) / 2),
      };
    }
    default:
      return library satisfies never;
  }
}
