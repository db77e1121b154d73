/** Boxes of the ISO base media file format (ISO/IEC 14496-12), which AVIF and HEIF are. */
import { refuseDamage, refuseWork } from './refusals.ts';

export interface Box {
  type: string;
  /** Offsets of the content. */
  start: number;
  end: number;
}

const MAX_BOXES = 2_000;

/**
 * The boxes of one level. Anything may follow those of the file; inside a box, one that ends beyond its parent is damage.
 * @throws InferqlError CORRUPT or TOO_COMPLEX
 */
export function listBoxes(file: Buffer, start: number, end: number): Box[] {
  const isTopLevel = start === 0;
  const boxes: Box[] = [];
  for (let at = start; at + 8 <= end; ) {
    if (boxes.length >= MAX_BOXES) throw refuseWork(`more than ${MAX_BOXES} boxes`);
    const short = file.readUInt32BE(at);
    const isLong = short === 1 && at + 16 <= end;
    const length = isLong ? Number(file.readBigUInt64BE(at + 8)) : short === 0 ? end - at : short;
    const headerBytes = isLong ? 16 : 8;
    if (isTopLevel && (length < headerBytes || at + length > end)) break;
    if (length < headerBytes || at + length > end) throw refuseDamage();
    const type = file.toString('latin1', at + 4, at + 8);
    // Unknown boxes are skipped by design; an invalid name means that a box was damaged.
    if (!isTopLevel && !isPrintable(type)) throw refuseDamage();
    boxes.push({ type, start: at + headerBytes, end: at + length });
    at += length;
  }
  return boxes;
}

/** Whether the value can be a code of four characters. */
export function isPrintable(code: string): boolean {
  return /^[ -~\u00a9]{4}$/.test(code);
}

/** The box at a path like `iprp/ipco`, from the boxes of the first level on. */
export function findBox(file: Buffer, boxes: readonly Box[], path: string): Box | undefined {
  const [name, ...rest] = path.split('/');
  const box = boxes.find(({ type }) => type === name);
  return box && rest.length > 0 ? findBox(file, listBoxes(file, box.start, box.end), rest.join('/')) : box;
}

/** Numbers read one after the other; beyond the end it throws RangeError. */
export function createReader(file: Buffer, start: number, end: number) {
  const bytes = file.subarray(start, end);
  let at = 0;
  return {
    /** Big-endian, 0 to 8 bytes. */
    read(count: number): number {
      if (count === 0) return 0;
      const value = count === 8 ? Number(bytes.readBigUInt64BE(at)) : bytes.readUIntBE(at, count);
      at += count;
      return value;
    },
    skip(count: number): void {
      at += count;
    },
  };
}
