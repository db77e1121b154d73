import sharp, { type Sharp, type SharpOptions } from 'sharp';
import { hasDamagedProfile } from '../color/damaged-profile.ts';
import { hasSrgbProfile } from '../color/srgb-profile.ts';
import { needsToneMap } from '../color/tone-map.ts';
import type { AvifFacts, IcoFacts, ImageFacts, JpegFacts, TiffFacts } from '../inspect/image-facts.ts';
import { refuseDamage } from '../inspect/refusals.ts';
import { decodeBmp } from './formats/bmp.ts';
import { decodeCmyk } from './formats/cmyk.ts';
import { coversCanvas, cutToFirstFrame, decodeOnCanvas } from './formats/gif.ts';
import { hasAllPixels } from './formats/gif-data.ts';
import { decodeHdr } from './formats/hdr.ts';
import { canDecodeHeic, decodeHeic, refuseHeic } from './formats/heic.ts';
import { decodeIconBitmap } from './formats/ico.ts';
import { closeJpeg } from './formats/jpeg-end-marker.ts';
import { cutSecondPicture } from './formats/jpeg-second-picture.ts';
import { openRaw } from './formats/raw-image.ts';
import { decodeTiff, decodeTurnedJpeg, fixOrientation, isCmykTiff, isPlainTiff, isTurnedJpeg } from './formats/tiff.ts';
import { wrapTiff } from './formats/wrap-tiff.ts';

/** A decoder that takes longer is stuck. Some decoders cannot be interrupted: expensive images are decoded in a process that can be ended. */
const DECODE_LIMIT_SECONDS = 30;

export interface OpenOptions {
  /** Ignore a color profile, in the formats in which libraries ignore it. */
  ignoreIcc: boolean;
  /** The decoder's warnings that make it fail. */
  failOn: 'warning' | 'error';
}

/**
 * Opens a file as a pipeline that yields its pixels, not yet rotated upright, composited on white or converted to sRGB. Formats that the
 * library does not read, or reads incorrectly, are decoded here.
 * @param facts what `inspectImage` read, after `checkLimits`
 * @throws InferqlError UNSUPPORTED_FORMAT or CORRUPT; RangeError and the library's errors for damage
 */
export async function openImage(
  file: Buffer,
  facts: ImageFacts,
  wanted: OpenOptions = { ignoreIcc: false, failOn: 'error' },
): Promise<Sharp> {
  if (!facts.isWhole) throw refuseDamage();
  const options = { ...wanted, ignoreIcc: wanted.ignoreIcc || hasDamagedProfile(file, facts) };
  switch (facts.format) {
    case 'jpeg':
      return openJpeg(file, facts, options);
    case 'png':
      return needsToneMap(facts.color)
        ? openRaw(await decodeHdr(openPlain(file), facts.color))
        : openPlain(file, options);
    case 'webp':
      return openPlain(file, options);
    case 'gif': {
      if (!hasAllPixels(file, facts.dataAt, facts.frame.width * facts.frame.height)) throw refuseDamage();
      const frame = openPlain(cutToFirstFrame(file, facts));
      return coversCanvas(facts) ? frame : openRaw(await decodeOnCanvas(frame, facts));
    }
    case 'avif':
      return openAvif(file, facts, options);
    case 'heic':
      return openHeic(file);
    case 'tiff':
      return openTiff(file, facts, options);
    case 'bmp':
      return openRaw(decodeBmp(file));
    case 'ico':
      return openIco(file, facts, options);
    default:
      return facts satisfies never;
  }
}

/** The size was already compared with the limit; the library's limits are smaller than ours for some formats. */
const OPTIONS: SharpOptions = { failOn: 'error', limitInputPixels: false, sequentialRead: true };

function openPlain(file: Buffer, options: SharpOptions = {}): Sharp {
  const ignoreIcc = options.ignoreIcc || hasSrgbProfile(file);
  const image = sharp(file, { ...OPTIONS, ...options, ignoreIcc });
  return image.timeout({ seconds: DECODE_LIMIT_SECONDS });
}

async function openJpeg(file: Buffer, { hasEndMarker, isCmyk }: JpegFacts, options: OpenOptions): Promise<Sharp> {
  const image = openPlain(cutSecondPicture(hasEndMarker ? file : closeJpeg(file)), options);
  return isCmyk && options.ignoreIcc ? openRaw(await decodeCmyk(image)) : image;
}

async function openAvif(file: Buffer, { color }: AvifFacts, options: OpenOptions): Promise<Sharp> {
  // The library does not know the brand of sequences, which begin with a still picture.
  const isSequence = file.toString('latin1', 8, 12) !== 'avif';
  const still = isSequence ? Buffer.concat([file.subarray(0, 8), Buffer.from('avif'), file.subarray(12)]) : file;
  const image = openPlain(still, { ...options, unlimited: true });
  return needsToneMap(color) ? openRaw(await decodeHdr(image, color)) : image;
}

async function openHeic(file: Buffer): Promise<Sharp> {
  if (!canDecodeHeic()) throw refuseHeic();
  const { image, profile } = await decodeHeic(file);
  return profile ? openPlain(wrapTiff(image, profile)) : openRaw(image);
}

async function openTiff(file: Buffer, facts: TiffFacts, options: OpenOptions): Promise<Sharp> {
  const { embeddedJpeg: place } = facts;
  if (place) {
    const jpeg = file.subarray(place.offset, place.offset + place.length);
    const isTurned = isTurnedJpeg(facts);
    return isTurned
      ? openRaw(await decodeTurnedJpeg(jpeg, facts, { ...OPTIONS, ...options }))
      : openPlain(jpeg, options);
  }
  const fixed = fixOrientation(file, facts);
  if (!isPlainTiff(facts)) return openRaw(await decodeTiff(fixed, facts, { ...OPTIONS, ...options }));
  const image = openPlain(fixed, options);
  return isCmykTiff(facts) && options.ignoreIcc ? openRaw(await decodeCmyk(image)) : image;
}

function openIco(file: Buffer, { entry }: IcoFacts, options: OpenOptions): Sharp {
  const content = file.subarray(entry.offset, entry.offset + entry.length);
  return entry.isPng ? openPlain(content, options) : openRaw(decodeIconBitmap(content));
}
