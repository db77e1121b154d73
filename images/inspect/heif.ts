import { type HeifPicture, readHeifPicture } from './heif-items.ts';
import { isSoundHevc } from './hevc.ts';
import { type AvifFacts, type ColorCoding, type HeicFacts, megapixels, pixelBytes } from './image-facts.ts';
import { refuseDamage, refuseFeature } from './refusals.ts';

/** CPU milliseconds per megapixel: 8 bits, more bits, and the WebAssembly decoder for HEIC. */
const AV1_MS = 45;
const AV1_DEEP_MS = 75;
const HEVC_MS = 150;
/** Memory of the WebAssembly module before it begins. */
const HEVC_BASE_BYTES = 64e6;

/**
 * Reads the numbers of the primary picture and of the AV1 stream; the decoder follows the latter.
 * @throws InferqlError CORRUPT, UNSUPPORTED_FORMAT or TOO_COMPLEX; RangeError if a box is truncated
 */
export function inspectHeif(file: Buffer): AvifFacts | HeicFacts {
  const picture = readHeifPicture(file);
  if (!picture) throw isAvif(file) ? refuseDamage() : refuseFeature('HEIF without a still picture');
  if (picture.width === 0 || picture.height === 0) throw refuseDamage();
  if (picture.codec === 'hvc1') return describeHevc(picture);
  if (picture.codec !== 'av01') throw refuseFeature(`HEIF with '${printable(picture.codec)}' inside`);
  const config = picture.properties.get('av1C');
  if (isIdentityOfLessColor(picture)) throw refuseDamage();
  const isDeep = config !== undefined && ((config[2] ?? 0) & 0x40) !== 0;
  const stream = picture.firstBytes && readSequenceSize(picture.firstBytes);
  const width = Math.max(picture.width, stream?.width ?? 0);
  const height = Math.max(picture.height, stream?.height ?? 0);
  return {
    format: 'avif',
    width,
    height,
    costMs: megapixels(width, height) * (isDeep ? AV1_DEEP_MS : AV1_MS),
    memoryBytes: pixelBytes(width, height, isDeep ? 26 : 19),
    isWhole: true,
    color: readColor(picture),
    profile: (picture.properties.get('colr/prof') ?? picture.properties.get('colr/rICC'))?.subarray(4),
  };
}

function describeHevc({ width, height, tiles }: HeifPicture): HeicFacts {
  const isSound = tiles.every(({ itemType, bytes, properties }) => {
    const config = properties.get('hvcC');
    return itemType !== 'hvc1' || (bytes && config && isSoundHevc(bytes, config));
  });
  return {
    format: 'heic',
    width,
    height,
    costMs: megapixels(width, height) * HEVC_MS,
    memoryBytes: HEVC_BASE_BYTES + pixelBytes(width, height, 16),
    isWhole: isSound,
  };
}

/** Unconverted red, green and blue need as many samples of each. */
function isIdentityOfLessColor({ properties }: HeifPicture): boolean {
  const coding = properties.get('colr/nclx');
  const config = properties.get('av1C');
  if (!coding || !config || coding.length < 10 || config.length < 3) return false;
  const isMonochrome = (config[2]! & 0x10) !== 0;
  const isSubsampled = (config[2]! & 0x0c) !== 0;
  return coding.readUInt16BE(8) === 0 && isSubsampled && !isMonochrome;
}

function isAvif(file: Buffer): boolean {
  return file.toString('latin1', 8, 11) === 'avi' && file.indexOf('moov', 0, 'latin1') < 0;
}

function printable(code: string): string {
  return code.replaceAll(/[^ -~]/g, '?');
}

function readColor({ properties }: HeifPicture): ColorCoding | undefined {
  const coding = properties.get('colr/nclx');
  if (!coding || coding.length < 8) return undefined;
  return { primaries: coding.readUInt16BE(4), transfer: coding.readUInt16BE(6) };
}

/** The largest frame that an AV1 stream announces in its sequence header (AV1 specification, 5.5). */
export function readSequenceSize(stream: Buffer): { width: number; height: number } | undefined {
  const header = findSequenceHeader(stream);
  if (!header) return undefined;
  let at = 0;
  const bits = (count: number) => {
    let value = 0;
    for (let i = 0; i < count; i++, at++) value = value * 2 + (((header[at >> 3] ?? 0) >> (7 - (at & 7))) & 1);
    return value;
  };
  bits(4);
  const isReduced = bits(1) === 1;
  if (isReduced) bits(5);
  // Timing and operating points come before the size; pictures have none. If there are any, the size in the boxes is used.
  else if (bits(1) === 1) return undefined;
  else {
    const hasDelays = bits(1) === 1;
    for (let points = bits(5) + 1; points > 0; points--) {
      bits(12);
      if (bits(5) > 7) bits(1);
      if (hasDelays && bits(1) === 1) bits(4);
    }
  }
  const [widthBits, heightBits] = [bits(4) + 1, bits(4) + 1];
  return { width: bits(widthBits) + 1, height: bits(heightBits) + 1 };
}

const MAX_UNITS = 8;
const SEQUENCE_HEADER = 1;

function findSequenceHeader(stream: Buffer): Buffer | undefined {
  let at = 0;
  for (let unit = 0; unit < MAX_UNITS && at < stream.length; unit++) {
    const head = stream[at]!;
    at += head & 4 ? 2 : 1;
    let length = stream.length - at;
    if (head & 2) {
      length = 0;
      for (let i = 0; i < 5 && at < stream.length; i++) {
        const byte = stream[at++]!;
        length += (byte & 0x7f) * 2 ** (7 * i);
        if (byte < 0x80) break;
      }
    }
    if (((head >> 3) & 15) === SEQUENCE_HEADER) return stream.subarray(at, at + Math.min(length, 64));
    at += length;
  }
  return undefined;
}
