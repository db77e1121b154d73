import type { RawImage } from './raw-image.ts';

const SHORT = 3;
const LONG = 4;
const UNDEFINED = 7;

/** Pixels and their color profile as an uncompressed TIFF file: the library does not accept raw pixels together with a profile. */
export function wrapTiff({ data, width, height, channels }: RawImage, profile: Buffer): Buffer {
  const count = 11 + (channels === 4 ? 1 : 0);
  const bitsAt = 8 + 2 + 12 * count + 4;
  const profileAt = bitsAt + 2 * channels;
  const pixelsAt = profileAt + profile.length;
  const entries = [
    [256, LONG, 1, width],
    [257, LONG, 1, height],
    [258, SHORT, channels, channels === 1 ? 8 : channels === 2 ? 0x0008_0008 : bitsAt],
    [259, SHORT, 1, 1],
    [262, SHORT, 1, channels < 3 ? 1 : 2],
    [273, LONG, 1, pixelsAt],
    [277, SHORT, 1, channels],
    [278, LONG, 1, height],
    [279, LONG, 1, data.length],
    [284, SHORT, 1, 1],
    ...(channels === 4 ? [[338, SHORT, 1, 2]] : []),
    [34675, UNDEFINED, profile.length, profileAt],
  ];
  const head = Buffer.alloc(profileAt);
  head.write('II*\0', 'latin1');
  head.writeUInt32LE(8, 4);
  head.writeUInt16LE(entries.length, 8);
  entries.forEach((entry, i) => {
    const [tag, type, length, value] = entry as [number, number, number, number];
    const at = 10 + 12 * i;
    head.writeUInt16LE(tag, at);
    head.writeUInt16LE(type, at + 2);
    head.writeUInt32LE(length, at + 4);
    head.writeUInt32LE(value, at + 8);
  });
  for (let channel = 0; channel < channels; channel++) head.writeUInt16LE(8, bitsAt + 2 * channel);
  return Buffer.concat([head, profile, data]);
}
