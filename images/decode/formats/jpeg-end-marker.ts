import { refuseDamage } from '../../inspect/refusals.ts';

const END_OF_IMAGE = Buffer.from([0xff, 0xd9]);

/**
 * Some phones write data after the pixels and no end marker. The code words of a sequential JPEG are followed to the end of its last block:
 * if that is inside the file, nothing is missing. The decoder does not notice missing data in the last rows.
 * @returns the file with an end marker after its pixels
 * @throws InferqlError CORRUPT if the file is truncated, or if that cannot be decided because it is not a single sequential scan
 */
export function closeJpeg(file: Buffer): Buffer {
  const end = findScanEnd(file);
  // A single byte is the rest of an end marker.
  if (end === undefined || end + 1 >= file.length || hasMarker(file, end)) throw refuseDamage();
  return Buffer.concat([file.subarray(0, end), END_OF_IMAGE]);
}

/** Other parts of a JPEG after the pixels mean that data between them is missing. */
function hasMarker(file: Buffer, from: number): boolean {
  for (let at = file.indexOf(0xff, from); at >= 0; at = file.indexOf(0xff, at + 1)) {
    const next = file[at + 1];
    if (next !== undefined && next !== 0 && next !== 0xff && (next & 0xf8) !== 0xd0) return true;
  }
  return false;
}

interface Component {
  id: number;
  blocks: number;
  dc: CodeTable;
  ac: CodeTable;
}

/** Code length and value by the next 16 bits. */
type CodeTable = Uint16Array;

function findScanEnd(file: Buffer): number | undefined {
  const tables = new Map<number, CodeTable>();
  let frame: { width: number; height: number; samplings: Map<number, number> } | undefined;
  let restartInterval = 0;
  for (let at = 2; at + 4 <= file.length; ) {
    const marker = file[at + 1]!;
    if (file[at] !== 0xff) return undefined;
    if (marker === 0xff) {
      at++;
      continue;
    }
    const segment = file.subarray(at + 4, at + 2 + file.readUInt16BE(at + 2));
    if (marker === 0xc4) readTables(segment, tables);
    if (marker === 0xdd) restartInterval = segment.readUInt16BE(0);
    if (marker === 0xc0 || marker === 0xc1) frame = readFrame(segment);
    at += 2 + file.readUInt16BE(at + 2);
    if (marker !== 0xda) continue;
    const components = frame && readScan(segment, frame.samplings, tables);
    if (!frame || !components || components.length !== frame.samplings.size) return undefined;
    const samplings = [...frame.samplings.values()];
    // A single component is not interleaved: its blocks come one by one.
    const isSingle = components.length === 1;
    const across = isSingle ? 1 : Math.max(...samplings.map((it) => it >> 4));
    const down = isSingle ? 1 : Math.max(...samplings.map((it) => it & 15));
    if (isSingle) components[0]!.blocks = 1;
    const units = Math.ceil(frame.width / (8 * across)) * Math.ceil(frame.height / (8 * down));
    return walkScan(file, at, { units, restartInterval, components });
  }
  return undefined;
}

function readFrame(segment: Buffer) {
  const count = segment.readUInt8(5);
  const samplings = new Map<number, number>();
  for (let i = 0; i < count; i++) samplings.set(segment.readUInt8(6 + 3 * i), segment.readUInt8(7 + 3 * i));
  return { height: segment.readUInt16BE(1), width: segment.readUInt16BE(3), samplings };
}

function readTables(segment: Buffer, tables: Map<number, CodeTable>): void {
  for (let at = 0; at + 17 <= segment.length; ) {
    const table = new Uint16Array(65_536);
    let code = 0;
    let value = at + 17;
    for (let length = 1; length <= 16; length++, code <<= 1) {
      for (let left = segment[at + length]!; left > 0; left--, code++, value++) {
        const from = code << (16 - length);
        table.fill((length << 8) | segment.readUInt8(value), from, from + (1 << (16 - length)));
      }
    }
    tables.set(segment[at]!, table);
    at = value;
  }
}

function readScan(segment: Buffer, samplings: Map<number, number>, tables: Map<number, CodeTable>) {
  const components: Component[] = [];
  for (let i = 0; i < segment.readUInt8(0); i++) {
    const id = segment.readUInt8(1 + 2 * i);
    const selector = segment.readUInt8(2 + 2 * i);
    const sampling = samplings.get(id);
    const dc = tables.get(selector >> 4);
    const ac = tables.get(0x10 | (selector & 15));
    if (sampling === undefined || !dc || !ac) return undefined;
    components.push({ id, blocks: (sampling >> 4) * (sampling & 15), dc, ac });
  }
  return components;
}

interface Scan {
  units: number;
  restartInterval: number;
  components: Component[];
}

/** @returns the offset after the last block; undefined if the data ends before, or is invalid */
function walkScan(file: Buffer, start: number, { units, restartInterval, components }: Scan): number | undefined {
  let at = start;
  let bits = 0;
  let count = 0;
  /** Zeros in place of what follows the data: code words are looked up with 16 bits at once, but none may need these bits. */
  let padding = 0;
  const need = (wanted: number) => {
    while (count < wanted) {
      const byte = file[at];
      if (byte === undefined || (byte === 0xff && file[at + 1] !== 0)) {
        padding += 8;
        bits = (bits << 8) & 0xffffff;
        count += 8;
        continue;
      }
      at += byte === 0xff ? 2 : 1;
      bits = ((bits << 8) | byte) & 0xffffff;
      count += 8;
    }
  };
  const readCode = (table: CodeTable) => {
    need(16);
    const found = table[(bits >> (count - 16)) & 0xffff]!;
    count -= found >> 8;
    return found;
  };
  const skip = (length: number) => {
    need(length);
    count -= length;
  };
  for (let unit = 0; unit < units; unit++) {
    if (padding > count) return undefined;
    if (restartInterval > 0 && unit > 0 && unit % restartInterval === 0) {
      if (padding > count) return undefined;
      [bits, count, padding] = [0, 0, 0];
      at = file.indexOf(0xff, at);
      if (at < 0 || (file[at + 1]! & 0xf8) !== 0xd0) return undefined;
      at += 2;
    }
    for (const { blocks, dc, ac } of components) {
      for (let block = 0; block < blocks; block++) {
        const first = readCode(dc);
        if (first === 0) return undefined;
        skip(first & 15);
        for (let k = 1; k < 64; k++) {
          const found = readCode(ac);
          if (found === 0) return undefined;
          const run = (found >> 4) & 15;
          const size = found & 15;
          if (size === 0 && run < 15) break;
          k += run;
          skip(size);
        }
      }
    }
  }
  return padding > count ? undefined : at;
}
