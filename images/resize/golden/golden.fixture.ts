import type { Pixels } from '../pixels.ts';

/** A real library's result. */
export interface GoldenAnswer {
  /** For an answer of 8 bits. */
  sha256?: string;
  /** Every `step`th value of an answer in floating point, in 64ths, as little-endian 16-bit integers. */
  step?: number;
  samples?: string;
}

/** Draws what pixels.py draws: noise and slopes in a checkerboard of 16 pixels. */
export function drawPixels(width: number, height: number, channels: 1 | 3 | 4): Pixels {
  const data = new Uint8Array(width * height * channels);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < channels; channel++) {
        const mixed = Math.imul(x, 73856093) ^ Math.imul(y, 19349663) ^ Math.imul(channel, 83492791);
        const noise = Math.imul(mixed, 2654435761) >>> 24;
        const isNoise = (((x >> 4) + (y >> 4)) & 1) === 1;
        data[at++] = isNoise ? noise : (x * 2 + y * 3 + channel * 50) & 255;
      }
    }
  }
  return { data, width, height, channels };
}

const drawn = new Map<string, Pixels>();

/** The same pixels as `drawPixels`, drawn once for all tests of a file, which only read them. */
export function drawPixelsOnce(width: number, height: number, channels: 1 | 3 | 4): Pixels {
  const name = `${width}x${height}x${channels}`;
  const pixels = drawn.get(name) ?? drawPixels(width, height, channels);
  drawn.set(name, pixels);
  return pixels;
}

/** The largest difference between our bytes and the library's values. */
export function distanceOf(ours: Uint8Array, { step = 1, samples = '' }: GoldenAnswer): number {
  const bytes = Buffer.from(samples, 'base64');
  let largest = 0;
  for (let i = 0; i * 2 < bytes.length; i++) {
    const value = Math.min(Math.max(bytes.readInt16LE(i * 2) / 64, 0), 255);
    largest = Math.max(largest, Math.abs(ours[i * step]! - value));
  }
  return largest;
}
