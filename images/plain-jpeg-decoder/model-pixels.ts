import { hasSrgbProfile } from '../color/srgb-profile.ts';
import { type FitRule, findSourceArea, fitPixels } from '../fit-pixels.ts';
import { readPlainHeader } from './header.ts';
import { storedArea, turnUpright, uprightSize } from './orientation.ts';
import { decodePlainJpeg } from './plain-jpeg.ts';

export interface PrepareRequest extends PrepareOptions {
  file: Uint8Array;
}

export interface PrepareOptions {
  /** Whether a color profile is ignored. */
  ignoreIcc: boolean;
  /** For 1 or 3 channels. */
  rule: FitRule;
}

/**
 * Decodes an ordinary JPEG, of which only what the model sees, turns it upright, and resizes it.
 * @returns uint8, rule.height x rule.width x rule.channels. Undefined if a general decoder has to decide, as for everything unusual and
 * everything damaged.
 */
export function preparePlainJpeg(file: Buffer, { ignoreIcc, rule }: PrepareOptions): Uint8Array | undefined {
  const jpeg = readPlainHeader(file);
  if (!jpeg || (jpeg.hasProfile && !ignoreIcc && !hasSrgbProfile(file))) return undefined;
  const { orientation } = jpeg;
  const seen = findSourceArea(uprightSize(jpeg, orientation), rule);
  const decoded = decodePlainJpeg(file, jpeg, storedArea(seen, jpeg, orientation));
  return decoded && fitPixels(orientation === 1 ? decoded : turnUpright(decoded, orientation, seen), rule);
}
