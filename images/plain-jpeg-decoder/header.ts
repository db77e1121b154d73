/** The headers of a sequential JPEG, as far as they are ordinary. */
import type { Orientation } from './orientation.ts';

interface PlainComponent {
  /** Blocks per unit. */
  across: number;
  down: number;
  /** 64 numbers in the order of the file. */
  quant: Uint16Array;
  /** Code words per length, then the symbols. */
  dc: Uint8Array;
  ac: Uint8Array;
}

export interface PlainJpeg {
  width: number;
  height: number;
  /** Gray, or Y, Cb, Cr of the same size or of half the width, or of half the width and height. */
  components: PlainComponent[];
  /** In units; 0: none. */
  restartInterval: number;
  /** Offset of the entropy-coded data. */
  dataAt: number;
  hasProfile: boolean;
  /** As EXIF says; 1 if it does not. */
  orientation: Orientation;
}

interface Frame {
  width: number;
  height: number;
  components: { id: number; sampling: number; quant: number }[];
}

const JFIF = 'JFIF\0';
const EXIF = 'Exif\0\0';
const PROFILE = 'ICC_PROFILE\0';
const ORIENTATION = 0x0112;
/** Bits of a difference between two first coefficients. */
const MAX_DC_SIZE = 15;

/**
 * Reads the headers of a JPEG that has eight bits, one Huffman-coded scan of all components, and ordinary colors and
 * subsampling.
 * @returns undefined for any other one, and for damage: a general decoder decides then
 */
export function readPlainHeader(file: Buffer): PlainJpeg | undefined {
  try {
    return readSegments(file);
  } catch (error) {
    // Offsets and lengths inside a file are not trusted.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function readSegments(file: Buffer): PlainJpeg | undefined {
  const quants = new Map<number, Uint16Array>();
  const codes = new Map<number, Uint8Array>();
  let frame: Frame | undefined;
  let restartInterval = 0;
  let isJfif = false;
  let transform: number | undefined;
  let hasProfile = false;
  let orientation: Orientation | undefined;
  for (let at = 2; file[at] === 0xff; ) {
    const marker = file[at + 1]!;
    const end = at + 2 + file.readUInt16BE(at + 2);
    const segment = file.subarray(at + 4, end);
    if (end < at + 4 || end > file.length) return undefined;
    const begins = (text: string) => segment.toString('latin1', 0, text.length) === text;
    switch (marker) {
      case 0xdb:
        if (!readQuants(segment, quants)) return undefined;
        break;
      case 0xc4:
        if (!readCodes(segment, codes)) return undefined;
        break;
      case 0xdd:
        restartInterval = segment.readUInt16BE(0);
        break;
      case 0xc0:
      case 0xc1:
        if (frame) return undefined;
        frame = readFrame(segment);
        if (!frame) return undefined;
        break;
      case 0xe0:
        isJfif ||= begins(JFIF);
        break;
      case 0xe1:
        if (!begins(EXIF)) break;
        // Of two, libraries may read another one.
        if (orientation !== undefined) return undefined;
        orientation = readOrientation(segment.subarray(EXIF.length));
        if (orientation === undefined) return undefined;
        break;
      case 0xe2:
        hasProfile ||= begins(PROFILE);
        break;
      case 0xee:
        if (begins('Adobe')) transform = segment.readUInt8(11);
        break;
      case 0xda: {
        const isColor = isJfif || transform === 1 || frame?.components.map(({ id }) => id).join() === '1,2,3';
        const isOrdinary = (transform === undefined || transform === 1) && (frame?.components.length === 1 || isColor);
        const components = frame && isOrdinary ? readScan(segment, frame, quants, codes) : undefined;
        if (!frame || !components) return undefined;
        return { ...frame, components, restartInterval, dataAt: end, hasProfile, orientation: orientation ?? 1 };
      }
      default: {
        const isSkipped = marker === 0xfe || (marker >= 0xe3 && marker <= 0xef);
        if (!isSkipped) return undefined;
      }
    }
    at = end;
  }
  return undefined;
}

function readQuants(segment: Buffer, quants: Map<number, Uint16Array>): boolean {
  for (let at = 0; at < segment.length; ) {
    const id = segment[at]! & 15;
    const bytes = segment[at]! >> 4 ? 2 : 1;
    const from = at + 1;
    at = from + 64 * bytes;
    if (at > segment.length) return false;
    const quant = Uint16Array.from({ length: 64 }, (_, i) =>
      bytes === 2 ? segment.readUInt16BE(from + 2 * i) : segment[from + i]!,
    );
    quants.set(id, quant);
  }
  return true;
}

/** By 0 to 3 for DC, 16 to 19 for AC. */
function readCodes(segment: Buffer, codes: Map<number, Uint8Array>): boolean {
  for (let at = 0; at < segment.length; ) {
    const id = segment[at]!;
    let symbols = 0;
    for (let length = 1; length <= 16; length++) symbols += segment.readUInt8(at + length);
    const end = at + 17 + symbols;
    if (symbols > 256 || end > segment.length) return false;
    codes.set(id, segment.subarray(at + 1, end));
    at = end;
  }
  return true;
}

const isFactor = (factor: number): boolean => factor >= 1 && factor <= 4;

function readFrame(segment: Buffer): Frame | undefined {
  const count = segment.readUInt8(5);
  const components = Array.from({ length: count }, (_, i) => ({
    id: segment.readUInt8(6 + 3 * i),
    sampling: segment.readUInt8(7 + 3 * i),
    quant: segment.readUInt8(8 + 3 * i),
  }));
  const height = segment.readUInt16BE(1);
  const width = segment.readUInt16BE(3);
  const isPlain = segment[0] === 8 && width > 0 && height > 0 && segment.length === 6 + 3 * count;
  if (!isPlain) return undefined;
  // The only component's factors change no pixel, but readers refuse impossible ones.
  const isPossible = components.every(({ sampling }) => isFactor(sampling >> 4) && isFactor(sampling & 15));
  if (!isPossible) return undefined;
  if (count === 1) return { width, height, components: [{ ...components[0]!, sampling: 0x11 }] };
  const [luma, blue, red] = components;
  const isCommon = count === 3 && [0x11, 0x21, 0x22].includes(luma!.sampling);
  if (!isCommon || blue!.sampling !== 0x11 || red!.sampling !== 0x11) return undefined;
  // Fewer samples in a row are repeated instead of interpolated.
  const isWide = luma!.sampling === 0x11 || width > 4;
  return isWide ? { width, height, components } : undefined;
}

function readScan(
  segment: Buffer,
  frame: Frame,
  quants: Map<number, Uint16Array>,
  codes: Map<number, Uint8Array>,
): PlainComponent[] | undefined {
  const count = segment.readUInt8(0);
  if (count !== frame.components.length || segment.length !== 4 + 2 * count) return undefined;
  const [start, end, approximation] = segment.subarray(1 + 2 * count);
  if (start !== 0 || end !== 63 || approximation !== 0) return undefined;
  const components: PlainComponent[] = [];
  for (const [i, { id, sampling, quant: quantId }] of frame.components.entries()) {
    const tables = segment.readUInt8(2 + 2 * i);
    const quant = quants.get(quantId);
    const dc = codes.get(tables >> 4);
    const ac = codes.get(16 | (tables & 15));
    if (segment[1 + 2 * i] !== id || !quant || !dc || !ac) return undefined;
    if (dc.subarray(16).some((size) => size > MAX_DC_SIZE)) return undefined;
    components.push({ across: sampling >> 4, down: sampling & 15, quant, dc, ac });
  }
  return components;
}

/**
 * @param tiff the content of an Exif segment
 * @returns 1 if it names none; undefined if it is damaged, or not clear
 */
function readOrientation(tiff: Buffer): Orientation | undefined {
  const order = tiff.toString('latin1', 0, 4);
  const isLittle = order === 'II*\0';
  if (!isLittle && order !== 'MM\0*') return undefined;
  const word = (at: number) => (isLittle ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  const long = (at: number) => (isLittle ? tiff.readUInt32LE(at) : tiff.readUInt32BE(at));
  const directory = long(4);
  const count = word(directory);
  const found: number[] = [];
  for (let entry = 0; entry < count; entry++) {
    const at = directory + 2 + 12 * entry;
    if (word(at) !== ORIENTATION) continue;
    const isShort = word(at + 2) === 3 && long(at + 4) === 1;
    found.push(isShort ? word(at + 8) : 0);
  }
  const [orientation = 1, ...more] = found;
  const isClear = more.length === 0 && orientation >= 1 && orientation <= 8;
  return isClear ? (orientation as Orientation) : undefined;
}
