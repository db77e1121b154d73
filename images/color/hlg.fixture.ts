/** Writes SDR pictures as HDR ones in hybrid log-gamma (ITU-R BT.2100), as televisions and phones make them. */
import { crc32 } from 'node:zlib';
import sharp from 'sharp';

/** Diffuse white and peak of the display, in cd/m2, and its gamma. */
const [WHITE, PEAK, GAMMA] = [203, 1_000, 1.2];
const TO_BT2020 = [
  [0.6274, 0.3293, 0.0433],
  [0.0691, 0.9195, 0.0114],
  [0.0164, 0.088, 0.8956],
] as const;

/** The signal of 0 to 1 of scene light of 0 to 1. */
function encodeLight(light: number): number {
  return light <= 1 / 12 ? Math.sqrt(3 * light) : 0.178_832_77 * Math.log(12 * light - 0.284_668_92) + 0.559_910_73;
}

/** @param gain the brightness of SDR white against diffuse white */
function encodeHlg(rgb: readonly number[], gain = 1): number[] {
  const shown = rgb.map((value) => {
    const coded = value / 255;
    return gain * WHITE * (coded <= 0.040_45 ? coded / 12.92 : ((coded + 0.055) / 1.055) ** 2.4);
  });
  const wide = TO_BT2020.map((row) => row.reduce((sum, factor, i) => sum + factor * shown[i]!, 0));
  const luminance = 0.2627 * wide[0]! + 0.678 * wide[1]! + 0.0593 * wide[2]!;
  const scene = luminance > 0 ? (luminance / PEAK) ** ((1 - GAMMA) / GAMMA) / PEAK : 0;
  return wide.map((value) => Math.round(65_535 * Math.min(1, encodeLight(value * scene))));
}

/**
 * @param pixels 8-bit sRGB, 3 channels
 * @returns a PNG of 16 bits whose cICP chunk says BT.2020 and HLG
 */
export async function writeHlgPng(pixels: Buffer, width: number, height: number, gain = 1): Promise<Buffer> {
  const coded = new Uint16Array(pixels.length);
  for (let at = 0; at < pixels.length; at += 3) coded.set(encodeHlg([...pixels.subarray(at, at + 3)], gain), at);
  const png = await sharp(coded, { raw: { width, height, channels: 3 } })
    .toColourspace('rgb16')
    .png()
    .toBuffer();
  const body = Buffer.from('cICP\x09\x12\0\x01', 'latin1');
  const chunk = Buffer.concat([Buffer.from([0, 0, 0, 4]), body, Buffer.alloc(4)]);
  chunk.writeUInt32BE(crc32(body), 12);
  return Buffer.concat([png.subarray(0, 33), chunk, png.subarray(33)]);
}
