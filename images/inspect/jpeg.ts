import { CMYK_MS, type JpegFacts, megapixels, pixelBytes } from './image-facts.ts';
import { refuseDamage, refuseFeature, refuseWork } from './refusals.ts';

/** CPU milliseconds per megapixel: Huffman decoding with all later steps, and one more pass over the blocks of one full-size component. */
const BASE_MS = 6;
const SCAN_MS = 0.8;
/** Arithmetic coding against Huffman coding. */
const ARITHMETIC_FACTOR = 4;
/** Cameras write fewer than 200; profiles and metadata come in up to 255 each. */
const MAX_SEGMENTS = 4_000;
const MAX_SCANS = 20_000;
const END_OF_IMAGE = Buffer.from([0xff, 0xd9]);

interface Frame {
  marker: number;
  width: number;
  height: number;
  /** Share of the full size by component identifier. */
  components: Map<number, number>;
}

/**
 * Reads frame and scans. A scan with all components ends the work of a sequential decoder. Each other scan is another pass over the
 * picture, so they are counted, which reads each byte once.
 * @throws InferqlError CORRUPT, UNSUPPORTED_FORMAT or TOO_COMPLEX
 */
export function inspectJpeg(file: Buffer): JpegFacts {
  let at = 2;
  let frame: Frame | undefined;
  for (let segments = 0; ; segments++) {
    if (segments > MAX_SEGMENTS) throw refuseWork(`more than ${MAX_SEGMENTS} segments before the pixels`);
    at = findMarker(file, at);
    const marker = file[at + 1];
    if (marker === undefined || at + 4 > file.length) throw refuseDamage();
    if (isParameterless(marker)) {
      at += 2;
      continue;
    }
    if (marker === 0xd9) throw refuseDamage();
    if (marker === 0xda) break;
    if (marker === 0xf7) throw refuseFeature('JPEG-LS');
    if (isFrame(marker)) frame = readFrame(file, at, marker);
    at += 2 + file.readUInt16BE(at + 2);
  }
  if (!frame) throw refuseDamage();
  const { width, height, components } = frame;
  const isProgressive = frame.marker === 0xc2 || frame.marker === 0xca;
  const isArithmetic = frame.marker >= 0xc9;
  const isOnePass = !isProgressive && file[at + 4] === components.size;
  const passes = isOnePass ? 0 : countPasses(file, at, frame);
  const size = megapixels(width, height);
  const coefficients = isOnePass ? 0 : 2 * sum(components.values()) * width * height;
  const isCmyk = components.size === 4;
  const hasEndMarker = file.lastIndexOf(END_OF_IMAGE) > at;
  if (hasEndMarker && isOnePass && !endsWithItsScan(file, at)) throw refuseDamage();
  return {
    format: 'jpeg',
    width,
    height,
    costMs: size * ((BASE_MS + SCAN_MS * passes) * (isArithmetic ? ARITHMETIC_FACTOR : 1) + (isCmyk ? CMYK_MS : 0)),
    memoryBytes: coefficients + pixelBytes(width, height, isCmyk ? 4 + 3 : Math.max(3, components.size)),
    isWhole: true,
    hasEndMarker,
    isOnePass,
    isCmyk,
  };
}

/** Whether the first marker after the only scan is the end marker. Other data inside the pixels is damage that a decoder notices too late. */
function endsWithItsScan(file: Buffer, scan: number): boolean {
  const data = scan + 2 + file.readUInt16BE(scan + 2);
  for (let at = file.indexOf(0xff, data); at >= 0; at = file.indexOf(0xff, at + 1)) {
    const next = file[at + 1];
    if (next === undefined) return false;
    const isData = next === 0 || next === 0xff || (next >= 0xd0 && next <= 0xd7);
    if (!isData) return next === 0xd9;
  }
  return false;
}

/** Skips what is not a marker, as decoders do. */
function findMarker(file: Buffer, from: number): number {
  let at = file.indexOf(0xff, from);
  while (at >= 0 && (file[at + 1] === 0xff || file[at + 1] === 0)) {
    at = file[at + 1] === 0xff ? at + 1 : file.indexOf(0xff, at + 2);
  }
  if (at < 0) throw refuseDamage();
  return at;
}

function isParameterless(marker: number): boolean {
  return marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
}

function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

function readFrame(file: Buffer, at: number, marker: number): Frame {
  if (at + 10 > file.length) throw refuseDamage();
  const precision = file[at + 4]!;
  const height = file.readUInt16BE(at + 5);
  const width = file.readUInt16BE(at + 7);
  const count = file[at + 9]!;
  if (marker === 0xc3 || marker === 0xcb) throw refuseFeature('lossless JPEG');
  if (![0xc0, 0xc1, 0xc2, 0xc9, 0xca].includes(marker)) throw refuseFeature('hierarchical JPEG');
  if (precision === 12) throw refuseFeature('JPEG with 12 bits per sample');
  if (height === 0 && width > 0) throw refuseFeature('JPEG that gives its height behind the pixels (DNL)');
  if (width === 0 || count === 0 || at + 10 + 3 * count > file.length) throw refuseDamage();
  const samplings = Array.from({ length: count }, (_, i) => file[at + 11 + 3 * i]!);
  const [across, down] = [Math.max(...samplings.map((it) => it >> 4)), Math.max(...samplings.map((it) => it & 15))];
  if (across === 0 || down === 0) throw refuseDamage();
  const share = (sampling: number) => ((sampling >> 4) * (sampling & 15)) / (across * down);
  const components = new Map(samplings.map((sampling, i) => [file[at + 10 + 3 * i]!, share(sampling)]));
  return { marker, width, height, components };
}

/** How often the blocks of a full-size component are visited, scans of all components together. */
function countPasses(file: Buffer, firstScan: number, { components }: Frame): number {
  let passes = 0;
  let scans = 0;
  for (let at = firstScan; at + 4 < file.length; at++) {
    if (file[at] !== 0xff || file[at + 1] !== 0xda) continue;
    if (++scans > MAX_SCANS) throw refuseWork(`more than ${MAX_SCANS} scans`);
    const count = Math.min(file[at + 4]!, 4);
    for (let i = 0; i < count; i++) passes += components.get(file[at + 5 + 2 * i] ?? -1) ?? 1;
  }
  return passes;
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
