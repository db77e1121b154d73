/** Decodes ordinary JPEGs by the kernels of kernels/: the same pixels as libjpeg-turbo's, in a fraction of the time of a general library. */
import { loadKernels } from '../load-kernels.ts';
import type { Area, Pixels, Size } from '../resize/pixels.ts';
import type { PlainJpeg } from './header.ts';
import { KERNELS } from './kernels.wasm.ts';

/** Documented in kernels/. Places are offsets in its memory. */
interface Kernels {
  memory: WebAssembly.Memory;
  buildTable(counts: number, table: number): number;
  unstuff(at: number, end: number, segments: number, maxSegments: number): number;
  decodeScan(
    components: number,
    count: number,
    unitsAcross: number,
    unitsDown: number,
    data: number,
    segments: number,
    segmentCount: number,
    restartInterval: number,
  ): number;
  convertPlanes(
    luma: number,
    lumaPitch: number,
    blue: number,
    red: number,
    chromaPitch: number,
    chromaWidth: number,
    chromaHeight: number,
    across: number,
    down: number,
    left: number,
    top: number,
    right: number,
    bottom: number,
    width: number,
    rowBuffer: number,
    target: number,
  ): void;
}

const PAGE_BYTES = 65_536;
/** The kernels' constants are below. */
const FIRST_FREE = 8_192;
/** Room for one code table. */
const TABLE_BYTES = 6_656;
const COMPONENT_WORDS = 12;
/** What is read or written in vectors may end this far behind its last byte. */
const SPARE_BYTES = 64;
/** Larger images are left to a general decoder: a WebAssembly memory keeps its size. */
const MAX_PIXELS = 4_000_000;

const kernels = loadKernels<Kernels>(KERNELS);

/** Whether an image of this size may be decoded here. */
export const isPlainSize = ({ width, height }: Size): boolean => width * height <= MAX_PIXELS;

/**
 * @param wanted the part of the image that is decoded; the other pixels are undefined
 * @returns the image, valid until the next call. Undefined if it cannot be decoded here, or is damaged.
 */
export function decodePlainJpeg(file: Uint8Array, jpeg: PlainJpeg, wanted: Area): Pixels | undefined {
  if (!kernels || !isPlainSize(jpeg)) return undefined;
  try {
    return decode(kernels, file, jpeg, wanted);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) return undefined;
    throw error;
  }
}

/** Hands out the kernels' memory from the beginning. */
function createLayout() {
  let end = FIRST_FREE;
  return {
    take(bytes: number): number {
      const at = end;
      end = (end + bytes + SPARE_BYTES + 15) & ~15;
      return at;
    },
    ensure(memory: WebAssembly.Memory): void {
      const missing = end - memory.buffer.byteLength;
      if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
    },
  };
}

type Layout = ReturnType<typeof planMemory>;

/** Blocks of the least common size of all components, as the file interleaves them. */
function countUnits({ width, height, components }: PlainJpeg): { across: number; down: number } {
  const { across, down } = components[0]!;
  return { across: Math.ceil(width / (8 * across)), down: Math.ceil(height / (8 * down)) };
}

/** Where everything that one image needs is in the kernels' memory. */
function planMemory(jpeg: PlainJpeg, dataBytes: number) {
  const { width, height, components, restartInterval } = jpeg;
  const units = countUnits(jpeg);
  const maxSegments = restartInterval === 0 ? 1 : Math.ceil((units.across * units.down) / restartInterval);
  const codes = [...new Set(components.flatMap(({ dc, ac }) => [dc, ac]))];
  const layout = createLayout();
  const tables = new Map(codes.map((code) => [code, layout.take(TABLE_BYTES)]));
  const counts = layout.take(512);
  const described = components.map((component) => ({
    ...component,
    quantAt: layout.take(128),
    pitch: units.across * component.across * 8,
    rows: units.down * component.down * 8,
  }));
  const description = layout.take(described.length * COMPONENT_WORDS * 4);
  const segments = layout.take(maxSegments * 4);
  const data = layout.take(dataBytes);
  const planes = described.map(({ pitch, rows }) => layout.take(pitch * rows));
  const rowBuffer = layout.take(width * 6 + 512);
  const target = layout.take(width * height * (components.length > 1 ? 3 : 1));
  return {
    units,
    maxSegments,
    tables,
    counts,
    components: described,
    description,
    segments,
    data,
    planes,
    rowBuffer,
    target,
    ensure: layout.ensure,
  };
}

function decode(kernels: Kernels, file: Uint8Array, jpeg: PlainJpeg, wanted: Area): Pixels | undefined {
  const data = file.subarray(jpeg.dataAt);
  const layout = planMemory(jpeg, data.length);
  layout.ensure(kernels.memory);
  if (!buildTables(kernels, layout)) return undefined;
  describeComponents(kernels, layout, wanted);
  new Uint8Array(kernels.memory.buffer).set(data, layout.data);
  if (!decodePlanes(kernels, layout, jpeg, data.length)) return undefined;
  return jpeg.components.length > 1
    ? convertColors(kernels, layout, jpeg, wanted)
    : copyGray(kernels, layout, jpeg, wanted);
}

/** The tables of the Huffman codes. @returns false for a code that is not valid */
function buildTables(kernels: Kernels, { tables, counts }: Layout): boolean {
  const bytes = new Uint8Array(kernels.memory.buffer);
  for (const [code, table] of tables) {
    bytes.fill(0, counts, counts + 512);
    bytes.set(code, counts);
    if (kernels.buildTable(counts, table) < 0) return false;
  }
  return true;
}

/** Writes what the kernels read of each component, with the blocks that the wanted part needs. */
function describeComponents(kernels: Kernels, layout: Layout, wanted: Area): void {
  const { buffer } = kernels.memory;
  const words = new Int32Array(buffer);
  const [luma] = layout.components;
  const right = wanted.left + wanted.width;
  const bottom = wanted.top + wanted.height;
  for (const [i, { across, down, quant, dc, ac, quantAt, pitch }] of layout.components.entries()) {
    new Uint16Array(buffer, quantAt, 64).set(quant);
    const isSmall = i > 0;
    const sample = { across: isSmall ? luma!.across : 1, down: isSmall ? luma!.down : 1 };
    // Neighbors of subsampled colors take part.
    const blocks = [
      Math.floor((wanted.left / sample.across - 1) / 8),
      Math.floor((wanted.top / sample.down - 1) / 8),
      Math.floor((right / sample.across + 1) / 8) + 1,
      Math.floor((bottom / sample.down + 1) / 8) + 1,
    ];
    const { tables, planes } = layout;
    const values = [across, down, tables.get(dc)!, tables.get(ac)!, quantAt, planes[i]!, pitch, 0, ...blocks];
    words.set(values, layout.description / 4 + i * COMPONENT_WORDS);
  }
}

/** From code words to the samples of each component. @returns false for damage */
function decodePlanes(kernels: Kernels, layout: Layout, { restartInterval }: PlainJpeg, dataBytes: number): boolean {
  const { units, maxSegments, components, description, segments, data } = layout;
  const count = kernels.unstuff(data, data + dataBytes, segments, maxSegments);
  if (count !== maxSegments) return false;
  const { length } = components;
  return kernels.decodeScan(description, length, units.across, units.down, data, segments, count, restartInterval) >= 0;
}

function copyGray(kernels: Kernels, layout: Layout, { width, height }: PlainJpeg, wanted: Area): Pixels {
  const { components, planes, target } = layout;
  const bytes = new Uint8Array(kernels.memory.buffer);
  const { pitch } = components[0]!;
  for (let y = wanted.top; y < wanted.top + wanted.height; y++) {
    const from = planes[0]! + y * pitch;
    bytes.copyWithin(target + y * width, from, from + width);
  }
  return { data: bytes.subarray(target, target + width * height), width, height, channels: 1 };
}

function convertColors(kernels: Kernels, layout: Layout, { width, height }: PlainJpeg, wanted: Area): Pixels {
  const { components, planes, rowBuffer, target } = layout;
  const { across, down } = components[0]!;
  kernels.convertPlanes(
    planes[0]!,
    components[0]!.pitch,
    planes[1]!,
    planes[2]!,
    components[1]!.pitch,
    Math.ceil(width / across),
    Math.ceil(height / down),
    across,
    down,
    wanted.left,
    wanted.top,
    wanted.left + wanted.width,
    wanted.top + wanted.height,
    width,
    rowBuffer,
    target,
  );
  const bytes = new Uint8Array(kernels.memory.buffer, target, width * height * 3);
  return { data: bytes, width, height, channels: 3 };
}
