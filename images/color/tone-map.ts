/**
 * Converts pictures with other transfer functions or primaries to sRGB: HDR in PQ or HLG (ITU-R BT.2100) and wide gamuts given by code
 * points instead of a profile. Highlights are rolled off as ITU-R BT.2390 describes, so that what an SDR display can show is unchanged.
 */
import type { ColorCoding } from '../inspect/image-facts.ts';

/** Diffuse white of an HDR picture, in cd/m2 (ITU-R BT.2408): it becomes 255. */
const WHITE = 203;
const HLG_PEAK = 1_000;
const PQ = {
  m1: 2610 / 16384,
  m2: (2523 / 4096) * 128,
  c1: 3424 / 4096,
  c2: (2413 / 4096) * 32,
  c3: (2392 / 4096) * 32,
};
const HLG = { a: 0.178_832_77, b: 0.284_668_92, c: 0.559_910_73 };
const TO_BT709: Record<number, readonly number[]> = {
  9: [1.6605, -0.5876, -0.0728, -0.1246, 1.1329, -0.0083, -0.0182, -0.1006, 1.1187],
  12: [1.2249, -0.2247, 0, -0.042, 1.0419, 0, -0.0197, -0.0786, 1.0979],
};
const SRGB_LIKE = [1, 6, 13, 14, 15];
/** The peak is brighter than this share of the pixels: single hot pixels do not darken the rest. */
const PEAK_SHARE = 0.9995;

/** Whether pixels with this coding have to be converted; unknown coding is taken as sRGB. */
export function needsToneMap(color: ColorCoding | undefined): color is ColorCoding {
  if (!color) return false;
  const isHdr = color.transfer === 16 || color.transfer === 18;
  return isHdr || (TO_BT709[color.primaries] !== undefined && SRGB_LIKE.includes(color.transfer));
}

/**
 * @param pixels 16-bit numbers as coded, channels last
 * @returns 8-bit sRGB of the same shape; alpha is only scaled
 */
export function toneMap(pixels: Uint16Array, channels: 3 | 4, color: ColorCoding): Buffer {
  const toLight = createLightTable(color.transfer);
  const isHlg = color.transfer === 18;
  const matrix = TO_BT709[color.primaries] ?? [1, 0, 0, 0, 1, 0, 0, 0, 1];
  const rollOff = createRollOff(isHlg ? HLG_PEAK : findPeak(pixels, channels, toLight));
  const target = Buffer.allocUnsafe(pixels.length);
  for (let at = 0; at < pixels.length; at += channels) {
    let [r, g, b] = [toLight[pixels[at]!]!, toLight[pixels[at + 1]!]!, toLight[pixels[at + 2]!]!];
    let scale = 1;
    if (isHlg) scale = HLG_PEAK * Math.max(0.2627 * r + 0.678 * g + 0.0593 * b, 1e-6) ** 0.2;
    scale *= rollOff(Math.max(r, g, b) * scale);
    [r, g, b] = [r * scale, g * scale, b * scale];
    target[at] = encodeSrgb(matrix[0]! * r + matrix[1]! * g + matrix[2]! * b);
    target[at + 1] = encodeSrgb(matrix[3]! * r + matrix[4]! * g + matrix[5]! * b);
    target[at + 2] = encodeSrgb(matrix[6]! * r + matrix[7]! * g + matrix[8]! * b);
    if (channels === 4) target[at + 3] = pixels[at + 3]! >> 8;
  }
  return target;
}

/** Light by code: cd/m2 for PQ, scene light of 0 to 1 for HLG, and for SDR such that 1 is white. */
function createLightTable(transfer: number): Float64Array {
  return new Float64Array(65_536).map((_, code) => {
    const value = code / 65_535;
    if (transfer === 16) return decodePq(value);
    if (transfer === 18) return value <= 0.5 ? value ** 2 / 3 : (Math.exp((value - HLG.c) / HLG.a) + HLG.b) / 12;
    return WHITE * (value <= 0.040_45 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  });
}

function decodePq(value: number): number {
  const power = value ** (1 / PQ.m2);
  return 10_000 * (Math.max(power - PQ.c1, 0) / (PQ.c2 - PQ.c3 * power)) ** (1 / PQ.m1);
}

function encodePq(light: number): number {
  const power = (Math.max(light, 0) / 10_000) ** PQ.m1;
  return ((PQ.c1 + PQ.c2 * power) / (1 + PQ.c3 * power)) ** PQ.m2;
}

function findPeak(pixels: Uint16Array, channels: number, toLight: Float64Array): number {
  const counts = new Uint32Array(65_536);
  for (let at = 0; at < pixels.length; at += channels) {
    counts[Math.max(pixels[at]!, pixels[at + 1]!, pixels[at + 2]!)]!++;
  }
  let left = (pixels.length / channels) * (1 - PEAK_SHARE);
  let code = 65_535;
  while (code > 0 && left >= counts[code]!) left -= counts[code--]!;
  return toLight[code]!;
}

const ROLL_OFF_STEPS = 4_096;

/** @returns the factor for linear light, by its brightest channel in cd/m2, so that white is 1 */
function createRollOff(peak: number): (light: number) => number {
  if (peak <= WHITE) return () => 1 / WHITE;
  const top = encodePq(peak);
  const most = encodePq(WHITE) / top;
  const knee = 1.5 * most - 0.5;
  const table = new Float64Array(ROLL_OFF_STEPS + 1).map((_, step) => {
    const coded = step / ROLL_OFF_STEPS;
    if (coded <= knee) return 1 / WHITE;
    const t = (coded - knee) / (1 - knee);
    const bent =
      (2 * t ** 3 - 3 * t ** 2 + 1) * knee + (t ** 3 - 2 * t ** 2 + t) * (1 - knee) + (-2 * t ** 3 + 3 * t ** 2) * most;
    return decodePq(bent * top) / (decodePq(coded * top) * WHITE);
  });
  return (light) => table[Math.min(ROLL_OFF_STEPS, Math.round((encodePq(light) / top) * ROLL_OFF_STEPS))]!;
}

const SRGB_STEPS = 8_192;
const srgb = new Uint8Array(SRGB_STEPS + 1).map((_, step) => {
  const light = step / SRGB_STEPS;
  return Math.round(255 * (light <= 0.003_130_8 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055));
});

function encodeSrgb(light: number): number {
  return srgb[Math.round(Math.min(1, Math.max(0, light)) * SRGB_STEPS)]!;
}
