import { type GifFacts, megapixels, pixelBytes, type Rectangle } from './image-facts.ts';
import { refuseDamage, refuseWork } from './refusals.ts';

/** CPU milliseconds per megapixel. */
const DECODE_MS = 10;
/** Encoders write blocks of 255 bytes: 41,000 in 10 MB. */
const MAX_BLOCKS = 500_000;

/** @throws InferqlError CORRUPT or TOO_COMPLEX */
export function inspectGif(file: Buffer): GifFacts {
  if (file.length < 14) throw refuseDamage();
  const canvas = { width: file.readUInt16LE(6), height: file.readUInt16LE(8) };
  let blocks = 0;
  let first: { frame: Rectangle; dataAt: number; end: number } | undefined;
  let isWhole = false;
  let at = 13 + tableBytes(file[10]!);
  while (at < file.length) {
    const block = file[at]!;
    const frameAt = at;
    let dataAt = 0;
    if (block === 0x21) at += 2;
    else if (block === 0x2c && at + 10 < file.length) {
      dataAt = at + 10 + tableBytes(file[at + 9]!);
      at = dataAt + 1;
    } else {
      // Anything but the trailer or a truncated frame is skipped to the end, as decoders do.
      isWhole = block !== 0x2c;
      break;
    }
    while (at < file.length && file[at] !== 0) {
      at += 1 + file[at]!;
      if (++blocks > MAX_BLOCKS) throw refuseWork(`more than ${MAX_BLOCKS} blocks`);
    }
    at += 1;
    if (++blocks > MAX_BLOCKS) throw refuseWork(`more than ${MAX_BLOCKS} blocks`);
    if (block === 0x2c && !first) first = { frame: readFrame(file, frameAt), dataAt, end: at };
  }
  if (!first) throw refuseDamage();
  const { frame, dataAt, end } = first;
  if (frame.width === 0 || frame.height === 0) throw refuseDamage();
  // Some files have an empty canvas, or one that is too small: as in browsers, it grows to hold the first frame.
  const width = Math.max(canvas.width, frame.left + frame.width);
  const height = Math.max(canvas.height, frame.top + frame.height);
  return {
    format: 'gif',
    width,
    height,
    costMs: megapixels(width, height) * DECODE_MS,
    memoryBytes: pixelBytes(width, height, 4) * 2,
    isWhole: isWhole && end <= file.length,
    frame,
    firstFrameEnd: end,
    dataAt,
  };
}

function readFrame(file: Buffer, at: number): Rectangle {
  const [left, top, width, height] = [1, 3, 5, 7].map((offset) => file.readUInt16LE(at + offset));
  return { left: left!, top: top!, width: width!, height: height! };
}

function tableBytes(flags: number): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
}
