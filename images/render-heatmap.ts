import { promisify } from 'node:util';
import { crc32, deflate } from 'node:zlib';

/** The smallest side of the picture: a browser's smoothing of a 7x7 picture shows its squares. */
const MIN_SIDE = 112;
const PNG_SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
/** Eight bits per pixel, with a palette. */
const PNG_FORMAT = [8, 3, 0, 0, 0];
/** Each line as the difference from the one above, which is small in a smooth picture. */
const FILTER_UP = 2;

const compress = promisify(deflate);
const heats = Array.from({ length: 256 }, (_, level) => level / 255);
/** Blue to red, the colder the more transparent. */
const COLORS = Buffer.from(
  heats.flatMap((heat) => [3, 2, 1].map((middle) => Math.round(255 * clamp(1.5 - Math.abs(4 * heat - middle))))),
);
const OPACITIES = Buffer.from(heats.map((heat) => Math.round(180 * heat)));

interface HeatValues {
  width: number;
  height: number;
  /** Row by row in 0..1, width * height of them. */
  values: number[];
}

/**
 * Paints a map as a PNG in a data URI. Written by hand, since the palette is fixed: an image library would search for a
 * palette first, which takes twenty times as long.
 */
export async function renderHeatmap(map: HeatValues): Promise<string> {
  const scale = Math.max(1, Math.ceil(MIN_SIDE / Math.min(map.width, map.height)));
  const [width, height] = [map.width * scale, map.height * scale];
  const header = Buffer.alloc(8);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  const lines = filterLines(enlarge(map, scale), width, height);
  const png = Buffer.concat([
    PNG_SIGNATURE,
    pngChunk('IHDR', Buffer.concat([header, Buffer.from(PNG_FORMAT)])),
    pngChunk('PLTE', COLORS),
    pngChunk('tRNS', OPACITIES),
    pngChunk('IDAT', await compress(lines, { level: 1 })),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
  return `data:image/png;base64,${png.toString('base64')}`;
}

/** The map `scale` times as wide and high, as levels 0..255, by cubic interpolation. @see Keys 1981 */
function enlarge({ width, height, values }: HeatValues, scale: number): Uint8Array {
  const columns = placeSamples(width, scale);
  const wide = new Float32Array(columns.length * height);
  for (let y = 0; y < height; y++) {
    for (const [x, { at, weights }] of columns.entries()) {
      wide[y * columns.length + x] = weights.reduce((sum, w, i) => sum + w * (values[y * width + at[i]!] ?? 0), 0);
    }
  }
  const rows = placeSamples(height, scale);
  const levels = new Uint8Array(rows.length * columns.length);
  for (const [y, { at, weights }] of rows.entries()) {
    const [a, b, c, d] = at.map((row) => row * columns.length) as [number, number, number, number];
    const [wa, wb, wc, wd] = weights;
    for (let x = 0; x < columns.length; x++) {
      const heat = wide[a + x]! * wa + wide[b + x]! * wb + wide[c + x]! * wc + wide[d + x]! * wd;
      levels[y * columns.length + x] = Math.round(255 * clamp(heat));
    }
  }
  return levels;
}

/** For each pixel of a longer line: its four neighbors among the `size` values, and their weights. */
function placeSamples(size: number, scale: number) {
  return Array.from({ length: size * scale }, (_, pixel) => {
    const place = (pixel + 0.5) / scale - 0.5;
    const first = Math.floor(place) - 1;
    const t = place - Math.floor(place);
    const weights = [
      ((2 - t) * t - 1) * t * 0.5,
      (t * t * (3 * t - 5) + 2) * 0.5,
      ((4 - 3 * t) * t + 1) * t * 0.5,
      (t - 1) * t * t * 0.5,
    ] as const;
    return { at: [0, 1, 2, 3].map((i) => Math.min(Math.max(first + i, 0), size - 1)), weights };
  });
}

function filterLines(levels: Uint8Array, width: number, height: number): Buffer {
  const lines = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++) {
    const to = y * (width + 1);
    lines[to] = FILTER_UP;
    for (let x = 0; x < width; x++) {
      const above = y === 0 ? 0 : levels[(y - 1) * width + x]!;
      lines[to + 1 + x] = levels[y * width + x]! - above;
    }
  }
  return lines;
}

function pngChunk(type: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const chunk = Buffer.alloc(named.length + 8);
  chunk.writeUInt32BE(data.length, 0);
  named.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(named), named.length + 4);
  return chunk;
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}
