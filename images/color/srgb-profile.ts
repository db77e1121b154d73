/**
 * Detects whether a JPEG's color profile is sRGB. Converting sRGB to sRGB changes nothing and takes as long as decoding the image.
 */

/** The primaries of sRGB adapted to D50, as profiles carry them (ICC.1, and IEC 61966-2-1 by Bradford's matrix). */
const PRIMARIES = {
  rXYZ: [0.436, 0.2225, 0.0139],
  gXYZ: [0.3851, 0.7169, 0.0971],
  bXYZ: [0.1431, 0.0606, 0.7141],
} as const;
const PRIMARY_TOLERANCE = 0.001;
/** A third of a step of 8 bits. */
const CURVE_TOLERANCE = 1 / 768;
const HEADER_BYTES = 128;
const MAX_TAGS = 64;

/** Also false if there is none, or if it cannot be decided: then the decoder converts. */
export function hasSrgbProfile(jpeg: Buffer): boolean {
  try {
    const profile = findProfile(jpeg);
    return profile !== undefined && isSrgb(profile);
  } catch (error) {
    // Offsets inside a profile are not trusted: reading beyond its end means that it is not sRGB.
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** The profile among a JPEG's segments, if it is in one piece. */
function findProfile(jpeg: Buffer): Buffer | undefined {
  for (let at = 2; at + 4 <= jpeg.length && jpeg[at] === 0xff; ) {
    const marker = jpeg[at + 1]!;
    const end = at + 2 + jpeg.readUInt16BE(at + 2);
    const startsScan = marker === 0xda;
    if (startsScan || end > jpeg.length) return undefined;
    if (marker === 0xe2 && jpeg.toString('latin1', at + 4, at + 16) === 'ICC_PROFILE\0') {
      const isWhole = jpeg[at + 16] === 1 && jpeg[at + 17] === 1;
      return isWhole ? jpeg.subarray(at + 18, end) : undefined;
    }
    at = end;
  }
  return undefined;
}

function isSrgb(profile: Buffer): boolean {
  const word = (at: number) => profile.toString('latin1', at, at + 4);
  if (word(12) !== 'mntr' || word(16) !== 'RGB ' || word(20) !== 'XYZ ') return false;
  const count = profile.readUInt32BE(HEADER_BYTES);
  if (count > MAX_TAGS) return false;
  const tags = new Map<string, number>();
  for (let tag = 0; tag < count; tag++) {
    const at = HEADER_BYTES + 4 + 12 * tag;
    tags.set(word(at), profile.readUInt32BE(at + 4));
  }
  // A profile with tables is converted with them, whatever its primaries are.
  if (['A2B0', 'A2B1', 'D2B0'].some((name) => tags.has(name))) return false;
  for (const [name, expected] of Object.entries(PRIMARIES)) {
    const at = tags.get(name);
    if (at === undefined || word(at) !== 'XYZ ') return false;
    const isNear = expected.every(
      (value, i) => Math.abs(profile.readInt32BE(at + 8 + 4 * i) / 65_536 - value) < PRIMARY_TOLERANCE,
    );
    if (!isNear) return false;
  }
  // Usually the three share one curve.
  const curves = new Set(['rTRC', 'gTRC', 'bTRC'].map((name) => tags.get(name)));
  return [...curves].every((at) => at !== undefined && followsSrgbCurve(profile, at));
}

function followsSrgbCurve(profile: Buffer, at: number): boolean {
  const type = profile.toString('latin1', at, at + 4);
  if (type === 'para') {
    if (profile.readUInt16BE(at + 8) !== 3) return false;
    const expected = [2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.040_45];
    return expected.every((value, i) => Math.abs(profile.readInt32BE(at + 12 + 4 * i) / 65_536 - value) < 0.001);
  }
  if (type !== 'curv') return false;
  const entries = profile.readUInt32BE(at + 8);
  if (entries < 256 || entries > 65_536) return false;
  return findCurve(entries).every((expected, entry) => {
    const value = profile.readUInt16BE(at + 12 + 2 * entry) / 65_535;
    return Math.abs(value - expected) <= CURVE_TOLERANCE;
  });
}

/** The last one is cached: most profiles have tables of one length, and computing the powers takes half a millisecond. */
let curve = new Float64Array(0);

function findCurve(entries: number): Float64Array {
  if (curve.length !== entries) {
    curve = new Float64Array(entries).map((_, entry) => toLinear(entry / (entries - 1)));
  }
  return curve;
}

function toLinear(encoded: number): number {
  return encoded <= 0.040_45 ? encoded / 12.92 : ((encoded + 0.055) / 1.055) ** 2.4;
}
