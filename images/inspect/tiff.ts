import { CMYK_MS, pixelBytes, type TiffFacts } from './image-facts.ts';
import { inspectJpeg } from './jpeg.ts';
import { refuseDamage, refuseFeature, refuseWork } from './refusals.ts';
import { openTiffDirectory, type TiffDirectory } from './tiff-directory.ts';

/** CPU milliseconds per megapixel and byte of a pixel, and per strip or tile. */
const BYTE_MS = 3.5;
const PART_MS = 0.003;
const MAX_PARTS = 100_000;

const COMPRESSIONS: Record<number, string> = {
  34663: 'SGI Log compression',
  34676: 'SGI Log compression',
  34677: 'SGI Log compression',
  34712: 'JPEG 2000 compression',
  34887: 'LERC compression',
  34892: 'lossy DNG compression',
  34925: 'LZMA compression',
  50000: 'Zstandard compression',
  50001: 'WebP compression',
  50002: 'JPEG XL compression',
  52546: 'JPEG XL compression',
};
const DECODED_COMPRESSIONS = [1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946];
/** Tags whose numbers are SHORT, LONG or LONG8: size, samples, compression, predictor, color, palette, strips and tiles, orientation. */
const STRUCTURE_TAGS = [256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 338, 339];
const STRUCTURE_TYPES = [3, 4, 16];
/** Tags that change pixels: the above, bit order, fax options, JPEG tables, YCbCr. */
const DECODING_TAGS = [...STRUCTURE_TAGS, 266, 292, 293, 347, 512, 513, 514, 529, 530, 531, 532];
const PALETTE = 3;
const CMYK = 5;
const COLOR_CHANNELS: Record<number, number> = { 0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3 };
const PHOTOMETRICS: Record<number, string> = {
  4: 'transparency masks',
  8: 'the Lab color space',
  9: 'the Lab color space',
  10: 'the Lab color space',
  32803: 'a camera sensor (raw, DNG) without a preview',
  32844: 'LogLuv colors',
  32845: 'LogLuv colors',
  34892: 'a camera sensor (raw, DNG) without a preview',
};

/** @throws InferqlError CORRUPT, UNSUPPORTED_FORMAT or TOO_COMPLEX; RangeError if the directory is truncated */
export function inspectTiff(file: Buffer): TiffFacts {
  const directory = openTiffDirectory(file);
  checkEntries(directory, file.length);
  const number = (tag: number, otherwise: number) => directory.readFirst(tag) ?? otherwise;
  const width = number(256, 0);
  const height = number(257, 0);
  if (width === 0 || height === 0) throw refuseDamage();
  const compression = number(259, 1);
  const photometric = directory.readFirst(262);
  // Without it, readers guess, and some guess the negative.
  if (photometric === undefined) throw refuseDamage();
  checkFeatures(compression, photometric);
  const channels = number(277, 1);
  const colorChannels = COLOR_CHANNELS[photometric]!;
  if (channels < colorChannels) throw refuseDamage();
  const bits = checkSamples(directory, channels);
  if (photometric === PALETTE && directory.read(320, 3 * 2 ** bits + 1).length !== 3 * 2 ** bits) throw refuseDamage();
  const extraSamples = directory.read(338, channels - colorChannels);
  checkExtraSamples(photometric, channels - colorChannels, extraSamples.length);
  const isPlanar = number(284, 1) === 2 && channels > 1;
  const layout = readLayout(directory, { width, height, planes: isPlanar ? channels : 1 });
  const area = layout.tiles ? layout.partPixels * layout.tiles.across * layout.tiles.down : width * height;
  const sampleBytes = Math.max(1, bits / 8);
  const isFloat = number(339, 1) === 3;
  const embedded = compression === 6 ? inspectEmbeddedJpeg(file, directory, { width, height }) : undefined;
  const isWhole = isInside(directory, layout, file.length);
  const jpegs = compression === 7 && isWhole ? inspectJpegParts(file, directory, layout) : NO_WORK;
  const conversionMs = photometric === CMYK ? CMYK_MS : 0;
  const costMs = (area / 1e6) * (channels * sampleBytes * BYTE_MS + conversionMs) + layout.parts * PART_MS;
  const memoryBytes =
    pixelBytes(width, height, photometric === CMYK ? 2 * channels * sampleBytes : Math.max(3, channels)) +
    Math.min(layout.partPixels, area) * channels * sampleBytes +
    (isFloat ? area * channels * sampleBytes : 0) +
    (layout.tiles ? area * Math.max(3, channels) : 0);
  return {
    format: 'tiff',
    width,
    height,
    costMs: embedded?.costMs ?? Math.max(costMs, jpegs.costMs),
    memoryBytes: embedded?.memoryBytes ?? memoryBytes + jpegs.memoryBytes,
    isWhole,
    isLittleEndian: directory.isLittleEndian,
    isBig: directory.isBig,
    directory: directory.offset,
    orientation: number(274, 1),
    photometric,
    colorChannels,
    channels,
    extraSamples: Array.from({ length: channels - colorChannels }, (_, i) => extraSamples[i] ?? 0),
    isFloat,
    tiles: layout.tiles,
    embeddedJpeg: embedded?.place,
  };
}

/** Readers skip what they cannot read and differ in which of two equal tags they take, so they would see different pictures. */
function checkEntries({ entries }: TiffDirectory, fileBytes: number): void {
  const seen = new Set<number>();
  for (const { tag, type, values, bytes } of entries) {
    if (!DECODING_TAGS.includes(tag)) continue;
    const hasOtherType = STRUCTURE_TAGS.includes(tag) && !STRUCTURE_TYPES.includes(type);
    if (hasOtherType || seen.has(tag) || values + bytes > fileBytes) throw refuseDamage();
    seen.add(tag);
  }
}

function checkFeatures(compression: number, photometric: number): void {
  if (!DECODED_COMPRESSIONS.includes(compression)) {
    throw refuseFeature(`TIFF with ${COMPRESSIONS[compression] ?? `compression ${compression}`}`);
  }
  if (photometric === 6 && compression !== 6 && compression !== 7) {
    throw refuseFeature('TIFF with YCbCr colors outside of JPEG compression');
  }
  if (COLOR_CHANNELS[photometric] === undefined) {
    throw refuseFeature(`TIFF with ${PHOTOMETRICS[photometric] ?? `photometric interpretation ${photometric}`}`);
  }
}

/** @returns the bits of a sample */
function checkSamples(directory: TiffDirectory, channels: number): number {
  if (channels > 16) throw refuseFeature(`TIFF with ${channels} channels`);
  const all = directory.read(258, channels);
  const bits = all[0] ?? 1;
  if (all.some((other) => other !== bits)) throw refuseFeature('TIFF with channels of different bit depths');
  const format = directory.readFirst(339) ?? 1;
  const isUnsigned = (format === 1 || format === 4) && [1, 2, 4, 8, 16].includes(bits);
  const isFloat = format === 3 && bits === 32;
  if (!isUnsigned && !isFloat) {
    const kind = { 1: 'unsigned integer', 2: 'signed integer', 3: 'floating-point' }[format] ?? 'complex';
    throw refuseFeature(`TIFF with ${kind} samples of ${bits} bits`);
  }
  return bits;
}

/** Without a list of further channels, a damaged color interpretation would make colors of them. Many programs omit it for RGBA alone. */
function checkExtraSamples(photometric: number, needed: number, stated: number): void {
  const isPlainRgba = photometric === 2 && needed === 1;
  if (stated < needed && !(stated === 0 && isPlainRgba)) {
    throw refuseFeature('TIFF with channels whose meaning it does not state');
  }
}

interface Layout {
  tiles: TiffFacts['tiles'];
  /** Strips or tiles, those of all planes. */
  parts: number;
  partPixels: number;
}

function readLayout(
  directory: TiffDirectory,
  { width, height, planes }: { width: number; height: number; planes: number },
): Layout {
  const tileWidth = directory.readFirst(322);
  const tileHeight = directory.readFirst(323);
  let layout: Layout;
  if (tileWidth && tileHeight) {
    const [across, down] = [Math.ceil(width / tileWidth), Math.ceil(height / tileHeight)];
    const tiles = { width: tileWidth, height: tileHeight, across, down };
    layout = { tiles, parts: across * down * planes, partPixels: tileWidth * tileHeight };
  } else {
    const rows = Math.min(directory.readFirst(278) || height, height);
    layout = { tiles: undefined, parts: Math.ceil(height / rows) * planes, partPixels: width * rows };
  }
  if (layout.parts > MAX_PARTS) throw refuseWork(`${layout.parts} strips or tiles, and the limit is ${MAX_PARTS}`);
  return layout;
}

/** Whether every strip or tile that the picture needs is inside the file. Longer lists are not read. */
function isInside(directory: TiffDirectory, { tiles, parts }: Layout, fileBytes: number): boolean {
  const offsets = directory.read(tiles ? 324 : 273, parts);
  const lengths = directory.read(tiles ? 325 : 279, parts);
  // Tiles are decoded from a copy of the file with a directory at its end, in which nothing would be missing.
  if (tiles && directory.entries.some(({ values, bytes }) => values + bytes > fileBytes)) return false;
  return offsets.length === parts && offsets.every((offset, i) => offset + (lengths[i] ?? 0) <= fileBytes);
}

interface Work {
  costMs: number;
  memoryBytes: number;
}

const NO_WORK: Work = { costMs: 0, memoryBytes: 0 };

/** With JPEG compression, each strip or tile is a JPEG, which may have many scans. @returns the cost of all, the memory of the largest */
function inspectJpegParts(file: Buffer, directory: TiffDirectory, { tiles, parts }: Layout): Work {
  const lengths = directory.read(tiles ? 325 : 279, parts);
  const seen = new Map<number, Work>();
  const work = { ...NO_WORK };
  let bytesLeft = file.length;
  for (const [i, offset] of directory.read(tiles ? 324 : 273, parts).entries()) {
    let part = seen.get(offset);
    if (!part) {
      const length = lengths[i] ?? 0;
      bytesLeft -= length;
      if (bytesLeft < 0) throw refuseWork('its strips or tiles overlap');
      part = inspectJpeg(file.subarray(offset, offset + length));
      seen.set(offset, part);
    }
    work.costMs += part.costMs;
    work.memoryBytes = Math.max(work.memoryBytes, part.memoryBytes);
  }
  return work;
}

interface EmbeddedJpeg extends Work {
  place: NonNullable<TiffFacts['embeddedJpeg']>;
}

/** Old-style JPEG mostly is one whole JPEG file inside the TIFF. It alone is decoded, so it decides on the cost. */
function inspectEmbeddedJpeg(
  file: Buffer,
  directory: TiffDirectory,
  { width, height }: { width: number; height: number },
): EmbeddedJpeg {
  const offset = directory.readFirst(513);
  const length = directory.readFirst(514) ?? file.length;
  if (offset === undefined || file[offset] !== 0xff || file[offset + 1] !== 0xd8) {
    throw refuseFeature('TIFF with old-style JPEG compression that is not one JPEG file');
  }
  const jpeg = inspectJpeg(file.subarray(offset, offset + length));
  if (jpeg.width !== width || jpeg.height !== height || !jpeg.hasEndMarker) throw refuseDamage();
  return { place: { offset, length }, costMs: jpeg.costMs, memoryBytes: jpeg.memoryBytes };
}
