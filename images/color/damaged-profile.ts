/**
 * Whether a file's color profile (ICC.1) can be applied. As in browsers, a damaged one is ignored: applied, it would make other colors of a
 * picture that is intact. A PNG's is protected by a checksum instead.
 */
import type { ImageFacts } from '../inspect/image-facts.ts';
import { openTiffDirectory } from '../inspect/tiff-directory.ts';

const HEADER_BYTES = 128;
const MAX_TAGS = 256;
/** The primaries of each profile of this kind add up to the white of D50. */
const WHITE = [0.9642, 1, 0.8249];
const WHITE_TOLERANCE = 0.05;
const MIN_GAMMA = 0.4;
const MAX_GAMMA = 5;
const TIFF_PROFILE = 34_675;

export function hasDamagedProfile(file: Buffer, facts: ImageFacts): boolean {
  try {
    const profile = findProfile(file, facts);
    return profile !== undefined && !isUsable(profile);
  } catch (error) {
    // Offsets inside a profile are not trusted.
    if (error instanceof RangeError) return true;
    throw error;
  }
}

function findProfile(file: Buffer, facts: ImageFacts): Buffer | undefined {
  if (facts.format === 'avif') return facts.profile;
  if (facts.format === 'webp') {
    // It follows the first chunk, which is 18 bytes long.
    const at = 30;
    const hasProfile = file.toString('latin1', at, at + 4) === 'ICCP';
    return hasProfile ? file.subarray(at + 8, at + 8 + file.readUInt32LE(at + 4)) : undefined;
  }
  if (facts.format === 'tiff') {
    const entry = openTiffDirectory(file).entries.find(({ tag }) => tag === TIFF_PROFILE);
    return entry && file.subarray(entry.values, entry.values + entry.bytes);
  }
  return undefined;
}

/** Throws RangeError if a tag is outside of the profile. */
export function isUsable(profile: Buffer): boolean {
  const word = (at: number) => profile.toString('latin1', at, at + 4);
  if (profile.length < HEADER_BYTES + 4 || profile.readUInt32BE(0) > profile.length || word(36) !== 'acsp')
    return false;
  const count = profile.readUInt32BE(HEADER_BYTES);
  if (count > MAX_TAGS) return false;
  const tags = new Map<string, number>();
  for (let tag = 0; tag < count; tag++) {
    const at = HEADER_BYTES + 4 + 12 * tag;
    const [offset, length] = [profile.readUInt32BE(at + 4), profile.readUInt32BE(at + 8)];
    if (offset + length > profile.length) return false;
    tags.set(word(at), offset);
  }
  const curves = [...tags].filter(([name]) => /^[rgbk]TRC$/.test(name)).map(([, at]) => at);
  if (!curves.every((at) => isCurve(profile, at))) return false;
  // Tables take the place of primaries, and other color spaces have none.
  if (word(16) !== 'RGB ' || tags.has('A2B0')) return true;
  const primaries = ['rXYZ', 'gXYZ', 'bXYZ'].map((name) => tags.get(name));
  if (primaries.some((at) => at === undefined || word(at) !== 'XYZ ')) return false;
  return WHITE.every((expected, axis) => {
    const sum = primaries.reduce<number>((total, at) => total + profile.readInt32BE(at! + 8 + 4 * axis) / 65_536, 0);
    return Math.abs(sum - expected) < WHITE_TOLERANCE;
  });
}

function isCurve(profile: Buffer, at: number): boolean {
  const type = profile.toString('latin1', at, at + 4);
  const isGamma = (value: number) => value >= MIN_GAMMA && value <= MAX_GAMMA;
  if (type === 'para') return profile.readUInt16BE(at + 8) <= 4 && isGamma(profile.readInt32BE(at + 12) / 65_536);
  if (type !== 'curv') return false;
  const entries = profile.readUInt32BE(at + 8);
  if (entries === 1) return isGamma(profile.readUInt16BE(at + 12) / 256);
  return at + 12 + 2 * entries <= profile.length;
}
