import { InferqlError } from '@inferql/queue/error-codes';
import { inspectBmp } from './bmp.ts';
import { inspectGif } from './gif.ts';
import { inspectHeif } from './heif.ts';
import { inspectIco } from './ico.ts';
import type { ImageFacts, ImageFormat } from './image-facts.ts';
import { inspectJpeg } from './jpeg.ts';
import { nameForeignFormat } from './other-file-types.ts';
import { inspectPng } from './png.ts';
import { refuseDamage } from './refusals.ts';
import { inspectTiff } from './tiff.ts';
import { inspectWebp } from './webp.ts';

const READ_FORMATS = 'It reads JPEG, PNG, WebP, GIF, AVIF, TIFF, BMP and ICO.';

/**
 * Reads an image file's format and size, and estimates the cost of decoding it. All loops are bounded by constants and by the
 * size of the picture, never only by a number in the file.
 * @throws InferqlError EMPTY, UNSUPPORTED_FORMAT (naming what is not supported), CORRUPT or TOO_COMPLEX
 */
export function inspectImage(file: Buffer): ImageFacts {
  if (file.length === 0) throw new InferqlError('EMPTY');
  const format = detectFormat(file);
  if (!format) throw refuseForeign(file);
  try {
    return addShape(inspectFormat(file, format));
  } catch (error) {
    // Offsets and lengths inside a file are not trusted.
    if (error instanceof RangeError) throw refuseDamage(error);
    throw error;
  }
}

function refuseForeign(file: Buffer): InferqlError {
  const name = nameForeignFormat(file);
  if (!name) return new InferqlError('UNSUPPORTED_FORMAT');
  return new InferqlError('UNSUPPORTED_FORMAT', { message: `This server does not read ${name}. ${READ_FORMATS}` });
}

/** CPU milliseconds per row and per column, which matter if an image has very many of them. */
const ROW_MS = 0.0008;
const COLUMN_MS = 0.000_02;
/** A pipeline holds this many bytes per column: some rows at several stages. */
const COLUMN_BYTES = 24;

function addShape(facts: ImageFacts): ImageFacts {
  const costMs = facts.costMs + facts.height * ROW_MS + facts.width * COLUMN_MS;
  return { ...facts, costMs, memoryBytes: facts.memoryBytes + facts.width * COLUMN_BYTES };
}

function inspectFormat(file: Buffer, format: ImageFormat): ImageFacts {
  switch (format) {
    case 'jpeg':
      return inspectJpeg(file);
    case 'png':
      return inspectPng(file);
    case 'webp':
      return inspectWebp(file);
    case 'gif':
      return inspectGif(file);
    case 'avif':
    case 'heic':
      return inspectHeif(file);
    case 'tiff':
      return inspectTiff(file);
    case 'bmp':
      return inspectBmp(file);
    case 'ico':
      return inspectIco(file);
    default:
      return format satisfies never;
  }
}

/**
 * The format by its first bytes. Nothing else reaches a decoder: everything else that the library can read (SVG, PDF, raw arrays) is refused.
 */
export function detectFormat(file: Buffer): ImageFormat | undefined {
  const text = (start: number, end: number) => file.toString('latin1', start, end);
  if (file.length >= 3 && file[0] === 0xff && file[1] === 0xd8 && file[2] === 0xff) return 'jpeg';
  if (text(0, 8) === '\x89PNG\r\n\x1a\n') return 'png';
  if (text(0, 4) === 'RIFF' && text(8, 12) === 'WEBP') return 'webp';
  if (text(0, 6) === 'GIF87a' || text(0, 6) === 'GIF89a') return 'gif';
  if (['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].includes(text(0, 4))) return 'tiff';
  if (text(4, 8) === 'ftyp') return detectBrand(file);
  if (isBmp(file)) return 'bmp';
  if ((text(0, 4) === '\0\0\x01\0' || text(0, 4) === '\0\0\x02\0') && isIco(file)) return 'ico';
  return undefined;
}

const AVIF_BRANDS = ['avif', 'avis'];
const HEIC_BRANDS = ['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'mif1', 'msf1'];

/** These files have their brand first or among the compatible ones of the `ftyp` box. */
function detectBrand(file: Buffer): ImageFormat | undefined {
  const boxLength = Math.min(file.readUInt32BE(0), file.length, 256);
  const brands: string[] = [];
  for (let offset = 8; offset + 4 <= boxLength; offset += 4) brands.push(file.toString('latin1', offset, offset + 4));
  if (brands.some((brand) => AVIF_BRANDS.includes(brand))) return 'avif';
  return brands.some((brand) => HEIC_BRANDS.includes(brand)) ? 'heic' : undefined;
}

/** Texts, too, can begin with these two letters. */
function isBmp(file: Buffer): boolean {
  if (file.length < 26 || file.toString('latin1', 0, 2) !== 'BM') return false;
  const headerBytes = file.readUInt32LE(14);
  return [12, 16, 40, 52, 56, 64, 108, 124].includes(headerBytes);
}

function isIco(file: Buffer): boolean {
  return file.length >= 22 && file.readUInt16LE(4) > 0 && file[9] === 0;
}
